/** What slices, pads and transposes share: how their axes walk through the input, and what that gives. */
import { ShapeError } from "../../core/errors.ts";
import { type NDArray, referenceArray } from "../../core/ndarray.ts";
import { type Shape, sizeOf, stridesOf, type TensorType } from "../../core/shape.ts";
import type { Axis } from "./kernel.ts";

export function stridedReference(x: NDArray, shape: Shape, axes: readonly Axis[], fill: number): NDArray {
  const size = sizeOf(shape);
  const data = referenceArray(x.dtype, size);
  for (let i = 0; i < size; i++) {
    let rest = i;
    let offset = 0;
    let inside = true;
    for (let a = axes.length - 1; a >= 0; a--) {
      const { dim, start, step, hole, limit, stride } = axes[a]!;
      const position = start + (rest % dim) * step;
      rest = Math.floor(rest / dim);
      inside &&= position >= 0 && position % hole === 0 && position / hole < limit;
      offset += (position / hole) * stride;
    }
    data[i] = inside ? x.data[offset]! : fill;
  }
  return { shape, dtype: x.dtype, data };
}

export function movable(op: string, x: TensorType): void {
  if (x.dtype === "u8")
    throw new ShapeError(`${op}: input is u8, packed four to a word; gather it to f32 first.`);
}

/** Of `slice`, for each axis. */
export interface SliceAttrs {
  /** First element of each axis, from the front. */
  readonly starts: readonly number[];
  /** One past the last element. */
  readonly ends: readonly number[];
  readonly steps?: readonly number[];
}

export function sliceAxes(x: TensorType, { starts, ends, steps }: SliceAttrs): Axis[] {
  const strides = stridesOf(x.shape);
  return x.shape.map((limit, axis) => {
    const step = steps?.[axis] ?? 1;
    return {
      dim: Math.max(0, Math.ceil((ends[axis]! - starts[axis]!) / step)),
      start: starts[axis]!,
      step,
      hole: 1,
      limit,
      stride: strides[axis]!,
    };
  });
}

/** Calls `visit` for each element of a slice with its place in the whole. */
export function forEachPlaced(axes: readonly Axis[], visit: (index: number, at: number) => void): void {
  const size = axes.reduce((n, axis) => n * axis.dim, 1);
  for (let i = 0; i < size; i++) {
    let rest = i;
    let at = 0;
    for (let a = axes.length - 1; a >= 0; a--) {
      const { dim, start, step, stride } = axes[a]!;
      at += (start + (rest % dim) * step) * stride;
      rest = Math.floor(rest / dim);
    }
    visit(i, at);
  }
}
