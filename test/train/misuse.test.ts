// What is told of what is gone, missing or wrong: the same sentence on the GPU and on the CPU.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { DescentError } from "../../src/core/errors.ts";
import type { Tensor } from "../../src/core/op.ts";
import { arrays, residentArrays } from "../../src/data/arrays.ts";
import { shapes } from "../../src/data/shapes.ts";
import { feed, standalone } from "../../src/graph/node.ts";
import { crossEntropy, type Loss } from "../../src/losses/index.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { f32 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { stopGradient } from "../../src/ops/elementwise/special.ts";
import { sgd } from "../../src/optim/optimizers.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { nullDevice } from "../support/null.ts";
import { all, labels, noise, stateOf } from "./support.ts";

const x = noise([17, 3]);
const y = labels(17, 2);
const set = arrays({ x, y });
const network = () => nn.sequential(nn.linear({ in: 3, out: 2 }), nn.batchNorm(2));
const run = { epochs: 1, batchSize: 8, lastBatch: "drop" } as const;

const trainerOn = (device: Backend, loss: Loss = crossEntropy()) =>
  new Trainer({ device, model: network(), loss, optimizer: sgd({ lr: 0.1, momentum: 0.9 }) });

/** What a call is told, whether it throws or rejects. */
async function told(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof DescentError)) throw error;
    return error.message;
  }
  return "nothing";
}

