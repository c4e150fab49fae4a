// A batch size that is a schedule: its epochs' steps, what counts them all, and runs that stop and go on.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { arrays } from "../../src/data/arrays.ts";
import { stream } from "../../src/data/stream.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import { f32, i32 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/index.ts";
import {
  linearDecay,
  multiStep,
  piecewise,
  type Rate,
  reduceOnPlateau,
  sgd,
  stepDecay,
} from "../../src/optim/index.ts";
import { Probe } from "../../src/train/probe.ts";
import { type FitOptions, Trainer } from "../../src/train/trainer.ts";
import { all, backends, labels, noise, rows, stateOf } from "./support.ts";

const COUNT = 20;
const [x, y] = [noise([COUNT, 4]), labels(COUNT, 3)];
const data = arrays({ x, y });
/** Steps of 5, 3 and 1 batches, the last of the second smaller. */
const grow = (epoch: number) => [4, 8, 20, 20][epoch] ?? 20;

function make(device = cpuBackend(), lr: Rate = 0.1) {
  const compiled: string[] = [];
  const { compile } = device;
  device.compile = (program, options) => {
    compiled.push(program.name);
    return compile.call(device, program, options);
  };
  const trainer = new Trainer({
    device,
    model: nn.sequential(nn.linear({ in: 4, out: 5 }), nn.dropout(0.2), nn.linear({ in: 5, out: 3 })),
    loss: crossEntropy(),
    optimizer: sgd({ lr, momentum: 0.9 }),
    seed: 4,
  });
  return { trainer, compiled };
}

const stepsOf = async (trainer: Trainer, options: FitOptions) =>
  (await all(trainer.fit(data, options))).map(({ epoch, step }) => [epoch, step]);

describe("a growing batch", () => {
  test("divides each epoch in its own steps, compiled when it begins, and schedules stretch over all", async () => {
    const { trainer, compiled } = make(cpuBackend(), linearDecay({ from: 0.1 }));
    const seen: [number, number, number][] = [];
    const onStep = ({ epoch, step, learningRate }: { epoch: number; step: number; learningRate: number }) =>
      seen.push([epoch, step, learningRate]);
    expect(await stepsOf(trainer, { epochs: 4, batchSize: grow, onStep, validation: data })).toEqual([
      [1, 5],
      [2, 8],
      [3, 9],
      [4, 10],
    ]);
    const rates = [...Array(10).keys()].map((step) => 0.1 * (1 - step / 9));
    const epochs = [1, 1, 1, 1, 1, 2, 2, 2, 3, 4];
    expect(seen).toEqual(rates.map((rate, i) => [epochs[i], i + 1, expect.closeTo(rate, 12)]));
    expect(compiled).toEqual(
      [
        "training step, batch 4",
        "evaluation, batch 20",
        "training step, batch 8",
        "training step, batch 4",
        "training step, batch 20",
      ].filter((name, i, list) => list.indexOf(name) === i),
    );
  });

  test.each<[string, Rate, Partial<FitOptions>, number[]]>([
    ["stepDecay", stepDecay({ from: 4, factor: 2, every: 1 }), {}, [5, 8, 10]],
    ["multiStep", multiStep({ from: 5, milestones: [2], factor: 2 }), {}, [4, 8, 10]],
    // 4, 7.5 and 11 examples.
    ["piecewise, rounded", piecewise({ points: [[0, 4], [2, 11]] }), {}, [5, 8, 10]], // biome-ignore format: one line
    ["linearDecay, of all epochs", linearDecay({ from: 4, to: 20 }), {}, [5, 7, 8]],
    ["a function, last batches dropped", (e) => [6, 8, 20][e]!, { lastBatch: "drop" }, [3, 5, 6]],
    ["a function, in steps of two batches", (e) => [6, 8, 20][e]!, { accumulate: 2 }, [2, 4, 5]],
    ["a function, last batches masked", (e) => [6, 8, 20][e]!, { lastBatch: "masked" }, [4, 7, 8]],
  ])("by %s", async (_, batchSize, more, ends) => {
    const { trainer, compiled } = make();
    const steps = await stepsOf(trainer, { epochs: 3, batchSize, ...more });
    expect(steps).toEqual(ends.map((step, i) => [i + 1, step]));
    if (more.lastBatch === "masked" || more.lastBatch === "drop")
      expect(compiled).toEqual([6, 8, 20].map((size) => `training step, batch ${size}`));
  });

  test("says where a step is not finite", async () => {
    const { trainer } = make(cpuBackend(), (step) => (step < 5 ? 0.1 : 3e38));
    await expect(all(trainer.fit(data, { epochs: 4, batchSize: grow }))).rejects.toThrow(
      /^Step 7 is not finite: .*layer \d/,
    );
    expect(trainer.step).toBe(6);
  });

  test("is the batch that a probe looks at", async () => {
    const { trainer } = make();
    const probe = new Probe(trainer);
    const options = { epochs: 3, batchSize: grow };
    const seen: number[] = [];
    const between = async () => {
      seen.push(trainer.next(data, options).images);
      expect((await probe.inspect(data, options)).step).toBe(trainer.step);
    };
    await all(trainer.fit(data, { ...options, between, onGradients: () => {} }));
    expect(seen).toEqual([4, 4, 4, 4, 8, 8, 4, 20, 20]);
    await probe.dispose();
  });
});

