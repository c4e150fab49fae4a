// One fit after another, and compilations that fail.
import { expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { arrays } from "../../src/data/arrays.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { adamW } from "../../src/optim/optimizers.ts";
import { Probe } from "../../src/train/probe.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { all, labels, noise, stateOf } from "./support.ts";

const first = arrays({ x: noise([20, 3]), y: labels(20, 2), name: "data" });
/** Of the same name and size. */
const second = arrays({ x: noise([20, 3], 5), y: labels(20, 2, 6), name: "data" });

const trainerOn = (device: Backend) =>
  new Trainer({
    device,
    model: nn.sequential(nn.linear({ in: 3, out: 4 }), nn.dropout(0.2), nn.linear({ in: 4, out: 2 })),
    loss: crossEntropy(),
    optimizer: adamW({ lr: 0.01 }),
    seed: 9,
  });

const epochsOf = (list: readonly { epoch: number; step: number }[]) =>
  list.map(({ epoch, step }) => [epoch, step]);

test("a fit goes on until its epochs are done; other data, batches or steps begin a new run", async () => {
  const trainer = trainerOn(cpuBackend());
  expect(epochsOf(await all(trainer.fit(first, { epochs: 2, batchSize: 4 })))).toEqual([
    [1, 5],
    [2, 10],
  ]);
  expect(epochsOf(await all(trainer.fit(first, { epochs: 3, batchSize: 4 })))).toEqual([[3, 15]]);
  await expect(trainer.fit(first, { epochs: 1, batchSize: 4 }).next()).rejects.toThrow(
    /^1 epoch of data is done already, with step 15; ask for more than 3\.$/,
  );
  // Fewer steps than were trained before, over other data.
  expect(epochsOf(await all(trainer.fit(second, { epochs: 2, batchSize: 10 })))).toEqual([
    [1, 17],
    [2, 19],
  ]);
  expect(trainer.base).toBe(15);
  expect(epochsOf(await all(trainer.fit(second, { epochs: 1, batchSize: 20 })))).toEqual([[1, 20]]);
  // As large a step, and half as many as when a step is one batch of 10.
  expect(epochsOf(await all(trainer.fit(second, { epochs: 1, batchSize: 10, accumulate: 2 })))).toEqual([
    [1, 21],
  ]);
  trainer.step = 0;
  expect(epochsOf(await all(trainer.fit(second, { epochs: 1, batchSize: 10 })))).toEqual([[1, 2]]);
});

test("a run that is resumed in the middle of a second one ends in the same bits", async () => {
  const device = cpuBackend();
  const options = { epochs: 3, batchSize: 2 };
  const whole = trainerOn(device);
  await all(whole.fit(first, { epochs: 1, batchSize: 4 }));
  const expected = await all(whole.fit(second, options));

  const stopped = trainerOn(device);
  await all(stopped.fit(first, { epochs: 1, batchSize: 4 }));
  const stop = new AbortController();
  const onStep = ({ step }: { step: number }) => step >= 16 && stop.abort();
  const before = await all(stopped.fit(second, { ...options, onStep, signal: stop.signal }));
  expect((stopped.step - 5) % 10).not.toBe(0);
  const checkpoint = await stopped.checkpoint();
  expect(checkpoint.optimizer.metadata.base).toBe("5");
  const resumed = trainerOn(device);
  resumed.restore(checkpoint, "checkpoint");
  const after = await all(resumed.fit(second, options));
  const numbers = (list: typeof after) =>
    list.map(({ epoch, step, loss, accuracy }) => ({ epoch, step, loss, accuracy }));
  expect(numbers([...before, ...after])).toEqual(numbers(expected));
  expect(await stateOf(resumed)).toEqual(await stateOf(whole));
});

test("a compilation that failed is forgotten: nothing else fails by it, and the next one is tried", async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on("unhandledRejection", note);
  const device = cpuBackend();
  const compile = device.compile.bind(device);
  let fails = true;
  device.compile = async (...args) => {
    if (fails) throw new Error("the driver has a bad day");
    return compile(...args);
  };
  const trainer = trainerOn(device);
  const probe = new Probe(trainer);
  for (let i = 0; i < 2; i++) {
    await expect(trainer.fit(first, { epochs: 1, batchSize: 8, validation: second }).next()).rejects.toThrow(
      /bad day/,
    );
    await expect(trainer.evaluate(first)).rejects.toThrow(/bad day/);
    await expect(probe.predict(first, 5)).rejects.toThrow(/bad day/);
  }
  const checkpoint = await trainer.checkpoint();
  trainer.restore(checkpoint, "checkpoint");
  const other = trainerOn(device);
  await expect(other.prepare(first, 8)).rejects.toThrow(/bad day/);
  await other.dispose();
  fails = false;
  expect(epochsOf(await all(trainer.fit(first, { epochs: 1, batchSize: 8, validation: second })))).toEqual([
    [1, 3],
  ]);
  expect(await probe.predict(first, 5)).toHaveLength(10);
  await probe.dispose();
  await trainer.dispose();
  await new Promise((resolve) => setTimeout(resolve, 20));
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
  expect(device.bytes).toBe(0);
});

test("a probe and an evaluation tell sets apart by identity, not by name or size", async () => {
  const device = cpuBackend();
  const trainer = trainerOn(device);
  const probe = new Probe(trainer);
  await all(trainer.fit(first, { epochs: 1, batchSize: 10 }));
  const [a, b] = [await probe.predict(first, 20), await probe.predict(second, 20)];
  expect(b).not.toEqual(a);
  expect(await probe.predict(first, 20)).toEqual(a);
  const fresh = new Probe(trainer);
  expect(await fresh.predict(second, 20)).toEqual(b);
  const look = (one: Probe, set: typeof first) => one.inspect(set, { batchSize: 10, epochs: 1 });
  const [c, d] = [await look(probe, first), await look(probe, second)];
  expect(d.layers).not.toEqual(c.layers);
  expect((await look(fresh, second)).layers).toEqual(d.layers);
  const [e, f] = [await trainer.evaluate(first), await trainer.evaluate(second)];
  expect(f.loss).not.toBe(e.loss);
  await probe.dispose();
  await fresh.dispose();
  await trainer.dispose();
});
