// Parameter groups and frozen parameters through the trainer.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { arrays } from "../../src/data/arrays.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import { Model } from "../../src/model/model.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { adamW, sgd } from "../../src/optim/optimizers.ts";
import { linearDecay } from "../../src/optim/schedules.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { all, backends, labels, noise, stateOf } from "./support.ts";

const set = arrays({ x: noise([24, 6]), y: labels(24, 3) });
const network = () =>
  nn.sequential(nn.linear({ in: 6, out: 8 }), nn.batchNorm(8), nn.relu(), nn.linear({ in: 8, out: 3 }));
const run = { epochs: 2, batchSize: 8 };

const frozenByGroup = (device: Backend) =>
  new Trainer({
    device,
    model: network(),
    loss: crossEntropy(),
    optimizer: adamW({ lr: 0.01, clipNorm: 1, groups: [{ match: "0.**", frozen: true }] }),
    seed: 2,
  });

function frozenByModel(device: Backend) {
  const model = new Model(device, network(), { seed: 2 });
  model.freeze("0.**");
  return new Trainer({ model, loss: crossEntropy(), optimizer: adamW({ lr: 0.01, clipNorm: 1 }) });
}

describe.each(backends)("frozen parameters on %s", (_, open) => {
  test.each([
    ["by a group", frozenByGroup],
    ["by the model", frozenByModel],
  ])("%s have no gradient, slot, update or backward pass, and resume bit for bit", async (_, make) => {
    const device = await open();
    const trainer = make(device);
    const before = await stateOf(trainer);
    const names: string[][] = [];
    await all(
      trainer.fit(set, { epochs: 1, batchSize: 8, onGradients: (g) => void names.push([...g.names]) }),
    );
    expect(new Set(names.flat())).toEqual(new Set(["1.weight", "1.bias", "3.weight", "3.bias"]));
    const after = await stateOf(trainer);
    expect([...after.keys()].filter((name) => name.startsWith("0."))).toEqual(["0.weight", "0.bias"]);
    for (const [name, values] of after) {
      const counted = name.endsWith("num_batches_tracked");
      if (/^0\./.test(name)) expect(values, name).toEqual(before.get(name));
      else if (!counted) expect(values, name).not.toEqual(before.get(name));
    }

    // Frozen parameters, then a run that is interrupted, and one that is not.
    const whole = make(device);
    await all(whole.fit(set, run));
    const first = make(device);
    await all(first.fit(set, { ...run, epochs: 1 }));
    const second = make(device);
    second.restore(await first.checkpoint(), "checkpoint");
    await all(second.fit(set, run));
    expect(await stateOf(second)).toEqual(await stateOf(whole));
    for (const one of [trainer, whole, first, second]) {
      await one.dispose();
      if (make === frozenByModel) await one.model.dispose();
    }
  });

  test("are neither multiplied by nor differentiated: the plan is shorter by their backward pass", async () => {
    const device = await open();
    const plain = new Trainer({
      device,
      model: network(),
      loss: crossEntropy(),
      optimizer: adamW({ lr: 0.01, clipNorm: 1 }),
      seed: 2,
    });
    const products = async (trainer: Trainer) =>
      (await trainer.trainingStep(set, 8)).plan.steps.filter(({ kernel }) => kernel.startsWith("matmul"))
        .length;
    // Two forwards, the gradients of two weights, and of the hidden layer.
    expect(await products(plain)).toBe(5);
    for (const make of [frozenByGroup, frozenByModel]) {
      const trainer = make(device);
      // Without the gradient of the first weight; that of the hidden layer goes on to the norm.
      expect(await products(trainer)).toBe(4);
      await trainer.dispose();
    }
    const head = new Trainer({
      device,
      model: network(),
      loss: crossEntropy(),
      optimizer: sgd({
        lr: 0.1,
        groups: [
          { match: "0.**", frozen: true },
          { match: "1.**", frozen: true },
        ],
      }),
    });
    expect(await products(head)).toBe(3);
    await head.dispose();
    await plain.dispose();
  });

  test("a group has its own learning rate, schedules included", async () => {
    const device = await open();
    const moved = async (groups: object[]) => {
      const trainer = new Trainer({
        device,
        model: network(),
        loss: crossEntropy(),
        optimizer: sgd({ lr: 0.1, groups: groups as [] }),
        seed: 2,
      });
      const before = await stateOf(trainer);
      await all(trainer.fit(set, { epochs: 1, batchSize: 24 }));
      const after = await stateOf(trainer);
      await trainer.dispose();
      return (name: string) => after.get(name)!.map((x, i) => x - before.get(name)![i]!);
    };
    const plain = await moved([]);
    const grouped = await moved([
      { match: "3.*", lr: 0.2 },
      { match: "0.weight", lr: linearDecay({ from: 0.05 }) },
      { match: "1.*", lr: 0 },
    ]);
    const by = (name: string, factor: number) =>
      plain(name).forEach((x, i) => {
        expect(grouped(name)[i], name).toBeCloseTo(factor * x, 6);
      });
    by("3.weight", 2);
    by("3.bias", 2);
    by("0.weight", 0.5);
    by("0.bias", 1);
    by("1.weight", 0);
  });
});

describe("frozen later", () => {
  const device = cpuBackend();

  test("between two runs: what stays trained keeps its slots", async () => {
    const model = new Model(device, network(), { seed: 2 });
    const trainer = new Trainer({ model, loss: crossEntropy(), optimizer: sgd({ lr: 0.1, momentum: 0.9 }) });
    await all(trainer.fit(set, { epochs: 1, batchSize: 8 }));
    const before = await stateOf(trainer);
    model.freeze("0.**");
    let after = new Map<string, number[]>();
    await all(
      trainer.fit(set, {
        epochs: 2,
        batchSize: 8,
        onGradients: async ({ step }) => {
          if (step === 4) after = await stateOf(trainer);
        },
      }),
    );
    for (const [name, values] of after)
      if (name.endsWith("momentum_buffer")) expect(values).toEqual(before.get(name));
    expect([...after.keys()].filter((name) => name.endsWith("buffer"))).toEqual(
      ["1.weight", "1.bias", "3.weight", "3.bias"].map((name) => `${name}.momentum_buffer`),
    );
    const end = await stateOf(trainer);
    expect(end.get("0.weight")).toEqual(before.get("0.weight"));
    expect(end.get("3.weight")).not.toEqual(before.get("3.weight"));
    await trainer.dispose();
    await model.dispose();
  });

  test("everything frozen is one sentence", async () => {
    const model = new Model(device, network());
    model.freeze("**");
    const trainer = new Trainer({ model, loss: crossEntropy(), optimizer: sgd({ lr: 0.1 }) });
    await expect(trainer.fit(set, run).next()).rejects.toThrow(
      /^There is nothing to train: the model has no parameters, or all of them are frozen\.$/,
    );
    await trainer.dispose();
    await model.dispose();
  });
});
