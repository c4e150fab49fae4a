// A loss is a function of tensors, and so is a metric: a line through points of which some are far off.
import { data, f, gpu, ndarray, nn, optim, type Tensor, Trainer } from "descent-gpu";

const huber = (y: Tensor, target: Tensor) => {
  const e = y.sub(target).abs();
  return f.where(e.less(1), e.square().mul(0.5), e.sub(0.5)).mean();
};
const withinOne = (y: Tensor, target: Tensor) => y.sub(target).abs().less(1).cast({ dtype: "f32" }).mean();

const x = Array.from({ length: 64 }, (_, i) => i / 32 - 1);
const y = x.map((value, i) => 2 * value + 1 + (i % 16 === 0 ? 20 : 0));
const points = data.arrays({ x: ndarray([64, 1], x), y: ndarray([64, 1], y) });

const device = await gpu();
const trainer = new Trainer({
  device,
  model: nn.linear({ in: 1, out: 1 }),
  loss: huber,
  optimizer: optim.sgd({ lr: 0.5, momentum: 0.9 }),
  metrics: { withinOne },
});
for await (const epoch of trainer.fit(points, { epochs: 40, batchSize: 64 }))
  console.log(`epoch ${epoch.epoch}`, "loss", epoch.loss, "within one", epoch.withinOne);
console.log("slope", (await trainer.model.tensor("weight").read()).data);

await trainer.dispose();
device.dispose();
