// Layers with random numbers, in training: their statistics, the gradient by the same numbers, and when they differ.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { Tensor } from "../../src/core/op.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { f32 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/layers/index.ts";
import type { Module } from "../../src/nn/module.ts";
import { gpu } from "../support/gpu.ts";

const cpu = cpuBackend();

interface Drawn {
  readonly y: readonly number[];
  /** Of the sum of y in x, and in the parameters. */
  readonly slopes: readonly (readonly number[])[];
}

/** Training passes of a network, one after another, on an input that is 2 everywhere unless given. */
async function drawsOf(
  network: Module,
  shape: readonly number[],
  { device = cpu as Backend, seed = 1, runs = 1, x = new Float32Array(sizeOf(shape)).fill(2) } = {},
): Promise<Drawn[]> {
  const model = new Model(device, network);
  const run = compile(
    device,
    { x: f32(...shape) },
    ({ x }, t) => {
      const y = model.forward(x, t);
      const wanted: Tensor[] = [x, ...model.parameters.map(({ name }) => model.tensor(name).value)];
      const slopes: readonly Tensor[] = gradients(y.sum(), wanted);
      return { outputs: { y, slopes } };
    },
    { seed },
  );
  const draws: Drawn[] = [];
  for (let i = 0; i < runs; i++) {
    const { y, slopes } = await run({ x });
    const numbers = await Promise.all(
      [y, ...slopes].map(async (result) => Array.from((await result.read()).data)),
    );
    draws.push({ y: numbers[0]!, slopes: numbers.slice(1) });
  }
  await run.dispose();
  await model.dispose();
  return draws;
}

const mean = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / list.length;
const variance = (list: readonly number[]) => {
  const m = mean(list);
  return mean(list.map((x) => (x - m) ** 2));
};
/** Five standard errors of the mean of so many numbers, of a deviation. */
const spread = (std: number, count: number) => (5 * std) / Math.sqrt(count);

const COUNT = 64 * 512;
const multiplied: [Module, readonly number[]][] = [
  [nn.dropout(0.3), [64, 512]],
  [nn.spatialDropout(0.3), [64, 512, 1]],
  [nn.gaussianDropout(0.3), [64, 512]],
  [nn.stochasticDepth(nn.relu(), 0.3), [COUNT, 1]],
];

describe("what is multiplied by random numbers", () => {
  test.each(multiplied)(
    "$label: mean 1, variance p/(1 − p), and the gradient is they",
    async (layer, shape) => {
      const [{ y, slopes }] = (await drawsOf(layer, shape)) as [Drawn];
      const factors = slopes[0]!;
      expect(Math.abs(mean(factors) - 1)).toBeLessThan(spread(Math.sqrt(0.3 / 0.7), COUNT));
      // (x − 1)² deviates by √2 times its mean for a normal law, and by less for two points.
      expect(Math.abs(variance(factors) - 0.3 / 0.7)).toBeLessThan(spread((0.3 / 0.7) * 1.5, COUNT));
      y.forEach((value, i) => {
        expect(value).toBe(Math.fround(2 * factors[i]!));
      });
    },
  );

  test.each(multiplied)(
    "$label: others in each run and for each seed, the same for the same",
    async (layer, shape) => {
      const [first, second] = (await drawsOf(layer, shape, { runs: 2 })) as [Drawn, Drawn];
      const [again] = (await drawsOf(layer, shape)) as [Drawn];
      const [other] = (await drawsOf(layer, shape, { seed: 2 })) as [Drawn];
      expect(again.y).toEqual(first.y);
      for (const { y } of [second, other]) {
        const covariance = mean(first.y.map((a, i) => (a - 2) * (y[i]! - 2)));
        expect(Math.abs(covariance)).toBeLessThan(spread(4 * (0.3 / 0.7), COUNT));
      }
    },
  );

  test("two layers draw apart", async () => {
    const [{ slopes }] = (await drawsOf(nn.sequential(nn.dropout(0.5), nn.dropout(0.5)), [COUNT])) as [Drawn];
    // Both keep a quarter.
    const kept = mean(slopes[0]!.map((x) => (x > 0 ? 1 : 0)));
    expect(Math.abs(kept - 0.25)).toBeLessThan(spread(Math.sqrt(3) / 4, COUNT));
  });
});

test("whole channels are dropped, of each example others", async () => {
  const [{ y, slopes }] = (await drawsOf(nn.spatialDropout(0.5), [40, 30, 3, 5])) as [Drawn];
  const channels = Array.from({ length: 1200 }, (_, i) => y.slice(15 * i, 15 * i + 15));
  for (const channel of channels) expect(new Set(channel).size).toBe(1);
  expect(new Set(y)).toEqual(new Set([0, 4]));
  expect(new Set(slopes[0])).toEqual(new Set([0, 2]));
  const ofExamples = Array.from({ length: 40 }, (_, n) => mean(y.slice(450 * n, 450 * n + 450)));
  expect(new Set(ofExamples).size).toBeGreaterThan(5);
});

