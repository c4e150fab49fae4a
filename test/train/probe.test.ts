// Looking at a network while it trains.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { roundToHalf } from "../../src/core/half.ts";
import { ndarray } from "../../src/core/ndarray.ts";
import { arrays } from "../../src/data/arrays.ts";
import { channelStatistics, subset } from "../../src/data/dataset.ts";
import { shapes } from "../../src/data/shapes.ts";
import { crossEntropy, mse } from "../../src/losses/index.ts";
import { ones } from "../../src/nn/init.ts";
import { readLayers } from "../../src/nn/layer-list.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { imageModel } from "../../src/nn/models.ts";
import { adamW, sgd } from "../../src/optim/optimizers.ts";
import { linearDecay } from "../../src/optim/schedules.ts";
import { distributionOf, silentShare } from "../../src/train/distribution.ts";
import { type Look, Probe } from "../../src/train/probe.ts";
import { type Gradients, Trainer } from "../../src/train/trainer.ts";
import { gpu } from "../support/gpu.ts";
import { all } from "./support.ts";

const task = { shape: [3, 32, 32], classes: 10 } as const;
const split = shapes({ train: 80, test: 30, seed: 3 });

const parametersOf = async (trainer: Trainer, backend: Backend) =>
  Promise.all(trainer.model.parameters.map(async (v) => [...(await backend.read(v))]));

test("training gives the same bits with and without a probe", async () => {
  const backend = await gpu();
  const run = async (look: boolean) => {
    const { model } = readLayers(
      ["conv2d 8 kernel=3 stride=2 bias=no", "batchNorm", "relu", "dropout 0.3", "flatten", "linear 10"],
      task,
    );
    const trainer = new Trainer({
      device: backend,
      model: model!,
      loss: crossEntropy(),
      optimizer: adamW({ lr: 1e-2, clipNorm: 1 }),
      seed: 5,
    });
    const probe = new Probe(trainer);
    const losses: number[] = [];
    let looks = 0;
    const between = async () => {
      looks++;
      await probe.inspect(split.train, { batchSize: 16, epochs: 2 });
      await probe.predict(split.test, 30);
      await probe.picture(split.train, { shape: task.shape, data: new Float32Array(3072) });
    };
    const options = { epochs: 2, batchSize: 16, onStep: (s: { loss: number }) => void losses.push(s.loss) };
    for await (const _ of trainer.fit(split.train, look ? { ...options, between } : options));
    const result = { losses, parameters: await parametersOf(trainer, backend) };
    await probe.dispose();
    await trainer.dispose();
    return { ...result, looks };
  };
  const plain = await run(false);
  const watched = await run(true);
  expect(watched.looks).toBeGreaterThan(1);
  expect(watched.losses).toEqual(plain.losses);
  expect(watched.parameters).toEqual(plain.parameters);
});

