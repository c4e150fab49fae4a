import { number } from "../../../src/core/attributes.ts";
import { floatLiteral } from "../../../src/core/kernel.ts";
import type { Op, Operand, Tensor } from "../../../src/core/op.ts";
import { ulps } from "../../../src/core/tolerance.ts";
import { elementwiseOp } from "../../../src/ops/elementwise/define.ts";
import functions from "./softshrink.part.wgsl?raw";

// #region
/** x − clamp(x, −λ, λ): moved towards 0; the gradient within ±λ is 0. Donoho, 1995, eq. 2. */
export const softshrink: Op<(x: Operand, attrs?: { lambda?: number }) => Tensor, { lambda: number }> =
  elementwiseOp({
    name: "softshrink",
    arity: 1,
    attributes: { lambda: number(0.5) }, // checked when it is called; see src/core/attributes.ts
    attrs: [{ lambda: 0.5 }, { lambda: 2 }], // what samples are drawn for
    reference: (x, { lambda }) => x - Math.min(Math.max(x, -lambda), lambda),
    functions, // the text of the WGSL file
    expression: ([x], { lambda }) => `softshrink(${x}, ${floatLiteral(lambda)})`,
    grad: ({ dy, outputs: [y] }, f) => [f.where(f.equal(y, 0), 0, dy)],
    tolerance: ulps(1),
    points: [[0], [0.5], [-0.5], [Number.NaN], [Number.POSITIVE_INFINITY]],
  });
// #endregion
