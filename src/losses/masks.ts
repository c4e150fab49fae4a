import type { Tensor } from "../core/op.ts";
import * as f from "../ops/f.ts";

/** A mask (bool, or f32 weights) as weights. */
export const weightsOf = (mask: Tensor): Tensor =>
  mask.dtype === "f32" ? mask : f.cast(mask, { dtype: "f32" });

/** What a mask does not leave out. */
export const keeps = (mask: Tensor): Tensor => (mask.dtype === "f32" ? f.notEqual(mask, 0) : mask);

/** Σ w·x / Σ w over what a mask keeps, whatever the values are elsewhere; it broadcasts to their shape. Without one the mean. */
export function weightedMean(values: Tensor, mask?: Tensor): Tensor {
  if (!mask) return f.mean(values);
  const weights = f.broadcastTo(weightsOf(mask), { shape: values.shape });
  return f.div(f.sum(f.mul(f.where(keeps(mask), values, 0), weights)), f.sum(weights));
}
