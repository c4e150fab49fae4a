import { records, wholes } from "../../core/attributes.ts";
import { byteLength } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { referenceArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, optional, required, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import {
  normalizeAxes,
  type Shape,
  sameShape,
  showShape,
  showType,
  sizeOf,
  stridesOf,
  type TensorType,
} from "../../core/shape.ts";
import { accumulated, exact } from "../../core/tolerance.ts";
import { copyDispatch, fillDispatch } from "./copy-kernel.ts";
import { type Axis, storeSliceDispatch, stridedVariants, wholeAxis } from "./kernel.ts";
import { movable, stridedReference } from "./strided.ts";

/** Checks starts that are a tensor: one for each of the sliced axes, which are all of them unless named. */
function slicedAxes(
  op: string,
  x: TensorType,
  starts: TensorType,
  axes: readonly number[] | undefined,
): number[] {
  const list = axes?.map((axis) => normalizeAxes(op, [axis], x.shape.length)[0]!) ?? x.shape.map((_, a) => a);
  normalizeAxes(op, list, x.shape.length);
  const fits = sameShape(starts.shape, [list.length]) || (list.length === 1 && starts.shape.length === 0);
  if ((starts.dtype !== "i32" && starts.dtype !== "u32") || !fits)
    throw new ShapeError(
      `${op}: starts are ${showType(starts)}; use i32[${list.length}] or u32[${list.length}], one for each sliced axis.`,
    );
  return list;
}

/** How a slice of that shape walks through x; starts that are not known yet count as 0. */
function placedAxes(x: Shape, shape: Shape, sliced: readonly number[], starts?: NDArray): Axis[] {
  const strides = stridesOf(x);
  return shape.map((dim, axis) => {
    const given = sliced.indexOf(axis);
    const whole = wholeAxis(x[axis]!, strides[axis]!);
    if (given < 0) return whole;
    const start = Math.max(0, Math.min(starts?.data[given] ?? 0, x[axis]! - dim));
    return { ...whole, dim, start, ...(starts ? {} : { given }) };
  });
}

export interface DynamicSliceAttrs {
  /** Lengths of the slice along `axes`. */
  readonly sizes: readonly number[];
  /** The axes that are sliced, in the order of the starts; all of them unless given. */
  readonly axes?: readonly number[];
}

function dynamicShape(x: TensorType, starts: TensorType, { sizes, axes }: DynamicSliceAttrs): number[] {
  movable("dynamicSlice", x);
  const sliced = slicedAxes("dynamicSlice", x, starts, axes);
  if (sizes.length !== sliced.length)
    throw new ShapeError(
      `dynamicSlice: ${sizes.length} sizes [${sizes}] for ${sliced.length} axes; give one for each.`,
    );
  const shape = [...x.shape];
  sliced.forEach((axis, i) => {
    const size = sizes[i]!;
    if (!Number.isInteger(size) || size < 0 || size > x.shape[axis]!)
      throw new ShapeError(
        `dynamicSlice: size ${size} does not fit axis ${axis} of ${showShape(x.shape)}; use 0…${x.shape[axis]}.`,
      );
    shape[axis] = size;
  });
  return shape;
}

/**
 * A slice whose starts are known only when it runs: `sizes` elements along each of `axes`, from the starts on (i32 or
 * u32, one for each axis; a scalar where there is one). Starts are clamped so that the slice lies within x, negative ones
 * to 0, as jax.lax.dynamic_slice does beyond the end; torch.narrow with a tensor as its start refuses them.
 */
export const dynamicSlice: Op<
  (x: Operand, starts: Tensor, attrs: DynamicSliceAttrs) => Tensor,
  DynamicSliceAttrs
> = defineOp({
  name: "dynamicSlice",
  operands: ["x", "starts"],
  attributes: { sizes: wholes(required), axes: wholes(optional) },
  infer: ([x, starts], attrs) => [{ shape: dynamicShape(x, starts, attrs), dtype: x.dtype }],
  reference: ([x, starts], attrs) => {
    const shape = dynamicShape(x, starts, attrs);
    const sliced = slicedAxes("dynamicSlice", x, starts, attrs.axes);
    return [stridedReference(x, shape, placedAxes(x.shape, shape, sliced, starts), 0)];
  },
  grad: ({ dy, inputs: [x, starts], attrs: { axes } }) => [
    addSlices([dy, starts], { shape: x.shape, places: [{ axes }] }),
    null,
  ],
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [x, starts], outputs: [out], attrs, facts }) => {
      const sliced = slicedAxes("dynamicSlice", x!, starts!, attrs.axes);
      const axes = placedAxes(x!.shape, out!.shape, sliced);
      const given = { input: 1, dtype: starts!.dtype };
      return stridedVariants(x!.dtype, axes, 0, facts, given).slice(-1);
    },
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(5, 7), s.values([2, 3], [2], "i32")], attrs: { sizes: [2, 4] } },
    { inputs: [s.randn(3, 9, 8), s.values([4], [], "u32")], attrs: { sizes: [3], axes: [1] } },
    { inputs: [s.randn(3, 9, 8), s.values([5, 1], [2], "i32")], attrs: { sizes: [2, 2], axes: [-1, 0] } },
    { inputs: [s.integers(0, 99, [1031], "i32"), s.values([30], [1], "i32")], attrs: { sizes: [1000] } },
    { inputs: [s.randn(70, 9, 64), s.values([3], [], "i32")], attrs: { sizes: [1], axes: [1] } },
    {
      name: "clamped",
      inputs: [s.randn(6, 5, 4), s.values([-3, 9], [2], "i32")],
      attrs: { sizes: [4, 2], axes: [0, 1] },
    },
    { name: "clamped", inputs: [s.randn(70), s.values([2 ** 31 + 5], [1], "u32")], attrs: { sizes: [67] } },
    { name: "nothing", inputs: [s.randn(4, 3), s.values([1], [], "i32")], attrs: { sizes: [0], axes: [0] } },
  ],
  errors: [
    {
      inputs: [type([5, 7]), type([2])],
      attrs: { sizes: [1, 1] },
      message: /dynamicSlice: starts are f32\[2\]; use i32\[2\]/,
    },
    {
      inputs: [type([5, 7]), type([1], "i32")],
      attrs: { sizes: [8], axes: [1] },
      message: /dynamicSlice: size 8 does not fit axis 1 of \[5, 7\]; use 0…7/,
    },
    {
      inputs: [type([5, 7]), type([2], "i32")],
      attrs: { sizes: [1] },
      message: /dynamicSlice: 1 sizes \[1\] for 2 axes/,
    },
  ],
});

