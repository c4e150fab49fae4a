import { positive } from "../../../src/core/attributes.ts";
import { floatLiteral } from "../../../src/core/kernel.ts";
import type { Op, Operand, Tensor } from "../../../src/core/op.ts";
import { UNIT_ROUNDOFF, within } from "../../../src/core/tolerance.ts";
import { elementwiseOp } from "../../../src/ops/elementwise/define.ts";
import functions from "./squareplus.part.wgsl?raw";

// #region
/** (x + √(x² + b))/2, a smooth ReLU without exp. Barron, 2021, "Squareplus", eq. 1. */
export const squareplus: Op<(x: Operand, attrs?: { b?: number }) => Tensor, { b: number }> = elementwiseOp({
  name: "squareplus",
  arity: 1,
  attributes: { b: positive(4) }, // checked when it is called; see src/core/attributes.ts
  attrs: [{ b: 4 }, { b: 0.5 }], // what samples are drawn for
  reference: (x, { b }) => (x + Math.sqrt(x * x + b)) / 2,
  functions, // the text of the WGSL file
  expression: ([x], { b }) => `squareplus(${x}, ${floatLiteral(b)})`,
  grad: ({ dy, inputs: [x], attrs: { b } }, f) => [
    f.mul(dy, f.mul(0.5, f.add(1, f.div(x, f.sqrt(f.add(f.square(x), b)))))),
  ],
  // The sum of x and the root 2y − x may cancel: roundings are relative to what is added.
  tolerance: within((y, x) => 6 * UNIT_ROUNDOFF * (Math.abs(x) + Math.abs(2 * y - x))),
  points: [[0], [100], [-100], [Number.NaN], [Number.POSITIVE_INFINITY]],
});
// #endregion
