import { OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import type { Shape } from "../core/shape.ts";
import * as f from "../ops/f.ts";

/** What becomes of the numbers of a loss: their mean, their sum, or "none", each by itself. */
export type Reduction = "mean" | "sum" | "none";

const REDUCTIONS: readonly string[] = ["mean", "sum", "none"];

/** @throws OptionError for what is no reduction. */
export function checkReduction(who: string, reduction: string, all = REDUCTIONS): void {
  if (all.includes(reduction)) return;
  const names = all.map((name) => JSON.stringify(name));
  throw new OptionError(
    `${who}: reduction is ${JSON.stringify(reduction)}; use ${names.slice(0, -1).join(", ")} or ${names.at(-1)}.`,
  );
}

/** A mask (bool, or f32 weights) as weights. */
export const weightsOf = (mask: Tensor): Tensor =>
  mask.dtype === "f32" ? mask : f.cast(mask, { dtype: "f32" });

/** The weight of each of values in a shape: a mask's, which broadcasts to it, or 1. */
export const weightsIn = (shape: Shape, mask?: Tensor): Tensor =>
  mask ? f.broadcastTo(weightsOf(mask), { shape }) : f.constant({ value: 1, shape });

/** What a mask does not leave out. */
export const keeps = (mask: Tensor): Tensor => (mask.dtype === "f32" ? f.notEqual(mask, 0) : mask);

/** The numbers that a mask keeps, and 0 in place of the others; all of them without one. It broadcasts to their shape. */
export const kept = (values: Tensor, mask?: Tensor): Tensor =>
  mask ? f.where(keeps(mask), values, 0) : values;

/** Σ w·x / Σ w over what a mask keeps, whatever the values are elsewhere; it broadcasts to their shape. Without one the mean. */
export function weightedMean(values: Tensor, mask?: Tensor): Tensor {
  if (!mask) return f.mean(values);
  const weights = weightsIn(values.shape, mask);
  return f.div(f.sum(f.mul(kept(values, mask), weights)), f.sum(weights));
}

/** The mean Σ w·x / Σ w, the sum Σ w·x, or each w·x, over what a mask keeps; w is 1 without one. */
export function reduced(values: Tensor, reduction: Reduction, mask?: Tensor): Tensor {
  if (reduction === "mean") return weightedMean(values, mask);
  const weighted = mask ? f.mul(kept(values, mask), weightsOf(mask)) : values;
  return reduction === "sum" ? f.sum(weighted) : weighted;
}

/**
 * A mask of rows [...] beside values of a row's last axis [..., C]: as it is where it has their rank already, else with an
 * axis at its end.
 */
export const besideRow = (mask: Tensor, rank: number): Tensor =>
  mask.shape.length === rank ? mask : f.reshape(mask, { shape: [...mask.shape, 1] });

/** A mask as one of rows [...]: [..., 1] beside values [..., C] loses its last axis. */
export const ofRows = (mask: Tensor | undefined, rank: number): Tensor | undefined =>
  mask && mask.shape.length === rank + 1 ? f.reshape(mask, { shape: mask.shape.slice(0, -1) }) : mask;
