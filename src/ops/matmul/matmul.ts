import { defineOp, type Op, type Operand, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { accumulated } from "../../core/tolerance.ts";
import { matmulVariants } from "./kernel.ts";
import { matmulReference } from "./reference.ts";
import { foldBatch, type MatmulAttrs, productOf } from "./shape.ts";

/**
 * Matrix products c[..., M, N] = Σ a[..., M, K] · b[..., K, N], either operand stored transposed; batch axes broadcast
 * as in torch.matmul.
 */
export const matmul: Op<
  (a: Operand, b: Operand, attrs?: MatmulAttrs) => Tensor,
  Required<MatmulAttrs>
> = defineOp({
  name: "matmul",
  operands: ["a", "b"],
  attributes: { transposeA: false, transposeB: false },
  infer: ([a, b], attrs) => {
    const { batch, m, n } = productOf(a, b, attrs);
    return [{ shape: [...batch, m, n], dtype: "f32" }];
  },
  reference: ([a, b], attrs) => {
    const p = productOf(a, b, attrs);
    return [{ shape: [...p.batch, p.m, p.n], dtype: "f32", data: matmulReference(p, a, b) }];
  },
  grad: ({ dy, inputs: [a, b], attrs }, f) => {
    const { transposeA = false, transposeB = false } = attrs ?? {};
    return [
      transposeA
        ? f.matmul(b, dy, { transposeA: transposeB, transposeB: true })
        : f.matmul(dy, b, { transposeB: !transposeB }),
      transposeB
        ? f.matmul(dy, a, { transposeA: true, transposeB: transposeA })
        : f.matmul(a, dy, { transposeA: !transposeA }),
    ];
  },
  implementation: {
    kind: "kernel",
    // A result may be logits, or a weight's gradient: what a layer keeps of it is the next one's input.
    half: { inputs: [0, 1], outputs: [] },
    stores: true,
    kernel: ({ inputs: [a, b], attrs, facts, half = [] }) =>
      matmulVariants(foldBatch(productOf(a!, b!, attrs)), facts, half.length === 2),
  },
  tolerance: accumulated(([a, b], attrs) => productOf(a!, b!, attrs).k),
  samples: (s) => [
    { inputs: [s.randn(1, 1), s.randn(1, 1)] },
    { inputs: [s.randn(2, 3, 7, 19), s.randn(19, 23)] },
    { inputs: [s.randn(12, 40), s.randn(36, 40)], attrs: { transposeB: true } },
    { inputs: [s.randn(29, 131), s.randn(29, 70)], attrs: { transposeA: true } },
    { inputs: [s.randn(2, 1, 5, 7), s.randn(3, 9, 5)], attrs: { transposeA: true, transposeB: true } },
    { inputs: [s.randn(29, 60), s.randn(29, 70)], attrs: { transposeA: true } },
    { inputs: [s.randn(3, 6, 11), s.randn(3, 9, 11)], attrs: { transposeB: true } },
    { inputs: [s.randn(2, 3, 11, 6), s.randn(3, 11, 8)], attrs: { transposeA: true } },
    { inputs: [s.randn(0, 3), s.randn(3, 2)] },
    { name: "nothing to add up", inputs: [s.randn(2, 0), s.randn(0, 3)], gradient: false },
    {
      name: "integers",
      inputs: [s.integers(-8, 8, [10, 1031]), s.integers(-8, 8, [1031, 67])],
      exact: true,
    },
  ],
  errors: [
    {
      inputs: [type([2, 3]), type([4, 5])],
      message: /matmul: \[2, 3\] has 3 columns and \[4, 5\] has 4 rows; they must be equal/,
    },
    {
      inputs: [type([2, 3]), type([3, 5])],
      attrs: { transposeB: true },
      message: /matmul: .*\[3, 5\] \(transposed\) has 5 rows/,
    },
    { inputs: [type([3]), type([3, 5])], message: /matmul: a f32\[3\] has rank 1; it needs at least 2/ },
    {
      inputs: [type([2, 4, 3]), type([3, 3, 5])],
      message: /matmul: shapes \[2\] and \[3\] do not broadcast/,
    },
    { inputs: [type([2, 3], "i32"), type([3, 5])], message: /matmul: a is i32; cast it to f32/ },
  ],
});
