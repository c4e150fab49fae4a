// Runs that end when a number gets no better, with their best weights: to the bit, and across a resume.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { CheckpointError, OptionError } from "../../src/core/errors.ts";
import { type NDArray, ndarray } from "../../src/core/ndarray.ts";
import { arrays } from "../../src/data/arrays.ts";
import { mse } from "../../src/losses/index.ts";
import * as metrics from "../../src/metrics/index.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { adam } from "../../src/optim/optimizers.ts";
import { type EarlyStoppingOptions, earlyStopping } from "../../src/train/early-stopping.ts";
import { NodeTrainer } from "../../src/train/node/trainer.ts";
import type { EpochMetrics } from "../../src/train/trainer.ts";
import { all, backends, noise, stateOf } from "./support.ts";

/** Targets a·x₀ − a·x₁ of the same inputs: on the way to a = 1 the validation's a = ½ is passed. */
const x = noise([24, 3]);
const along = (a: number): NDArray =>
  ndarray(
    [24, 1],
    Array.from({ length: 24 }, (_, i) => a * (x.data[3 * i]! - x.data[3 * i + 1]!)),
  );
const set = arrays({ x, y: along(1), name: "rows" });
const held = arrays({ x, y: along(0.5), name: "held out" });

function make(device: ReturnType<typeof cpuBackend>, ema = false): NodeTrainer<any> {
  const trainer = new NodeTrainer({
    device,
    model: nn.sequential(nn.batchNorm(3), nn.linear({ in: 3, out: 1 })),
    loss: mse(),
    optimizer: adam({ lr: 0.02, ...(ema && { ema: { decay: 0.5 } }) }),
    metrics: { r2: metrics.r2() },
    seed: 4,
  });
  trainer.model.tensor("1.weight").write([0, 0, 0]);
  trainer.model.tensor("1.bias").write([0]);
  return trainer;
}

const MODEL = /^(0|1)\.(weight|bias|running_mean|running_var|num_batches_tracked|.*\.average)$/;

/** What a model computes with. */
const weightsOf = async (trainer: NodeTrainer<any>) =>
  new Map([...(await stateOf(trainer))].filter(([name]) => MODEL.test(name)));

describe.each(backends)("early stopping on %s", (_, open) => {
  test.each([false, true])(
    "the best epoch's weights come back to the bit, with an average: %s",
    async (ema) => {
      const device = await open();
      const trainer = make(device, ema);
      const epochs: EpochMetrics[] = [];
      const weights: Map<string, number[]>[] = [];
      const fit = { epochs: 40, batchSize: 8, validation: held };
      for await (const epoch of trainer.fit(set, { ...fit, earlyStopping: earlyStopping({ patience: 3 }) })) {
        epochs.push(epoch);
        weights.push(await weightsOf(trainer));
      }
      const losses = epochs.map(({ validation }) => validation!.loss);
      const best = losses.indexOf(Math.min(...losses));
      expect(best).toBeGreaterThan(1);
      expect(epochs).toHaveLength(best + 4);
      expect(epochs.slice(0, -1).filter(({ stopped }) => stopped)).toEqual([]);
      expect(epochs.at(-1)!.stopped).toEqual({
        reason: "patience",
        monitor: "validation.loss",
        best: losses[best],
        epoch: best + 1,
        restored: true,
      });
      expect(await weightsOf(trainer)).toEqual(weights[best]);
      expect((await trainer.evaluate(held, { batchSize: 8 })).loss).toBe(losses[best]);
      // It stays ended, and another wish goes on.
      expect(await all(trainer.fit(set, { ...fit, earlyStopping: earlyStopping({ patience: 3 }) }))).toEqual(
        [],
      );
      const more = await all(
        trainer.fit(set, { ...fit, epochs: best + 6, earlyStopping: earlyStopping({ patience: 9 }) }),
      );
      expect(more.map(({ stopped }) => stopped?.reason)).toEqual([undefined, "epochs"]);
      await trainer.dispose();
    },
  );

  test("a run resumed from a checkpoint ends where the whole one does, with the same bits", async () => {
    const device = await open();
    const folder = mkdtempSync(join(tmpdir(), "descent-stopping-"));
    const fit = { epochs: 40, batchSize: 8, validation: held, earlyStopping: earlyStopping({ patience: 3 }) };
    const whole = make(device, true);
    const wanted = await all(whole.fit(set, fit));
    const end = await stateOf(whole);
    // In the middle of the patience, and when it has ended.
    for (const at of [wanted.length - 1, wanted.length]) {
      const [first, resumed] = [make(device, true), make(device, true)];
      let seen = 0;
      for await (const __ of first.fit(set, fit)) if (++seen === at) break;
      await first.save(folder);
      await first.dispose();
      await resumed.resume(folder);
      const rest = await all(resumed.fit(set, fit));
      expect(rest.map(({ stopped }) => stopped)).toEqual(wanted.slice(at).map(({ stopped }) => stopped));
      expect(await stateOf(resumed)).toEqual(end);
      await resumed.dispose();
    }
    await whole.dispose();
    rmSync(folder, { recursive: true });
  });
});

