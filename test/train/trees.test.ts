// Networks with several inputs and results, and metrics beside the loss.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { Tensor } from "../../src/core/op.ts";
import { arrays } from "../../src/data/arrays.ts";
import { stream } from "../../src/data/stream.ts";
import { crossEntropy, mse } from "../../src/losses/index.ts";
import { accuracy, meanAbsoluteError, meanSquaredError } from "../../src/metrics/index.ts";
import { f32, i32 } from "../../src/model/tracing.ts";
import { module } from "../../src/nn/compose.ts";
import * as nn from "../../src/nn/layers/index.ts";
import * as f from "../../src/ops/f.ts";
import { adam, sgd } from "../../src/optim/optimizers.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { all, backends, labels, noise, rows, stateOf } from "./support.ts";

interface In {
  readonly image: Tensor;
  readonly row: Tensor;
}
interface Out {
  readonly kind: Tensor;
  readonly place: Tensor;
}

const network = () =>
  module(
    {
      body: nn.linear({ in: 4, out: 5 }),
      kind: nn.linear({ in: 7, out: 3 }),
      place: nn.linear({ in: 7, out: 2 }),
    },
    ({ body, kind, place }, x: In): Out => {
      const both = f.concat([body(x.image.reshape({ shape: [x.image.shape[0]!, 4] })).relu(), x.row], {
        axis: 1,
      });
      return { kind: kind(both), place: place(both) };
    },
  );
const x = { image: noise([20, 1, 2, 2]), row: noise([20, 2], 3) };
const y = { kind: labels(20, 3), place: noise([20, 2], 4) };
const both = (output: any, target: any) =>
  crossEntropy()(output.kind, target.kind).add(mse()(output.place, target.place));

const makeTrainer = (device: ReturnType<typeof cpuBackend>, options: object = {}) =>
  new Trainer({
    device,
    model: network(),
    loss: both as never,
    optimizer: adam({ lr: 0.05 }),
    metrics: {
      kinds: (output: any, target: any) => accuracy()(output.kind, target.kind),
      distance: (output: any, target: any) => meanAbsoluteError()(output.place, target.place),
    },
    ...options,
  });

describe.each(backends)("trees on %s", (_, open) => {
  test("a record of inputs and one of targets train, evaluate and stream", async () => {
    const device = await open();
    const set = arrays({ x, y, name: "records" });
    const trainer = makeTrainer(device);
    const epochs = await all(trainer.fit(set, { epochs: 30, batchSize: 8, shuffle: false, validation: set }));
    const [first, last] = [epochs[0]!, epochs.at(-1)!];
    expect(last.loss).toBeLessThan(first.loss);
    expect(last).not.toHaveProperty("accuracy");
    expect(last.kinds).toBeGreaterThan(first.kinds);
    expect(last.distance).toBeLessThan(first.distance);
    expect(last.validation!.kinds * 20).toBeCloseTo(Math.round(last.validation!.kinds * 20), 4);

    const source = () =>
      [0, 8, 16].map((from) => {
        const to = Math.min(20, from + 8);
        const part = (tree: object) =>
          Object.fromEntries(Object.entries(tree).map(([key, array]) => [key, rows(array, from, to)]));
        return { input: part(x), target: part(y) } as never;
      });
    const types = {
      input: { image: f32(8, 1, 2, 2), row: f32(8, 2) },
      target: { kind: i32(8), place: f32(8, 2) },
    };
    const streamed = makeTrainer(device);
    await all(streamed.fit(stream(source, types), { epochs: 30 }));
    expect(await stateOf(streamed)).toEqual(await stateOf(trainer));
    await trainer.dispose();
    await streamed.dispose();
  });

  test("labels of every step of sequences are counted as the metric counts them", async () => {
    const device = await open();
    const model = nn.linear({ in: 3, out: 4 });
    const metrics = { share: accuracy() };
    const data = arrays({ x: noise([20, 5, 3]), y: { ...labels(100, 4), shape: [20, 5] } });
    const trainer = new Trainer({
      device,
      model,
      loss: crossEntropy(),
      optimizer: sgd({ lr: 0.5 }),
      metrics,
    });
    for (const accumulate of [1, 2]) {
      // A smaller last batch weighs as many examples as it has.
      const [epoch] = await all(trainer.fit(data, { epochs: 1, batchSize: 8, accumulate, validation: data }));
      for (const { accuracy, share } of [epoch!, epoch!.validation!]) {
        expect(share).toBeGreaterThan(0.15);
        expect(accuracy).toBeCloseTo(share, 6);
      }
    }
    const own = await trainer.model.evaluate(data, { loss: crossEntropy(), metrics, batchSize: 7 });
    expect(own.accuracy).toBeCloseTo((await trainer.evaluate(data)).accuracy!, 6);
    expect(own.accuracy).toBeCloseTo(own.share, 6);
    await trainer.dispose();
  });

  test("nine metrics of a regression, in every step, epoch and validation", async () => {
    const device = await open();
    const set = arrays({ x: noise([20, 3]), y: noise([20, 2], 9) });
    const scaled = (factor: number) => (output: Tensor, target: Tensor) =>
      meanAbsoluteError()(output, target).mul(factor);
    const trainer = new Trainer({
      device,
      model: nn.linear({ in: 3, out: 2 }),
      loss: mse(),
      optimizer: sgd({ lr: 0.1 }),
      metrics: {
        mse: meanSquaredError(),
        m1: scaled(1),
        m2: scaled(2),
        m3: scaled(3),
        m4: scaled(4),
        m5: scaled(5),
        m6: scaled(6),
        m7: scaled(7),
        m8: scaled(8),
      },
    });
    const steps: { loss: number; mse: number; m1: number; m8: number }[] = [];
    const [epoch] = await all(
      trainer.fit(set, { epochs: 1, batchSize: 8, validation: set, onStep: (step) => steps.push(step) }),
    );
    expect(steps).toHaveLength(3);
    for (const numbers of [...steps, epoch!, epoch!.validation!]) {
      const { loss, mse, m1, m8 } = numbers;
      expect(mse).toBeCloseTo(loss, 5);
      expect(m8).toBeCloseTo(8 * m1, 4);
      expect(m1).toBeGreaterThan(0);
      expect(numbers).not.toHaveProperty("accuracy");
    }
    // The smaller last batch weighs what it holds.
    const mean = (8 * steps[0]!.m1 + 8 * steps[1]!.m1 + 4 * steps[2]!.m1) / 20;
    expect(epoch!.m1).toBeCloseTo(mean, 5);
    await trainer.dispose();
  });
});

