import { checkNames, checkWhole } from "../../core/check.ts";
import { OptionError, ShapeError } from "../../core/errors.ts";
import { isTensor, type Tensor } from "../../core/op.ts";
import { normalizeAxis, showShape } from "../../core/shape.ts";
import { kindOf } from "../../core/tree.ts";
import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";
import { defineLayer } from "./define.ts";

/** Joins the tensors of a list: what `parallel` or `siamese` gives, or what a function of parts makes. */
export type Merge = Module<readonly Tensor[], Tensor>;

const shapesOf = (list: readonly Tensor[]) => list.map(({ shape }) => showShape(shape)).join(" and ");

/** @throws ShapeError unless x is a list of tensors of at least two, or of exactly `count`. */
function checkList(name: string, x: unknown, count?: number): asserts x is readonly Tensor[] {
  const what = isTensor(x) ? "a tensor" : Array.isArray(x) ? `a list of ${x.length}` : kindOf(x);
  const enough = Array.isArray(x) && (count ? x.length === count : x.length >= 2) && x.every(isTensor);
  if (!enough)
    throw new ShapeError(
      `${name}: takes a list of ${count ?? "at least 2"} tensors, got ${what}; give it what parallel or siamese gives, or a list.`,
    );
}

/** A merge that takes one tensor after another, as they broadcast. */
function merge(
  name: string,
  join: (a: Tensor, b: Tensor) => Tensor,
  finish = (y: Tensor, _count: number) => y,
): Merge {
  return defineLayer(name, [], {}, (_, x: readonly Tensor[]) => {
    checkList(name, x);
    return finish(x.reduce(join), x.length);
  });
}

/** x₁ + x₂ + …: a list of tensors of any shapes that broadcast together → one tensor; as keras.layers.Add. */
export const add = (): Merge => merge("add", (a, b) => a.add(b));

/** x₁ · x₂ · …, element by element: a list of tensors of any shapes that broadcast together → one tensor; as keras.layers.Multiply. */
export const multiply = (): Merge => merge("multiply", (a, b) => a.mul(b));

/** (x₁ + … + xₙ)/n: a list of tensors of any shapes that broadcast together → one tensor; as keras.layers.Average. */
export const average = (): Merge =>
  merge(
    "average",
    (a, b) => a.add(b),
    (sum, count) => sum.div(count),
  );

/**
 * max(x₁, x₂, …), element by element: a list of tensors of any shapes that broadcast together → one tensor; as keras.layers.Maximum and
 * torch.maximum, one after another.
 */
export const maximum = (): Merge => merge("maximum", (a, b) => a.maximum(b));

/**
 * One tensor behind the other along an axis (1 unless given): a list of [N, Cᵢ, …] → [N, ΣCᵢ, …], the other axes equal; as
 * torch.cat and keras.layers.Concatenate.
 *
 * @example nn.sequential(nn.parallel(narrow, wide), nn.concat(), nn.relu())
 */
export function concat(options: { readonly axis?: number } = {}): Merge {
  checkNames("concat", options, ["axis"]);
  const { axis = 1 } = options;
  checkWhole("concat: axis", axis);
  return defineLayer("concat", [options], {}, (_, x: readonly Tensor[]) => {
    checkList("concat", x);
    return f.concat(x, { axis });
  });
}

/** Options of `dot`: axes −1 and normalize false unless given. */
export interface DotOptions {
  /** The axis that is summed over, of both or of each; not 0, the batch. */
  readonly axes?: number | readonly [number, number];
  /** Whether both are divided by their length along the axis first, which gives the cosine of their angle. */
  readonly normalize?: boolean;
}

/**
 * Σₖ aₖ·bₖ along an axis, for each example: a list of [N, D] and [N, D] → [N, 1]; of [N, A, D] and [N, B, D] → [N, A, B], as
 * each row of the one meets each of the other; as keras.layers.Dot.
 */
export function dot(options: DotOptions = {}): Merge {
  checkNames("dot", options, ["axes", "normalize"]);
  const { axes = -1, normalize = false } = options;
  const pair = typeof axes === "number" ? [axes, axes] : axes;
  if (!Array.isArray(pair) || pair.length !== 2)
    throw new OptionError(`dot: axes is ${JSON.stringify(axes)}; use one axis, or a list of two.`);
  for (const axis of pair) checkWhole("dot: axes", axis);
  return defineLayer("dot", [options], {}, (_, x: readonly Tensor[]) => {
    checkList("dot", x, 2);
    const parts = x.map((tensor, i) => lastAxis(tensor, pair[i]!));
    const [a, b] = parts.map((part) => (normalize ? unit(part) : part)) as [Tensor, Tensor];
    if (a.shape[0] !== b.shape[0] || a.shape[2] !== b.shape[2])
      throw new ShapeError(
        `dot: takes equal batches and equal lengths along the axes ${pair.join(" and ")}, got ${shapesOf(x)}.`,
      );
    const y = a.matmul(b, { transposeB: true });
    const others = x.flatMap(({ shape }, i) => {
      const at = normalizeAxis("dot", pair[i]!, shape.length);
      return shape.filter((_, axis) => axis !== 0 && axis !== at);
    });
    return y.reshape({ shape: [a.shape[0]!, ...(others.length > 0 ? others : [1])] });
  });
}

/** [N, …] as [N, product of the other axes, the axis]. */
function lastAxis(x: Tensor, axis: number): Tensor {
  const rank = x.shape.length;
  const at = normalizeAxis("dot", axis, rank);
  if (at === 0)
    throw new ShapeError(
      `dot: axis ${axis} of ${showShape(x.shape)} is the batch; use an axis from 1 to ${rank - 1}.`,
    );
  const order = [...x.shape.keys()].filter((a) => a !== at);
  const moved = at === rank - 1 ? x : x.transpose({ perm: [...order, at] });
  const [batch = 0] = x.shape;
  const size = x.shape[at]!;
  const others = order.slice(1).reduce((n, a) => n * x.shape[a]!, 1);
  return moved.reshape({ shape: [batch, others, size] });
}

/** x/‖x‖ along the last axis; 0 stays 0. */
const unit = (x: Tensor): Tensor =>
  x.div(
    x
      .square()
      .sum({ axes: [-1], keepdims: true })
      .maximum(1e-12)
      .sqrt(),
  );
