import { evaluate, gpu, type Tensor, tensor, valueAndGrad } from "../../../src/node.ts";

const device = await gpu();
const x = tensor([
  [1, 2],
  [3, 4],
]);
const w = tensor([[0.5], [-0.25]]);
const loss = (w: Tensor) => x.matmul(w).tanh().square().mean(); // a graph: nothing is computed yet
const { value, gradient } = await evaluate(device, valueAndGrad(loss)(w)); // one submit
console.log(value.data, gradient.data);
