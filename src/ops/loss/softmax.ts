import source from "../../../shaders/loss/softmax.wgsl?raw";
import storeSource from "../../../shaders/loss/softmax-store.part.wgsl?raw";
import { whole } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { type Dispatch, gridOf, input, type Kernel, output, specialize } from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, type Sample, type Tensor } from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { normalizeAxis, showShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import { walkVariants } from "./softmax-kernel.ts";

/** Of `softmax` and `logSoftmax`. */
export interface SoftmaxAttrs {
  readonly axis: number;
}

function infer(op: string, x: TensorType, { axis }: SoftmaxAttrs): TensorType[] {
  if (x.dtype !== "f32") throw new ShapeError(`${op}: input is ${showType(x)}; cast it to f32 first.`);
  const at = normalizeAxis(op, axis, x.shape.length);
  if (x.shape[at] === 0 && sizeOf(x.shape.filter((_, a) => a !== at)) > 0)
    throw new ShapeError(
      `${op}: axis ${at} of ${showShape(x.shape)} is empty; it needs at least one element.`,
    );
  return [{ shape: x.shape, dtype: "f32" }];
}

/** x as (outer, length, inner). */
function split(x: TensorType, axis: number): { outer: number; length: number; inner: number } {
  const at = normalizeAxis("", axis, x.shape.length);
  return {
    outer: sizeOf(x.shape.slice(0, at)),
    length: x.shape[at]!,
    inner: sizeOf(x.shape.slice(at + 1)),
  };
}

/** Calls `visit` for each element with its place, t = x − max of its row, and Σ exp(t) of its row. */
function forEachElement(
  x: NDArray,
  axis: number,
  visit: (index: number, t: number, sum: number) => void,
): void {
  const { outer, length, inner } = split(x, axis);
  for (let row = 0; row < outer * inner; row++) {
    const base = Math.floor(row / inner) * length * inner + (row % inner);
    let largest = Number.NEGATIVE_INFINITY;
    for (let k = 0; k < length; k++) largest = Math.max(largest, x.data[base + k * inner]!);
    let sum = 0;
    for (let k = 0; k < length; k++) sum += Math.exp(x.data[base + k * inner]! - largest);
    for (let k = 0; k < length; k++) visit(base + k * inner, x.data[base + k * inner]! - largest, sum);
  }
}

function mapElements(x: NDArray, axis: number, f: (t: number, sum: number) => number): Float64Array {
  const data = new Float64Array(x.data.length);
  forEachElement(x, axis, (i, t, sum) => {
    data[i] = f(t, sum);
  });
  return data;
}

function kernel(logarithm: boolean): Kernel<SoftmaxAttrs> {
  return ({ inputs: [x], attrs, facts }) => {
    const rows = split(x!, attrs.axis);
    const { outer, length, inner } = rows;
    const name = logarithm ? "logSoftmax" : "softmax";
    const rest = { bindings: [input(0), output()], bytes: 8 * sizeOf(x!.shape) };
    const constants = { LOGARITHM: logarithm };
    const plain: Dispatch = {
      ...rest,
      kernel: `${name}/row`,
      source: specialize(source, { OUTER: outer, LENGTH: length, INNER: inner, ...constants }),
      workgroups: gridOf(Math.ceil((outer * inner) / 64), facts),
    };
    return [
      ...walkVariants(name, rows, storeSource, constants, rest, facts),
      { name: "row", dispatches: [plain] },
    ];
  };
}

const lengthOf = ([x]: readonly NDArray[], { axis }: SoftmaxAttrs) => split(x!, axis).length;

function samples(s: Sampler): Sample<SoftmaxAttrs>[] {
  return [
    { inputs: [s.randn(5, 10)], attrs: { axis: 1 } },
    { inputs: [s.randn(3, 7, 5)], attrs: { axis: 1 } },
    { inputs: [s.randn(11, 4)], attrs: { axis: 0 } },
    { inputs: [s.randn(1)], attrs: { axis: -1 } },
    { inputs: [s.randn(0, 3)], attrs: { axis: 1 } },
    { inputs: [s.uniform(-30, 30, [9, 1031])], attrs: { axis: -1 } },
    { inputs: [s.randn(3, 17)], attrs: { axis: 1 } },
    { inputs: [s.randn(7, 18)], attrs: { axis: 1 } },
    { inputs: [s.randn(5, 68)], attrs: { axis: 1 } },
    { inputs: [s.randn(3, 5, 8)], attrs: { axis: 1 } },
    { inputs: [s.randn(3, 1000)], attrs: { axis: 1 } },
    { name: "few rows", inputs: [s.randn(2, 4100)], attrs: { axis: 1 }, gradient: false },
    { name: "rising", inputs: [s.rising(19, 1031)], attrs: { axis: 1 }, gradient: false },
    {
      name: "extremes",
      inputs: [s.values([1e4, -1e4, 0, 0, 0, 0, 1e4, 1e4, 1e4, -1e4, -1e4, -1e4, 100, 99, -100], [5, 3])],
      attrs: { axis: 1 },
      gradient: false,
    },
  ];
}

const errors = (op: string) => [
  { inputs: [type([2, 3])], attrs: { axis: 2 }, message: new RegExp(`${op}: axis 2 does not exist`) },
  { inputs: [type([2, 3], "i32")], attrs: { axis: 0 }, message: new RegExp(`${op}: input is i32.*cast it`) },
  { inputs: [type([2, 0])], attrs: { axis: 1 }, message: new RegExp(`${op}: axis 1 of \\[2, 0\\] is empty`) },
];

/** exp(x) / Σ exp(x) along one axis, computed from x − max. */
export const softmax: Op<(x: Operand, attrs?: Partial<SoftmaxAttrs>) => Tensor, SoftmaxAttrs> = defineOp({
  name: "softmax",
  operands: ["x"],
  attributes: { axis: whole(-1) },
  infer: ([x], attrs) => infer("softmax", x, attrs),
  reference: ([x], { axis }) => [
    { shape: x.shape, dtype: "f32", data: mapElements(x, axis, (t, sum) => Math.exp(t) / sum) },
  ],
  grad: ({ dy, outputs: [y], attrs: { axis } }, f) => {
    const inner = f.sum(f.mul(dy, y), { axes: [axis], keepdims: true });
    return [f.mul(f.sub(dy, inner), y)];
  },
  implementation: { kind: "kernel", kernel: kernel(false) },
  // Relative: t's rounding and exp's 3 + 2|t| ulp, the same again weighted in the sum (Σ y|t| ≤ log L) beside its own
  // additions, the quotient's 3: (3 + 3|t|) + (3 + 3 log L + √L) + 3 ≤ 12·√L·(1 + |t|). A row of more than 16 may be
  // shifted by up to 1 less than its maximum, 6 more, and its sum was multiplied by exp(−Δ), Δ > 1, whenever the shift
  // moved: at most every 16 elements, and no more than log L + 2 times matter, 5 + 2Δ ≤ 7 each: still below.
  tolerance: accumulated(lengthOf, {
    factor: 3,
    scale: ([x], { axis }) => [mapElements(x!, axis, (t, sum) => (Math.exp(t) / sum) * (1 - t))],
  }),
  samples,
  errors: errors("softmax"),
});

/** x − max − log Σ exp(x − max) along one axis. */
export const logSoftmax: Op<(x: Operand, attrs?: Partial<SoftmaxAttrs>) => Tensor, SoftmaxAttrs> = defineOp({
  name: "logSoftmax",
  operands: ["x"],
  attributes: { axis: whole(-1) },
  infer: ([x], attrs) => infer("logSoftmax", x, attrs),
  reference: ([x], { axis }) => [
    { shape: x.shape, dtype: "f32", data: mapElements(x, axis, (t, sum) => t - Math.log(sum)) },
  ],
  grad: ({ dy, outputs: [y], attrs: { axis } }, f) => {
    const sum = f.sum(dy, { axes: [axis], keepdims: true });
    return [f.sub(dy, f.mul(f.exp(y), sum))];
  },
  implementation: { kind: "kernel", kernel: kernel(true) },
  // Absolute: t's rounding, the sum's relative error as in softmax, log's 2⁻²¹ or 3 ulp, one subtraction:
  // |t| + (3 + 3 log L + √L) + 4 + 3 log Σ + |y| ≤ 12·√L·(1 + |t| + log Σ).
  tolerance: accumulated(lengthOf, {
    factor: 3,
    scale: ([x], { axis }) => [mapElements(x!, axis, (t, sum) => 1 - t + Math.log(sum))],
  }),
  samples,
  errors: errors("logSoftmax"),
});