describe.each(backends)("a run whose batch grows, on %s", (_, open) => {
  test.each([5, 7])("resumed after step %i ends in the same bits", async (stop) => {
    const options = { epochs: 3, batchSize: grow };
    const device = await open();
    const { trainer: whole } = make(device, linearDecay({ from: 0.1 }));
    const expected = await stepsOf(whole, options);
    const stopped = make(device, linearDecay({ from: 0.1 })).trainer;
    const signal = { aborted: false };
    const onGradients = ({ step }: { step: number }) => {
      signal.aborted = step === stop;
    };
    const before = await stepsOf(stopped, { ...options, onGradients, signal });
    expect(stopped.step).toBe(stop);
    const resumed = make(device, linearDecay({ from: 0.1 })).trainer;
    resumed.restore(await stopped.checkpoint(), "checkpoint");
    expect([...before, ...(await stepsOf(resumed, options))]).toEqual(expected);
    expect(await stateOf(resumed)).toEqual(await stateOf(whole));
    // In the same trainer, by a function that says the same.
    const again = await stepsOf(stopped, { epochs: 3, batchSize: (epoch) => grow(epoch) });
    expect([...before, ...again]).toEqual(expected);
    for (const trainer of [whole, stopped, resumed]) await trainer.dispose();
  });

  test("begins as one of constant batches", async () => {
    const device = await open();
    const [growing, constant] = [make(device).trainer, make(device).trainer];
    await stepsOf(growing, { epochs: 1, batchSize: grow });
    await stepsOf(constant, { epochs: 1, batchSize: 4 });
    expect(await stateOf(growing)).toEqual(await stateOf(constant));
    for (const trainer of [growing, constant]) await trainer.dispose();
  });
});

test("a fit goes on where its schedule says the same of the epochs that are done, or begins a run", async () => {
  const { trainer } = make();
  await stepsOf(trainer, { epochs: 2, batchSize: grow });
  expect(await stepsOf(trainer, { epochs: 3, batchSize: grow })).toEqual([[3, 9]]);
  await expect(stepsOf(trainer, { epochs: 2, batchSize: grow })).rejects.toThrow(
    /^2 epochs of .* are done already, with step 9; ask for more than 3\.$/,
  );
  expect(await stepsOf(trainer, { epochs: 1, batchSize: (epoch) => 2 * grow(epoch) })).toEqual([[1, 12]]);
  expect(trainer.base).toBe(9);
});

describe("is refused", () => {
  test.each<[string, Rate, RegExp]>([
    ["a batch of nothing", (epoch) => 4 - 2 * epoch, /^The batch size of epoch 3 is 0; use a whole number/],
    ["no number", () => Number.NaN, /^The batch size of epoch 1 is NaN; use a whole number of at least 1\.$/],
    [
      "a batch beyond the set",
      stepDecay({ from: 8, factor: 2, every: 1 }),
      /^A batch of 32 of epoch 3 is larger than the training set of 20; use at most 20\.$/,
    ],
    [
      "a schedule by what is measured",
      reduceOnPlateau({ from: 4 }),
      /^The batch size cannot go by what is measured; use a schedule of the epochs\.$/,
    ],
  ])("%s", async (_, batchSize, message) => {
    await expect(stepsOf(make().trainer, { epochs: 3, batchSize })).rejects.toThrow(message);
  });

  test("a stream's", async () => {
    const batches = [{ input: rows(x, 0, 4), target: rows(y, 0, 4) }];
    const source = stream(batches, { input: f32(4, 4), target: i32(4) });
    const fit = make().trainer.fit(source, { epochs: 1, batchSize: grow });
    await expect(fit.next()).rejects.toThrow(/^The batch size is a schedule, and the batches of .* have 4;/);
  });
});
