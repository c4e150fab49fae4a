import type { DType } from "../../core/dtype.ts";
import type { Binary, Op, Operand, Tensor, Unary } from "../../core/op.ts";
import { exact } from "../../core/tolerance.ts";
import { elementwiseOp } from "./define.ts";

const numbers: readonly DType[] = ["f32", "i32", "u32"];
const domain: readonly (readonly [number, number])[] = [
  [-3, 3],
  [-3, 3],
];
const points = [
  [1, 1],
  [0, 1],
  [1, 0],
  [0, 0],
  [Number.NaN, 1],
  [1, Number.NaN],
  [Number.NaN, Number.NaN],
  [Number.POSITIVE_INFINITY, 1],
  [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
];

type Condition = (a: string, b: string) => string;

/*#__NO_SIDE_EFFECTS__*/
function comparison(
  name: string,
  condition: Condition,
  holds: (a: number, b: number) => boolean,
): Op<Binary> {
  return elementwiseOp({
    name,
    arity: 2,
    dtypes: [numbers, numbers],
    result: "bool",
    domain,
    points,
    reference: (a, b) => (holds(a, b) ? 1 : 0),
    expression: ([a, b]) => `select(0u, 1u, ${condition(a!, b!)})`,
    tolerance: exact,
  });
}

/** a = b, as bool; false where either is NaN. */
export const equal: Op<Binary> = comparison(
  "equal",
  (a, b) => `${a} == ${b}`,
  (a, b) => a === b,
);
/** a ≠ b, as bool; true where either is NaN. */
export const notEqual: Op<Binary> = comparison(
  "notEqual",
  // Some drivers say that NaN != NaN is false; that NaN == NaN is false they all know.
  (a, b) => `!(${a} == ${b})`,
  (a, b) => a !== b,
);
/** a < b, as bool; false where either is NaN. */
export const less: Op<Binary> = comparison(
  "less",
  (a, b) => `${a} < ${b}`,
  (a, b) => a < b,
);
/** a ≤ b, as bool; false where either is NaN. */
export const lessEqual: Op<Binary> = comparison(
  "lessEqual",
  (a, b) => `${a} <= ${b}`,
  (a, b) => a <= b,
);
/** a > b, as bool; false where either is NaN. */
export const greater: Op<Binary> = comparison(
  "greater",
  (a, b) => `${a} > ${b}`,
  (a, b) => a > b,
);
/** a ≥ b, as bool; false where either is NaN. */
export const greaterEqual: Op<Binary> = comparison(
  "greaterEqual",
  (a, b) => `${a} >= ${b}`,
  (a, b) => a >= b,
);

const bools: readonly (readonly DType[])[] = [["bool"], ["bool"]];

/** a ∧ b of bools. */
export const logicalAnd: Op<Binary> = elementwiseOp({
  name: "logicalAnd",
  arity: 2,
  dtypes: bools,
  domain: [
    [0, 1],
    [0, 1],
  ],
  reference: (a, b) => a & b,
  expression: ([a, b]) => `${a} & ${b}`,
  tolerance: exact,
});

/** a ∨ b of bools. */
export const logicalOr: Op<Binary> = elementwiseOp({
  name: "logicalOr",
  arity: 2,
  dtypes: bools,
  domain: [
    [0, 1],
    [0, 1],
  ],
  reference: (a, b) => a | b,
  expression: ([a, b]) => `${a} | ${b}`,
  tolerance: exact,
});

/** ¬x of a bool. */
export const logicalNot: Op<Unary> = elementwiseOp({
  name: "logicalNot",
  arity: 1,
  dtypes: [["bool"]],
  domain: [[0, 1]],
  reference: (a) => 1 - a,
  expression: ([a]) => `1u - ${a}`,
  tolerance: exact,
});

/** a where the condition holds, else b. */
export const where: Op<(condition: Operand, a: Operand, b: Operand) => Tensor> = elementwiseOp({
  name: "where",
  operands: ["condition", "a", "b"],
  arity: 3,
  dtypes: [["bool"], numbers, numbers],
  domain: [
    [0, 1],
    [-4, 4],
    [-4, 4],
  ],
  reference: (condition, a, b) => (condition !== 0 ? a : b),
  expression: ([condition, a, b]) => `select(${b}, ${a}, ${condition} != 0u)`,
  grad: ({ dy, inputs: [condition] }, f) => [null, f.where(condition, dy, 0), f.where(condition, 0, dy)],
  tolerance: exact,
});
