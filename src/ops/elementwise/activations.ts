import activations from "../../../shaders/functions/activations.part.wgsl?raw";
import erfSource from "../../../shaders/functions/erf.part.wgsl?raw";
import math from "../../../shaders/functions/math.part.wgsl?raw";
import { choice, number, optional, positive } from "../../core/attributes.ts";
import { floatLiteral } from "../../core/kernel.ts";
import type { Op, Operand, Tensor, Unary } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import * as special from "../../core/special.ts";
import { exact, SMALLEST_NORMAL, UNIT_ROUNDOFF, ulp, ulps, within } from "../../core/tolerance.ts";
import { elementwiseOp } from "./define.ts";

const NOT_FINITE = [[Number.NaN], [Number.POSITIVE_INFINITY], [Number.NEGATIVE_INFINITY]];
const KINK = [[0], [-0.5], [0.5], [30], [-30], [-88], [-100], [-110], ...NOT_FINITE];

/** max(x, 0); the gradient at 0 is 0. Written so that NaN stays NaN and is noticed. */
export const relu: Op<Unary> = elementwiseOp({
  name: "relu",
  arity: 1,
  reference: (x) => Math.max(x, 0),
  expression: ([x]) => `select(${x}, 0.0, ${x} < 0.0)`,
  // By the result, which has the input's sign: the input itself need not be kept.
  grad: ({ dy, outputs: [y] }, f) => [f.where(f.greater(y, 0), dy, 0)],
  tolerance: exact,
  points: KINK,
});

/** x where x > 0, else slope · x. Maas, Hannun, Ng, 2013. */
export const leakyRelu: Op<(x: Operand, attrs?: { slope?: number }) => Tensor, { slope: number }> =
  elementwiseOp({
    name: "leakyRelu",
    attributes: { slope: number(0.01) },
    arity: 1,
    attrs: [{ slope: 0.01 }, { slope: 0.2 }],
    reference: (x, { slope }) => (x > 0 ? x : Math.fround(slope) * x),
    expression: ([x], { slope }) => `select(${floatLiteral(slope)} * ${x}, ${x}, ${x} > 0.0)`,
    grad: ({ dy, inputs: [x], attrs }, f) => [
      f.where(f.greater(x, 0), dy, f.mul(dy, Math.fround(attrs.slope))),
    ],
    tolerance: ulps(1),
    points: KINK,
  });

/** x where x > 0, else α(eˣ − 1). Clevert, Unterthiner, Hochreiter, 2015, eq. 15. */
export const elu: Op<(x: Operand, attrs?: { alpha?: number }) => Tensor, { alpha: number }> = elementwiseOp({
  name: "elu",
  attributes: { alpha: number(1) },
  arity: 1,
  attrs: [{ alpha: 1 }, { alpha: 0.5 }],
  reference: (x, { alpha }) => (x > 0 ? x : Math.fround(alpha) * Math.expm1(x)),
  functions: [activations, math],
  expression: ([x], { alpha }) => `select(${floatLiteral(alpha)} * expm1_negative(${x}), ${x}, ${x} > 0.0)`,
  grad: ({ dy, inputs: [x], attrs: { alpha } }, f) => [
    f.where(f.greater(x, 0), dy, f.mul(dy, f.mul(Math.fround(alpha), f.exp(f.minimum(x, 0))))),
  ],
  // exp below 1 errs by at most (3 + 2|x|)·eˣ·u ≤ 4u absolute, then one subtraction and one product.
  tolerance: within((y, x) => (x > 0 ? 0 : 5 * UNIT_ROUNDOFF + 2 * ulp(y))),
  points: KINK,
});

const SELU_ALPHA = 1.6732632423543772;
const SELU_SCALE = 1.0507009873554805;

