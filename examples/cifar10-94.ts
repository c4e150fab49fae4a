// CIFAR-10 to 94 %: the recipe of airbench94 (Jordan, 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv
// 2404.00498). A whitening layer that is computed, not learned; six convolutions with Dirac start; Nesterov momentum with
// 64 times the rate for biases; alternating mirrors and reflected shifts; lookahead; several views at test time.
//
//   node examples/cifar10-94.ts [folder of CIFAR-10] [epochs] [seed] [folder of checkpoints]
//
// When it was interrupted, the same command goes on from the last epoch.
import { existsSync } from "node:fs";
import { data, f, gpu, losses, nn, optim, type Tensor, Trainer } from "descent-gpu";

const [folder = "data", length = "10", number = "1", runs = "runs/cifar10-94"] = process.argv.slice(2);
const [epochs, seed] = [Number(length), Number(number)];
const device = await gpu();
const { train, test } = await data.cifar10(folder);

const BATCH = Math.min(1024, train.count);
// Where a buffer is too small for the first convolution's results, a step takes the mean of two halves.
const accumulate = device.facts.maxBindingBytes < 4 * BATCH * 64 * 31 * 31 ? 2 : 1;

/** The first 5,000 images, normalised as the training set is. */
const { mean, std } = data.channelStatistics(train);
const some = data.subset(train, 5000);
const normalised = Float32Array.from(some.images, (byte, i) => {
  const channel = Math.floor(i / 1024) % 3;
  return (byte / 255 - (mean[channel] ?? 0)) / (std[channel] ?? 1);
});
const whitening = nn.init.patchWhitening({ shape: [some.count, ...some.shape], data: normalised });

const convolution = (from: number, to: number) =>
  nn.conv2d({
    in: from,
    out: to,
    kernel: 3,
    padding: "same",
    bias: false,
    init: nn.init.dirac({ rest: nn.init.torchDefault(from * 9) }),
  });
const normalise = (channels: number) => nn.batchNorm(channels, { scale: false, momentum: 0.4, eps: 1e-12 });
const group = (from: number, to: number) =>
  nn.sequential(
    convolution(from, to),
    nn.maxPool2d(2),
    normalise(to),
    nn.gelu(),
    convolution(to, to),
    normalise(to),
    nn.gelu(),
  );
const network = nn.sequential(
  nn.conv2d({ in: 3, out: 24, kernel: 2, init: whitening }),
  nn.gelu(),
  group(24, 64),
  group(64, 256),
  group(256, 256),
  nn.maxPool2d(3),
  nn.flatten(),
  nn.linear({ in: 256, out: 10, bias: false }),
  nn.lambda((x) => x.mul(1 / 9)),
);

/** Left and right exchanged. */
const mirrored = (x: Tensor) => {
  const columns = x.transpose({ perm: [3, 0, 1, 2] });
  const last = (columns.shape[0] ?? 0) - 1;
  const order = f.sub(last, f.iota({ size: last + 1 }));
  return f.gather(columns, order).transpose({ perm: [1, 2, 3, 0] });
};
const border = nn.reflectionPad2d(1);
/** In training the network; else the mean over an image and its mirror, each also moved up left and down right by 1. */
const views = nn.module({ network }, ({ network }, x: Tensor, context) => {
  if (context.training) return network(x);
  const both = (images: Tensor) =>
    network(images)
      .add(network(mirrored(images)))
      .div(2);
  const padded = border.forward(x, context);
  const moved = (at: number) =>
    both(padded.slice({ starts: [0, 0, at, at], ends: [x.shape[0] ?? 0, 3, at + 32, at + 32] }));
  return both(x)
    .div(2)
    .add(moved(0).add(moved(2)).div(4));
});

// The paper gives rate and decay for sums over 1,024 examples; ours are for means, and for what momentum adds up to.
const MOMENTUM = 0.85;
const kilosteps = 1 + 1 / (1 - MOMENTUM);
const peak = 11.5 / kilosteps;
const decay = 0.0153 / kilosteps; // a step takes this share of a weight
const triangle = (scale: number) =>
  optim.piecewise({
    points: [
      [0, 0.2 * scale],
      [0.23, scale],
      [1, 0.07 * scale],
    ],
    unit: "share",
  });
const rate = triangle(peak);
const perEpoch = Math.ceil((train.count - (train.count % (BATCH / accumulate))) / BATCH);

const trainer = new Trainer({
  device,
  model: nn.augmented(views, { flip: "alternating", shift: 2, padding: "reflect" }),
  seed,
  loss: losses.crossEntropy({ labelSmoothing: 0.2 }),
  optimizer: optim.sgd({
    lr: rate,
    momentum: MOMENTUM,
    nesterov: true,
    weightDecay: decay / peak,
    lookahead: { k: 5, alpha: (step, total) => 1 - 0.95 ** 5 * ((step + 1) / total) ** 3 },
    groups: [
      { match: "network.0.weight", frozen: true },
      { match: "network.0.bias", lr: (step, total) => (step < 3 * perEpoch ? rate(step, total) : 0) },
      { match: "**.bias", lr: triangle(64 * peak), weightDecay: decay / peak / 64 },
    ],
  }),
});
if (existsSync(runs)) await trainer.resume(runs);

const began = performance.now();
const seconds = () => ((performance.now() - began) / 1000).toFixed(0);
const how = { epochs, batchSize: BATCH / accumulate, accumulate, lastBatch: "drop" } as const;
if (trainer.step < epochs * perEpoch)
  for await (const { epoch, loss, accuracy = 0 } of trainer.fit(train, {
    ...how,
    onStep: ({ step, loss }) =>
      process.stderr.write(`\rstep ${step}  loss ${loss.toFixed(3)}  ${seconds()} s `),
  })) {
    console.log(
      `\repoch ${epoch}  loss ${loss.toFixed(4)}  training ${(100 * accuracy).toFixed(2)} %  ${seconds()} s`,
    );
    await trainer.save(runs);
  }
// The test images decide nothing: they are looked at once.
const { accuracy = 0 } = await trainer.evaluate(test);
console.log(`test ${(100 * accuracy).toFixed(2)} %, seed ${seed}, ${epochs} epochs, ${seconds()} s`);
await trainer.dispose();
