import { wholes } from "../../core/attributes.ts";
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
import { forEachPlaced, movable, stridedReference } from "./strided.ts";

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

/** Of `dynamicSlice`. */
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
    addDynamicSlices([dy, starts], { shape: x.shape, axes: [axes ?? null] }),
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

/** Of `updateSlice`. */
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
      updateSlice(dy, f.constant({ value: 0, shape: update.shape, dtype: "f32" }), starts, { axes }),
      dynamicSlice(dy, starts, { sizes, axes: sliced }),
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

export interface AddDynamicSlicesAttrs {
  /** Of the result. */
  readonly shape: Shape;
  /** For each slice the axes that its starts are for; null for all. */
  readonly axes: readonly (readonly number[] | null)[];
}

/** The first half of the operands are slices, the second half their starts. */
function placedSlices<T extends TensorType>(inputs: readonly T[], { shape, axes }: AddDynamicSlicesAttrs) {
  if (inputs.length !== 2 * axes.length)
    throw new ShapeError(
      `addDynamicSlices: ${inputs.length} operands for ${axes.length} slices; pass the slices, then the starts of each.`,
    );
  const whole: TensorType = { shape, dtype: "f32" };
  return axes.map((list, i) => {
    const [slice, starts] = [inputs[i]!, inputs[axes.length + i]!];
    const fits = slice.shape.length === shape.length && slice.shape.every((dim, a) => dim <= shape[a]!);
    if (slice.dtype !== "f32" || !fits)
      throw new ShapeError(
        `addDynamicSlices: slice ${i} is ${showType(slice)}; use f32 that fits into ${showShape(shape)}.`,
      );
    return { slice, starts, sliced: slicedAxes("addDynamicSlices", whole, starts, list ?? undefined) };
  });
}

/**
 * Zeros of `shape` with slices added where their starts say, in their order: the gradient of a tensor that dynamicSlice
 * has read, which costs what the slices do rather than a tensor for each.
 * @internal
 */
export const addDynamicSlices: Op<
  (tensors: readonly Operand[], attrs: AddDynamicSlicesAttrs) => Tensor,
  AddDynamicSlicesAttrs
> = defineOp({
  name: "addDynamicSlices",
  operands: ["...tensors"],
  attributes: { shape: wholes(required), axes: required },
  sum: (results) => {
    const of = (second: boolean) =>
      results.flatMap(({ node: { inputs } }) =>
        inputs.slice(second ? inputs.length / 2 : 0, second ? inputs.length : inputs.length / 2),
      );
    return addDynamicSlices([...of(false), ...of(true)], {
      shape: results[0]!.shape,
      axes: results.flatMap(({ node }) => node.attrs.axes),
    });
  },
  infer: (inputs, attrs) => {
    placedSlices(inputs, attrs);
    return [{ shape: attrs.shape, dtype: "f32" }];
  },
  reference: (inputs, attrs) => {
    const data = referenceArray("f32", sizeOf(attrs.shape));
    for (const { slice, starts, sliced } of placedSlices(inputs, attrs))
      forEachPlaced(placedAxes(attrs.shape, slice.shape, sliced, starts), (i, at) => {
        data[at]! += slice.data[i]!;
      });
    return [{ shape: attrs.shape, dtype: "f32", data }];
  },
  grad: ({ dy, inputs, attrs }) => [
    ...placedSlices(inputs, attrs).map(({ slice, starts, sliced }) =>
      dynamicSlice(dy, starts, { axes: sliced, sizes: sliced.map((axis) => slice.shape[axis]!) }),
    ),
    ...attrs.axes.map(() => null),
  ],
  implementation: {
    kind: "kernel",
    kernel: ({ inputs, outputs: [out], attrs, facts }) => {
      const stores = placedSlices(inputs, attrs).flatMap(({ slice, starts, sliced }, i) => {
        if (sizeOf(slice.shape) === 0) return [];
        const given = { input: attrs.axes.length + i, dtype: starts.dtype };
        return [
          storeSliceDispatch(i, "f32", placedAxes(out!.shape, slice.shape, sliced), true, facts, given),
        ];
      });
      return [{ name: "add", dispatches: [fillDispatch(out!, 0, facts), ...stores] }];
    },
  },
  tolerance: accumulated((inputs) => inputs.length),
  samples: (s) => [
    {
      inputs: [s.randn(1, 4), s.randn(1, 4), s.values([2], [], "i32"), s.values([0], [1], "u32")],
      attrs: { shape: [3, 4], axes: [[0], [0]] },
    },
    {
      inputs: [s.randn(7, 2), s.randn(3, 9), s.values([4, 7], [2], "i32"), s.values([7, -1], [2], "i32")],
      attrs: { shape: [10, 9], axes: [null, null] },
    },
    {
      inputs: [s.randn(1031), s.randn(7), s.values([4], [1], "i32"), s.values([2000], [], "u32")],
      attrs: { shape: [1040], axes: [[0], null] },
    },
    {
      name: "integers",
      inputs: [
        s.integers(-9, 9, [67, 8]),
        s.integers(-9, 9, [67, 8]),
        s.values([3], [], "i32"),
        s.values([7], [], "i32"),
      ],
      attrs: { shape: [67, 20], axes: [[1], [1]] },
      exact: true,
    },
  ],
  errors: [
    {
      inputs: [type([2, 2]), type([2], "i32")],
      attrs: { shape: [3, 1], axes: [null] },
      message: /addDynamicSlices: slice 0 is f32\[2, 2\]; use f32 that fits into \[3, 1\]/,
    },
    {
      inputs: [type([2])],
      attrs: { shape: [3], axes: [null] },
      message: /addDynamicSlices: 1 operands for 1 slices; pass the slices, then the starts/,
    },
  ],
});
