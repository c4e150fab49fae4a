import { f, gpu, Model, nn, type Tensor } from "../../../src/node.ts";

/** A gated unit: (x Aᵀ) · sigmoid(x Bᵀ), [N, in] → [N, out]. */
const gated = (inputs: number, outputs: number) =>
  nn.layer(
    { value: nn.parameter([outputs, inputs]), gate: nn.parameter([outputs, inputs]) },
    ({ value, gate }, x: Tensor) =>
      x.matmul(value, { transposeB: true }).mul(x.matmul(gate, { transposeB: true }).sigmoid()),
  );

/** Two inputs, one of them a picture; the parts' names are those of the tensors: body.0.weight, head.value, … */
const network = nn.module(
  { body: nn.sequential(nn.conv2d({ in: 3, out: 4, kernel: 3 }), nn.globalAvgPool2d()), head: gated(6, 2) },
  ({ body, head }, x: { image: Tensor; row: Tensor }) => head(f.concat([body(x.image), x.row], { axis: 1 })),
);

const model = new Model(await gpu(), network);
const image = { shape: [1, 3, 8, 8], dtype: "f32", data: new Float32Array(192).fill(0.5) } as const;
const { shape } = await model.predict({ image, row: [[1, -1]] });
console.log(
  shape,
  model.parameters.map(({ name }) => name),
);
