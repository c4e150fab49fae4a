import type { DType } from "./dtype.ts";
import { ShapeError } from "./errors.ts";

/** Lengths of the axes, the first one outermost; [] is a scalar. */
export type Shape = readonly number[];

/** What the compiler knows of a tensor: a static shape and a dtype. */
export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** The number of elements; 1 for a scalar (shape []). */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const dim of shape) size *= dim;
  return size;
}

/** Strides, in elements, of a contiguous row-major tensor. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** `[2, 3]`, as it is written in messages. */
export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** `f32[2, 3]`. */
export function showType(type: TensorType): string {
  return `${type.dtype}${showShape(type.shape)}`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/**
 * The shape that results when shapes are broadcast together: aligned at the last axis, an axis of 1 stretches.
 * @throws ShapeError when two axes differ and neither is 1.
 */
export function broadcastShapes(op: string, ...shapes: Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const axis = rank - shape.length + i;
      const dim = shape[i]!;
      if (dim === 1 || dim === result[axis]) continue;
      if (result[axis] !== 1)
        throw new ShapeError(
          `${op}: shapes ${shapes.map(showShape).join(" and ")} do not broadcast: axis ${axis - rank} is ${result[axis]} in one and ${dim} in another; make them equal or 1.`,
        );
      result[axis] = dim;
    }
  }
  return result;
}

/** Strides with which a tensor of shape `from` is read when it is broadcast to `to`: 0 along stretched axes. */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const own = stridesOf(from);
  const lead = to.length - from.length;
  return to.map((_, axis) => (axis < lead || from[axis - lead] === 1 ? 0 : own[axis - lead]!));
}

/**
 * Turns an axis counted from the end into one counted from the front.
 * @throws ShapeError when it is out of range.
 */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw new ShapeError(
      `${op}: axis ${axis} does not exist in a tensor of rank ${rank}; use ${-rank}…${rank - 1}.`,
    );
  return axis < 0 ? axis + rank : axis;
}

/** Sorted, unique axes from the front; `undefined` means all of them. */
export function normalizeAxes(op: string, axes: readonly number[] | undefined, rank: number): number[] {
  const list =
    axes === undefined
      ? Array.from({ length: rank }, (_, axis) => axis)
      : axes.map((a) => normalizeAxis(op, a, rank));
  const unique = [...new Set(list)].sort((a, b) => a - b);
  if (unique.length !== list.length)
    throw new ShapeError(`${op}: axes [${axes}] name one axis twice; name each once.`);
  return unique;
}