/** scale · elu(x, α) with the self-normalising constants. Klambauer et al., 2017, §2. */
export const selu: Op<Unary> = elementwiseOp({
  name: "selu",
  arity: 1,
  reference: (x) => SELU_SCALE * (x > 0 ? x : SELU_ALPHA * Math.expm1(x)),
  functions: [activations, math],
  expression: ([x]) =>
    `${floatLiteral(SELU_SCALE)} * select(${floatLiteral(SELU_ALPHA)} * expm1_negative(${x}), ${x}, ${x} > 0.0)`,
  grad: ({ dy, inputs: [x] }, f) => [
    f.where(
      f.greater(x, 0),
      f.mul(dy, SELU_SCALE),
      f.mul(dy, f.mul(SELU_SCALE * SELU_ALPHA, f.exp(f.minimum(x, 0)))),
    ),
  ],
  tolerance: within((y, x) => (x > 0 ? 2 * ulp(y) : 10 * UNIT_ROUNDOFF + 4 * ulp(y))),
  points: KINK,
});

/** tanh. Near 0 a series good to 2 ulp; elsewhere exp's error shrinks by 1/(1 + e^−2|x|)². */
export const tanh: Op<Unary> = elementwiseOp({
  name: "tanh",
  arity: 1,
  reference: Math.tanh,
  functions: [activations, math],
  expression: ([x]) => `tanh_safe(${x})`,
  grad: ({ dy, outputs: [y] }, f) => [f.mul(dy, f.sub(1, f.square(y)))],
  tolerance: within((y, x) => 8 * ulp(y) + (Math.abs(x) >= 0.25 ? 4 * UNIT_ROUNDOFF : 0)),
  points: [[0], [30], [-30], [100], [-1e4], ...NOT_FINITE],
});

/** 1/(1 + e⁻ˣ): exp, an addition, a division and a product. */
export const sigmoid: Op<Unary> = elementwiseOp({
  name: "sigmoid",
  arity: 1,
  reference: special.sigmoid,
  functions: [activations, math],
  expression: ([x]) => `sigmoid(${x})`,
  grad: ({ dy, outputs: [y] }, f) => [f.mul(dy, f.mul(y, f.sub(1, y)))],
  tolerance: ulps((x) => 8 + 2 * Math.abs(x)),
  points: KINK,
});

/** x · sigmoid(x), also called swish. Elfwing, Uchibe, Doya, 2017. */
export const silu: Op<Unary> = elementwiseOp({
  name: "silu",
  arity: 1,
  reference: (x) => x * special.sigmoid(x),
  functions: [activations, math],
  expression: ([x]) => `${x} * sigmoid(${x})`,
  grad: ({ dy, inputs: [x] }, f) => {
    const s = f.sigmoid(x);
    return [f.mul(dy, f.mul(s, f.add(1, f.mul(x, f.sub(1, s)))))];
  },
  // Beside the relative error, the sigmoid may be flushed to zero before the product.
  tolerance: within((y, x) => (9 + 2 * Math.abs(x)) * ulp(y) + Math.abs(x) * SMALLEST_NORMAL),
  points: KINK,
});

/** Of `softplus`. */
export interface SoftplusAttrs {
  readonly beta: number;
  /** The result is x itself where β·x is above it. */
  readonly threshold?: number;
}

/**
 * log(1 + e^(β·x))/β, β 1 unless given. Without threshold it is so everywhere; PyTorch's 20 is where float32 sees no
 * difference. Relative to the result: exp's error for x < 0, a division and the series' roundings. Dugas et al., 2001.
 */
