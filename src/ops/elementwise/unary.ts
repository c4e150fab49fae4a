import erfSource from "../../../shaders/functions/erf.part.wgsl?raw";
import half from "../../../shaders/functions/half.part.wgsl?raw";
import math from "../../../shaders/functions/math.part.wgsl?raw";
import { anyNumber, dtype, wholes } from "../../core/attributes.ts";
import { type DType, isFloat } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { floatLiteral } from "../../core/kernel.ts";
import { broadcastData } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, required, type Tensor, type Unary } from "../../core/op.ts";
import { type Shape, sizeOf } from "../../core/shape.ts";
import * as special from "../../core/special.ts";
import { exact, ulp, ulps, within } from "../../core/tolerance.ts";
import { elementwiseOp } from "./define.ts";

const signed: readonly DType[] = ["f32", "i32"];
const NOT_FINITE = [[Number.NaN], [Number.POSITIVE_INFINITY], [Number.NEGATIVE_INFINITY]];

/** −x. */
export const neg: Op<Unary> = elementwiseOp({
  name: "neg",
  arity: 1,
  dtypes: [signed],
  reference: (x) => -x,
  expression: ([x]) => `-${x}`,
  grad: ({ dy }, f) => [f.neg(dy)],
  tolerance: exact,
  points: NOT_FINITE,
});

/** eˣ. */
export const exp: Op<Unary> = elementwiseOp({
  name: "exp",
  arity: 1,
  domain: [[-10, 10]],
  reference: Math.exp,
  functions: math,
  expression: ([x]) => `keep_nan(${x}, exp(${x}))`,
  grad: ({ dy, outputs: [y] }, f) => [f.mul(dy, y)],
  tolerance: ulps((x) => 3 + 2 * Math.abs(x)),
  points: NOT_FINITE,
});

/**
 * The natural logarithm; NaN below 0, −∞ at 0. Denormal numbers have theirs where they come from memory; a driver may
 * make them 0 where they are computed in the same kernel.
 */
export const log: Op<Unary> = elementwiseOp({
  name: "log",
  arity: 1,
  domain: [[0.01, 10]],
  reference: Math.log,
  functions: math,
  expression: ([x]) => `logarithm(${x})`,
  grad: ({ dy, inputs: [x] }, f) => [f.div(dy, x)],
  tolerance: within((y, x) => (x >= 0.5 && x <= 2 ? 2 ** -21 : 3 * ulp(y))),
  points: [
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    [-1],
    [0],
    [-0],
    [1e-40],
    [2 ** -149],
    [1.17e-38],
    [-1e-40],
  ],
});

/** √x: 1/inverseSqrt in the accuracy table, 2 + 2.5 ulp. */
export const sqrt: Op<Unary> = elementwiseOp({
  name: "sqrt",
  arity: 1,
  domain: [[0.01, 9]],
  reference: Math.sqrt,
  expression: ([x]) => `sqrt(${x})`,
  grad: ({ dy, outputs: [y] }, f) => [f.div(f.mul(dy, 0.5), y)],
  tolerance: ulps(5),
  points: [[Number.NaN]],
});

/** |x|; the gradient at 0 is 0. */
export const abs: Op<Unary> = elementwiseOp({
  name: "abs",
  arity: 1,
  dtypes: [signed],
  reference: Math.abs,
  expression: ([x]) => `abs(${x})`,
  grad: ({ dy, inputs: [x] }, f) => [f.mul(dy, f.sign(x))],
  tolerance: exact,
  points: [[0], [-1], [1], ...NOT_FINITE],
});

/** −1, 0 or 1 (NaN of NaN); its gradient is 0. */
export const sign: Op<Unary> = elementwiseOp({
  name: "sign",
  arity: 1,
  dtypes: [signed],
  reference: Math.sign,
  functions: math,
  expression: ([x], _, [type]) => (type!.dtype === "f32" ? `keep_nan(${x}, sign(${x}))` : `sign(${x})`),
  grad: () => [null],
  tolerance: exact,
  points: [[0], [-1], [1], ...NOT_FINITE],
});

/** x². */
export const square: Op<Unary> = elementwiseOp({
  name: "square",
  arity: 1,
  reference: (x) => x * x,
  expression: ([x]) => `${x} * ${x}`,
  grad: ({ dy, inputs: [x] }, f) => [f.mul(dy, f.mul(2, x))],
  tolerance: ulps(1),
  points: NOT_FINITE,
});

