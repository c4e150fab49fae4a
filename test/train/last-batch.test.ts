// A last batch that is filled up and masked trains as the smaller one does, by the program of the others.
import { describe, expect, test, vi } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { NDArray } from "../../src/core/ndarray.ts";
import type { Tensor } from "../../src/core/op.ts";
import { arrays } from "../../src/data/arrays.ts";
import { shapes } from "../../src/data/shapes.ts";
import { stream } from "../../src/data/stream.ts";
import { crossEntropy, type Loss, mse } from "../../src/losses/index.ts";
import * as metrics from "../../src/metrics/index.ts";
import { f32, i32, u8 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/index.ts";
import type { AnyModule } from "../../src/nn/module.ts";
import { sgd } from "../../src/optim/optimizers.ts";
import { type FitOptions, Trainer, type TrainingData } from "../../src/train/trainer.ts";
import { all, backends, labels, noise, rows, stateOf } from "./support.ts";

const [BATCH, COUNT] = [8, 21]; // the last batch has 5
const x = noise([COUNT, 3]);

/** Rows that are probabilities. */
function probabilities(shape: readonly number[]): NDArray {
  const { data, ...type } = noise(shape, 5);
  const classes = shape.at(-1)!;
  const shares = Float32Array.from(data, (v) => v + 1.1);
  return {
    ...type,
    data: shares.map((v, i) => {
      const row = Math.floor(i / classes) * classes;
      return v / shares.slice(row, row + classes).reduce((a, b) => a + b);
    }),
  };
}

interface Case {
  readonly name: string;
  readonly y: NDArray;
  readonly loss: Loss;
  readonly metrics?: Readonly<Record<string, metrics.Metric>>;
}

const sequence = { ...labels(COUNT * 2, 3), shape: [COUNT, 2] };
const errors = { distance: metrics.meanAbsoluteError(), squares: metrics.meanSquaredError() };
const cases: Case[] = [
  { name: "labels", y: labels(COUNT, 6), loss: crossEntropy(), metrics: { share: metrics.accuracy() } },
  {
    name: "labels of sequences, some ignored",
    y: sequence,
    loss: crossEntropy({ ignoreIndex: 1 }),
    metrics: { share: metrics.accuracy() },
  },
  { name: "probabilities", y: probabilities([COUNT, 6]), loss: crossEntropy({ labelSmoothing: 0.1 }) },
  { name: "probabilities of sequences", y: probabilities([COUNT, 2, 3]), loss: crossEntropy() },
  { name: "numbers", y: noise([COUNT, 6], 9), loss: mse(), metrics: errors },
  { name: "numbers of images", y: noise([COUNT, 2, 3, 1], 9), loss: mse(), metrics: errors },
  {
    name: "numbers, and a loss of one's own",
    y: noise([COUNT, 6], 9),
    loss: (output: Tensor, target: Tensor, mask?: Tensor) => {
      const losses = output
        .sub(target)
        .abs()
        .mean({ axes: [1], keepdims: true });
      return mask ? losses.mul(mask).sum().div(mask.sum()) : losses.mean();
    },
  },
];

function networkFor({ y }: Case): AnyModule {
  const labelled = y.dtype === "i32";
  const shape = labelled ? (y.shape.length > 1 ? [2, 3] : [6]) : y.shape.slice(1);
  const layers = nn.sequential(
    nn.linear({ in: 3, out: 8 }),
    nn.tanh(),
    nn.dropout(0.2),
    nn.linear({ in: 8, out: 6 }),
  );
  return nn.module({ layers }, ({ layers }, h: Tensor) =>
    layers(h).reshape({ shape: [h.shape[0]!, ...shape] }),
  );
}

const makeTrainer = (device: Backend, model: AnyModule, loss: Loss, more: object = {}) =>
  new Trainer({
    device,
    model,
    loss,
    optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
    seed: 3,
    ...more,
  });

const streamOf = (y: NDArray) =>
  stream(
    Array.from({ length: Math.ceil(COUNT / BATCH) }, (_, i) => {
      const [from, to] = [i * BATCH, Math.min(COUNT, (i + 1) * BATCH)];
      return { input: rows(x, from, to), target: rows(y, from, to) };
    }),
    {
      input: f32(BATCH, 3),
      target: (y.dtype === "i32" ? i32 : f32)(BATCH, ...y.shape.slice(1)),
    },
  );

/** Steps, epochs, what was left and how many programs were compiled. */
async function trained(
  device: Backend,
  trainer: Trainer<any>,
  data: TrainingData,
  options: Partial<FitOptions>,
) {
  const compiled = vi.spyOn(device, "compile");
  const steps: Record<string, unknown>[] = [];
  const onStep = ({ milliseconds: _, hostMilliseconds: __, imagesPerSecond: ___, ...step }: any) =>
    void steps.push(step);
  const epochs = await all(trainer.fit(data, { epochs: 3, onStep, ...options } as FitOptions));
  const programs = compiled.mock.calls.length;
  compiled.mockRestore();
  const means = epochs.map(({ imagesPerSecond: _, ...epoch }: any) => epoch);
  const state = await stateOf(trainer);
  await trainer.dispose();
  return { numbers: [...steps, ...means], state, programs };
}
type Trained = Awaited<ReturnType<typeof trained>>;

function expectAlike(a: Trained, b: Trained): void {
  expect(a.numbers).toHaveLength(b.numbers.length);
  for (const [i, row] of b.numbers.entries())
    for (const [key, value] of Object.entries(row))
      if (Number.isFinite(value)) expect(a.numbers[i]![key], `${key} ${i}`).toBeCloseTo(value as number, 5);
      else expect(a.numbers[i]![key]).toEqual(value);
  for (const [name, values] of b.state)
    values.forEach((value, i) => {
      expect(a.state.get(name)![i], name).toBeCloseTo(value, 5);
    });
}

describe.each(backends)("a masked last batch on %s", (_, open) => {
  test.each(cases)("of $name trains as the smaller one, by one program", async (one) => {
    const device = await open();
    const make = () => makeTrainer(device, networkFor(one), one.loss, { metrics: one.metrics });
    const smaller = await trained(device, make(), streamOf(one.y), {});
    const masked = await trained(device, make(), streamOf(one.y), { lastBatch: "masked" });
    expectAlike(masked, smaller);
    expect([smaller.programs, masked.programs]).toEqual([2, 1]);
    // And of data on the device, whose padding are other examples.
    const set = arrays({ x, y: one.y });
    const options = { batchSize: BATCH, shuffle: false };
    const resident = await trained(device, make(), set, { ...options, lastBatch: "masked" });
    expectAlike(resident, smaller);
    expect(resident.programs).toBe(1);
  });

  test("of images as bytes, and in steps of several batches", async () => {
    const device = await open();
    const { train } = shapes({ train: COUNT, test: 2, seed: 6 });
    const images = stream(
      Array.from({ length: 3 }, (_, i) => ({
        input: train.images.subarray(i * BATCH * 3072, Math.min(COUNT, (i + 1) * BATCH) * 3072),
        target: Int32Array.from(train.labels.subarray(i * BATCH, (i + 1) * BATCH)),
      })),
      { input: u8(BATCH, 3, 32, 32), target: i32(BATCH) },
    );
    const normalization = { mean: [0.5, 0.4, 0.6], std: [0.25, 0.3, 0.2] };
    const make = () =>
      makeTrainer(
        device,
        nn.sequential(nn.avgPool2d(8), nn.flatten(), nn.linear({ in: 48, out: 10 })),
        crossEntropy(),
        { normalization, metrics: { share: metrics.accuracy() } },
      );
    for (const accumulate of [1, 2]) {
      const smaller = await trained(device, make(), images, { accumulate });
      const masked = await trained(device, make(), images, { accumulate, lastBatch: "masked" });
      expectAlike(masked, smaller);
      // Gradients that begin a sum, those that go on with one, and the update.
      expect(masked.programs).toBe(accumulate === 1 ? 1 : 3);
    }
  });
});

describe("a masked last batch is refused", () => {
  const device = cpuBackend();
  const [labelled] = cases as [Case];
  const batchNorm = nn.sequential(
    nn.linear({ in: 3, out: 6 }),
    nn.batchNorm(6),
    nn.linear({ in: 6, out: 6 }),
  );

  test.each([
    [
      "by a loss without a mask",
      networkFor(labelled),
      { loss: (output: Tensor, target: Tensor) => crossEntropy()(output, target) },
      /^The loss does not use its third argument, a mask of the rows that are examples; use lastBatch "smaller" or "drop", or let it take one\.$/,
    ],
    [
      "by a metric without a mask",
      networkFor(labelled),
      { metrics: { share: (output: Tensor, target: Tensor) => metrics.accuracy()(output, target) } },
      /^The metric "share" does not use its third argument, a mask/,
    ],
    [
      "with batch norm",
      batchNorm,
      {},
      /^Padding of the last batch would count in the statistics of batchNorm.*; use lastBatch "smaller" or "drop"\.$/,
    ],
  ])("%s", async (_, model, more, message) => {
    for (const data of [streamOf(labelled.y), arrays({ x, y: labelled.y })]) {
      const trainer = makeTrainer(device, model, labelled.loss, more);
      const batchSize = data instanceof Object && "open" in data ? undefined : BATCH;
      const fit = trainer.fit(data, { epochs: 1, batchSize, lastBatch: "masked" } as FitOptions);
      await expect(fit.next()).rejects.toThrow(message);
      expect(trainer.step).toBe(0);
      await trainer.dispose();
    }
  });

  test("under another name", async () => {
    const trainer = makeTrainer(device, networkFor(labelled), labelled.loss);
    const fit = trainer.fit(streamOf(labelled.y), { epochs: 1, lastBatch: "padded" as never });
    await expect(fit.next()).rejects.toThrow(/^lastBatch is "padded"; use "smaller", "masked" or "drop"\.$/);
    await trainer.dispose();
  });
});