test("a branch is dropped for whole examples, and its parts keep their names", async () => {
  const body = nn.linear({ in: 3, out: 3, bias: false });
  const network = nn.residual(nn.stochasticDepth(body, 0.5));
  const model = new Model(cpu, network);
  expect(model.tensors.all.map(({ name }) => name)).toEqual(["body.0.weight"]);
  await model.dispose();
  const [{ y, slopes }] = (await drawsOf(nn.residual(nn.stochasticDepth(nn.relu(), 0.5)), [300, 3])) as [
    Drawn,
  ];
  const rows = Array.from({ length: 300 }, (_, i) => y.slice(3 * i, 3 * i + 3));
  for (const row of rows) expect(new Set(row).size).toBe(1);
  // The shortcut alone, or with twice the branch.
  expect(new Set(y)).toEqual(new Set([2, 6]));
  expect(new Set(slopes[0])).toEqual(new Set([1, 3]));
});

test("Gaussian noise is added, with the deviation given", async () => {
  const [{ y, slopes }] = (await drawsOf(nn.gaussianNoise(0.25), [64, 512])) as [Drawn];
  expect(Math.abs(mean(y) - 2)).toBeLessThan(spread(0.25, COUNT));
  expect(Math.abs(variance(y) / 0.0625 - 1)).toBeLessThan(spread(Math.SQRT2, COUNT));
  expect(new Set(slopes[0])).toEqual(new Set([1]));
});

test("alpha dropout keeps mean 0 and variance 1", async () => {
  const x = Float32Array.from({ length: COUNT }, (_, i) => (i % 2 === 0 ? 1 : -1));
  const [{ y, slopes }] = (await drawsOf(nn.alphaDropout(0.2), [COUNT], { x })) as [Drawn];
  expect(Math.abs(mean(y))).toBeLessThan(spread(1, COUNT));
  expect(Math.abs(variance(y) - 1)).toBeLessThan(spread(2, COUNT));
  const scale = 1 / Math.sqrt(0.8 * (1 + 0.2 * 1.7580993408473766 ** 2));
  const kept = slopes[0]!.map((slope) => slope > 0);
  expect(Math.abs(mean(kept.map(Number)) - 0.8)).toBeLessThan(spread(0.4, COUNT));
  y.forEach((value, i) => {
    const want = scale * ((kept[i] ? x[i]! : -1.7580993408473766) + 0.2 * 1.7580993408473766);
    expect(value).toBeCloseTo(want, 5);
    expect(slopes[0]![i]).toBeCloseTo(kept[i] ? scale : 0, 6);
  });
});

test("weights are dropped, one mask for the batch, and their gradient is through it", async () => {
  const [{ y, slopes }] = (await drawsOf(
    nn.dropConnect({ in: 128, out: 64, p: 0.25, bias: false }),
    [3, 128],
  )) as [Drawn];
  const [ofX, ofW] = slopes as [readonly number[], readonly number[]];
  // x is 2 in three rows: the slope of a weight is 6 times its factor.
  expect(new Set(ofW.map((slope) => Math.round(slope * 1000) / 1000))).toEqual(new Set([0, 8]));
  expect(Math.abs(mean(ofW) / 6 - 1)).toBeLessThan(spread(Math.sqrt(0.25 / 0.75), 128 * 64));
  expect(y.slice(0, 64)).toEqual(y.slice(64, 128));
  expect(ofX.slice(0, 128)).toEqual(ofX.slice(128, 256));
});

test.each([
  [nn.spatialDropout(0.3), [4, 6, 5]],
  [nn.gaussianNoise(0.5), [7, 9]],
  [nn.gaussianDropout(0.3), [7, 9]],
  [nn.alphaDropout(0.3), [7, 9]],
  [nn.stochasticDepth(nn.relu(), 0.3), [7, 9]],
  [nn.dropConnect({ in: 9, out: 3, p: 0.3 }), [7, 9]],
] as const)("$label: the adapter draws what the reference draws", async (layer, shape) => {
  const [adapter] = (await drawsOf(layer, shape, { device: await gpu() })) as [Drawn];
  const [reference] = (await drawsOf(layer, shape)) as [Drawn];
  const numbers = ({ y, slopes }: Drawn) => [...y, ...slopes.flat()];
  numbers(adapter).forEach((x, i) => {
    expect(x).toBeCloseTo(numbers(reference)[i]!, 4);
  });
});

test.each([
  [() => nn.spatialDropout(1), "spatialDropout: p is 1; use a probability of at least 0 and below 1."],
  [() => nn.gaussianNoise(-1), "gaussianNoise: std is -1; use a finite number of at least 0."],
  [() => nn.gaussianDropout(-0.1), "gaussianDropout: p is -0.1; use a probability"],
  [() => nn.alphaDropout(Number.NaN), "alphaDropout: p is NaN; use a probability"],
  [() => nn.stochasticDepth(nn.relu(), 2), "stochasticDepth: p is 2; use a probability"],
  [() => nn.stochasticDepth(nn.relu as never, 0.5), "stochasticDepth: the body is a function; give a layer"],
  [() => nn.dropConnect({ in: 2, out: 0 }), "dropConnect: out is 0; use a whole number of at least 1."],
  [() => nn.dropConnect({ in: 2, out: 2, p: 1 }), "dropConnect: p is 1; use a probability"],
])("refused: %#", (make, message) => expect(make).toThrow(message));

test("refused: an input without positions", async () => {
  await expect(drawsOf(nn.spatialDropout(0.5), [3, 4])).rejects.toThrow(
    "spatialDropout: takes [batch, channels, positions, …], got [3, 4]; use dropout.",
  );
});
