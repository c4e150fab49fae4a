import { expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { data, f32, losses, Model, nn, optim, type Tensor, Trainer } from "../../src/index.ts";
import { gpu } from "../support/gpu.ts";

const COUNT = 8;
const EPOCHS = 6;

/** Images of one row of two pixels, dark then bright, whose target is their number. */
const pictures = data.arrays({
  x: { shape: [COUNT, 1, 1, 2], dtype: "f32", data: new Float32Array(2 * COUNT).map((_, i) => i % 2) },
  y: { shape: [COUNT, 1], dtype: "f32", data: Float32Array.from({ length: COUNT }, (_, i) => i) },
});

/** A network that gives its images back, with a weight so that there is something to train. */
const mirror = () =>
  nn.layer({ weight: nn.parameter([1], nn.init.ones) }, ({ weight }, x: Tensor) => x.mul(weight));

/** For each image whether it was mirrored, epoch by epoch. */
async function mirrored(
  device: Backend,
  flip: boolean | "alternating",
  how: { batchSize: number; accumulate?: number; stops?: number[] },
): Promise<boolean[][]> {
  const seen: boolean[][] = Array.from({ length: COUNT }, () => []);
  const trainer = new Trainer({
    device,
    model: nn.augmented(mirror(), { flip }),
    seed: 3,
    loss: (output) => output.mean(),
    optimizer: optim.sgd({ lr: 0 }),
    metrics: { code: codeOf },
  });
  for (const epochs of how.stops ?? [EPOCHS])
    for await (const _ of trainer.fit(pictures, {
      epochs,
      batchSize: how.batchSize,
      accumulate: how.accumulate,
      onStep: ({ code }) => seen[Math.floor(code / 2)]!.push(code % 2 === 1),
    }));
  await trainer.dispose();
  return seen;
}

/** Of the one image of a batch: twice its number, and one more where its bright pixel comes first. */
const codeOf = (output: Tensor, target: Tensor): Tensor =>
  target
    .sum()
    .mul(2)
    .add(output.slice({ starts: [0, 0, 0, 0], ends: [1, 1, 1, 1] }).sum());

test("an image is mirrored every other time that it is seen, whatever the order", async () => {
  const seen = await mirrored(await gpu(), "alternating", { batchSize: 1 });
  for (const turns of seen) {
    expect(turns).toHaveLength(EPOCHS);
    expect(turns).toEqual(turns.map((_, i) => (i % 2 === 0 ? turns[0] : !turns[0])));
  }
  // The first time at random.
  expect(new Set(seen.map(([first]) => first)).size).toBe(2);
  expect(await mirrored(await gpu(), "alternating", { batchSize: 1, stops: [2, 3, EPOCHS] })).toEqual(seen);
});

test("mirrors at random do not alternate", async () => {
  const seen = await mirrored(await gpu(), true, { batchSize: 1 });
  expect(seen.some((turns) => turns.some((turn, i) => i > 0 && turn === turns[i - 1]))).toBe(true);
});

test("images that come from no data set cannot alternate", async () => {
  const device = await gpu();
  const model = new Model(device, nn.augmented(mirror(), { flip: "alternating" }));
  const trainer = new Trainer({ model, loss: losses.mse(), optimizer: optim.sgd({ lr: 0 }) });
  const stream = data.stream([{ input: new Float32Array(2), target: new Float32Array(2) }], {
    input: f32(1, 1, 1, 2),
    target: f32(1, 1, 1, 2),
  });
  await expect(async () => {
    for await (const _ of trainer.fit(stream, { epochs: 1 }));
  }).rejects.toThrow(
    'augmented: flip is "alternating", but these images do not come from a data set; use flip: true.',
  );
  await trainer.dispose();
  await model.dispose();
});
