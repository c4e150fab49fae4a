import erfinvSource from "../../../shaders/functions/erfinv.part.wgsl?raw";
import { ShapeError } from "../../core/errors.ts";
import { defineOp, type Op, type Unary } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import * as special from "../../core/special.ts";
import { exact, within } from "../../core/tolerance.ts";
import { elementwiseOp } from "./define.ts";

/**
 * The inverse of erf: what makes normal numbers of uniform ones, √2·erfinv(2u − 1). The approximation is good to 4e-7
 * relative, log's error adds 2e-7 at most. Giles, 2010.
 */
export const erfinv: Op<Unary> = elementwiseOp({
  name: "erfinv",
  arity: 1,
  domain: [[-0.999, 0.999]],
  reference: special.erfinv,
  functions: erfinvSource,
  expression: ([x]) => `erfinv(${x})`,
  grad: ({ dy, outputs: [y] }) => [dy.mul(y.square().exp()).mul(Math.sqrt(Math.PI) / 2)],
  tolerance: within((y) => Math.abs(y) * 2 ** -20),
  points: [[0], [0.5], [-0.5], [1 - 2 ** -24], [2 ** -24 - 1]],
});

/** x itself, through which no gradient goes: what comes before counts as a constant. */
export const stopGradient: Op<Unary> = defineOp({
  name: "stopGradient",
  operands: ["x"],
  infer: ([x]) => {
    if (x.dtype === "u8")
      throw new ShapeError("stopGradient: x is u8, packed four to a word; gather it to f32 first.");
    return [x];
  },
  reference: ([x]) => [x],
  grad: () => [null],
  implementation: { kind: "elementwise", expression: ([x]) => `${x}` },
  tolerance: exact,
  // What it does to gradients is that a difference of its results says nothing of them.
  samples: (s) => [
    { inputs: [s.randn(3, 5)], gradient: false },
    { inputs: [s.randn(1031)], gradient: false },
    { inputs: [s.integers(-9, 9, [5, 8], "i32")] },
  ],
  errors: [{ inputs: [type([4], "u8")], message: /stopGradient: x is u8, packed four to a word/ }],
});