export const softplus: Op<(x: Operand, attrs?: Partial<SoftplusAttrs>) => Tensor, SoftplusAttrs> =
  elementwiseOp({
    name: "softplus",
    attributes: { beta: positive(1), threshold: number(optional) },
    arity: 1,
    attrs: [{ beta: 1 }, { beta: 0.5, threshold: 1 }],
    reference: (x, { beta, threshold }) =>
      threshold !== undefined && beta * x > threshold ? x : special.softplus(beta * x) / beta,
    functions: [activations, math],
    expression: ([x], { beta, threshold }) => {
      const scaled = beta === 1 ? x! : `(${floatLiteral(beta)} * ${x})`;
      const result = beta === 1 ? `softplus(${x})` : `softplus(${scaled}) / ${floatLiteral(beta)}`;
      return threshold === undefined
        ? result
        : `select(${result}, ${x}, ${scaled} > ${floatLiteral(threshold)})`;
    },
    grad: ({ dy, inputs: [x], attrs: { beta, threshold } }, f) => {
      const scaled = beta === 1 ? x : f.mul(x, beta);
      const slope = f.mul(dy, f.sigmoid(scaled));
      return [threshold === undefined ? slope : f.where(f.greater(scaled, threshold), dy, slope)];
    },
    tolerance: ulps((x) => 20 + 4 * Math.max(-x, 0)),
    points: KINK,
    errors: [
      {
        inputs: [type([2])],
        attrs: { beta: 0 },
        message: /softplus: beta is 0; use a finite number above 0/,
      },
    ],
  });

/** x · tanh(softplus(x)). Misra, 2019. Relative error: twice exp's plus five roundings; eˣ may be flushed to zero. */
export const mish: Op<Unary> = elementwiseOp({
  name: "mish",
  arity: 1,
  reference: (x) => x * Math.tanh(special.softplus(x)),
  functions: [activations, math],
  expression: ([x]) => `mish(${x})`,
  grad: ({ dy, inputs: [x] }, f) => {
    const t = f.tanh(f.softplus(x));
    const slope = f.mul(f.mul(x, f.sub(1, f.square(t))), f.sigmoid(x));
    return [f.mul(dy, f.add(t, slope))];
  },
  tolerance: within((y, x) => (14 + 4 * Math.abs(x)) * ulp(y) + Math.abs(x) * SMALLEST_NORMAL),
  points: KINK,
});

/** Gaussian error linear unit, x·Φ(x), by erf or by its tanh approximation. Hendrycks, Gimpel, 2016, §2. */
export const gelu: Op<
  (x: Operand, attrs?: { approximate?: "none" | "tanh" }) => Tensor,
  { approximate: "none" | "tanh" }
> = elementwiseOp({
  name: "gelu",
  attributes: { approximate: choice(["none", "tanh"], "none") },
  arity: 1,
  attrs: [{ approximate: "none" }, { approximate: "tanh" }],
  reference: (x, { approximate }) =>
    approximate === "tanh"
      ? 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
      : 0.5 * x * (1 + special.erf(x / Math.SQRT2)),
  functions: [activations, erfSource, math],
  expression: ([x], { approximate }) =>
    approximate === "tanh" ? `gelu_tanh(${x})` : `0.5 * ${x} * (1.0 + erf(${x} * 0.70710678))`,
  grad: ({ dy, inputs: [x], attrs }, f) => {
    if (attrs.approximate === "tanh") {
      const root = Math.sqrt(2 / Math.PI);
      const square = f.square(x);
      const t = f.tanh(f.mul(f.mul(root, x), f.add(1, f.mul(0.044715, square))));
      const inner = f.mul(root, f.add(1, f.mul(3 * 0.044715, square)));
      const slope = f.mul(f.mul(f.mul(0.5, x), f.sub(1, f.square(t))), inner);
      return [f.mul(dy, f.add(f.mul(0.5, f.add(1, t)), slope))];
    }
    const phi = f.mul(0.5, f.add(1, f.erf(f.mul(x, Math.SQRT1_2))));
    const density = f.mul(1 / Math.sqrt(2 * Math.PI), f.exp(f.mul(-0.5, f.square(x))));
    return [f.mul(dy, f.add(phi, f.mul(x, density)))];
  },
  // erf or tanh within 1e-6, times |x|/2, and the argument's roundings where the slope is not flat.
  tolerance: within((y, x) => Math.abs(x) * 1.5e-6 + 3 * ulp(y)),
  points: KINK,
});
