import { data, gpu, losses, nn, optim, Trainer } from "descent-gpu";

const device = await gpu(); // browser or Node
const { train, test } = await data.cifar10("data", { download: true });
const model = nn.sequential(
  nn.conv2d({ in: 3, out: 32, kernel: 3, padding: "same" }),
  nn.batchNorm(32),
  nn.relu(),
  nn.maxPool2d(2),
  nn.flatten(),
  nn.linear({ in: 32 * 16 * 16, out: 10 }),
);
const trainer = new Trainer({
  device,
  model,
  seed: 1,
  loss: losses.crossEntropy({ labelSmoothing: 0.1 }),
  optimizer: optim.adamW({ lr: optim.oneCycle({ peak: 3e-3 }), weightDecay: 5e-4 }),
});
for await (const epoch of trainer.fit(train, { epochs: 10, batchSize: 128, validation: test }))
  console.log(epoch.loss, epoch.validation.accuracy);
await trainer.save("runs/cifar10/checkpoints"); // model.safetensors opens in PyTorch