/** The error function; the polynomial is good to 1.5e-7, the bound adds exp's and the products' roundings. */
export const erf: Op<Unary> = elementwiseOp({
  name: "erf",
  arity: 1,
  reference: special.erf,
  functions: [erfSource, math],
  expression: ([x]) => `erf(${x})`,
  grad: ({ dy, inputs: [x] }, f) => [f.mul(dy, f.mul(2 / Math.sqrt(Math.PI), f.exp(f.neg(f.square(x)))))],
  tolerance: within((y) => 1e-6 + ulp(y)),
  points: [[0], [30], [-30], ...NOT_FINITE],
});

/** The range of integers that float32 holds too; see cast. */
const INTEGER_RANGE: Partial<Record<DType, readonly [number, number]>> = {
  i32: [-2147483648, 2147483520],
  u32: [0, 4294967040],
};

function castElement(x: number, { dtype }: { dtype: DType }, from: DType): number {
  if (dtype === "bool") return x !== 0 ? 1 : 0;
  const range = INTEGER_RANGE[dtype];
  // Between integers the array that stores the result wraps.
  if (!range || !isFloat(from)) return x;
  return Number.isNaN(x) ? 0 : Math.trunc(Math.min(Math.max(x, range[0]), range[1]));
}

/**
 * Converts between f32, f16, i32, u32 and bool; f16 is infinite from 65520 on. bool is "not zero", which NaN is. Floats are truncated towards zero; as in
 * WGSL those out of range become the nearest integer that float32 holds too, and NaN becomes 0. Integers wrap.
 */
export const cast: Op<(x: Operand, attrs: { dtype: DType }) => Tensor, { dtype: DType }> = elementwiseOp({
  name: "cast",
  attributes: { dtype: dtype(required) },
  arity: 1,
  dtypes: [["f32", "i32", "u32", "bool", "f16"]],
  domain: [[-100, 100]],
  points: [
    ...[[-0.5], [0.5], [-1.5], [1.9], [-2.999], [3e9], [-3e9], [1e20], [2147483520]],
    // The ends of f16's range: its largest number, what rounds to it and what no more does, its smallest numbers.
    ...[[65504], [-65519], [65520], [-1e5], [6.2e-5], [3e-8], [1e-30]],
    ...NOT_FINITE,
  ],
  attrs: [{ dtype: "f32" }, { dtype: "i32" }, { dtype: "u32" }, { dtype: "bool" }, { dtype: "f16" }],
  result: (_, attrs) => attrs.dtype,
  checkAttrs: ({ dtype }) => {
    if (!["f32", "f16", "i32", "u32", "bool"].includes(dtype))
      throw new ShapeError(`cast: cannot cast to ${dtype}; use f32, f16, i32, u32 or bool.`);
  },
  reference: castElement,
  functions: [math, half],
  expression: ([arg], { dtype }, [from]) => {
    if (dtype === from!.dtype && dtype === "f16") return arg!;
    const x = from!.dtype === "f16" ? `f32(${arg})` : arg;
    if (dtype === "f16") return `to_half(${from!.dtype === "f32" ? x : `f32(${x})`})`;
    if (isFloat(from!.dtype) && INTEGER_RANGE[dtype])
      return `select(${dtype}(${x}), ${dtype}(0), is_nan(${x}))`;
    if (dtype !== "bool") return `${dtype}(${x})`;
    // By the bits, because drivers disagree on NaN != 0.
    if (isFloat(from!.dtype)) return `select(0u, 1u, (bitcast<u32>(${x}) & 0x7fffffffu) != 0u)`;
    return `select(0u, 1u, ${x} != ${from!.dtype === "i32" ? "0i" : "0u"})`;
  },
  grad: ({ dy, inputs: [x] }, f) => {
    if (!isFloat(x.dtype) || !isFloat(dy.dtype)) return [null];
    return [x.dtype === dy.dtype ? dy : f.cast(dy, { dtype: x.dtype })];
  },
  tolerance: exact,
  errors: [
    {
      inputs: [{ shape: [2], dtype: "f32" }],
      attrs: { dtype: "u8" },
      message: /cast: cannot cast to u8; use/,
    },
  ],
});

/** WGSL reads -2147483648i as the negation of a number that is too large. */
const i32Literal = (value: number) =>
  Math.trunc(value) === -(2 ** 31) ? "i32(-2147483648)" : `${Math.trunc(value)}i`;

