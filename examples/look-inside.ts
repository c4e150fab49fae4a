// Look inside: any tensor by name, on the host; every layer's result; a table of the network.
import { gpu, Model, nn } from "descent-gpu";

const device = await gpu();
const model = new Model(
  device,
  nn.sequential(
    nn.conv2d({ in: 1, out: 4, kernel: 3, padding: "same" }),
    nn.relu(),
    nn.globalAvgPool2d(),
    nn.flatten(),
    nn.linear({ in: 4, out: 3 }),
  ),
  { seed: 1 },
);
console.log(model.summary([1, 1, 8, 8]).toString());

const weight = await model.tensor("0.weight").read();
console.log("0.weight", weight.shape, weight.dtype, weight.data.subarray(0, 4));

const images = {
  shape: [2, 1, 8, 8],
  dtype: "f32" as const,
  data: Float32Array.from({ length: 128 }, (_, i) => i % 7),
};
const { activations } = await model.trace(images);
for (const [path, { shape }] of Object.entries(activations)) console.log("layer", path, shape);

model.tensor("4.weight").write(new Float32Array(12));
model.tensor("4.bias").write([1, 2, 3]);
console.log("output", (await model.predict(images)).data);

await model.dispose();
device.dispose();
