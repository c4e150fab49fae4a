// The moving average of a network's parameters, from the optimizer's option to the checkpoint.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { CheckpointError, NonFiniteError, OptionError } from "../../src/core/errors.ts";
import { ndarray } from "../../src/core/ndarray.ts";
import { arrays, residentArrays } from "../../src/data/arrays.ts";
import { shapes } from "../../src/data/shapes.ts";
import { crossEntropy, mse } from "../../src/losses/index.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { f32 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { adamW, sgd } from "../../src/optim/optimizers.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpu } from "../support/gpu.ts";

const backends: [string, () => Promise<Backend>][] = [
  ["webgpu", gpu],
  ["cpu", async () => cpuBackend()],
];

const { train: images, test: held } = shapes({ train: 32, test: 12 });
const make = (device: Backend, ema?: { decay: number }) =>
  new Trainer({
    device,
    model: nn.sequential(
      nn.conv2d({ in: 3, out: 4, kernel: 3, stride: 4 }),
      nn.batchNorm(4),
      nn.relu(),
      nn.flatten(),
      nn.linear({ in: 4 * 64, out: 10 }),
    ),
    loss: crossEntropy(),
    optimizer: adamW({ lr: 0.01, ...(ema ? { ema } : {}) }),
  });
const trainFor = async (trainer: Trainer, epochs: number) => {
  let last: Awaited<ReturnType<typeof trainer.evaluate>> | undefined;
  for await (const epoch of trainer.fit(images, { epochs, batchSize: 8, validation: held }))
    last = epoch.validation;
  return last!;
};

describe.each(backends)("the average on %s", (_, open) => {
  test("changes no bit of the training, costs no dispatch, is validated and resumed to the same bits", async () => {
    const device = await open();
    const plain = make(device);
    const trainer = make(device, { decay: 0.8 });
    await trainFor(plain, 2);
    const validation = await trainFor(trainer, 2);
    const whole = await trainer.checkpoint();
    expect(whole.model.tensors).toEqual((await plain.checkpoint()).model.tensors);
    const dispatches = async (t: Trainer) => (await t.trainingStep(images, 8)).plan.steps.length;
    expect(await dispatches(trainer)).toBe(await dispatches(plain));

    expect(await trainer.evaluate(held, { batchSize: 8 })).toEqual(validation);
    const current = await trainer.evaluate(held, { batchSize: 8, weights: "current" });
    expect(current).toEqual(await plain.evaluate(held, { batchSize: 8 }));
    expect(current.loss).not.toBe(validation.loss);
    await expect(plain.evaluate(held, { weights: "average" })).rejects.toThrow(OptionError);
    await expect(plain.evaluate(held, { weights: "average" })).rejects.toThrow(/There is no average to eval/);

    const first = make(device, { decay: 0.8 });
    await trainFor(first, 1);
    const second = make(device, { decay: 0.8 });
    second.restore(await first.checkpoint(), "here");
    await trainFor(second, 2);
    expect((await second.checkpoint()).optimizer.tensors).toEqual(whole.optimizer.tensors);

    // The model with the average in it is what evaluation saw, under the names that PyTorch loads.
    const { average, model } = whole;
    expect([...average!.tensors.keys()]).toEqual([...model.tensors.keys()]);
    expect(average!.tensors.get("1.running_var")).toEqual(model.tensors.get("1.running_var"));
    plain.initializeFrom(average!, "average.safetensors");
    expect(await plain.evaluate(held, { batchSize: 8 })).toEqual(validation);
    for (const one of [plain, trainer, first, second]) await one.dispose();
  });

  test("begins with the parameters that there are when training begins", async () => {
    const device = await open();
    const optimizer = () => sgd({ lr: 0.1, lookahead: { k: 1, alpha: 0.5 } });
    const network = () => nn.linear({ in: 2, out: 1, bias: false });
    const set = arrays({ x: ndarray([1, 2], [1, 1]), y: ndarray([1, 1], [0]) });
    const weights = [];
    for (const give of ["early", "late", "from a file"]) {
      const model = new Model(device, network(), { seed: 1 });
      const given = await new Model(device, network(), { seed: 2 }).file();
      if (give === "early") model.restore(given);
      const trainer = new Trainer({ model, loss: mse(), optimizer: optimizer() });
      if (give === "late") model.restore(given);
      if (give === "from a file") trainer.initializeFrom(given, "file");
      for await (const _ of trainer.fit(set, { epochs: 1, batchSize: 1 }));
      weights.push((await model.tensor("weight").read()).data);
      await trainer.dispose();
    }
    expect(weights[1]).toEqual(weights[0]);
    expect(weights[2]).toEqual(weights[0]);
    const model = new Model(device, network(), { seed: 1 });
    const lookahead = optimizer();
    const step = compile(device, { x: f32(1, 2) }, ({ x }, t) => ({
      updates: lookahead.minimize(model.forward(x, t).square().mean(), model),
    }));
    model.restore(await new Model(device, network(), { seed: 2 }).file());
    await step({ x: [[1, 1]] });
    expect((await model.tensor("weight").read()).data).toEqual(weights[0]);
  });

  test("begins with the parameters it is given", async () => {
    const device = await open();
    const [plain, trainer] = [make(device), make(device, { decay: 0.99 })];
    const normalization = { mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2] };
    const { model } = await plain.checkpoint({ normalization: JSON.stringify(normalization) });
    for (const one of [plain, trainer]) one.initializeFrom(model, "model");
    expect(await trainer.evaluate(held)).toEqual(await plain.evaluate(held));
    for (const one of [plain, trainer]) await one.dispose();
  });

  test("a step that is not finite leaves it as it was", async () => {
    const device = await open();
    const data = (x: number) =>
      residentArrays(device, `x = ${x}`, ndarray([4, 1], [1, 2, 3, x]), ndarray([4, 1], [1, 2, 3, 4]));
    const trainer = new Trainer({
      device,
      model: nn.sequential(nn.linear({ in: 1, out: 1 })),
      loss: mse(),
      optimizer: sgd({ lr: 0.01, ema: { decay: 0.5 } }),
    });
    for await (const _epoch of trainer.fit(data(4), { epochs: 3, batchSize: 4 }));
    const before = await trainer.checkpoint();
    const broken = trainer.fit(data(Number.POSITIVE_INFINITY), { epochs: 4, batchSize: 4 });
    await expect(broken.next()).rejects.toThrow(NonFiniteError);
    expect((await trainer.checkpoint()).average).toEqual(before.average);
    await trainer.dispose();
  });
});

test("a checkpoint with an average is not one without", async () => {
  const [plain, trainer] = [make(cpuBackend()), make(cpuBackend(), { decay: 0.9 })];
  const checkpoint = await trainer.checkpoint();
  expect(() => plain.restore(checkpoint, "here")).toThrow(CheckpointError);
  expect(() => plain.restore(checkpoint, "here")).toThrow(
    /state of adamW with an average, the run uses adamW;/,
  );
});

test.each([-0.1, 1, 1.5, Number.NaN])("a decay of %d is refused", (decay) => {
  expect(() => sgd({ lr: 1, ema: { decay } })).toThrow(OptionError);
  expect(() => sgd({ lr: 1, ema: { decay } })).toThrow(
    /sgd: the decay of the average is .*; use a number from 0/,
  );
});
