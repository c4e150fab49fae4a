import { whole, wholes } from "../../core/attributes.ts";
import type { DType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import type { Kernel } from "../../core/kernel.ts";
import { type NDArray, referenceArray } from "../../core/ndarray.ts";
import {
  defineOp,
  type Op,
  type Operand,
  type OpTable,
  optional,
  required,
  type Sample,
  type Tensor,
} from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { normalizeAxes, normalizeAxis, showShape, sizeOf, type TensorType } from "../../core/shape.ts";
import { accumulated, exact } from "../../core/tolerance.ts";
import { argmaxVariants } from "./argmax-kernel.ts";
import { reduceVariants, splitAxes } from "./kernel.ts";

/** Of `sum`, `mean`, `max` and `argmax`. */
export interface ReduceAttrs {
  /** Axes to reduce; all of them when left out. */
  readonly axes?: readonly number[];
  /** Keep reduced axes as 1. */
  readonly keepdims?: boolean;
}

type Kind = "sum" | "mean" | "max";
/** How a reduction is called. */
export type Reduction = (x: Operand, attrs?: ReduceAttrs) => Tensor;

function reducedType(name: string, x: TensorType, { axes, keepdims }: ReduceAttrs): TensorType {
  const list = normalizeAxes(name, axes, x.shape.length);
  const shape = x.shape.flatMap((dim, axis) => (list.includes(axis) ? (keepdims ? [1] : []) : [dim]));
  return { shape, dtype: x.dtype };
}

/** A sum as float32 holds it, as far as its range goes. */
const withinFloat = (sum: number) => (Number.isFinite(Math.fround(sum)) ? sum : Math.fround(sum));

function reduceReference(x: NDArray, axes: readonly number[], kind: Kind): NDArray["data"] {
  const { kept, reduced } = splitAxes(x, axes);
  const outputs = kept.reduce((n, [dim]) => n * dim, 1);
  const count =
    reduced.reduce((n, [dim]) => n * dim, 1) * (x.shape.includes(0) && x.data.length === 0 ? 0 : 1);
  const data = referenceArray(x.dtype, outputs);
  const place = (dims: readonly [number, number][], index: number) => {
    let offset = 0;
    let rest = index;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const [dim, stride] = dims[axis]!;
      offset += (rest % dim) * stride;
      rest = Math.floor(rest / dim);
    }
    return offset;
  };
  const [inner, stride] = reduced.at(-1) ?? [1, 1];
  const rows = inner > 0 ? count / inner : 0;
  for (let o = 0; o < outputs; o++) {
    const base = place(kept, o);
    let total = kind === "max" ? Number.NEGATIVE_INFINITY : 0;
    for (let row = 0; row < rows; row++) {
      const start = base + place(reduced.slice(0, -1), row);
      for (let k = 0; k < inner; k++) {
        const value = x.data[start + k * stride]!;
        if (kind === "max") total = value > total || Number.isNaN(value) ? value : total;
        else total += value;
      }
    }
    data[o] = kind === "mean" ? withinFloat(total) / count : total;
  }
  return data;
}

function reduceKernel(kind: Kind): Kernel<ReduceAttrs> {
  return ({ inputs: [x], attrs, facts }) =>
    reduceVariants(kind, x!, normalizeAxes(kind, attrs?.axes, x!.shape.length), facts);
}

const reducedLength = ([x]: readonly NDArray[], { axes }: ReduceAttrs = {}) =>
  normalizeAxes("", axes, x!.shape.length).reduce((n, axis) => n * x!.shape[axis]!, 1);

