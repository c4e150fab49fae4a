import iotaSource from "../../../shaders/layout/iota.wgsl?raw";
import { dtype, number, whole, wholeOrWholes } from "../../core/attributes.ts";
import { type DType, wgslType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { bitsOf, gridOf, output, specialize, words } from "../../core/kernel.ts";
import { referenceArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, required, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { normalizeAxis, sameShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { accumulated, exact } from "../../core/tolerance.ts";
import { movable, type SliceAttrs, sliceAxes, stridedReference } from "./strided.ts";

export interface SplitAttrs {
  /** The length of every part, of which the last may be shorter; or the length of each. */
  readonly sizes: number | readonly number[];
  readonly axis?: number;
}

/** The slices that a tensor is split into. */
function partsOf(x: TensorType, { sizes, axis = 0 }: SplitAttrs): SliceAttrs[] {
  movable("split", x);
  const at = normalizeAxis("split", axis, x.shape.length);
  const length = x.shape[at]!;
  const even = typeof sizes === "number" && Number.isInteger(sizes) && sizes > 0 ? sizes : undefined;
  const lengths =
    typeof sizes === "number"
      ? Array.from({ length: even ? Math.max(1, Math.ceil(length / even)) : 0 }, (_, i) =>
          Math.min(even!, length - i * even!),
        )
      : sizes;
  const whole = lengths.every((size) => Number.isInteger(size) && size >= 0);
  if (lengths.length === 0 || !whole || lengths.reduce((a, b) => a + b, 0) !== length)
    throw new ShapeError(
      `split: sizes ${typeof sizes === "number" ? sizes : `[${sizes}]`} do not make up axis ${at} of ${showType(x)}; use a length of at least 1, or lengths that add up to ${length}.`,
    );
  let end = 0;
  return lengths.map((size) => {
    const from = end;
    end += size;
    return {
      starts: x.shape.map((_, a) => (a === at ? from : 0)),
      ends: x.shape.map((dim, a) => (a === at ? from + size : dim)),
    };
  });
}

/** The parts of x along an axis, in order, of one length (the last may be shorter) or of the lengths given: torch.split. */
export const split: Op<(x: Operand, attrs: SplitAttrs) => readonly Tensor[], Required<SplitAttrs>> = defineOp(
  {
    name: "split",
    operands: ["x"],
    attributes: { sizes: wholeOrWholes(required), axis: whole(0) },
    list: true,
    infer: ([x], attrs) =>
      partsOf(x, attrs).map((part) => ({ shape: sliceAxes(x, part).map((a) => a.dim), dtype: x.dtype })),
    reference: ([x], attrs) =>
      partsOf(x, attrs).map((part) => {
        const axes = sliceAxes(x, part);
        return stridedReference(
          x,
          axes.map((a) => a.dim),
          axes,
          0,
        );
      }),
    implementation: {
      kind: "composition",
      compose: ([x], attrs, f) => partsOf(x, attrs).map((part) => f.slice(x, part)),
    },
    tolerance: exact,
    samples: (s) => [
      { inputs: [s.randn(7, 3)], attrs: { sizes: 3 } },
      { inputs: [s.randn(2, 9, 4)], attrs: { sizes: [2, 0, 7], axis: -2 } },
      { inputs: [s.integers(0, 99, [257], "i32")], attrs: { sizes: 257 } },
    ],
    errors: [
      {
        inputs: [type([7])],
        attrs: { sizes: [3, 3] },
        message: /split: sizes \[3,3\] do not make up axis 0 of f32\[7\]/,
      },
      { inputs: [type([7])], attrs: { sizes: 0 }, message: /split: sizes 0 do not make up axis 0/ },
    ],
  },
);

function stacked(inputs: readonly TensorType[], axis: number): { at: number; shape: number[] } {
  const [first] = inputs;
  if (!first) throw new ShapeError("stack: needs at least one tensor.");
  const at = normalizeAxis("stack", axis, first.shape.length + 1);
  for (const x of inputs)
    if (x.dtype !== first.dtype || !sameShape(x.shape, first.shape))
      throw new ShapeError(
        `stack: ${inputs.map(showType).join(" and ")} differ; give all one shape and dtype.`,
      );
  return { at, shape: [...first.shape.slice(0, at), inputs.length, ...first.shape.slice(at)] };
}

/** Tensors of one shape as one tensor, along a new axis: torch.stack. */
export const stack: Op<(tensors: readonly Operand[], attrs?: { axis?: number }) => Tensor, { axis: number }> =
  defineOp({
    name: "stack",
    operands: ["...tensors"],
    attributes: { axis: whole(0) },
    infer: (inputs, { axis }) => [{ shape: stacked(inputs, axis).shape, dtype: inputs[0]!.dtype }],
    reference: (inputs, { axis }) => {
      const { at, shape } = stacked(inputs, axis);
      const [first] = inputs;
      const data = referenceArray(first!.dtype, sizeOf(shape));
      const inner = sizeOf(first!.shape.slice(at));
      inputs.forEach((x, i) => {
        x.data.forEach((value, k) => {
          data[(Math.floor(k / inner) * inputs.length + i) * inner + (k % inner)] = value;
        });
      });
      return [{ shape, dtype: first!.dtype, data }];
    },
    implementation: {
      kind: "composition",
      compose: (inputs, { axis }, f) => {
        const { at, shape } = stacked(inputs, axis);
        const one = shape.map((dim, a) => (a === at ? 1 : dim));
        return [
          f.concat(
            inputs.map((x) => f.reshape(x, { shape: one })),
            { axis: at },
          ),
        ];
      },
    },
    tolerance: exact,
    samples: (s) => [
      { inputs: [s.randn(3, 5), s.randn(3, 5)] },
      { inputs: [s.randn(3, 4), s.randn(3, 4), s.randn(3, 4)], attrs: { axis: -1 } },
      { inputs: [s.randn(2, 3, 4), s.randn(2, 3, 4)], attrs: { axis: 1 } },
      { inputs: [s.randn(), s.randn()] },
      { inputs: [s.integers(0, 9, [1031], "u32")], attrs: { axis: 1 } },
    ],
    errors: [
      { inputs: [type([2]), type([3])], message: /stack: f32\[2\] and f32\[3\] differ; give all one shape/ },
      { inputs: [type([2]), type([2])], attrs: { axis: 2 }, message: /stack: axis 2 does not exist/ },
    ],
  });

export interface IotaAttrs {
  /** How many numbers. */
  readonly size: number;
  readonly start?: number;
  readonly step?: number;
  /** i32 unless given; f32, i32 or u32. */
  readonly dtype?: DType;
}

/** start, start + step, start + 2·step, …: torch.arange(start, start + size·step, step). Integers wrap. */
export const iota: Op<(attrs: IotaAttrs) => Tensor, Required<IotaAttrs>> = defineOp({
  name: "iota",
  operands: [],
  attributes: { size: whole(required), start: number(0), step: number(1), dtype: dtype("i32") },
  infer: (_, { size, start, step, dtype }) => {
    if (!["f32", "i32", "u32"].includes(dtype))
      throw new ShapeError(`iota: dtype is ${dtype}; use f32, i32 or u32.`);
    if (!Number.isInteger(size) || size < 0)
      throw new ShapeError(`iota: size is ${size}; use a whole number of at least 0.`);
    for (const [name, value] of Object.entries({ start, step }))
      if (dtype === "f32" ? !Number.isFinite(Math.fround(value)) : !Number.isInteger(value))
        throw new ShapeError(
          `iota: ${name} is ${value}; use a ${dtype === "f32" ? "finite" : "whole"} number for ${dtype}.`,
        );
    return [{ shape: [size], dtype }];
  },
  reference: (_, { size, start, step, dtype }) => {
    const data = referenceArray(dtype, size);
    const [first, by] = dtype === "f32" ? [Math.fround(start), Math.fround(step)] : [start, step];
    for (let i = 0; i < size; i++) data[i] = first + i * by;
    return [{ shape: [size], dtype, data }];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ attrs: { size, start, step, dtype }, facts }) => [
      {
        name: "iota",
        dispatches: [
          {
            kernel: "iota",
            source: specialize(iotaSource, { Element: wgslType(dtype), COUNT: size }),
            bindings: [output(), words],
            words: [bitsOf(start, dtype), bitsOf(step, dtype)],
            workgroups: gridOf(Math.ceil(size / 64), facts),
            bytes: 4 * size,
          },
        ],
      },
    ],
  },
  // A product and a sum.
  tolerance: accumulated(() => 1, {
    scale: (_, { size, start, step }) => [
      Float64Array.from({ length: size }, (_, i) => Math.abs(start) + i * Math.abs(step)),
    ],
  }),
  samples: () => [
    { inputs: [], attrs: { size: 9 } },
    { inputs: [], attrs: { size: 1031, start: -7, step: 3 } },
    { inputs: [], attrs: { size: 5, start: 2 ** 32 - 2, dtype: "u32" } },
    { inputs: [], attrs: { size: 67, start: 0.5, step: -0.1, dtype: "f32" } },
    { inputs: [], attrs: { size: 0 } },
  ],
  errors: [
    { inputs: [], attrs: { size: -1 }, message: /iota: size is -1; use a whole number/ },
    { inputs: [], attrs: { size: 3, step: 0.5 }, message: /iota: step is 0.5; use a whole number for i32/ },
    { inputs: [], attrs: { size: 3, dtype: "bool" }, message: /iota: dtype is bool; use f32, i32 or u32/ },
  ],
});

export interface OneHotAttrs {
  readonly classes: number;
  /** f32 unless given. */
  readonly dtype?: DType;
}

/**
 * 1 at each index and 0 elsewhere, along a new last axis of `classes`: torch.nn.functional.one_hot. An index outside
 * 0 … classes−1 gives zeros, as in JAX.
 */
export const oneHot: Op<(indices: Operand, attrs: OneHotAttrs) => Tensor, Required<OneHotAttrs>> = defineOp({
  name: "oneHot",
  operands: ["indices"],
  attributes: { classes: whole(required), dtype: dtype("f32") },
  infer: ([indices], { classes, dtype }) => {
    if (indices.dtype !== "i32" && indices.dtype !== "u32")
      throw new ShapeError(`oneHot: indices are ${showType(indices)}; use i32 or u32.`);
    if (!Number.isInteger(classes) || classes < 1)
      throw new ShapeError(`oneHot: classes is ${classes}; use a whole number of at least 1.`);
    return [{ shape: [...indices.shape, classes], dtype }];
  },
  reference: ([indices], { classes, dtype }) => {
    const data = referenceArray(dtype, indices.data.length * classes);
    indices.data.forEach((index, i) => {
      if (index >= 0 && index < classes) data[i * classes + index] = 1;
    });
    return [{ shape: [...indices.shape, classes], dtype, data }];
  },
  implementation: {
    kind: "composition",
    compose: ([indices], { classes, dtype }, f) => {
      const column = f.reshape(indices, { shape: [...indices.shape, 1] });
      const hits = f.equal(column, f.iota({ size: classes, dtype: indices.dtype }));
      return [dtype === "bool" ? hits : f.cast(hits, { dtype })];
    },
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.integers(0, 6, [5], "i32")], attrs: { classes: 7 } },
    { inputs: [s.integers(0, 9, [3, 4], "u32")], attrs: { classes: 8, dtype: "i32" } },
    {
      inputs: [s.values([-1, 0, 3, 2], [4], "i32")],
      attrs: { classes: 3, dtype: "bool" },
      name: "no such class",
    },
    { inputs: [s.integers(0, 3, [], "i32")], attrs: { classes: 4 } },
  ],
  errors: [
    { inputs: [type([3])], attrs: { classes: 3 }, message: /oneHot: indices are f32\[3\]; use i32 or u32/ },
    {
      inputs: [type([3], "i32")],
      attrs: { classes: 0 },
      message: /oneHot: classes is 0; use a whole number/,
    },
  ],
});