describe("what ends a run", () => {
  const device = cpuBackend();
  const run = async (options: EarlyStoppingOptions, more: object = {}) => {
    const trainer = make(device);
    const epochs = await all(
      trainer.fit(set, { epochs: 60, batchSize: 24, earlyStopping: earlyStopping(options), ...more }),
    );
    await trainer.dispose();
    return { epochs, stopped: epochs.at(-1)!.stopped! };
  };

  test("the loss's change", async () => {
    const { epochs, stopped } = await run({ monitor: "loss", minDelta: 0.01, patience: 2 });
    expect(epochs.length).toBeLessThan(60);
    const losses = epochs.map(({ loss }) => loss);
    expect(stopped.best).toBe(losses.at(-3));
    // What is compared is the change since the best epoch, as in Keras.
    for (const loss of losses.slice(-2)) expect(stopped.best - loss).toBeLessThanOrEqual(0.01);
    expect(losses[0]! - stopped.best).toBeGreaterThan(0.01);
    expect(stopped).toMatchObject({ reason: "patience", epoch: epochs.length - 2, restored: true });
  });

  test("the gradient's norm", async () => {
    const { epochs, stopped } = await run({
      monitor: "gradientNorm",
      target: 0.5,
      patience: 60,
      restoreBest: false,
    });
    const norms = epochs.map(({ gradientNorm }) => gradientNorm);
    expect(norms.filter((norm) => norm <= 0.5)).toEqual([norms.at(-1)]);
    expect(norms.length).toBeGreaterThan(3);
    expect(stopped).toEqual({
      reason: "target",
      monitor: "gradientNorm",
      best: norms.at(-1),
      epoch: norms.length,
      restored: false,
    });
  });

  test("a metric, better where it is more", async () => {
    const { epochs, stopped } = await run(
      { monitor: "validation.r2", mode: "max", patience: 2 },
      { validation: held },
    );
    const values = epochs.map(({ validation }: any) => validation.r2);
    expect(stopped.best).toBe(Math.max(...values));
    expect(stopped.epoch).toBe(values.length - 2);
  });

  test("without restoring, the last weights stay; at the end of all epochs the best come back", async () => {
    const fit = { epochs: 40, batchSize: 8, validation: held };
    const [kept, plain] = [make(device), make(device)];
    const epochs = await all(kept.fit(set, { ...fit, earlyStopping: earlyStopping({ restoreBest: false }) }));
    await all(plain.fit(set, { ...fit, epochs: epochs.length }));
    expect(epochs.at(-1)!.stopped).toMatchObject({ reason: "patience", restored: false });
    expect(await weightsOf(kept)).toEqual(await weightsOf(plain));
    const { stopped } = await run({ patience: 50 }, { validation: held, epochs: 40, batchSize: 8 });
    expect(stopped).toMatchObject({ reason: "epochs", restored: true, epoch: epochs.length - 1 });
  });
});

describe("what early stopping refuses", () => {
  const trial = async (options: unknown) => {
    const trainer = make(cpuBackend());
    return all(trainer.fit(set, { epochs: 2, batchSize: 8, earlyStopping: earlyStopping(options as never) }));
  };
  test.each([
    [3, "earlyStopping: the options are a number; give { patience: 3 } for instance."],
    [{ patients: 2 }, /earlyStopping: there is no option "patients"; use monitor, patience, minDelta, mode/],
    [{ patience: 0 }, "earlyStopping: patience is 0; use a whole number of at least 1."],
    [{ minDelta: -1 }, "earlyStopping: minDelta is -1; use a finite number of at least 0."],
    [{ target: Number.NaN }, "earlyStopping: target is NaN; use a finite number."],
    [{ restoreBest: "yes" }, "earlyStopping: restoreBest is yes; use true or false."],
    [
      { monitor: "r2" },
      /mode is undefined; say whether "r2" is better where it is less \("min"\) or more \("max"\)/,
    ],
    [
      { monitor: "validation.loss" },
      'earlyStopping: there is no number "validation.loss" without validation; use loss, accuracy, penalty, r2, gradientNorm.',
    ],
    [
      { monitor: "f1" },
      /earlyStopping: there is no number "f1"; use loss, accuracy, penalty, r2, gradientNorm/,
    ],
    [
      { monitor: "accuracy" },
      'earlyStopping: "accuracy" is undefined after epoch 1; use a number that each epoch has.',
    ],
    [
      { monitor: "penalty" },
      'earlyStopping: "penalty" is undefined after epoch 1; use a number that each epoch has.',
    ],
  ])("%j", async (given, message) => {
    const run = trial(given);
    await expect(run).rejects.toThrow(message);
    await expect(run).rejects.toThrow(OptionError);
  });

  test("a checkpoint whose best weights are missing, or another model's", async () => {
    const trainer = make(cpuBackend());
    const fit = { epochs: 4, batchSize: 8, validation: held, earlyStopping: earlyStopping({ patience: 3 }) };
    for await (const { epoch } of trainer.fit(set, fit)) if (epoch === 2) break;
    const checkpoint = await trainer.checkpoint();
    const resumed = (changed: object) => {
      const other = make(cpuBackend());
      other.restore({ ...checkpoint, ...changed }, "run");
      return all(other.fit(set, fit));
    };
    expect(await resumed({})).toHaveLength(2);
    await expect(resumed({ best: undefined })).rejects.toThrow(
      new CheckpointError(
        'earlyStopping: the best weights of the checkpoint have no "0.weight" [3]; use a checkpoint that is whole, best.safetensors included.',
      ),
    );
    const tensors = new Map([...checkpoint.best!.tensors].slice(1));
    await expect(resumed({ best: { ...checkpoint.best!, tensors } })).rejects.toThrow(
      /have no "0\.weight" \[3\]/,
    );
    const { optimizer } = checkpoint;
    const metadata = { ...optimizer.metadata, stopping: '{"wish":1}' };
    await expect(resumed({ optimizer: { ...optimizer, metadata } })).rejects.toThrow(
      /earlyStopping: the checkpoint does not say where it stood/,
    );
    await expect(all(trainer.fit(set, { ...fit, earlyStopping: { patience: 3 } as never }))).rejects.toThrow(
      new OptionError(
        "earlyStopping is no early stopping; give earlyStopping({ patience: 3 }) for instance.",
      ),
    );
  });
});