export interface UpdateSliceAttrs {
  /** The axes along which the update starts elsewhere than at 0, in the order of the starts; all unless given. */
  readonly axes?: readonly number[];
}

function checkUpdate(x: TensorType, update: TensorType, starts: TensorType, attrs: UpdateSliceAttrs) {
  movable("updateSlice", x);
  const sliced = slicedAxes("updateSlice", x, starts, attrs.axes);
  const fits = x.shape.every((dim, axis) => {
    const size = update.shape[axis]!;
    return sliced.includes(axis) ? size <= dim : size === dim;
  });
  if (x.dtype !== update.dtype || x.shape.length !== update.shape.length || !fits)
    throw new ShapeError(
      `updateSlice: the update ${showType(update)} does not fit ${showType(x)} sliced along axes [${sliced}]; give it that dtype and the other axes.`,
    );
  return sliced;
}

/**
 * x with `update` in place of the slice that begins at the starts (i32 or u32, one for each of `axes`; a scalar where
 * there is one), which are clamped as those of dynamicSlice: jax.lax.dynamic_update_slice.
 */
export const updateSlice: Op<
  (x: Operand, update: Operand, starts: Tensor, attrs?: UpdateSliceAttrs) => Tensor,
  UpdateSliceAttrs
> = defineOp({
  name: "updateSlice",
  operands: ["x", "update", "starts"],
  attributes: { axes: wholes(optional) },
  infer: ([x, update, starts], attrs) => {
    checkUpdate(x, update, starts, attrs);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  reference: ([x, update, starts], attrs) => {
    const sliced = checkUpdate(x, update, starts, attrs);
    const data = x.data.slice();
    forEachPlaced(placedAxes(x.shape, update.shape, sliced, starts), (i, at) => {
      data[at] = update.data[i]!;
    });
    return [{ ...x, data }];
  },
  grad: ({ dy, inputs: [x, update, starts], attrs: { axes } }, f) => {
    const sliced = slicedAxes("updateSlice", x, starts, axes);
    const sizes = sliced.map((axis) => update.shape[axis]!);
    return [
      f.updateSlice(dy, f.constant({ value: 0, shape: update.shape, dtype: "f32" }), starts, { axes }),
      f.dynamicSlice(dy, starts, { sizes, axes: sliced }),
      null,
    ];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [x, update, starts], attrs, facts }) => {
      const sliced = slicedAxes("updateSlice", x!, starts!, attrs.axes);
      const copy = copyDispatch(byteLength(sizeOf(x!.shape), x!.dtype) / 4, facts);
      if (sizeOf(update!.shape) === 0) return [{ name: "store", dispatches: [copy] }];
      const axes = placedAxes(x!.shape, update!.shape, sliced);
      const given = { input: 2, dtype: starts!.dtype };
      const store = storeSliceDispatch(1, x!.dtype, axes, false, facts, given);
      return [{ name: "store", dispatches: [copy, store] }];
    },
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(5, 7), s.randn(2, 4), s.values([2, 3], [2], "i32")] },
    { name: "to the end", inputs: [s.randn(5, 7), s.randn(2, 4), s.values([3, 3], [2], "i32")] },
    { inputs: [s.randn(3, 9, 8), s.randn(3, 1, 8), s.values([4], [], "u32")], attrs: { axes: [1] } },
    { inputs: [s.randn(3, 9, 8), s.randn(2, 9, 2), s.values([5, 1], [2], "i32")], attrs: { axes: [2, 0] } },
    { inputs: [s.randn(1031), s.randn(1000), s.values([30], [1], "i32")] },
    {
      name: "clamped",
      inputs: [
        s.integers(0, 9, [6, 5], "i32"),
        s.integers(10, 19, [4, 2], "i32"),
        s.values([9, -3], [2], "i32"),
      ],
    },
    {
      name: "nothing",
      inputs: [s.randn(4, 3), s.randn(0, 3), s.values([1], [], "i32")],
      attrs: { axes: [0] },
    },
  ],
  errors: [
    {
      inputs: [type([5, 7]), type([6, 7]), type([2], "i32")],
      message: /updateSlice: the update f32\[6, 7\] does not fit f32\[5, 7\] sliced along axes \[0,1\]/,
    },
    {
      inputs: [type([5, 7]), type([5, 7]), type([3], "i32")],
      message: /updateSlice: starts are i32\[3\]; use i32\[2\]/,
    },
  ],
});