const LAYOUTS: readonly { shape: readonly number[]; attrs: ReduceAttrs }[] = [
  { shape: [3, 5], attrs: { axes: [1] } },
  { shape: [3, 5], attrs: { axes: [0], keepdims: true } },
  { shape: [2, 3, 4, 5], attrs: { axes: [0, 2, 3] } },
  { shape: [2, 3, 4, 5], attrs: { axes: [1, 3], keepdims: true } },
  { shape: [1], attrs: {} },
  { shape: [], attrs: {} },
  { shape: [1031], attrs: {} },
  { shape: [7, 16, 33], attrs: { axes: [0, 2] } },
  { shape: [70000, 1], attrs: { axes: [1] } },
  { shape: [2, 65536], attrs: { axes: [-1] } },
  { shape: [65537], attrs: {} },
  { shape: [9, 4001], attrs: { axes: [1] } },
  { shape: [4, 12, 4096], attrs: { axes: [0, 2] } },
];

function reduceSamples(
  s: Sampler,
  draw: (shape: readonly number[]) => NDArray,
  dtypes: readonly DType[],
): Sample<ReduceAttrs>[] {
  const samples: Sample<ReduceAttrs>[] = LAYOUTS.map(({ shape, attrs }) => ({
    inputs: [draw(shape)],
    attrs,
  }));
  for (const dtype of dtypes)
    samples.push({
      name: "integers",
      inputs: [s.integers(-8, 8, [3, 1031], dtype)],
      attrs: { axes: [1] },
      exact: true,
      gradient: false,
    });
  return samples;
}

const reduceErrors = (name: string) => [
  {
    inputs: [type([2, 3])],
    attrs: { axes: [2] },
    message: new RegExp(`${name}: axis 2 does not exist in a tensor of rank 2; use`),
  },
  {
    inputs: [type([2, 3])],
    attrs: { axes: [1, -1] },
    message: new RegExp(`${name}: axes .* name one axis twice`),
  },
  { inputs: [type([2, 3], "bool")], attrs: {}, message: new RegExp(`${name}: input is bool; cast it to`) },
];

function inferReduce(name: string, dtypes: readonly DType[]) {
  return ([x]: readonly TensorType[], attrs: ReduceAttrs = {}): TensorType[] => {
    if (!dtypes.includes(x!.dtype))
      throw new ShapeError(`${name}: input is ${x!.dtype}; cast it to ${dtypes.join(" or ")} first.`);
    return [reducedType(name, x!, attrs)];
  };
}

/** Spreads a reduced gradient back over the reduced axes. */
function spread(dy: Tensor, x: Tensor, axes: readonly number[] | undefined, f: OpTable): Tensor {
  const list = normalizeAxes("", axes, x.shape.length);
  const kept = x.shape.map((dim, axis) => (list.includes(axis) ? 1 : dim));
  return f.broadcastTo(f.reshape(dy, { shape: kept }), { shape: x.shape });
}

/** Σ over axes; 0 over nothing. */
export const sum: Op<Reduction, ReduceAttrs> = defineOp({
  name: "sum",
  operands: ["x"],
  attributes: { axes: wholes(optional), keepdims: false },
  infer: inferReduce("sum", ["f32", "i32", "u32"]),
  reference: ([x], attrs = {}) => {
    const { shape } = reducedType("sum", x, attrs);
    return [
      {
        shape,
        dtype: x.dtype,
        data: reduceReference(x, normalizeAxes("sum", attrs.axes, x.shape.length), "sum"),
      },
    ];
  },
  grad: ({ dy, inputs: [x], attrs = {} }, f) => [spread(dy, x, attrs.axes, f)],
  implementation: { kind: "kernel", kernel: reduceKernel("sum"), loads: [0] },
  tolerance: accumulated(reducedLength),
  samples: (s) => [
    ...reduceSamples(s, (shape) => s.randn(...shape), ["f32", "i32", "u32"]),
    { name: "empty", inputs: [s.randn(3, 0)], attrs: { axes: [1] } },
    {
      name: "2^24 elements",
      inputs: [s.integers(0, 1, [4096, 4096])],
      attrs: {},
      exact: true,
      gradient: false,
    },
  ],
  errors: reduceErrors("sum"),
});

