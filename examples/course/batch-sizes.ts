// Claim: small batches have noisy gradients and slow epochs, and get further in an epoch; large ones the other way round.
import { losses, optim, Trainer } from "descent-gpu";
import { device, draw, epochsOf, learn, overEpochs, percent, small, table, train } from "./support.ts";

/** √(mean ‖g − ḡ‖²)/‖ḡ‖ of the gradients of 16 batches at the first parameters. */
async function noise(batchSize: number): Promise<number> {
  const seen: Float64Array[] = [];
  const stop = new AbortController();
  const trainer = new Trainer({
    device,
    model: small(),
    seed: 1,
    loss: losses.crossEntropy(),
    optimizer: optim.sgd({ lr: 0 }),
  });
  for await (const _ of trainer.fit(train, {
    epochs: 16,
    batchSize,
    signal: stop.signal,
    onGradients: async ({ names, read }) => {
      const all: number[] = [];
      for (const name of names) all.push(...(await read(name)).data);
      if (seen.push(Float64Array.from(all)) >= 16) stop.abort();
    },
  }));
  await trainer.dispose();
  const mean = seen[0]!.map((_, i) => seen.reduce((sum, g) => sum + g[i]!, 0) / seen.length);
  const square = (x: Float64Array) => x.reduce((sum, v) => sum + v * v, 0);
  const spread = seen.reduce((sum, g) => sum + square(g.map((v, i) => v - mean[i]!)), 0) / (seen.length - 1);
  return Math.sqrt(spread / square(mean));
}

const curves = [];
const rows = [];
for (const batchSize of [1, 4, 16, 64, 256]) {
  // The rate goes with the root of the batch: what each is good at.
  const lr = 0.01 * Math.sqrt(batchSize / 4);
  const curve = await learn(`batches of ${batchSize}`, {
    network: small(),
    optimizer: optim.sgd({ lr }),
    epochs: epochsOf(6),
    batchSize,
  });
  curves.push(curve);
  const each = (curve.seconds.at(-1) ?? 0) / Math.max(1, curve.seconds.length);
  rows.push([
    batchSize,
    lr.toFixed(3),
    (await noise(batchSize)).toFixed(2),
    each.toFixed(1),
    percent(curve.validation[0]),
    percent(curve.validation.at(-1)),
  ]);
}
table(
  [
    "batch",
    "rate",
    "noise of the gradient",
    "seconds an epoch",
    "validation after one epoch, %",
    "at the end, %",
  ],
  rows,
);
draw(
  "batch-sizes",
  "Validation with batches of 1 to 256",
  ["epoch", "%"],
  curves.map(({ label, validation }) => overEpochs(label, validation)),
);