describe.each<[string, () => Promise<Backend>]>([
  ["a GPU", nullDevice],
  ["the CPU", async () => cpuBackend()],
])("on %s", (_, open) => {
  test("a set that was released, or lies on another device", async () => {
    const device = await open();
    const trainer = trainerOn(device);
    const own = residentArrays(device, "mine", x, y);
    await all(trainer.fit(own, run));
    await trainer.evaluate(own);
    expect(await told(() => trainer.evaluate(own, { weight: "current" } as never))).toBe(
      'evaluate: there is no option "weight"; use batchSize, weights, onValidation.',
    );
    own.release();
    const gone = /^"mine x" was released; make it anew before it is used\.$/;
    expect(await told(() => trainer.evaluate(own))).toMatch(gone);
    expect(await told(() => trainer.fit(own, { ...run, epochs: 2 }).next())).toMatch(gone);
    const fresh = trainerOn(device);
    expect(await told(() => fresh.fit(own, run).next())).toMatch(gone);

    const elsewhere = cpuBackend();
    const foreign = residentArrays(elsewhere, "theirs", x, y);
    const message =
      /^"theirs x" lives on another device \(CPU reference\); use tensors, data and models of one device together\.$/;
    expect(await told(() => fresh.evaluate(foreign))).toMatch(message);
    expect(await told(() => fresh.fit(foreign, run).next())).toMatch(message);
    // And the device goes on.
    await all(fresh.fit(set, run));
    await fresh.dispose();
    await trainer.dispose();
    device.dispose();
  });

  test("a trainer that was disposed of", async () => {
    const device = await open();
    const trainer = trainerOn(device);
    await all(trainer.fit(set, run));
    const checkpoint = await trainer.checkpoint();
    await trainer.dispose();
    await trainer.dispose();
    const { bytes } = device;
    for (const work of [
      () => trainer.fit(set, run).next(),
      () => trainer.evaluate(set),
      () => trainer.prepare(set, 8),
      () => trainer.programs(set, 8),
      () => trainer.trainingStep(set, 8),
      () => trainer.checkpoint(),
      () => trainer.restore(checkpoint, "checkpoint"),
      () => trainer.initializeFrom(checkpoint.model, "file"),
      () => trainer.reset(),
    ])
      expect(await told(work)).toBe("The trainer was disposed of; make a new one.");
    expect(device.bytes).toBe(bytes);
    device.dispose();
  });

  test("a model that was disposed of", async () => {
    const device = await open();
    const model = new Model(device, network());
    const trainer = new Trainer({ model, loss: crossEntropy(), optimizer: sgd({ lr: 0.1 }) });
    await all(trainer.fit(set, run));
    const step = compile(device, { x: f32(4, 3) }, ({ x }, t) => ({ outputs: { y: model.forward(x, t) } }));
    await step({ x: noise([4, 3]) });
    await model.dispose();
    expect(await told(() => model.predict([[1, 2, 3]]))).toMatch(
      /^The model was disposed of; make it anew\.$/,
    );
    expect(await told(() => trainer.fit(set, { ...run, epochs: 2 }).next())).toMatch(
      / was released; make it anew/,
    );
    expect(await told(() => trainer.evaluate(set))).toMatch(/^The model was disposed of/);
    expect(await told(() => step({ x: noise([4, 3]) }))).toMatch(/ was released; make it anew/);
    await trainer.dispose();
    device.dispose();
  });

  test("a device that was disposed of", async () => {
    const device = await open();
    const trainer = trainerOn(device);
    await all(trainer.fit(set, run));
    const program = { name: "double", outputs: { y: feed("x", [4]).mul(2) } };
    const executable = await device.compile(program);
    executable.run({ x: new Float32Array(4) });
    const variable = standalone("v", [4]);
    device.write(variable, new Float32Array(4));
    device.dispose();
    device.dispose();
    for (const work of [
      () => device.compile(program),
      () => device.write(variable, new Float32Array(4)),
      () => device.write(standalone("w", [4]), new Float32Array(4)),
      () => device.read(variable),
      () => device.copy(variable, standalone("u", [4])),
      () => device.finish(),
      () => executable.run({ x: new Float32Array(4) }),
      () => executable.runMany([{ x: new Float32Array(4) }]),
      () => executable.fetch("y"),
      () => trainer.evaluate(set),
      () => trainer.fit(set, { ...run, epochs: 2 }).next(),
      () => trainer.checkpoint(),
    ])
      expect(await told(work), String(work)).toMatch(
        /^The device was disposed of; open it again with (gpu|cpuBackend)\(\)\.$/,
      );
    await trainer.dispose();
    executable.dispose();
    expect(device.bytes).toBe(0);
  });

  test("an input that was never given, and a program that was disposed of", async () => {
    const device = await open();
    const sum = feed("a", [2]).add(feed("b", [2]));
    const executable = await device.compile({ name: "sum", outputs: { sum } });
    const message = /^sum: the input "b" f32\[2\] was never given; pass it to the run\.$/;
    const a = Float32Array.of(1, 2);
    expect(await told(() => executable.run({ a }))).toMatch(message);
    expect(await told(() => executable.runMany([{ a }]))).toMatch(message);
    executable.run({ a, b: a });
    executable.run({ a }); // keeps its last b
    expect(await told(() => executable.run({ a: Float32Array.of(1) }))).toMatch(
      /^Feed "a": 1 numbers for f32\[2\]/,
    );
    expect(await told(() => executable.run({ c: a }))).toMatch(
      /^Feed "c": 2 numbers for a feed that the graph does not have/,
    );
    executable.dispose();
    executable.dispose();
    expect(await told(() => executable.run({ a, b: a }))).toBe(
      "The program sum was disposed of; compile it again.",
    );
    device.dispose();
  });

  test("numbers that do not fit a variable, after which the device goes on", async () => {
    const device = await open();
    const variable = standalone("v", [2, 2]);
    for (const count of [3, 5, 5000])
      expect(await told(() => device.write(variable, new Float32Array(count)))).toBe(
        `"v": ${count} numbers for f32[2, 2]; give exactly 4.`,
      );
    device.write(variable, Float32Array.of(1, 2, 3, 4));
    await device.read(variable);
    await device.finish();
    device.dispose();
  });

  test("a loss that reaches no parameter, and one that no gradient reaches", async () => {
    const device = await open();
    const ofTargets = trainerOn(device, ((_: Tensor, target: Tensor) =>
      target.cast({ dtype: "f32" }).mean()) as Loss);
    const stopped = trainerOn(device, ((output: Tensor, target: Tensor) =>
      crossEntropy()(stopGradient(output), target)) as Loss);
    for (const trainer of [ofTargets, stopped]) {
      expect(await told(() => trainer.fit(set, run).next())).toMatch(
        /^The loss depends on no parameter of the model; /,
      );
      expect(trainer.step).toBe(0);
    }
    device.dispose();
  });
});

