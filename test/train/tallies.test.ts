// Metrics that count over batches: in epochs, evaluations and models, across a resume, and with padding.
import { describe, expect, expectTypeOf, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { Tensor } from "../../src/core/op.ts";
import { arrays } from "../../src/data/arrays.ts";
import { crossEntropy, mse } from "../../src/losses/index.ts";
import * as metrics from "../../src/metrics/index.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { sgd } from "../../src/optim/optimizers.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { all, backends, labels, noise } from "./support.ts";

const set = arrays({ x: noise([22, 3]), y: labels(22, 3), name: "rows" });
const measured = {
  best: metrics.accuracy(),
  f1: metrics.f1(),
  confusion: metrics.confusionMatrix(),
  calibration: metrics.calibrationError(),
};

const make = (device: ReturnType<typeof cpuBackend>, lr = 0) =>
  new Trainer({
    device,
    model: nn.linear({ in: 3, out: 3 }),
    loss: crossEntropy(),
    optimizer: sgd({ lr }),
    metrics: measured,
  });

describe.each(backends)("tallies on %s", (_, open) => {
  test("an epoch and an evaluation are those of all rows, however they are divided", async () => {
    const device = await open();
    const trainer = make(device);
    const whole = await trainer.evaluate(set, { batchSize: 22 });
    expectTypeOf(whole.confusion).toEqualTypeOf<number[][]>();
    expectTypeOf(whole.f1).toEqualTypeOf<number>();
    expect(whole.confusion.flat().reduce((a, b) => a + b)).toBe(22);
    const right = whole.confusion.reduce((sum, row, i) => sum + row[i]!, 0);
    expect(whole.accuracy).toBeCloseTo(right / 22, 6);
    expect(whole.f1).toBeGreaterThan(0);
    expect(whole.calibration).toBeGreaterThan(0);

    const parts = [
      await trainer.evaluate(set, { batchSize: 5 }),
      await trainer.evaluate(set, { batchSize: 5 }),
      await trainer.model.evaluate(set, { loss: crossEntropy(), metrics: measured, batchSize: 8 }),
    ];
    for (const options of [{}, { lastBatch: "masked" }, { accumulate: 2 }] as const) {
      const other = make(device);
      const epochs = await all(
        other.fit(set, { epochs: 2, batchSize: 8, validation: set, onStep, ...options }),
      );
      parts.push(...epochs, ...epochs.map(({ validation }) => validation));
      await other.dispose();
    }
    function onStep(step: { readonly best: number }) {
      expect(step).not.toHaveProperty("f1");
    }
    for (const part of parts) {
      expect(part.confusion).toEqual(whole.confusion);
      expect(part.f1).toBeCloseTo(whole.f1, 6);
      expect(part.calibration).toBeCloseTo(whole.calibration, 5);
    }
    await trainer.dispose();
  });

  test("evaluations that are asked for at once are those that come one after another", async () => {
    const trainer = make(await open());
    const other = arrays({ x: noise([22, 3], 7), y: labels(22, 3, 7), name: "others" });
    const evaluate = (data: typeof set) => trainer.evaluate(data, { batchSize: 4 });
    const apart = [await evaluate(set), await evaluate(other)];
    expect(apart[0]!.loss).not.toBe(apart[1]!.loss);
    expect(await Promise.all([evaluate(set), evaluate(other)])).toEqual(apart);
    await trainer.dispose();
  });

  test("an epoch that was stopped and resumed from a checkpoint counts its first steps, too", async () => {
    const device = await open();
    const [straight, stopped, resumed] = [make(device, 0.1), make(device, 0.1), make(device, 0.1)];
    const [wanted] = await all(straight.fit(set, { epochs: 1, batchSize: 4 }));
    const signal = { aborted: false };
    const onStep = ({ step }: { step: number }) => {
      signal.aborted = step >= 2;
    };
    expect(await all(stopped.fit(set, { epochs: 1, batchSize: 4, onStep, signal }))).toEqual([]);
    expect(stopped.step).toBeLessThan(6);
    resumed.restore(await stopped.checkpoint(), "checkpoint");
    const [got] = await all(resumed.fit(set, { epochs: 1, batchSize: 4 }));
    expect(got!.confusion).toEqual(wanted!.confusion);
    expect(got!.f1).toBe(wanted!.f1);
    expect(got!.confusion.flat().reduce((a, b) => a + b)).toBe(22);
    for (const trainer of [straight, stopped, resumed]) await trainer.dispose();
  });
});

describe("what metrics refuse", () => {
  test("options outside their range", () => {
    expect(() => metrics.topK(0)).toThrow("topK: k is 0; use a whole number of at least 1.");
    expect(() => metrics.f1({ average: "mean" as never })).toThrow(
      'f1: average is "mean"; use "macro", "micro" or "weighted".',
    );
    expect(() => metrics.recall({ threshold: 1 })).toThrow(
      "recall: threshold is 1; use a number between 0 and 1.",
    );
    expect(() => metrics.auc({ bins: 1 })).toThrow("auc: bins is 1; use a whole number from 2 to 1048576.");
    expect(() => metrics.calibrationError({ bin: 3 } as never)).toThrow(/there is no option "bin"; use bins/);
  });

  test("targets that are no labels, too few classes, counts of another kind or shape", async () => {
    const device = cpuBackend();
    const trial = async (metric: metrics.Measure, y = set.y, out = 3) => {
      const trainer = new Trainer({
        device,
        model: nn.linear({ in: 3, out }),
        loss: (output: Tensor) => output.mean(),
        optimizer: sgd({ lr: 0.1 }),
        metrics: { metric },
      });
      await all(trainer.fit(arrays({ x: set.x, y }), { epochs: 1, batchSize: 8 }));
    };
    const numbers = noise([22, 3], 4);
    await expect(trial(metrics.topK(4))).rejects.toThrow(
      /topK: k is 4, and the output f32\[8, 3\] has 3 classes/,
    );
    await expect(trial(metrics.confusionMatrix(), numbers)).rejects.toThrow(
      /confusionMatrix: the target is f32\[8, 3\] beside the output f32\[8, 3\]; use i32\[8\]/,
    );
    await expect(trial(metrics.auc())).rejects.toThrow(/auc: there are 3 classes; give logits of two/);
    await expect(trial(metrics.r2())).rejects.toThrow(
      /r2: the output is f32\[8, 3\] and the target i32\[8\]/,
    );
    const own = (statistics: (output: Tensor) => Tensor) =>
      metrics.tally({ name: "own", value: () => 0, statistics });
    await expect(trial(own((output: Tensor) => output.argmax({ axis: 1 })))).rejects.toThrow(
      'The metric "metric" counts i32[8]; give f32.',
    );
    await expect(trial(own((output: Tensor) => output))).rejects.toThrow(
      'The metric "metric" counts f32[6, 3], and counted f32[8, 3] before; let all batches have one shape of counts.',
    );
    const options = { device, model: nn.linear({ in: 3, out: 3 }), loss: mse(), optimizer: sgd({ lr: 1 }) };
    expect(() => new Trainer({ ...options, metrics: { own: {} as never } })).toThrow(
      /new Trainer: the metric "own" is no function/,
    );
    const masked = new Trainer({
      ...options,
      loss: crossEntropy(),
      metrics: { own: own((output: Tensor) => output.mean()) },
    });
    await expect(all(masked.fit(set, { epochs: 1, batchSize: 8, lastBatch: "masked" }))).rejects.toThrow(
      /The metric "own" does not use its third argument/,
    );
  });
});

test("a tally of one's own, and one of trees", async () => {
  const device = cpuBackend();
  const largest = metrics.tally({
    name: "range",
    statistics: (output: Tensor) => {
      const flat = output.reshape({ shape: [output.shape.reduce((a, b) => a * b, 1)] });
      return flat.max({ axes: [0], keepdims: true }).maximum(flat.neg().max({ axes: [0], keepdims: true }));
    },
    merge: (before: Tensor, batch: Tensor) => before.maximum(batch),
    value: ([most]) => ({ least: -most!, most: most! }),
  });
  const trainer = new Trainer({
    device,
    model: nn.linear({ in: 3, out: 3 }),
    loss: crossEntropy(),
    optimizer: sgd({ lr: 0.1 }),
    metrics: { range: largest },
  });
  const { output } = (await trainer.model.trace(set.x as never)) as unknown as {
    output: { data: Float32Array };
  };
  const most = Math.max(...output.data.map(Math.abs));
  expect((await trainer.evaluate(set, { batchSize: 4 })).range).toEqual({ least: -most, most });
  await trainer.dispose();
});