/** Where a slice lies: at starts known while planning, every steps-th element; or at starts that are an operand. */
export interface SlicePlace {
  readonly starts?: readonly number[];
  readonly steps?: readonly number[];
  /** The axes that starts of an operand are for, in their order; all unless given. */
  readonly axes?: readonly number[];
}

export interface AddSlicesAttrs {
  /** Of the result. */
  readonly shape: Shape;
  /** One for each slice. */
  readonly places: readonly SlicePlace[];
}

/** Each slice with its axes in the result, and the operand that its starts come from where they are one. */
function placedSlices<T extends TensorType>(
  inputs: readonly T[],
  { shape, places }: AddSlicesAttrs,
  values = false,
): { slice: T; axes: Axis[]; given?: { input: number; dtype: T["dtype"] } }[] {
  const result: TensorType = { shape, dtype: "f32" };
  const strides = stridesOf(shape);
  let next = places.length;
  return places.map((place, i) => {
    const slice = inputs[i];
    const what = slice ? `slice ${i} is ${showType(slice)}` : `slice ${i} is missing`;
    if (slice?.dtype !== "f32" || slice.shape.length !== shape.length)
      throw new ShapeError(`addSlices: ${what}; use f32 of rank ${shape.length}, as ${showShape(shape)}.`);
    const { starts, steps } = place;
    let axes: Axis[];
    let given: { input: number; dtype: T["dtype"] } | undefined;
    if (starts)
      axes = slice.shape.map((dim, axis) => ({
        ...wholeAxis(shape[axis]!, strides[axis]!),
        dim,
        start: starts[axis]!,
        step: steps?.[axis] ?? 1,
      }));
    else {
      const input = next++;
      const operand = inputs[input];
      if (!operand)
        throw new ShapeError(`addSlices: the starts of slice ${i} are missing; pass them after the slices.`);
      const sliced = slicedAxes("addSlices", result, operand, place.axes);
      axes = placedAxes(shape, slice.shape, sliced, values ? (operand as unknown as NDArray) : undefined);
      given = { input, dtype: operand.dtype };
    }
    const inside = axes.every(
      ({ dim, start, step, limit }) => start >= 0 && (dim === 0 || start + (dim - 1) * step < limit),
    );
    if (!inside)
      throw new ShapeError(`addSlices: ${what} and leaves ${showShape(shape)}; make it lie within.`);
    return { slice, axes, ...(given && { given }) };
  });
}

