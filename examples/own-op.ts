// An op of one's own, in WGSL: verified like ours, callable like ours, with a gradient, fused with what is around it.
import {
  defineOp,
  evaluate,
  gpu,
  type Op,
  type Operand,
  type Tensor,
  tensor,
  valueAndGrad,
  verify,
} from "descent-gpu";

type Attributes = { readonly lambda: number };

/** x where |x| > λ, shrunk by λ towards 0; else 0. */
const softshrink: Op<(x: Operand, attrs?: Partial<Attributes>) => Tensor, Attributes> = defineOp({
  name: "softshrink",
  operands: ["x"],
  attributes: { lambda: 0.5 },
  infer: ([{ shape, dtype }]) => [{ shape, dtype }],
  reference: ([{ shape, dtype, data }], { lambda }) => [
    { shape, dtype, data: data.map((x) => Math.sign(x) * Math.max(Math.abs(x) - lambda, 0)) },
  ],
  grad: ({ dy, outputs: [y] }, f) => [f.where(f.equal(y, 0), 0, dy)],
  implementation: {
    kind: "elementwise",
    expression: ([x], { lambda }) => `sign(${x}) * max(abs(${x}) - f32(${lambda}), 0.0)`,
  },
  samples: (s) => [{ inputs: [s.randn(67, 5)] }, { inputs: [s.randn(1025)], attrs: { lambda: 0.1 } }],
});

const device = await gpu();
const x = tensor([-2, -0.25, 0, 0.75, 3]);
console.log("shrunk", (await evaluate(device, softshrink(x, { lambda: 0.5 }))).data);
const { gradient } = await evaluate(device, valueAndGrad((x: Tensor) => softshrink(x).square().sum())(x));
console.log("gradient", gradient.data);
for (const row of await verify(device, [softshrink])) console.log(row.op, row.case, row.pass);

device.dispose();
