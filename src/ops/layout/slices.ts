import { records, wholes } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { referenceArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, required, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { type Shape, showShape, showType, sizeOf, stridesOf, type TensorType } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import { fillDispatch } from "./copy-kernel.ts";
import { type Axis, storeSliceDispatch, wholeAxis } from "./kernel.ts";
import { forEachPlaced } from "./strided.ts";

/** Where a slice lies: every steps-th element from its starts on. */
export interface SlicePlace {
  readonly starts: readonly number[];
  readonly steps?: readonly number[];
}

export interface AddSlicesAttrs {
  /** Of the result. */
  readonly shape: Shape;
  /** One for each slice. */
  readonly places: readonly SlicePlace[];
}

/** How each slice walks through the result. */
function placedSlices(inputs: readonly TensorType[], { shape, places }: AddSlicesAttrs): Axis[][] {
  if (inputs.length !== places.length)
    throw new ShapeError(
      `addSlices: ${inputs.length} slices for ${places.length} places; give one for each.`,
    );
  const strides = stridesOf(shape);
  return inputs.map((slice, i) => {
    const { starts, steps } = places[i]!;
    const axes = slice.shape.map((dim, axis) => ({
      ...wholeAxis(shape[axis]!, strides[axis]!),
      dim,
      start: starts[axis]!,
      step: steps?.[axis] ?? 1,
    }));
    const inside = axes.every(
      ({ dim, start, step, limit }) => start >= 0 && (dim === 0 || start + (dim - 1) * step < limit),
    );
    if (slice.dtype !== "f32" || slice.shape.length !== shape.length || !inside)
      throw new ShapeError(
        `addSlices: slice ${i}, ${showType(slice)} from [${starts}] on, leaves ${showShape(shape)}; use f32 that lies within.`,
      );
    return axes;
  });
}

/**
 * Zeros of `shape` with slices added at their places, in their order: the gradient of a tensor that was sliced, which costs
 * what the slices do rather than a tensor for each.
 * @internal
 */
export const addSlices: Op<(slices: readonly Operand[], attrs: AddSlicesAttrs) => Tensor, AddSlicesAttrs> =
  defineOp({
    name: "addSlices",
    operands: ["...slices"],
    attributes: { shape: wholes(required), places: records(required) },
    infer: (inputs, attrs) => {
      placedSlices(inputs, attrs);
      return [{ shape: attrs.shape, dtype: "f32" }];
    },
    reference: (inputs, attrs) => {
      const data = referenceArray("f32", sizeOf(attrs.shape));
      placedSlices(inputs, attrs).forEach((axes, k) => {
        forEachPlaced(axes, (i, at) => {
          data[at]! += inputs[k]!.data[i]!;
        });
      });
      return [{ shape: attrs.shape, dtype: "f32", data }];
    },
    grad: ({ dy, inputs, attrs }, f) =>
      placedSlices(inputs, attrs).map((axes) =>
        f.slice(dy, {
          starts: axes.map(({ start }) => start),
          ends: axes.map(({ dim, start, step }) => (dim === 0 ? start : start + (dim - 1) * step + 1)),
          steps: axes.map(({ step }) => step),
        }),
      ),
    implementation: {
      kind: "kernel",
      kernel: ({ inputs, outputs: [out], attrs, facts }) => {
        const stores = placedSlices(inputs, attrs).flatMap((axes, i) =>
          sizeOf(inputs[i]!.shape) > 0 ? [storeSliceDispatch(i, "f32", axes, true, facts)] : [],
        );
        return [{ name: "add", dispatches: [fillDispatch(out!, 0, facts), ...stores] }];
      },
    },
    tolerance: accumulated((inputs) => inputs.length),
    samples: (s) => [
      {
        inputs: [s.randn(3, 1, 4), s.randn(3, 1, 4), s.randn(3, 2, 4)],
        attrs: {
          shape: [3, 5, 4],
          places: [{ starts: [0, 1, 0] }, { starts: [0, 4, 0] }, { starts: [0, 0, 0] }],
        },
      },
      {
        inputs: [s.randn(3, 4), s.randn(2, 7)],
        attrs: { shape: [9, 10], places: [{ starts: [1, 0], steps: [2, 3] }, { starts: [7, 3] }] },
      },
      {
        inputs: [s.randn(1031), s.randn(7)],
        attrs: { shape: [1040], places: [{ starts: [2] }, { starts: [1033] }] },
      },
      { inputs: [s.randn(0, 3)], attrs: { shape: [2, 3], places: [{ starts: [1, 0] }] }, gradient: false },
      {
        name: "integers",
        inputs: [s.integers(-9, 9, [67, 8]), s.integers(-9, 9, [67, 8])],
        attrs: { shape: [67, 20], places: [{ starts: [0, 4] }, { starts: [0, 8] }] },
        exact: true,
      },
    ],
    errors: [
      {
        inputs: [type([2, 2])],
        attrs: { shape: [3, 3], places: [{ starts: [2, 0] }] },
        message: /addSlices: slice 0, f32\[2, 2\] from \[2,0\] on, leaves \[3, 3\]/,
      },
      {
        inputs: [type([2]), type([1])],
        attrs: { shape: [3], places: [{ starts: [0] }] },
        message: /addSlices: 2 slices for 1 places; give one for each/,
      },
    ],
  });