/** A tensor filled with one number. */
export const constant: Op<
  (attrs: { value: number; shape?: Shape; dtype?: DType }) => Tensor,
  { value: number; shape: Shape; dtype: DType }
> = defineOp({
  name: "constant",
  operands: [],
  attributes: { value: anyNumber(required), shape: wholes([]), dtype: dtype("f32") },
  infer: (inputs, { value, shape, dtype }) => {
    if (inputs.length !== 0) throw new ShapeError(`constant: takes no inputs, got ${inputs.length}.`);
    if (dtype === "u8" || dtype === "f16")
      throw new ShapeError(`constant: ${dtype} is for storage; use f32, i32, u32 or bool.`);
    if (dtype !== "f32" && !Number.isFinite(value))
      throw new ShapeError(`constant: ${value} is no ${dtype}; use f32 or a whole number.`);
    return [{ shape, dtype }];
  },
  reference: (_, { value, shape, dtype }) => {
    const data = dtype === "f32" ? new Float64Array(sizeOf(shape)) : new Int32Array(sizeOf(shape));
    data.fill(value);
    return [{ shape, dtype, data: dtype === "f32" || dtype === "i32" ? data : Uint32Array.from(data) }];
  },
  grad: () => [],
  implementation: {
    kind: "elementwise",
    expression: (_, { value, dtype }) =>
      dtype === "f32" ? floatLiteral(value) : dtype === "i32" ? i32Literal(value) : `${value >>> 0}u`,
  },
  tolerance: exact,
  samples: () => [
    { inputs: [], attrs: { value: 1.5, shape: [], dtype: "f32" } },
    { inputs: [], attrs: { value: -0.1, shape: [3, 7], dtype: "f32" } },
    { inputs: [], attrs: { value: -7, shape: [1024], dtype: "i32" } },
    { inputs: [], attrs: { value: -(2 ** 31), shape: [5], dtype: "i32" } },
    { inputs: [], attrs: { value: 1, shape: [0], dtype: "bool" } },
    { inputs: [], attrs: { value: Number.POSITIVE_INFINITY, shape: [5], dtype: "f32" } },
    { inputs: [], attrs: { value: Number.NEGATIVE_INFINITY, shape: [1024], dtype: "f32" } },
    { inputs: [], attrs: { value: Number.NaN, shape: [3], dtype: "f32" } },
  ],
  errors: [
    {
      inputs: [],
      attrs: { value: 1, shape: [2], dtype: "u8" },
      message: /constant: u8 is for storage; use/,
    },
    {
      inputs: [],
      attrs: { value: Number.NEGATIVE_INFINITY, shape: [2], dtype: "i32" },
      message: /constant: -Infinity is no i32; use/,
    },
  ],
});

/** Stretches axes of size 1 (and adds leading ones) to a given shape. */
export const broadcastTo: Op<(x: Operand, attrs: { shape: Shape }) => Tensor, { shape: Shape }> = defineOp({
  name: "broadcastTo",
  operands: ["x"],
  attributes: { shape: wholes(required) },
  infer: ([x], { shape }) => {
    const lead = shape.length - x.shape.length;
    if (lead < 0 || x.shape.some((dim, axis) => dim !== 1 && dim !== shape[lead + axis]))
      throw new ShapeError(
        `broadcastTo: shape [${x.shape.join(", ")}] does not stretch to [${shape.join(", ")}]; only axes of 1 stretch.`,
      );
    return [{ shape, dtype: x.dtype }];
  },
  reference: ([x], { shape }) => [{ shape, dtype: x.dtype, data: broadcastData(x, shape).slice() }],
  // Autodiff sums the gradient back to the input's shape.
  grad: ({ dy }) => [dy],
  implementation: { kind: "elementwise", expression: ([x]) => x! },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(3, 1)], attrs: { shape: [2, 3, 4] } },
    { inputs: [s.randn()], attrs: { shape: [7] } },
    { inputs: [s.randn(1, 5, 1)], attrs: { shape: [3, 5, 8] } },
    { inputs: [s.integers(-5, 5, [1, 4], "i32")], attrs: { shape: [1021, 4] } },
    { inputs: [s.randn(1, 3)], attrs: { shape: [0, 3] } },
  ],
  errors: [
    {
      inputs: [{ shape: [2, 3], dtype: "f32" }],
      attrs: { shape: [4, 3] },
      message: /broadcastTo: shape \[2, 3\] does not stretch to \[4, 3\]/,
    },
  ],
});