/**
 * Σ over axes divided by the number of elements; NaN over nothing. As in PyTorch the sum comes first: where that is
 * beyond float32, so is the mean. A part of it may be where the whole is not, in an order that is the kernel's own.
 */
export const mean: Op<Reduction, ReduceAttrs> = defineOp({
  name: "mean",
  operands: ["x"],
  attributes: { axes: wholes(optional), keepdims: false },
  infer: inferReduce("mean", ["f32"]),
  reference: ([x], attrs = {}) => {
    const { shape } = reducedType("mean", x, attrs);
    return [
      {
        shape,
        dtype: "f32",
        data: reduceReference(x, normalizeAxes("mean", attrs.axes, x.shape.length), "mean"),
      },
    ];
  },
  grad: ({ dy, inputs: [x], attrs = {} }, f) => {
    const count = sizeOf(x.shape) / sizeOf(dy.shape);
    return [spread(f.div(dy, count), x, attrs.axes, f)];
  },
  implementation: { kind: "kernel", kernel: reduceKernel("mean"), loads: [0] },
  tolerance: accumulated(reducedLength),
  empty: () => Number.NaN,
  samples: (s) => [
    ...reduceSamples(s, (shape) => s.randn(...shape), []),
    { name: "empty", inputs: [s.randn(2, 0)], attrs: { axes: [1] }, gradient: false },
    {
      name: "sums beyond float32",
      inputs: [s.values([3e38, 3e38, -3e38, -3e38, 3e38, -1e38], [3, 2])],
      attrs: { axes: [1] },
      gradient: false,
    },
  ],
  errors: reduceErrors("mean"),
});

/** Rows that rise or fall, so that the maximum lies at an end, where a slab that was lost would be missed. */
function ramp(s: Sampler, slope: number, rows = 2, length = 5003): NDArray {
  return s.values(
    Array.from({ length: rows * length }, (_, i) => slope * (i % length)),
    [rows, length],
  );
}

/** The maximum over axes; equal maxima share the gradient evenly, as torch.amax. */
export const max: Op<Reduction, ReduceAttrs> = defineOp({
  name: "max",
  operands: ["x"],
  attributes: { axes: wholes(optional), keepdims: false },
  infer: (inputs, attrs = {}) => {
    const [x] = inputs;
    const result = inferReduce("max", ["f32", "i32", "u32"])(inputs, attrs);
    if (sizeOf(x.shape) === 0 && sizeOf(result[0]!.shape) > 0)
      throw new ShapeError(
        `max: ${showShape(x.shape)} has no elements along the reduced axes; a maximum needs at least one.`,
      );
    return result;
  },
  reference: ([x], attrs = {}) => {
    const { shape } = reducedType("max", x, attrs);
    return [
      {
        shape,
        dtype: x.dtype,
        data: reduceReference(x, normalizeAxes("max", attrs.axes, x.shape.length), "max"),
      },
    ];
  },
  grad: ({ dy, inputs: [x], outputs: [y], attrs = {} }, f) => {
    const ties = f.cast(f.equal(x, spread(y, x, attrs.axes, f)), { dtype: "f32" });
    const share = f.div(dy, f.sum(ties, { axes: attrs.axes, keepdims: attrs.keepdims }));
    return [f.mul(ties, spread(share, x, attrs.axes, f))];
  },
  implementation: { kind: "kernel", kernel: reduceKernel("max"), loads: [0] },
  tolerance: exact,
  samples: (s) => [
    ...reduceSamples(s, (shape) => s.distinct(...shape), ["i32"]),
    { name: "negative", inputs: [s.uniform(-9, -1, [5, 7])], attrs: { axes: [0] } },
    { name: "maximum first", inputs: [ramp(s, -1)], attrs: { axes: [1] } },
    { name: "maximum last", inputs: [ramp(s, 1)], attrs: { axes: [1] } },
    { name: "maximum last, more rows", inputs: [ramp(s, 1, 9, 4001)], attrs: { axes: [1] } },
    { name: "ties", inputs: [s.integers(-2, 2, [9, 11])], attrs: { axes: [1] }, gradient: false },
  ],
  errors: [
    ...reduceErrors("max"),
    {
      inputs: [type([2, 0])],
      attrs: { axes: [1] },
      message: /max: \[2, 0\] has no elements along the reduced axes/,
    },
  ],
});