/** Calls `visit` for each element of a slice with its place in the whole. */
function forEachPlaced(axes: readonly Axis[], visit: (index: number, at: number) => void): void {
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

/**
 * Zeros of `shape` with slices added at their places, in their order: the gradient of a tensor that was sliced, which costs
 * what the slices do rather than a tensor for each. The starts of places that have none follow the slices as operands.
 * @internal
 */
export const addSlices: Op<(tensors: readonly Operand[], attrs: AddSlicesAttrs) => Tensor, AddSlicesAttrs> =
  defineOp({
    name: "addSlices",
    operands: ["...tensors"],
    attributes: { shape: wholes(required), places: records(required) },
    infer: (inputs, attrs) => {
      placedSlices(inputs, attrs);
      return [{ shape: attrs.shape, dtype: "f32" }];
    },
    reference: (inputs, attrs) => {
      const data = referenceArray("f32", sizeOf(attrs.shape));
      for (const { slice, axes } of placedSlices(inputs, attrs, true))
        forEachPlaced(axes, (i, at) => {
          data[at]! += slice.data[i]!;
        });
      return [{ shape: attrs.shape, dtype: "f32", data }];
    },
    grad: ({ dy, inputs, attrs }, f) => {
      const gradients = placedSlices(inputs, attrs).map(({ slice, axes, given }, i) => {
        if (!given) {
          const starts = axes.map(({ start }) => start);
          const ends = axes.map(({ dim, start, step }) => (dim === 0 ? start : start + (dim - 1) * step + 1));
          return f.slice(dy, { starts, ends, steps: axes.map(({ step }) => step) });
        }
        const sliced = attrs.places[i]!.axes ?? slice.shape.map((_, axis) => axis);
        const sizes = sliced.map((axis) => slice.shape.at(axis)!);
        return f.dynamicSlice(dy, inputs[given.input]!, { axes: sliced, sizes });
      });
      return inputs.map((_, i) => gradients[i] ?? null);
    },
    implementation: {
      kind: "kernel",
      kernel: ({ inputs, outputs: [out], attrs, facts }) => {
        const stores = placedSlices(inputs, attrs).flatMap(({ slice, axes, given }, i) =>
          sizeOf(slice.shape) > 0 ? [storeSliceDispatch(i, "f32", axes, true, facts, given)] : [],
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
        inputs: [
          s.randn(1031),
          s.randn(7),
          s.randn(3),
          s.values([4], [1], "i32"),
          s.values([2000], [], "u32"),
        ],
        attrs: { shape: [1040], places: [{ starts: [2] }, {}, { axes: [0] }] },
      },
      { inputs: [s.randn(0, 3)], attrs: { shape: [2, 3], places: [{ starts: [1, 0] }] }, gradient: false },
      {
        name: "integers",
        inputs: [s.integers(-9, 9, [67, 8]), s.integers(-9, 9, [67, 8]), s.values([3], [], "i32")],
        attrs: { shape: [67, 20], places: [{ starts: [0, 4] }, { axes: [1] }] },
        exact: true,
      },
    ],
    errors: [
      {
        inputs: [type([2, 2])],
        attrs: { shape: [3, 3], places: [{ starts: [2, 0] }] },
        message: /addSlices: slice 0 is f32\[2, 2\] and leaves \[3, 3\]/,
      },
      {
        inputs: [type([2])],
        attrs: { shape: [3], places: [{}] },
        message: /addSlices: the starts of slice 0 are missing/,
      },
    ],
  });
