// Tensors: arithmetic, a gradient, a function that is compiled once and called often.
import { compile, evaluate, f32, gpu, type Tensor, tensor, valueAndGrad } from "descent-gpu";

const device = await gpu();

const a = tensor([
  [1, 2],
  [3, 4],
]);
console.log(await evaluate(device, a.matmul(a).add(-8).relu()));

const { value, gradient } = await evaluate(device, valueAndGrad((x: Tensor) => x.square().sum())(a));
console.log("sum of squares", value.data, "gradient", gradient.data);

const distance = compile(device, { p: f32(2), q: f32(2) }, ({ p, q }) => p.sub(q).square().sum().sqrt());
for (const q of [
  [3, 4],
  [6, 8],
])
  console.log("distance", await (await distance({ p: [0, 0], q })).item());

device.dispose();
