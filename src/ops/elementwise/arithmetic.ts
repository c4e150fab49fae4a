import math from "../../../shaders/functions/math.part.wgsl?raw";
import powerSource from "../../../shaders/functions/power.part.wgsl?raw";
import { whole } from "../../core/attributes.ts";
import type { DType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { broadcastData, type NDArray } from "../../core/ndarray.ts";
import { type Binary, defineOp, type Op, type Operand, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { normalizeAxis, showType, type TensorType } from "../../core/shape.ts";
import { accumulated, exact, ulp, ulps, within } from "../../core/tolerance.ts";
import { elementwiseOp } from "./define.ts";

const numbers: readonly DType[] = ["f32", "i32", "u32"];

const NOT_FINITE = [
  [Number.NaN, 1],
  [-1, Number.NaN],
  [Number.NaN, Number.NaN],
  [Number.POSITIVE_INFINITY, 2],
  [Number.NEGATIVE_INFINITY, 2],
];

/** a + b. Integers wrap modulo 2³². */
export const add: Op<Binary> = elementwiseOp({
  name: "add",
  arity: 2,
  dtypes: [numbers, numbers],
  reference: (a, b) => a + b,
  expression: ([a, b]) => `${a} + ${b}`,
  grad: ({ dy }) => [dy, dy],
  tolerance: ulps(1),
  points: NOT_FINITE,
});

/** a − b. */
export const sub: Op<Binary> = elementwiseOp({
  name: "sub",
  arity: 2,
  dtypes: [numbers, numbers],
  domain: [
    [0, 100],
    [-100, 0],
  ],
  reference: (a, b) => a - b,
  expression: ([a, b]) => `${a} - ${b}`,
  grad: ({ dy }, f) => [dy, f.neg(dy)],
  tolerance: ulps(1),
  points: NOT_FINITE,
});

/** a · b. Integers wrap modulo 2³². */
export const mul: Op<Binary> = elementwiseOp({
  name: "mul",
  arity: 2,
  dtypes: [numbers, numbers],
  reference: (a, b, _, dtype) => (dtype === "f32" ? a * b : Math.imul(a, b)),
  expression: ([a, b]) => `${a} * ${b}`,
  grad: ({ dy, inputs: [a, b] }, f) => [f.mul(dy, b), f.mul(dy, a)],
  tolerance: ulps(1),
  points: NOT_FINITE,
  integerPoints: [
    [123456789, 987654321],
    [2147483647, 2147483647],
    [65537, 65535],
  ],
});

/** a / b, for floats. */
export const div: Op<Binary> = elementwiseOp({
  name: "div",
  arity: 2,
  domain: [
    [-4, 4],
    [0.5, 4],
  ],
  reference: (a, b) => a / b,
  expression: ([a, b]) => `${a} / ${b}`,
  grad: ({ dy, inputs: [, b], outputs: [y] }, f) => [f.div(dy, b), f.neg(f.div(f.mul(dy, y), b))],
  tolerance: ulps(2.5),
  points: NOT_FINITE,
});

/** The larger of a and b; at a tie each gets half the gradient, and NaN wins, as torch.maximum. */
export const maximum: Op<Binary> = elementwiseOp({
  name: "maximum",
  arity: 2,
  dtypes: [numbers, numbers],
  reference: (a, b) => Math.max(a, b),
  functions: math,
  expression: ([a, b], _, [type]) => `${type!.dtype === "f32" ? "maximum" : "max"}(${a}, ${b})`,
  grad: ({ dy, inputs: [a, b] }, f) => {
    const share = f.where(f.equal(a, b), 0.5, f.cast(f.greater(a, b), { dtype: "f32" }));
    return [f.mul(dy, share), f.mul(dy, f.sub(1, share))];
  },
  tolerance: exact,
  points: [[1, 1], [0, 0], [-2, 3], ...NOT_FINITE],
});

/** The smaller of a and b; at a tie each gets half the gradient, and NaN wins, as torch.minimum. */
export const minimum: Op<Binary> = elementwiseOp({
  name: "minimum",
  arity: 2,
  dtypes: [numbers, numbers],
  reference: (a, b) => Math.min(a, b),
  functions: math,
  expression: ([a, b], _, [type]) => `${type!.dtype === "f32" ? "minimum" : "min"}(${a}, ${b})`,
  grad: ({ dy, inputs: [a, b] }, f) => {
    const share = f.where(f.equal(a, b), 0.5, f.cast(f.less(a, b), { dtype: "f32" }));
    return [f.mul(dy, share), f.mul(dy, f.sub(1, share))];
  },
  tolerance: exact,
  points: [[1, 1], [0, 0], [-2, 3], ...NOT_FINITE],
});

/**
 * aᵇ. The gradient in a is b·aᵇ⁻¹ (0 where b = 0), in b it is aᵇ·log a (0 where a = 0 and b ≥ 0), as in PyTorch.
 * The bound composes WGSL's log2 (2⁻²¹ absolute in [½, 2], else 3 ulp), a product and exp2 (3 + 2|t| ulp).
 */
export const pow: Op<Binary> = elementwiseOp({
  name: "pow",
  arity: 2,
  domain: [
    [0.2, 3],
    [-2, 3],
  ],
  points: [
    [0, 2],
    [0, 0],
    [-2, 3],
    [-2, 2],
    [-1.5, -1],
    [2, 0],
    [Number.NaN, 0],
    [Number.NaN, 2],
    [2, Number.NaN],
    [0, Number.NaN],
    [1, Number.NaN],
    ...[0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5, -3, -1].flatMap((base) =>
      [3, 2, 0.5, -0.5, -2, -3, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((y) => [base, y]),
    ),
    ...[1e-40, -3e-42, 2 ** -149, 1.17e-38].flatMap((base) =>
      [0.5, 2, -0.5, -0.8, 1 / 3].map((y) => [base, y]),
    ),
  ],
  // In JavaScript 1 to the power of NaN and ±1 to that of ±∞ are NaN.
  reference: (a, b) => (a === 1 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY) ? 1 : a ** b),
  functions: [powerSource, math],
  expression: ([a, b]) => `power(${a}, ${b})`,
  grad: ({ dy, inputs: [a, b], outputs: [y] }, f) => {
    const zero = f.logicalAnd(f.equal(a, 0), f.greaterEqual(b, 0));
    const inBase = f.where(f.equal(b, 0), 0, f.mul(f.mul(dy, b), f.pow(a, f.sub(b, 1))));
    const inExponent = f.where(zero, 0, f.mul(dy, f.mul(y, f.log(f.where(zero, 1, a)))));
    return [inBase, inExponent];
  },
  tolerance: within((y, a, b) => {
    const log = Math.log2(Math.abs(a) || 1);
    const t = b * log;
    const logError = Math.max(2 ** -21, 3 * ulp(log)) * Math.abs(b) + ulp(t);
    return ulp(y) * (3 + 2 * Math.abs(t)) + Math.abs(y) * Math.LN2 * logError * 1.1 + 2 ** -126;
  }),
});

/** The shape under which a bias [C] lines up with axis `axis` of x. */
function biasShape(x: TensorType, { axis }: { axis: number }): number[] {
  const at = normalizeAxis("addBias", axis, x.shape.length);
  return x.shape.map((dim, a) => (a === at ? dim : 1));
}

/** x + b, with b [C] along one axis of x: the bias of a linear layer (axis 1 of [N, C]) or a convolution ([N, C, H, W]). */
export const addBias: Op<(x: Operand, bias: Operand, attrs?: { axis?: number }) => Tensor, { axis: number }> =
  defineOp({
    name: "addBias",
    operands: ["x", "bias"],
    attributes: { axis: whole(1) },
    infer: ([x, bias], attrs) => {
      const at = normalizeAxis("addBias", attrs.axis, x.shape.length);
      if (
        x.dtype !== "f32" ||
        bias.dtype !== "f32" ||
        bias.shape.length !== 1 ||
        bias.shape[0] !== x.shape[at]
      )
        throw new ShapeError(
          `addBias: bias ${showType(bias)} does not fit axis ${at} of ${showType(x)}; use f32[${x.shape[at]}].`,
        );
      return [x];
    },
    reference: ([x, bias], attrs) => {
      const spread: NDArray = { ...bias, shape: biasShape(x, attrs) };
      const b = broadcastData(spread, x.shape);
      return [{ shape: x.shape, dtype: "f32", data: Float64Array.from(x.data, (v, i) => v + b[i]!) }];
    },
    implementation: {
      kind: "composition",
      compose: ([x, bias], attrs, f) => [f.add(x, f.reshape(bias, { shape: biasShape(x, attrs) }))],
    },
    tolerance: accumulated(() => 1),
    samples: (s) => [
      { inputs: [s.randn(5, 7), s.randn(7)], attrs: { axis: 1 } },
      { inputs: [s.randn(2, 3, 4, 8), s.randn(3)], attrs: { axis: 1 } },
      { inputs: [s.randn(0, 3), s.randn(3)], attrs: { axis: -1 } },
      { inputs: [s.integers(-9, 9, [67, 11]), s.integers(-9, 9, [67])], attrs: { axis: 0 }, exact: true },
    ],
    errors: [
      {
        inputs: [type([2, 3]), type([2])],
        attrs: { axis: 1 },
        message: /addBias: bias f32\[2\] does not fit axis 1 of f32\[2, 3\]; use f32\[3\]/,
      },
      { inputs: [type([2, 3]), type([3])], attrs: { axis: 2 }, message: /addBias: axis 2 does not exist/ },
    ],
  });