describe("on the CPU", () => {
  const device = cpuBackend();

  test("settings that a trainer does not know", async () => {
    const options = { device, model: network(), loss: crossEntropy(), optimizer: sgd({ lr: 0.1 }) };
    expect(() => new Trainer({ ...options, precision: "f64" as never })).toThrow(
      /^The precision is "f64"; use "f32" or "mixed"\.$/,
    );
    expect(() => new Trainer({ ...options, penalities: [] } as never)).toThrow(
      /^new Trainer: there is no option "penalities"; use model, device, loss, optimizer, metrics, penalties/,
    );
    expect(() => new Trainer({ ...options, loss: undefined as never })).toThrow(
      /the loss is missing; give one/,
    );
    expect(() => new Trainer({ ...options, optimizer: undefined as never })).toThrow(
      /the optimizer is missing; give one/,
    );
    expect(() => new Trainer({ ...options, device: undefined })).toThrow(/a network alone needs a device/);
    const trainer = trainerOn(device);
    const { train, test } = shapes({ train: 4, test: 2 });
    for (const [data, message] of [
      [undefined, /^The data is of type undefined; pass a data set/],
      [null, /^The data is null; pass a data set/],
      [3, /^The data is of type number; pass a data set/],
      [Promise.resolve(set), /^The data is a promise; await it first\.$/],
      [{ train, test }, /^The data is a \{ train, test \} split; pass one of its parts/],
      [{ x, y }, /^The data has no count and name \(it has x, y\); pass a data set/],
    ] as const) {
      expect(await told(() => trainer.fit(data as never, run).next())).toMatch(message);
      expect(await told(() => trainer.evaluate(data as never))).toMatch(message);
    }
    for (const batchSize of [0, -1, 2.5, Number.NaN, "8"])
      expect(await told(() => trainer.evaluate(set, { batchSize: batchSize as never }))).toBe(
        `The batch size is ${batchSize}; use a whole number of at least 1.`,
      );
    // Nothing of it keeps the trainer from training.
    await all(trainer.fit(set, run));
    const few = { ...train, labels: train.labels.subarray(1) };
    const images = new Trainer({
      ...options,
      model: nn.sequential(nn.flatten(), nn.linear({ in: 3072, out: 10 })),
    });
    expect(await told(() => images.fit(few, { epochs: 1, batchSize: 2 }).next())).toMatch(
      /has 4 images and 3 labels: give each image one label/,
    );
  });

  test("two fits at once", async () => {
    const trainer = trainerOn(device);
    const first = trainer.fit(set, { ...run, epochs: 2 });
    const pending = first.next();
    expect(await told(() => trainer.fit(set, run).next())).toBe(
      "This trainer is training already; wait for that fit to end, or use another trainer.",
    );
    await pending;
    await all(first);
    expect(trainer.step).toBe(4);
    const alone = trainerOn(device);
    await all(alone.fit(set, { ...run, epochs: 2 }));
    expect(await stateOf(trainer)).toEqual(await stateOf(alone));
    // One that is left in the middle makes way.
    const left = trainer.fit(set, { ...run, epochs: 4 });
    await left.next();
    await left.return(undefined);
    await all(trainer.fit(set, { ...run, epochs: 4 }));
    expect(trainer.step).toBe(8);
  });

  test("options that fit does not know are named", async () => {
    const trainer = new Trainer({
      device: cpuBackend(),
      model: nn.linear({ in: 3, out: 2 }),
      loss: crossEntropy(),
      optimizer: sgd({ lr: 0.1 }),
    });
    const data = arrays({ x: noise([8, 3]), y: labels(8, 2) });
    for (const [wrong, value] of Object.entries({ dropLast: true, epoch: 3, batchsize: 4 }))
      await expect(trainer.fit(data, { epochs: 1, [wrong]: value }).next()).rejects.toThrow(
        new RegExp(`^fit: there is no option "${wrong}"; use epochs, batchSize, .*, signal\\.$`),
      );
    await trainer.dispose();
  });

  test('a last batch of one, which batch norm cannot take, is left out with lastBatch "drop"', async () => {
    const trainer = trainerOn(device);
    expect(await told(() => trainer.fit(set, { epochs: 1, batchSize: 8 }).next())).toMatch(
      /batchNorm.*(one|1)/i,
    );
    const epochs = await all(trainer.fit(set, { epochs: 2, batchSize: 8, lastBatch: "drop" }));
    expect(epochs.map(({ step }) => step)).toEqual([2, 4]);
  });
});