describe("trees, told wrong", () => {
  const device = cpuBackend();
  const run = { epochs: 1, batchSize: 8 };

  test("the path is named", async () => {
    expect(() => arrays({ x: { ...x, row: noise([19, 2]) }, y })).toThrow(
      /^arrays: x\.image has 20 examples and x\.row has 19; give as many of each\.$/,
    );
    expect(() => arrays({ x: { ...x, row: "no" as never }, y })).toThrow(
      /^x\.row is a string; give a tensor/,
    );
    const small = { ...x, row: noise([20, 1]) };
    await expect(
      makeTrainer(device)
        .fit(arrays({ x: small, y }), run)
        .next(),
    ).rejects.toThrow(/^Layer kind, linear\(7 → 3\), does not take \[8, 6\]/);
    const types = {
      input: { image: f32(8, 1, 2, 2), row: f32(8, 2) },
      target: { kind: i32(8), place: f32(8, 2) },
    };
    const batch = {
      input: { image: noise([8, 1, 2, 2]) },
      target: { kind: labels(8, 3), place: noise([8, 2]) },
    };
    await expect(
      makeTrainer(device)
        .fit(stream([batch as never], types), { epochs: 1 })
        .next(),
    ).rejects.toThrow(/^stream, batch 1: the input "input\.row" is missing; give f32\[8, 2\]\.$/);
    const wrong = { ...batch, input: { ...batch.input, row: noise([8, 3]) } };
    await expect(
      makeTrainer(device)
        .fit(stream([wrong as never], types), { epochs: 1 })
        .next(),
    ).rejects.toThrow(
      /^stream, batch 1: the input "input\.row" has the shape \[8, 3\]; it was declared as f32\[8, 2\]\.$/,
    );
  });

  test("a loss or a metric that is no number, names that are taken", async () => {
    const set = arrays({ x, y });
    const place = (output: any) => output.place;
    await expect(makeTrainer(device, { loss: place }).fit(set, run).next()).rejects.toThrow(
      /^The loss gives f32\[8, 2\]; give one f32 number, a mean for instance\.$/,
    );
    await expect(makeTrainer(device, { metrics: { place } }).fit(set, run).next()).rejects.toThrow(
      /^The metric "place" gives f32\[8, 2\]; give one f32 number/,
    );
    await expect(
      makeTrainer(device, { metrics: { nothing: () => {} } })
        .fit(set, run)
        .next(),
    ).rejects.toThrow(/^The metric "nothing" gives no tensor; give one f32 number/);
    expect(() => makeTrainer(device, { metrics: { loss: place } })).toThrow(
      /^new Trainer: a metric is called "loss", which is taken; give it another name\.$/,
    );
    expect(() => makeTrainer(device, { metrics: { place: 3 } })).toThrow(/the metric "place" is no function/);
  });
});
