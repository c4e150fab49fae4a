import { expect, test } from "vitest";
import { WebGPUBackend } from "../../src/backend/webgpu/backend.ts";
import { openDevice } from "../../src/backend/webgpu/device.ts";
import "../../src/backend/webgpu/dawn.ts";
import { shapes } from "../../src/data/shapes.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import { imageModel } from "../../src/nn/models.ts";
import { adamW } from "../../src/optim/optimizers.ts";
import { Trainer } from "../../src/train/trainer.ts";

/** Counts calls on a device and its queue; the objects themselves stay Dawn's. */
function counting(device: GPUDevice): { device: GPUDevice; calls: Map<string, number> } {
  const calls = new Map<string, number>();
  const count = (name: string) => calls.set(name, (calls.get(name) ?? 0) + 1);
  const wrap = <T extends object>(target: T, path: string): T =>
    new Proxy(target, {
      get(object, key) {
        const value = Reflect.get(object, key, object);
        if (key === "queue") return wrap(value as object, "queue.");
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          count(path + String(key));
          const result = value.apply(object, args);
          return key === "createCommandEncoder" ? wrap(result, "encoder.") : result;
        };
      },
    });
  return { device: wrap(device, ""), calls };
}

test("a training step is one encoder, one pass, one submit, and makes and reads nothing", async () => {
  const opened = await openDevice();
  const { device, calls } = counting(opened.device);
  const backend = new WebGPUBackend({ ...opened, device });
  const { train, test: held } = shapes({ train: 96, test: 20 });
  const trainer = new Trainer({
    device: backend,
    model: imageModel("lenet", { shape: train.shape, classes: 10 }),
    loss: crossEntropy(),
    optimizer: adamW({ lr: 1e-3, clipNorm: 1 }),
  });
  const executable = await trainer.trainingStep(train, 16);
  calls.clear();
  const steps = 5;
  for (let step = 0; step < steps; step++) executable.run(trainer.feeds(step, step * 16, steps));
  await backend.finish();
  expect(Object.fromEntries(calls)).toEqual({
    createCommandEncoder: steps,
    "encoder.beginComputePass": steps,
    "encoder.finish": steps,
    "queue.submit": steps,
    "queue.writeBuffer": steps, // one row: counters and hyperparameters
    "queue.onSubmittedWorkDone": 1, // this test's own wait
  });

  // Several small steps may share a submit: still a pass each, and the same bits as one by one.
  const state = async () =>
    new Map([...(await trainer.checkpoint()).model.tensors].map(([name, t]) => [name, t.data]));
  const feeds = Array.from({ length: 3 }, (_, step) => trainer.feeds(step, step * 16, 6));
  trainer.reset();
  for (const one of feeds) executable.run(one);
  const oneByOne = await state();
  trainer.reset();
  calls.clear();
  executable.runMany(feeds);
  expect([
    calls.get("queue.submit"),
    calls.get("queue.writeBuffer"),
    calls.get("encoder.beginComputePass"),
  ]).toEqual([1, 1, 3]);
  expect(await state()).toEqual(oneByOne);

  // A whole epoch with its metrics: a pass a step, at most a submit a step, and one more for each reading of the ring.
  calls.clear();
  const epoch = await trainer.fit(train, { epochs: 1, batchSize: 16 }).next();
  expect(epoch.value?.step).toBe(6);
  const readings = calls.get("encoder.copyBufferToBuffer") ?? 0;
  expect(calls.get("encoder.beginComputePass")).toBe(6);
  expect(calls.get("queue.submit")).toBeLessThanOrEqual(6 + readings);
  expect(readings).toBeLessThanOrEqual(6);
  expect(calls.has("createComputePipelineAsync") || calls.has("createBindGroup")).toBe(false);

  await trainer.evaluate(held);
  await trainer.dispose();
  // What is left is the pool of temporaries, which the backend shares between plans; then nothing.
  backend.dispose();
  expect(backend.bytes).toBe(0);
});

test("a trainer that is disposed of gives its memory back", async () => {
  const backend = new WebGPUBackend(await openDevice());
  const { train, test: held } = shapes({ train: 48, test: 20 });
  const once = async () => {
    const trainer = new Trainer({
      device: backend,
      model: imageModel("cnn", { shape: train.shape, classes: 10 }),
      loss: crossEntropy(),
      optimizer: adamW({ lr: 1e-3 }),
    });
    for await (const epoch of trainer.fit(train, { epochs: 1, batchSize: 16, validation: held }))
      expect(epoch.step).toBe(3);
    await trainer.checkpoint();
    await trainer.dispose();
    return backend.bytes;
  };
  const first = await once();
  expect(await once()).toBe(first);
  backend.dispose();
});
