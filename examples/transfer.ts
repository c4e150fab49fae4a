// Transfer: a body that learned one task, frozen, under a new head that learns another.
import { data, gpu, losses, Model, ndarray, nn, optim, Trainer } from "descent-gpu";

const device = await gpu();
const body = () => nn.sequential(nn.linear({ in: 2, out: 16 }), nn.tanh());

/** Points of the plane, with a class for each. */
const points = (classOf: (x: number, y: number) => number) => {
  const grid = Array.from({ length: 256 }, (_, i) => [
    (i % 16) / 8 - 0.9375,
    Math.floor(i / 16) / 8 - 0.9375,
  ]);
  const labels = grid.map(([x = 0, y = 0]) => classOf(x, y));
  return data.arrays({ x: ndarray([256, 2], grid.flat()), y: ndarray([256], labels, "i32") });
};

const first = new Model(device, nn.sequential(body(), nn.linear({ in: 16, out: 2 })), { seed: 1 });
const pretrainer = new Trainer({
  model: first,
  loss: losses.crossEntropy(),
  optimizer: optim.adam({ lr: 0.05 }),
});
for await (const { epoch, accuracy } of pretrainer.fit(
  points((x, y) => (x * x + y * y < 0.6 ? 1 : 0)),
  {
    epochs: 30,
    batchSize: 64,
  },
))
  console.log(`first task, epoch ${epoch}`, "accuracy", accuracy);
await first.save("runs/first.safetensors");

const model = new Model(device, nn.sequential(body(), nn.linear({ in: 16, out: 3 })), { seed: 2 });
console.log(await model.load("runs/first.safetensors", { strict: false }));
const optimizer = optim.sgd({
  lr: 0.01,
  momentum: 0.9,
  groups: [
    { match: "0.**", frozen: true },
    { match: "1.*", lr: 0.5, weightDecay: 0 },
  ],
});
const trainer = new Trainer({ model, loss: losses.crossEntropy(), optimizer });
for await (const { epoch, accuracy } of trainer.fit(
  points((x, y) => (y > 0.3 ? 0 : x > 0 ? 1 : 2)),
  {
    epochs: 30,
    batchSize: 64,
  },
))
  console.log(`second task, epoch ${epoch}`, "accuracy", accuracy);
const [before, after] = [await first.tensor("0.0.weight").read(), await model.tensor("0.0.weight").read()];
console.log(
  "the body is as it was:",
  before.data.every((x, i) => x === after.data[i]),
);

device.dispose();
