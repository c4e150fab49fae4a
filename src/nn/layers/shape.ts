import { checkWhole } from "../../core/check.ts";
import { OptionError, ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/op.ts";
import { normalizeAxis, type Shape, showShape, sizeOf } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";
import { checkAxes } from "./space.ts";

const shaped = (layer: string, args: readonly unknown[], forward: (x: Tensor) => Tensor): Module => ({
  label: `${layer}(${args.map((arg) => JSON.stringify(arg)).join(", ")})`,
  description: { layer, args },
  forward,
});

const wholes = (list: unknown, least: number): list is number[] =>
  Array.isArray(list) && list.every((n) => Number.isInteger(n) && n >= least);

/** [N, …] → [N, product of the rest], from axis startDim on; the batch stays. As torch.nn.Flatten. */
export function flatten(startDim = 1): Module {
  checkWhole("flatten: startDim", startDim, 1);
  return shaped("flatten", startDim === 1 ? [] : [startDim], (x) => {
    if (x.shape.length < startDim)
      throw new ShapeError(`flatten: ${showShape(x.shape)} has no axis ${startDim}; use a lower startDim.`);
    return f.reshape(x, { shape: [...x.shape.slice(0, startDim), sizeOf(x.shape.slice(startDim))] });
  });
}

/**
 * [N, …] → [N, ...shape], the same elements in the same order, as torch.nn.Unflatten and Keras's Reshape; one axis may be
 * −1, which is worked out.
 */
export function reshape(shape: Shape): Module {
  if (!wholes(shape, -1) || shape.filter((n) => n === -1).length > 1)
    throw new OptionError(
      `reshape: the shape is ${Array.isArray(shape) ? showShape(shape) : String(shape)}; use whole numbers of at least 0, one of them −1 perhaps, without the batch.`,
    );
  return shaped("reshape", [shape], (x) => {
    const rest = sizeOf(x.shape.slice(1));
    const known = shape.reduce((n, dim) => (dim === -1 ? n : n * dim), 1);
    const own = shape.map((dim) => (dim === -1 && known > 0 ? rest / known : dim));
    if (sizeOf(own) !== rest || own.some((dim) => dim < 0 || !Number.isInteger(dim)))
      throw new ShapeError(
        `reshape: each of ${showShape(x.shape)} has ${rest} elements and does not fit ${showShape(shape)}; the products must be equal.`,
      );
    return f.reshape(x, { shape: [x.shape[0]!, ...own] });
  });
}

/**
 * Puts the axes after the batch in another order: permute([2, 1]) is [N, C, L] → [N, L, C]. Axes count from the batch's,
 * which is 0 and stays, as in Keras's Permute and x.permute(0, ...axes) of torch.
 */
export function permute(axes: readonly number[]): Module {
  if (!wholes(axes, 1) || [...axes].sort((a, b) => a - b).some((axis, i) => axis !== i + 1))
    throw new OptionError(
      `permute: the axes are ${Array.isArray(axes) ? showShape(axes) : String(axes)}; name each of 1, 2, … once, without the batch, which is 0 and stays.`,
    );
  return shaped("permute", [axes], (x) => {
    if (x.shape.length !== axes.length + 1)
      throw new ShapeError(
        `permute: ${showShape(x.shape)} has ${x.shape.length - 1} axes beside the batch's, and [${axes}] names ${axes.length}; name each once.`,
      );
    return f.transpose(x, { perm: [0, ...axes] });
  });
}

/** The same row n times: [N, F] → [N, n, F], as Keras's RepeatVector and torch's x.unsqueeze(1).repeat(1, n, 1). */
export function repeatVector(n: number): Module {
  checkWhole("repeatVector: n", n, 1);
  return shaped("repeatVector", [n], (x) => {
    checkAxes("repeatVector", x, ["batch", "features"]);
    const [batch, features] = x.shape as [number, number];
    return f.broadcastTo(f.reshape(x, { shape: [batch, 1, features] }), { shape: [batch, n, features] });
  });
}

function checkAxis(layer: string, axis: unknown): asserts axis is number {
  if (!Number.isInteger(axis) || axis === 0)
    throw new OptionError(
      `${layer}: axis is ${axis}; use a whole number other than 0, the batch's, negative ones from the end.`,
    );
}

/** An axis of 1 in front of axis `axis`: unsqueeze(1) is [N, …] → [N, 1, …], as torch.unsqueeze; −1 is after the last. */
export function unsqueeze(axis: number): Module {
  checkAxis("unsqueeze", axis);
  return shaped("unsqueeze", [axis], (x) => {
    const at = normalizeAxis("unsqueeze", axis, x.shape.length + 1);
    if (at === 0) throw new ShapeError(`unsqueeze: axis ${axis} of ${showShape(x.shape)} is the batch's.`);
    return f.reshape(x, { shape: [...x.shape.slice(0, at), 1, ...x.shape.slice(at)] });
  });
}

/** Leaves an axis of 1 out: squeeze(1) is [N, 1, …] → [N, …], as torch.squeeze; a ShapeError for an axis that is not 1. */
export function squeeze(axis: number): Module {
  checkAxis("squeeze", axis);
  return shaped("squeeze", [axis], (x) => {
    const at = normalizeAxis("squeeze", axis, x.shape.length);
    if (at === 0 || x.shape[at] !== 1)
      throw new ShapeError(
        `squeeze: axis ${axis} of ${showShape(x.shape)} is ${at === 0 ? "the batch's" : x.shape[at]}; name one that is 1.`,
      );
    return f.reshape(x, { shape: x.shape.filter((_, a) => a !== at) });
  });
}
