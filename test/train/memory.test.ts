// What a long life leaves on the device and on the heap: nothing that grows.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { MOST_UNUSED, PipelineCache } from "../../src/backend/webgpu/pipelines.ts";
import { arrays } from "../../src/data/arrays.ts";
import { crossEntropy, mse } from "../../src/losses/index.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { f32 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { adam } from "../../src/optim/optimizers.ts";
import { Probe } from "../../src/train/probe.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { nullDevice } from "../support/null.ts";
import { all, labels, noise } from "./support.ts";

const network = () => nn.sequential(nn.linear({ in: 3, out: 4 }), nn.relu(), nn.linear({ in: 4, out: 2 }));
const setOf = (count: number, seed = 1) => arrays({ x: noise([count, 3], seed), y: labels(count, 2, seed) });
const trainerOn = (device: Backend) =>
  new Trainer({ device, model: network(), loss: crossEntropy(), optimizer: adam({ lr: 0.01 }) });

/** The CPU is quick on networks of this size, so it does most things five times as often. */
const devices: [string, () => Promise<Backend>, often: number][] = [
  ["a GPU that computes nothing", nullDevice, 1],
  ["the CPU", async () => cpuBackend(), 5],
];

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes of the heap that are in use when what nobody holds is gone. */
async function heldOnHeap(): Promise<number> {
  // What waits for a turn of the loop is let go by it.
  for (let turn = 0; turn < 4; turn++) {
    await new Promise((done) => setTimeout(done, 10));
    collect();
  }
  return process.memoryUsage().heapUsed;
}

/** Does something many times, and says how many bytes the device held after the first tenth and at the end. */
async function bytesOver(device: Backend, times: number, work: (i: number) => Promise<unknown>) {
  let early = 0;
  for (let i = 0; i < times; i++) {
    await work(i);
    if (i < times / 10) early = Math.max(early, device.bytes);
  }
  return { early, late: device.bytes };
}

describe.each(devices)("on %s the memory stays flat over", (_, open, often) => {
  test("evaluations of fresh sets of one size, and of sizes that never come again", async () => {
    const device = await open();
    const trainer = trainerOn(device);
    await all(trainer.fit(setOf(16), { epochs: 1, batchSize: 8 }));
    const same = await bytesOver(device, 200 * often, (i) => trainer.evaluate(setOf(20, i)));
    expect(same.late).toBeLessThanOrEqual(same.early);
    const sizes = await bytesOver(device, 80, (i) =>
      trainer.evaluate(setOf(20 + (i % 40), i), { batchSize: 200 }),
    );
    // The last few sets are the largest.
    expect(sizes.late).toBeLessThanOrEqual(sizes.early + 4 * 8000);
    await trainer.dispose();
    expect(device.bytes).toBe(0);
    device.dispose();
  });

  test("predictions, one at a time and of many shapes", async () => {
    const device = await open();
    const model = new Model(device, network());
    const predict = (i: number) => model.predict([[i, 1, 2]]);
    for (let i = 0; i < 500; i++) await predict(i);
    const before = await heldOnHeap();
    const single = await bytesOver(device, 2000, predict);
    expect(single.late).toBe(single.early);
    // Were anything of each kept, it would be an object or a promise or two at least: some 500 bytes.
    expect((await heldOnHeap()) - before).toBeLessThan(2000 * 250);
    const many = await bytesOver(device, 120, (i) =>
      model.predict({ shape: [1 + (i % 60), 3], dtype: "f32", data: new Float32Array(3 * (1 + (i % 60))) }),
    );
    expect(many.late).toBeLessThanOrEqual(many.early + 8 * 60 * 100);
    await model.dispose();
    expect(device.bytes).toBe(0);
    device.dispose();
  });

  test("trainers, runs and looks", async () => {
    const device = await open();
    const life = async (i: number) => {
      const trainer = trainerOn(device);
      const set = setOf(12 + (i % 3), i);
      await all(trainer.fit(set, { epochs: 1, batchSize: 8, validation: setOf(4) }));
      await trainer.dispose();
    };
    const lives = await bytesOver(device, 30 * often, life);
    expect(lives).toEqual({ early: 0, late: 0 });
    const trainer = trainerOn(device);
    await all(trainer.fit(setOf(16), { epochs: 1, batchSize: 8 }));
    const probe = new Probe(trainer);
    const looks = await bytesOver(device, 60 * often, (i) => probe.predict(setOf(10, i), 10));
    expect(looks.late).toBeLessThanOrEqual(looks.early);
    const runs = await bytesOver(device, 40 * often, (i) =>
      all(trainer.fit(setOf(16, i), { epochs: 1, batchSize: 8 })),
    );
    expect(runs.late).toBeLessThanOrEqual(runs.early);
    await probe.dispose();
    await trainer.dispose();
    expect(device.bytes).toBe(0);
    device.dispose();
  });

  test("models with steps of the user's own, whose slots go with the model", async () => {
    const device = await open();
    const optimizer = adam({ lr: 0.01 });
    const lives = await bytesOver(device, 30 * often, async () => {
      const model = new Model(device, network());
      const step = compile(device, { x: f32(8, 3), y: f32(8, 2) }, ({ x, y }, t) => {
        const loss = mse()(model.forward(x, t), y);
        return { outputs: { loss }, updates: optimizer.minimize(loss, model) };
      });
      await step({ x: noise([8, 3]), y: noise([8, 2]) });
      await step.dispose();
      await model.dispose();
    });
    expect(lives).toEqual({ early: 0, late: 0 });
    device.dispose();
  });
});

