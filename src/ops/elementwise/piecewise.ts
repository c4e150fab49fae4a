import activations from "../../../shaders/functions/activations.part.wgsl?raw";
import math from "../../../shaders/functions/math.part.wgsl?raw";
import { notNegative, number, positive } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { floatLiteral } from "../../core/kernel.ts";
import { type Op, type Operand, required, type Tensor, type Unary } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { exact, UNIT_ROUNDOFF, ulp, ulps, within } from "../../core/tolerance.ts";
import { elementwiseOp } from "./define.ts";

// Comparisons rather than min, max and clamp: NaN fails each of them, so it passes through.
const NOT_FINITE = [[Number.NaN], [Number.POSITIVE_INFINITY], [Number.NEGATIVE_INFINITY]];
const ENDS = [[0], [-1], [1], [-3], [3], [6], [-0.5], [0.5], [6.5], [-100], [1e4], ...NOT_FINITE];
const bounded = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

/** Of `hardTanh`. */
export interface HardTanhAttrs {
  readonly min: number;
  readonly max: number;
}

/**
 * x between min and max, else the nearer of them; the gradient there is 0, at both included. Collobert, 2004, "Large scale
 * machine learning".
 */
export const hardTanh: Op<(x: Operand, attrs?: Partial<HardTanhAttrs>) => Tensor, HardTanhAttrs> =
  elementwiseOp({
    name: "hardTanh",
    arity: 1,
    attributes: { min: number(-1), max: number(1) },
    attrs: [{}, { min: -0.5, max: 2 }],
    checkAttrs: ({ min, max }) => {
      if (min >= max)
        throw new ShapeError(`hardTanh: min is ${min} and max ${max}; use a max above the min.`);
    },
    reference: (x, { min, max }) => bounded(x, Math.fround(min), Math.fround(max)),
    expression: ([x], { min, max }) =>
      `select(select(${x}, ${floatLiteral(max)}, ${x} > ${floatLiteral(max)}), ${floatLiteral(min)}, ${x} < ${floatLiteral(min)})`,
    // By the result: the input itself need not be kept.
    grad: ({ dy, outputs: [y], attrs: { min, max } }, f) => [
      f.where(f.lessEqual(y, Math.fround(min)), 0, f.where(f.greaterEqual(y, Math.fround(max)), 0, dy)),
    ],
    tolerance: exact,
    points: ENDS,
    errors: [
      {
        inputs: [type([2])],
        attrs: { min: 1, max: 1 },
        message: /hardTanh: min is 1 and max 1; use a max above/,
      },
    ],
  });

/**
 * x between 0 and 6, else the nearer of them; the gradient at both is 0. Krizhevsky, 2010, "Convolutional deep belief
 * networks on CIFAR-10".
 */
export const relu6: Op<Unary> = elementwiseOp({
  name: "relu6",
  arity: 1,
  domain: [[-4, 8]],
  reference: (x) => bounded(x, 0, 6),
  expression: ([x]) => `select(select(${x}, 6.0, ${x} > 6.0), 0.0, ${x} < 0.0)`,
  grad: ({ dy, outputs: [y] }, f) => [f.where(f.lessEqual(y, 0), 0, f.where(f.greaterEqual(y, 6), 0, dy))],
  tolerance: exact,
  points: ENDS,
});

/** x/6 + 1/2 between −3 and 3, 0 below and 1 above; the gradient at both is 0. Howard et al., 2019, "MobileNetV3", §5.2. */
export const hardSigmoid: Op<Unary> = elementwiseOp({
  name: "hardSigmoid",
  arity: 1,
  reference: (x) => bounded(x + 3, 0, 6) / 6,
  functions: [activations, math],
  expression: ([x]) => `hard_sigmoid(${x})`,
  grad: ({ dy, outputs: [y] }, f) => [
    f.where(f.lessEqual(y, 0), 0, f.where(f.greaterEqual(y, 1), 0, f.mul(dy, 1 / 6))),
  ],
  // An addition and a division; above −3 the addition's rounding is relative to its result.
  tolerance: ulps(4),
  points: ENDS,
});

/**
 * x · hardSigmoid(x); the gradient at −3 is 0 and at 3 is 1, as it is beyond (PyTorch before 2.8 has the slopes of the
 * middle there). Howard et al., 2019, "MobileNetV3", §5.2.
 */
export const hardSwish: Op<Unary> = elementwiseOp({
  name: "hardSwish",
  arity: 1,
  reference: (x) => (x * bounded(x + 3, 0, 6)) / 6,
  functions: [activations, math],
  expression: ([x]) => `${x} * hard_sigmoid(${x})`,
  grad: ({ dy, inputs: [x] }, f) => {
    const middle = f.mul(dy, f.add(f.mul(x, 1 / 3), 0.5));
    return [f.where(f.lessEqual(x, -3), 0, f.where(f.greaterEqual(x, 3), dy, middle))];
  },
  tolerance: ulps(6),
  points: ENDS.filter(([x]) => x !== Number.NEGATIVE_INFINITY), // 0 · ∞
});

/** Of `threshold`. */
export interface ThresholdAttrs {
  readonly threshold: number;
  readonly value: number;
}

