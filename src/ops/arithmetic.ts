import math from "../../shaders/functions/math.wgsl?raw";
import type { DType } from "../core/dtype.ts";
import { exact, ulp, ulps, within } from "../core/tolerance.ts";
import { elementwiseOp } from "./elementwise.ts";

const numbers: readonly DType[] = ["f32", "i32", "u32"];

/** a + b. Integers wrap modulo 2³². */
export const add = elementwiseOp({
  name: "add",
  arity: 2,
  dtypes: [numbers, numbers],
  reference: (a, b) => a + b,
  expression: ([a, b]) => `${a} + ${b}`,
  grad: ({ dy }) => [dy, dy],
  tolerance: ulps(1),
});

/** a − b. */
export const sub = elementwiseOp({
  name: "sub",
  arity: 2,
  dtypes: [numbers, numbers],
  domain: [
    [0, 100],
    [-100, 0],
  ],
  reference: (a, b) => a - b,
  expression: ([a, b]) => `${a} - ${b}`,
  grad: ({ dy }, f) => [dy, f.neg!(dy)],
  tolerance: ulps(1),
});

/** a · b. */
export const mul = elementwiseOp({
  name: "mul",
  arity: 2,
  dtypes: [numbers, numbers],
  reference: (a, b) => a * b,
  expression: ([a, b]) => `${a} * ${b}`,
  grad: ({ dy, inputs: [a, b] }, f) => [f.mul!(dy, b), f.mul!(dy, a)],
  tolerance: ulps(1),
});

/** a / b, for floats. */
export const div = elementwiseOp({
  name: "div",
  arity: 2,
  domain: [
    [-4, 4],
    [0.5, 4],
  ],
  reference: (a, b) => a / b,
  expression: ([a, b]) => `${a} / ${b}`,
  grad: ({ dy, inputs: [, b], outputs: [y] }, f) => [f.div!(dy, b), f.neg!(f.div!(f.mul!(dy, y), b))],
  tolerance: ulps(2.5),
});

/** The larger of a and b; at a tie each gets half the gradient, as torch.maximum. */
export const max = elementwiseOp({
  name: "maximum",
  arity: 2,
  dtypes: [numbers, numbers],
  reference: (a, b) => Math.max(a, b),
  expression: ([a, b]) => `max(${a}, ${b})`,
  grad: ({ dy, inputs: [a, b] }, f) => {
    const share = f.where!(f.equal!(a, b), 0.5, f.cast!(f.greater!(a, b), { dtype: "f32" }));
    return [f.mul!(dy, share), f.mul!(dy, f.sub!(1, share))];
  },
  tolerance: exact,
  points: [
    [1, 1],
    [0, 0],
    [-2, 3],
  ],
});

/** The smaller of a and b; at a tie each gets half the gradient, as torch.minimum. */
export const min = elementwiseOp({
  name: "minimum",
  arity: 2,
  dtypes: [numbers, numbers],
  reference: (a, b) => Math.min(a, b),
  expression: ([a, b]) => `min(${a}, ${b})`,
  grad: ({ dy, inputs: [a, b] }, f) => {
    const share = f.where!(f.equal!(a, b), 0.5, f.cast!(f.less!(a, b), { dtype: "f32" }));
    return [f.mul!(dy, share), f.mul!(dy, f.sub!(1, share))];
  },
  tolerance: exact,
  points: [
    [1, 1],
    [0, 0],
    [-2, 3],
  ],
});

/**
 * aᵇ. The gradient in a is b·aᵇ⁻¹ (0 where b = 0), in b it is aᵇ·log a (0 where a = 0 and b ≥ 0), as in PyTorch.
 * The bound composes WGSL's log2 (2⁻²¹ absolute in [½, 2], else 3 ulp), a product and exp2 (3 + 2|t| ulp).
 */
export const pow = elementwiseOp({
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
  ],
  reference: (a, b) => a ** b,
  functions: math,
  expression: ([a, b]) => `power(${a}, ${b})`,
  grad: ({ dy, inputs: [a, b], outputs: [y] }, f) => {
    const zero = f.logicalAnd!(f.equal!(a, 0), f.greaterEqual!(b, 0));
    const inBase = f.where!(f.equal!(b, 0), 0, f.mul!(f.mul!(dy, b), f.pow!(a, f.sub!(b, 1))));
    const inExponent = f.where!(zero, 0, f.mul!(dy, f.mul!(y, f.log!(f.where!(zero, 1, a)))));
    return [inBase, inExponent];
  },
  tolerance: within((y, a, b) => {
    const log = Math.log2(Math.abs(a!) || 1);
    const t = b! * log;
    const logError = Math.max(2 ** -21, 3 * ulp(log)) * Math.abs(b!) + ulp(t);
    return ulp(y) * (3 + 2 * Math.abs(t)) + Math.abs(y) * Math.LN2 * logError * 1.1 + 2 ** -126;
  }),
});