test("a trainer leaves to others what they use: the model that it was given, slots of the same optimizer", async () => {
  const device = cpuBackend();
  const model = new Model(device, network());
  const optimizer = adam({ lr: 0.01 });
  const make = () => new Trainer({ model, loss: crossEntropy(), optimizer });
  const [first, second] = [make(), make()];
  await all(first.fit(setOf(16), { epochs: 1, batchSize: 8 }));
  await first.dispose();
  await all(second.fit(setOf(16), { epochs: 1, batchSize: 8 }));
  await second.dispose();
  expect(await model.predict([[1, 2, 3]])).toMatchObject({ shape: [1, 2] });
});

describe("compiled shaders", () => {
  test("on the device are bounded over shapes that never come again", async () => {
    const device = await nullDevice();
    const trainer = trainerOn(device);
    await trainer.prepare(setOf(16), 8);
    for (let i = 0; i < 100; i++) await trainer.evaluate(setOf(i + 1), { batchSize: 400 });
    expect(device.pipelineCount).toBeGreaterThan(MOST_UNUSED);
    // Beside those that nobody uses: of at most 32 programs of at most 20 kernels.
    expect(device.pipelineCount).toBeLessThan(MOST_UNUSED + 32 * 20);
    await trainer.dispose();
    expect(device.pipelineCount).toBe(MOST_UNUSED);
    device.dispose();
  });

  test("are kept while they are used, and shared", async () => {
    const made: string[] = [];
    const device = {
      createShaderModule: ({ label }: { label: string }) => ({ label }),
      pushErrorScope: () => {},
      popErrorScope: async () => null,
      createBindGroupLayout: () => ({}),
      createPipelineLayout: () => ({}),
      createComputePipelineAsync: async ({ label }: { label: string }) => {
        made.push(label);
        return { label };
      },
    } as unknown as GPUDevice;
    const cache = new PipelineCache(device);
    const lease = (i: number) => cache.lease(`source ${i}`, ["read"], String(i));
    const used = lease(0);
    const again = lease(0);
    again.release();
    again.release(); // counts once
    for (let i = 1; i <= 3000; i++) {
      const one = lease(i);
      await one.pipeline;
      one.release();
    }
    expect(cache.size).toBe(MOST_UNUSED + 1);
    expect(await lease(0).pipeline).toBe(await used.pipeline);
    expect(made).toHaveLength(3001);
    await lease(3000).pipeline;
    expect(made).toHaveLength(3001); // not long unused
    await lease(1).pipeline;
    expect(made).toHaveLength(3002);
  });

  test("that failed are tried again", async () => {
    let fails = true;
    const device = {
      createShaderModule: () => ({ getCompilationInfo: async () => ({ messages: [] }) }),
      pushErrorScope: () => {},
      popErrorScope: async () => null,
      createBindGroupLayout: () => ({}),
      createPipelineLayout: () => ({}),
      createComputePipelineAsync: async () => {
        if (fails) throw new Error("out of memory");
        return { label: "made" };
      },
    } as unknown as GPUDevice;
    const cache = new PipelineCache(device);
    const first = cache.lease("source", ["read"], "kernel");
    await expect(first.pipeline).rejects.toThrow(/^kernel: the shader does not compile: out of memory\.$/);
    first.release();
    fails = false;
    expect(await cache.lease("source", ["read"], "kernel").pipeline).toEqual({ label: "made" });
  });
});
