import { data, gpu, losses, Model, nn, optim, Trainer } from "../../../src/node.ts";

const device = await gpu();
const body = () =>
  nn.sequential(nn.conv2d({ in: 3, out: 8, kernel: 3, stride: 2 }), nn.relu(), nn.globalAvgPool2d());
const network = (classes: number) =>
  nn.module({ body: body(), head: nn.linear({ in: 8, out: classes }) }, ({ body, head }, x) => head(body(x)));

const before = new Model(device, network(100), { seed: 1 }); // stands for one that was trained
const { train } = data.shapes({ train: 64, test: 10 });
const model = new Model(device, network(train.classes.length), { seed: 2 });
const report = await model.load(await before.file(), { strict: false });
console.log(
  report.loaded,
  report.reshaped.map(({ name }) => name),
);
model.freeze("body.**"); // no gradient, no slots, no backward pass

const trainer = new Trainer({
  model,
  loss: losses.crossEntropy(),
  optimizer: optim.adamW({ lr: 1e-2, groups: [{ match: "**.bias", weightDecay: 0 }] }),
});
for await (const epoch of trainer.fit(train, { epochs: 1, batchSize: 32 })) console.log(epoch.loss);
