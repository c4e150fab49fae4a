// ResNet-9 on CIFAR-10 until it is right about 94 % of the test images; says how long that took. For a GPU.
// Source: David Page, "How to train your ResNet", 2018: network, one triangle of learning rates, Nesterov momentum, decay.
import { data, f, gpu, losses, nn, optim, Trainer } from "descent-gpu";

const EPOCHS = 24;
const BATCH = 512;
const TARGET = 0.94;
const PEAK = 0.4;
const PEAK_AT = 5 / 24;

const device = await gpu();
const { train, test } = await data.cifar10("data", { download: true });

const block = (from: number, to: number) => [
  nn.conv2d({ in: from, out: to, kernel: 3, padding: "same", bias: false }),
  nn.batchNorm(to),
  nn.relu(),
];
const residual = (channels: number) =>
  nn.residual(nn.sequential(...block(channels, channels), ...block(channels, channels)));

const model = nn.sequential(
  ...block(3, 64),
  ...block(64, 128),
  nn.maxPool2d(2),
  residual(128),
  ...block(128, 256),
  nn.maxPool2d(2),
  ...block(256, 512),
  nn.maxPool2d(2),
  residual(512),
  nn.maxPool2d(4),
  nn.flatten(),
  nn.linear({ in: 512, out: 10, bias: false }),
  { label: "scale(1/8)", forward: (x) => f.mul(x, 0.125) },
);

/** Up to the peak in a line, and down to 0. */
const triangle = (step: number, total: number) => {
  const top = PEAK_AT * total;
  return PEAK * Math.min((step + 1) / top, (total - step) / (total - top));
};

const trainer = new Trainer({
  device,
  model: nn.augmented(model, { flip: true, shift: 4 }),
  seed: 1,
  loss: losses.crossEntropy({ labelSmoothing: 0.1 }),
  optimizer: optim.sgd({ lr: triangle, momentum: 0.9, nesterov: true, weightDecay: 5e-4 }),
});

const opened = performance.now();
await trainer.prepare(train, BATCH, test);
console.log(`compiled in ${((performance.now() - opened) / 1000).toFixed(1)} s`);

const began = performance.now();
let best = 0;
for await (const { epoch, loss, imagesPerSecond, validation } of trainer.fit(train, {
  epochs: EPOCHS,
  batchSize: BATCH,
  validation: test,
})) {
  const { accuracy = 0 } = validation;
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `epoch ${epoch}  loss ${loss.toFixed(4)}  test ${(100 * accuracy).toFixed(2)} %  ` +
      `${Math.round(imagesPerSecond)} images/s  ${seconds.toFixed(1)} s`,
  );
  best = Math.max(best, accuracy);
  if (best >= TARGET) {
    console.log(`${100 * TARGET} % after ${seconds.toFixed(1)} s`);
    break;
  }
}
if (best < TARGET) console.log(`${100 * TARGET} % was not reached: ${(100 * best).toFixed(2)} % at best`);
