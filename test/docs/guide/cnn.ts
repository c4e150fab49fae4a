import { data, gpu, losses, nn, optim, Trainer } from "../../../src/node.ts";

const device = await gpu();
const { train, test } = data.shapes({ train: 256, test: 64 });
const trainer = new Trainer({
  device,
  model: nn.sequential(
    nn.conv2d({ in: 3, out: 8, kernel: 3, padding: "same" }),
    nn.batchNorm(8),
    nn.relu(),
    nn.maxPool2d(2),
    nn.flatten(),
    nn.linear({ in: 8 * 16 * 16, out: train.classes.length }),
  ),
  loss: losses.crossEntropy(),
  optimizer: optim.adamW({ lr: 3e-3 }),
});
for await (const epoch of trainer.fit(train, { epochs: 2, batchSize: 64, validation: test }))
  console.log(epoch.loss, epoch.validation?.accuracy);