describe.each<[string, () => Promise<Backend>]>([
  ["webgpu", gpu],
  ["cpu", async () => cpuBackend()],
])("a probe on %s", (_, open) => {
  test("shows the very update that the next step makes", async () => {
    const backend = await open();
    const trainer = new Trainer({
      device: backend,
      model: imageModel("linear", task),
      loss: crossEntropy(),
      optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
      seed: 1,
    });
    const probe = new Probe(trainer);
    let look: Look | undefined;
    let before: number[][] = [];
    let after: number[][] = [];
    const stop = new AbortController();
    const between = async () => {
      if (look) {
        after = await parametersOf(trainer, backend);
        stop.abort();
        return;
      }
      look = await probe.inspect(train, { batchSize: 16, epochs: 1 });
      before = await parametersOf(trainer, backend);
    };
    // The first two groups are of one step and, at most, four: the look is at step 1, so the epoch ends after step 2.
    const train = subset(split.train, 32);
    for await (const _ of trainer.fit(train, { epochs: 1, batchSize: 16, signal: stop.signal, between }));
    expect(look!.step).toBe(1);
    expect(look!.parameters.map((p) => p.name)).toEqual(["1.weight", "1.bias"]);
    look!.parameters.forEach(({ updates }, i) => {
      const moved = distributionOf(Float32Array.from(after[i]!, (x, k) => x - before[i]![k]!));
      expect(updates.from).toBeCloseTo(moved.from, 6);
      expect(updates.to).toBeCloseTo(moved.to, 6);
      expect(updates.std).toBeCloseTo(moved.std, 6);
    });
    await probe.dispose();
    await trainer.dispose();
  });

  test.each([
    // The first example and the last of the batch that follows each step; 17 in all.
    ["whole epochs", {}, ["9 16", "17 17", "1 8", "9 16", "17 17", "1 8"]],
    ["lastBatch", { lastBatch: "drop" as const }, ["9 16", "1 8", "9 16", "1 8"]],
    ["accumulate", { batchSize: 3, accumulate: 2 }, ["7 9", "13 15", "1 3", "7 9", "13 15", "1 3"]],
    [
      "both",
      { batchSize: 3, accumulate: 2, lastBatch: "drop" as const },
      ["7 9", "13 15", "1 3", "7 9", "13 15", "1 3"],
    ],
    ["both, fewer", { batchSize: 4, accumulate: 4, lastBatch: "drop" as const }, ["1 4", "1 4"]],
  ])("shows the batch and the rate of the next step: %s", async (_, division, batches) => {
    const backend = await open();
    const trainer = new Trainer({
      device: backend,
      // The first layer's results are the examples' numbers.
      model: nn.sequential(
        nn.linear({ in: 1, out: 1, bias: false, init: ones }),
        nn.linear({ in: 1, out: 1, bias: false }),
      ),
      loss: mse(),
      optimizer: sgd({ lr: linearDecay({ from: 1e-3, to: 1e-4 }) }),
    });
    trainer.model.freeze("0.*");
    const probe = new Probe(trainer);
    const numbers = Array.from({ length: 17 }, (_, i) => i + 1);
    const set = arrays({ x: ndarray([17, 1], numbers), y: ndarray([17, 1], numbers) });
    const steps = { batchSize: 8, epochs: 2, ...division };
    const seen: string[] = [];
    const [rates, shown]: number[][] = [[], []];
    const look = async () => {
      const { layers, parameters } = await probe.inspect(set, { ...steps, images: 8 });
      seen.push(`${layers[0]!.activations.from} ${layers[0]!.activations.to}`);
      const { updates, gradients } = parameters.find(({ name }) => name === "1.weight")!;
      shown!.push(-updates.from / gradients.from);
    };
    await look();
    await all(
      trainer.fit(set, {
        ...steps,
        shuffle: false,
        onGradients: () => {},
        onStep: ({ learningRate }) => void rates!.push(learningRate),
        between: look,
      }),
    );
    expect(seen).toEqual([`1 ${steps.batchSize}`, ...batches]);
    expect(rates).toHaveLength(batches.length);
    rates!.forEach((rate, i) => {
      expect(shown![i]! / rate).toBeCloseTo(1, 3);
    });
    await probe.dispose();
    await trainer.dispose();
  });

  test.each<[layers: string[], activations: string[], gradients: string[]]>([
    [
      ["conv2d 8 kernel=3 stride=2 bias=no", "batchNorm", "relu", "flatten", "linear 10"],
      ["conv2d", "relu"],
      ["conv2d", "linear"],
    ],
    // Bias and activation are computed before the product's result is rounded.
    [
      ["conv2d 8 kernel=3 stride=2", "tanh", "flatten", "linear 16", "relu", "linear 10"],
      ["tanh", "relu"],
      ["conv2d", "linear", "linear"],
    ],
  ])("looks in the precision of the training: %s", async (network, activations, slopes) => {
    const backend = await open();
    if (!backend.facts.f16) return;
    const { model } = readLayers(network, task);
    const trainer = new Trainer({
      device: backend,
      model: model!,
      loss: crossEntropy(),
      optimizer: adamW({ lr: 1e-2 }),
      precision: "mixed",
      normalization: channelStatistics(split.train),
      seed: 7,
    });
    const probe = new Probe(trainer);
    const options = { batchSize: 16, epochs: 1 };
    const train = subset(split.train, 32);
    const looks = [await probe.inspect(train, options)];
    const read: Look["parameters"][number]["gradients"][][] = [];
    const onGradients = async ({ names, read: of }: Gradients) => {
      read.push(await Promise.all(names.map(async (name) => distributionOf((await of(name)).data))));
    };
    const between = async () => void looks.push(await probe.inspect(train, options));
    await all(trainer.fit(train, { ...options, onGradients, between, shuffle: false }));
    expect(read).toHaveLength(2);
    read.forEach((gradients, i) => {
      expect(looks[i]!.parameters.map((p) => p.gradients)).toEqual(gradients);
    });
    const halves = (of: "activations" | "gradients", { layers }: Look) =>
      layers
        .filter((layer) => [layer[of].from, layer[of].to].every((x) => roundToHalf(x) === x))
        .map(({ label }) => label.split("(")[0]);
    for (const look of looks) {
      expect(halves("activations", look)).toEqual(activations);
      expect(halves("gradients", look)).toEqual(slopes);
    }
    await probe.dispose();
    await trainer.dispose();
  });

  test.each([
    ["its parameters", {}],
    ["their moving average", { ema: { decay: 0.9 } }],
  ])(
    "predicts by %s every held-out image once, as evaluation does, and a picture as in the set",
    async (_, average) => {
      const backend = await open();
      const trainer = new Trainer({
        device: backend,
        model: imageModel("tiny", task),
        loss: crossEntropy(),
        optimizer: sgd({ lr: 0.1, ...average }),
      });
      for await (const _ of trainer.fit(split.train, { epochs: 1, batchSize: 40 }));
      const probe = new Probe(trainer);
      const rows = await probe.predict(split.test, 30);
      expect(rows.length).toBe(300);
      const best = (row: Float32Array) => row.indexOf(Math.max(...row));
      const right = Array.from(split.test.labels).filter(
        (label, i) => best(rows.subarray(10 * i, 10 * i + 10)) === label,
      );
      const { loss, accuracy } = await trainer.evaluate(split.test);
      expect(right.length / 30).toBeCloseTo(accuracy!, 6);
      const losses = Array.from(split.test.labels, (label, i) => {
        const row = rows.subarray(10 * i, 10 * i + 10);
        return Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0)) - row[label]!;
      });
      expect(losses.reduce((a, b) => a + b) / 30).toBeCloseTo(loss, 4);

      const { mean, std } = channelStatistics(split.train);
      const data = Float32Array.from(split.test.images.subarray(0, 3072), (byte, i) => {
        const channel = Math.floor(i / 1024);
        return (byte / 255 - mean[channel]!) / std[channel]!;
      });
      const { output, layers } = await probe.picture(split.train, { shape: task.shape, data });
      output.forEach((x, i) => {
        expect(x).toBeCloseTo(rows[i]!, 3);
      });
      expect(layers.map((layer) => layer.shape)).toEqual([
        [8, 16, 16],
        [8, 16, 16],
        [16, 8, 8],
        [16, 8, 8],
        [32, 4, 4],
        [32, 4, 4],
        [10],
      ]);
      await probe.dispose();
      await trainer.dispose();
    },
  );
});

test("a distribution counts every number once", () => {
  const { count, mean, std, zeros, notFinite, from, to, counts } = distributionOf(
    Float32Array.of(0, 1, 3, 0, Number.NaN),
  );
  expect({ count, mean, zeros, notFinite, from, to }).toEqual({
    count: 5,
    mean: 1,
    zeros: 0.4,
    notFinite: 0.2,
    from: 0,
    to: 3,
  });
  expect(std).toBeCloseTo(Math.sqrt(6 / 4), 12);
  expect(counts.reduce((a, b) => a + b, 0)).toBe(4);
  expect([counts[0], counts.at(-1)]).toEqual([2, 1]);
  expect(distributionOf(Float32Array.of(2, 2)).counts.reduce((a, b) => a + b, 0)).toBe(2);
  expect(distributionOf(new Float32Array(0))).toMatchObject({ count: 0, notFinite: 0 });
});

test("silent units are 0 for every image", () => {
  // Two images, three channels of two: the second is silent, the third speaks for one image only.
  const data = Float32Array.of(1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3);
  expect(silentShare(data, [2, 3, 2])).toBeCloseTo(1 / 3, 12);
});