/** x where x > threshold, else value; the gradient there is 0. Konda, Memisevic, Krueger, 2014 (value 0). */
export const threshold: Op<(x: Operand, attrs: ThresholdAttrs) => Tensor, ThresholdAttrs> = elementwiseOp({
  name: "threshold",
  arity: 1,
  attributes: { threshold: number(required), value: number(required) },
  attrs: [
    { threshold: 1, value: 0 },
    { threshold: -0.5, value: 3 },
  ],
  reference: (x, { threshold, value }) => (x <= Math.fround(threshold) ? Math.fround(value) : x),
  expression: ([x], { threshold, value }) =>
    `select(${x}, ${floatLiteral(value)}, ${x} <= ${floatLiteral(threshold)})`,
  grad: ({ dy, inputs: [x], attrs }, f) => [f.where(f.lessEqual(x, Math.fround(attrs.threshold)), 0, dy)],
  tolerance: exact,
  points: ENDS,
});

/** Of `softshrink` and `hardshrink`: 0.5 unless given. */
export interface ShrinkAttrs {
  readonly lambda: number;
}

const shrinkErrors = (op: string) => [
  {
    inputs: [type([2])],
    attrs: { lambda: -1 },
    message: new RegExp(`${op}: lambda is -1; use a finite number of at least 0`),
  },
];

/** x − clamp(x, −λ, λ): moved towards 0; the gradient within ±λ is 0. Donoho, 1995, eq. 2. */
export const softshrink: Op<(x: Operand, attrs?: Partial<ShrinkAttrs>) => Tensor, ShrinkAttrs> =
  elementwiseOp({
    name: "softshrink",
    arity: 1,
    attributes: { lambda: notNegative(0.5) },
    attrs: [{ lambda: 0.5 }, { lambda: 2 }],
    reference: (x, { lambda }) => x - bounded(x, -Math.fround(lambda), Math.fround(lambda)),
    expression: ([x], { lambda }) => `${x} - clamp(${x}, ${floatLiteral(-lambda)}, ${floatLiteral(lambda)})`,
    grad: ({ dy, outputs: [y] }, f) => [f.where(f.equal(y, 0), 0, dy)],
    tolerance: ulps(1),
    points: ENDS,
    errors: shrinkErrors("softshrink"),
  });

/** x where |x| > λ, else 0; the gradient there is 0. Donoho, Johnstone, 1994. */
export const hardshrink: Op<(x: Operand, attrs?: Partial<ShrinkAttrs>) => Tensor, ShrinkAttrs> =
  elementwiseOp({
    name: "hardshrink",
    arity: 1,
    attributes: { lambda: notNegative(0.5) },
    attrs: [{ lambda: 0.5 }, { lambda: 2 }],
    reference: (x, { lambda }) => (Math.abs(x) <= Math.fround(lambda) ? 0 : x),
    expression: ([x], { lambda }) => `select(${x}, 0.0, abs(${x}) <= ${floatLiteral(lambda)})`,
    grad: ({ dy, inputs: [x], attrs }, f) => [
      f.where(f.lessEqual(f.abs(x), Math.fround(attrs.lambda)), 0, dy),
    ],
    tolerance: exact,
    points: ENDS,
    errors: shrinkErrors("hardshrink"),
  });

/** x/(1 + |x|). Turian, Bergstra, Bengio, 2009. */
export const softsign: Op<Unary> = elementwiseOp({
  name: "softsign",
  arity: 1,
  reference: (x) => x / (1 + Math.abs(x)),
  expression: ([x]) => `${x} / (1.0 + abs(${x}))`,
  grad: ({ dy, inputs: [x] }, f) => [f.div(dy, f.square(f.add(1, f.abs(x))))],
  tolerance: ulps(5), // an addition and a division
  points: ENDS.filter(([x]) => Number.isNaN(x) || Number.isFinite(x)), // ∞/∞
});

/** x where x > 0, else α(e^(x/α) − 1), whose slope at 0 is 1 for every α. Barron, 2017. */
export const celu: Op<(x: Operand, attrs?: { alpha?: number }) => Tensor, { alpha: number }> = elementwiseOp({
  name: "celu",
  arity: 1,
  attributes: { alpha: positive(1) },
  attrs: [{ alpha: 1 }, { alpha: 0.5 }, { alpha: 2 }],
  reference: (x, { alpha }) => (x > 0 ? x : alpha * Math.expm1(x / alpha)),
  functions: [activations, math],
  expression: ([x], { alpha }) =>
    `select(${floatLiteral(alpha)} * expm1_negative(${x} / ${floatLiteral(alpha)}), ${x}, ${x} > 0.0)`,
  grad: ({ dy, inputs: [x], attrs: { alpha } }, f) => [
    f.where(f.greater(x, 0), dy, f.mul(dy, f.exp(f.mul(f.minimum(x, 0), 1 / alpha)))),
  ],
  // As elu's, times α ≤ 2: exp errs by at most 4u, its argument by 2.5 ulp, which moves the result by less than u.
  tolerance: within((y, x) => (x > 0 ? 0 : 2 * 6 * UNIT_ROUNDOFF + 2 * ulp(y))),
  points: [[0], [-0.5], [0.5], [30], [-30], [-100], ...NOT_FINITE],
  errors: [
    {
      inputs: [type([2])],
      attrs: { alpha: 0 },
      message: /celu: alpha is 0; use a finite number above 0/,
    },
  ],
});
