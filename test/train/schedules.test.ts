// What goes by measurements and what ends a run: plateaus, the search for a rate, statistics of averaged weights.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { CheckpointError, OptionError } from "../../src/core/errors.ts";
import { arrays } from "../../src/data/arrays.ts";
import { crossEntropy, mse } from "../../src/losses/index.ts";
import * as metrics from "../../src/metrics/index.ts";
import { Model } from "../../src/model/model.ts";
import * as nn from "../../src/nn/index.ts";
import { reduceOnPlateau, sgd, warmUp } from "../../src/optim/index.ts";
import { lrFinder } from "../../src/train/lr-finder.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { all, backends, labels, noise, stateOf } from "./support.ts";

const data = arrays({ x: noise([24, 4]), y: labels(24, 3) });
const network = () => nn.sequential(nn.linear({ in: 4, out: 5 }), nn.tanh(), nn.linear({ in: 5, out: 3 }));

describe("reduceOnPlateau in a trainer", () => {
  // A rate so small that nothing improves.
  const plateau = () => reduceOnPlateau({ from: 1e-6, factor: 0.5, patience: 1, threshold: 0.1 });
  const make = (lr = plateau()) =>
    new Trainer({
      device: cpuBackend(),
      model: network(),
      loss: crossEntropy(),
      metrics: { share: metrics.accuracy() },
      optimizer: sgd({ lr, momentum: warmUp(4, 0.5) }),
    });
  const ratesOf = async (trainer: Trainer<any>, epochs: number) => {
    const rates: number[] = [];
    const onStep = ({ learningRate }: { learningRate: number }) => rates.push(learningRate);
    await all(trainer.fit(data, { epochs, batchSize: 24, validation: data, onStep }));
    return rates;
  };

  test("is told the validation's loss after each epoch, and resumes", async () => {
    const trainer = make();
    const rates = await ratesOf(trainer, 6);
    // Epoch 1 is the best; 2 and 3 are bad, the second of which is one too many.
    expect(rates.map((rate) => Number((rate * 1e6).toPrecision(6)))).toEqual([1, 1, 1, 0.5, 0.5, 0.25]);
    const first = make();
    const half = await ratesOf(first, 3);
    const second = make(warmUp(1, plateau()) as ReturnType<typeof plateau>);
    second.restore(await first.checkpoint(), "half");
    expect([...half, ...(await ratesOf(second, 6))]).toEqual(rates);
    expect(await stateOf(second)).toEqual(await stateOf(trainer));
    second.reset();
    expect(await ratesOf(second, 2)).toEqual(rates.slice(0, 2));
  });

  test("watches metrics, and says which there is none of", async () => {
    const watch = (name: string) =>
      make(reduceOnPlateau({ from: 0.1, watch: name, mode: "max", patience: 0, factor: 0.5 }));
    expect((await ratesOf(watch("share"), 2)).length).toBe(2);
    await expect(ratesOf(watch("auc"), 1)).rejects.toThrow(
      'A schedule of the optimizer watches "auc", which the run does not measure; watch "loss", or',
    );
  });

  test("a checkpoint of another number of plateaus is refused", async () => {
    const checkpoint = await make().checkpoint();
    const other = new Trainer({
      device: cpuBackend(),
      model: network(),
      loss: crossEntropy(),
      metrics: { share: metrics.accuracy() },
      optimizer: sgd({ lr: 0.1, momentum: 0.5 }),
    });
    expect(() => other.restore(checkpoint, "here")).toThrow(CheckpointError);
    expect(() => other.restore(checkpoint, "here")).toThrow("holds the state of 1 schedules");
    const { optimizer } = checkpoint;
    const damaged = { ...optimizer, metadata: { ...optimizer.metadata, schedules: "[1]" } };
    expect(() => make().restore({ ...checkpoint, optimizer: damaged }, "here")).toThrow(CheckpointError);
    const wrong = { ...optimizer, metadata: { ...optimizer.metadata, schedules: '["no"]' } };
    expect(() => make().restore({ ...checkpoint, optimizer: wrong }, "here")).toThrow("no is no state of it");
  });
});

test("a growing batch: fit goes on with a larger one, and compiles each size once", async () => {
  const device = cpuBackend();
  const compiled: string[] = [];
  const { compile } = device;
  device.compile = (program, options) => {
    compiled.push(program.name);
    return compile.call(device, program, options);
  };
  const trainer = new Trainer({
    device,
    model: network(),
    loss: crossEntropy(),
    optimizer: sgd({ lr: 0.1 }),
  });
  const steps: number[] = [];
  const grow = async (batchSize: number, epochs: number) => {
    for await (const { step } of trainer.fit(data, { epochs, batchSize })) steps.push(step);
  };
  await grow(6, 2);
  await grow(12, 1);
  await grow(24, 2);
  await grow(6, 1);
  expect(steps).toEqual([4, 8, 10, 11, 12, 16]);
  expect(compiled).toEqual([6, 12, 24].map((size) => `training step, batch ${size}`));
});