/** The index (i32) of the first maximum along one axis, or of the first NaN; not differentiable. */
export const argmax: Op<(x: Operand, attrs: { axis: number }) => Tensor, { axis: number }> = defineOp({
  name: "argmax",
  operands: ["x"],
  attributes: { axis: whole(required) },
  infer: ([x], { axis }) => {
    if (x.dtype !== "f32" && x.dtype !== "i32")
      throw new ShapeError(`argmax: input is ${x.dtype}; cast it to f32 or i32 first.`);
    const at = normalizeAxis("argmax", axis, x.shape.length);
    if (x.shape[at] === 0)
      throw new ShapeError(
        `argmax: axis ${at} of ${showShape(x.shape)} is empty; it needs at least one element.`,
      );
    return [{ shape: x.shape.filter((_, a) => a !== at), dtype: "i32" }];
  },
  reference: ([x], { axis }) => {
    const at = normalizeAxis("argmax", axis, x.shape.length);
    const shape = x.shape.filter((_, a) => a !== at);
    const length = x.shape[at]!;
    const inner = sizeOf(x.shape.slice(at + 1));
    const data = new Int32Array(sizeOf(shape));
    for (let o = 0; o < data.length; o++) {
      const base = Math.floor(o / inner) * length * inner + (o % inner);
      let best = 0;
      for (let k = 1; k < length; k++) {
        const [value, most] = [x.data[base + k * inner]!, x.data[base + best * inner]!];
        if (value > most || (Number.isNaN(value) && !Number.isNaN(most))) best = k;
      }
      data[o] = best;
    }
    return [{ shape, dtype: "i32", data }];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [x], attrs: { axis }, facts }) =>
      argmaxVariants(x!, normalizeAxis("argmax", axis, x!.shape.length), facts),
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(5, 10)], attrs: { axis: 1 } },
    { inputs: [s.randn(3, 4, 5)], attrs: { axis: 0 } },
    { inputs: [s.integers(0, 3, [17, 9])], attrs: { axis: -1 }, name: "ties" },
    { inputs: [s.integers(0, 3, [7, 64])], attrs: { axis: 1 }, name: "ties" },
    { inputs: [s.integers(0, 3, [64, 12])], attrs: { axis: 0 }, name: "ties" },
    {
      name: "NaN",
      inputs: [s.values([1, Number.NaN, 3, 2, 5, 4, Number.NaN, Number.NaN, 9, 8, 7, 9], [3, 4])],
      attrs: { axis: 1 },
    },
    { name: "maximum first", inputs: [ramp(s, -1)], attrs: { axis: 1 } },
    { name: "maximum last", inputs: [ramp(s, 1)], attrs: { axis: 1 } },
    { name: "maximum last", inputs: [ramp(s, 1, 2, 20000)], attrs: { axis: 1 } },
    { name: "ties", inputs: [s.integers(0, 9, [5000, 8])], attrs: { axis: 0 } },
    { inputs: [s.integers(-99, 99, [2, 5003], "i32")], attrs: { axis: 1 } },
    { inputs: [s.randn(3, 70001)], attrs: { axis: 1 } },
    { inputs: [s.randn(1)], attrs: { axis: 0 } },
    { inputs: [s.randn(0, 3)], attrs: { axis: 1 } },
  ],
  errors: [
    { inputs: [type([2, 0])], attrs: { axis: 1 }, message: /argmax: axis 1 of \[2, 0\] is empty/ },
    { inputs: [type([2, 3])], attrs: { axis: 5 }, message: /argmax: axis 5 does not exist/ },
  ],
});