describe("lrFinder", () => {
  test("raises the rate until the loss grows, suggests one, and puts the network back", async () => {
    const device = cpuBackend();
    const model = new Model(
      device,
      nn.sequential(nn.linear({ in: 4, out: 5 }), nn.batchNorm(5), nn.linear({ in: 5, out: 1 })),
    );
    const x = noise([24, 4]);
    const y = Float32Array.from({ length: 24 }, (_, i) => 3 * Number(x.data[4 * i]) + 2);
    const set = arrays({ x, y: { shape: [24, 1], dtype: "f32", data: y } });
    const before = await model.file();
    const options = { data: set, batchSize: 12, from: 1e-4, to: 1e4, steps: 80 };
    const found = await lrFinder({ model, loss: mse(), optimizer: (lr) => sgd({ lr }) }, options);
    const { points, suggestion, lowest } = found;
    expect(points.length).toBeGreaterThan(20);
    expect(points.length).toBeLessThan(80);
    points.forEach(({ rate }, t) => {
      expect(rate).toBeCloseTo(1e-4 * 1e8 ** (t / 79), 10);
    });
    expect(points.at(-1)!.smoothed).toBeGreaterThan(2 * Math.min(...points.map(({ smoothed }) => smoothed)));
    expect(suggestion).toBeGreaterThan(1e-3);
    expect(suggestion).toBeLessThan(lowest);
    expect((await model.file()).tensors).toEqual(before.tensors);
    expect(await lrFinder({ model, loss: mse(), optimizer: (lr) => sgd({ lr }) }, options)).toEqual(found);
  });

  test("refuses what cannot be", async () => {
    const look = (options: object) =>
      lrFinder(
        { model: network(), device: cpuBackend(), loss: crossEntropy(), optimizer: (lr) => sgd({ lr }) },
        { data, batchSize: 8, ...options },
      );
    await expect(look({ from: 1, to: 0.1 })).rejects.toThrow(OptionError);
    await expect(look({ from: 1, to: 0.1 })).rejects.toThrow("from is 1 and to 0.1; use rates above 0");
    await expect(look({ steps: 1 })).rejects.toThrow(
      "lrFinder: steps is 1; use a whole number of at least 2.",
    );
    await expect(look({ smoothing: 1 })).rejects.toThrow("smoothing is 1; use a number from 0 to below 1.");
    await expect(look({ stop: 1 })).rejects.toThrow("stop is 1; use a number above 1.");
    await expect(look({ rate: 1 })).rejects.toThrow('lrFinder: there is no option "rate"');
  });
});

describe.each(backends)("statistics of averaged weights on %s", (_, open) => {
  test("are means over the batches of what the averaged network gives", async () => {
    const trainer = new Trainer({
      device: await open(),
      model: nn.sequential(nn.linear({ in: 4, out: 3 }), nn.batchNorm(3)),
      loss: mse(),
      optimizer: sgd({ lr: 0.1, momentum: 0.9, swa: { start: 2, every: 2 } }),
    });
    const x = noise([12, 4]);
    const set = arrays({ x, y: noise([12, 3], 5) });
    await all(trainer.fit(set, { epochs: 4, batchSize: 6 }));
    await trainer.renewStatistics(set, { batchSize: 6 });
    const { tensors } = (await trainer.checkpoint()).average!;
    const [weight, bias] = ["0.weight", "0.bias"].map((name) => tensors.get(name)!.data);
    const z = (i: number, k: number) =>
      [0, 1, 2, 3].reduce(
        (sum, j) => sum + (x.data[i * 4 + j] as number) * Number(weight![k * 4 + j]),
        Number(bias![k]),
      );
    for (let k = 0; k < 3; k++) {
      const moments = [0, 6].map((from) => {
        const values = Array.from({ length: 6 }, (_, i) => z(from + i, k));
        const mean = values.reduce((a, b) => a + b) / 6;
        return { mean, variance: values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 5 };
      });
      const of = (key: "mean" | "variance") => (moments[0]![key] + moments[1]![key]) / 2;
      expect(Number(tensors.get("1.running_mean")!.data[k])).toBeCloseTo(of("mean"), 5);
      expect(Number(tensors.get("1.running_var")!.data[k])).toBeCloseTo(of("variance"), 5);
    }
    await trainer.dispose();
  });
});
