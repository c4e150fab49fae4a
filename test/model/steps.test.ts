// Steps of one's own: several networks, gradients inside a trace, passes of one model after another.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { WebGPUBackend } from "../../src/backend/webgpu/backend.ts";
import { openDevice } from "../../src/backend/webgpu/device.ts";
import { ndarray } from "../../src/core/ndarray.ts";
import type { Tensor } from "../../src/core/op.ts";
import { arrays } from "../../src/data/arrays.ts";
import { grad } from "../../src/graph/transform.ts";
import { mse } from "../../src/losses/index.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { tensor } from "../../src/model/program.ts";
import { f32, u8 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { stopGradient } from "../../src/ops/elementwise/special.ts";
import { adam, sgd } from "../../src/optim/optimizers.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpu } from "../support/gpu.ts";

const devices: [name: string, open: () => Promise<Backend>][] = [
  ["adapter", gpu],
  ["CPU reference", async () => cpuBackend()],
];

const mlp = (from: number, to: number) =>
  nn.sequential(nn.linear({ in: from, out: 8 }), nn.tanh(), nn.linear({ in: 8, out: to }));
/** −log σ(±logit), the mean over the batch. */
const bce = (logits: Tensor, real: boolean) => (real ? logits.neg() : logits).softplus().mean();
const stateOf = async (model: Model<any, any>) =>
  Promise.all(model.tensors.all.map(async ({ name }) => [...(await model.tensor(name).read()).data]));
const REAL = Array.from({ length: 8 }, (_, i) => [Math.cos(i), Math.sin(i)]);

describe.each(devices)("on the %s", (_, open) => {
  test("two networks, two optimizers, one submit: each follows its own loss", async () => {
    const device = await open();
    const make = () => ({
      generator: new Model(device, mlp(4, 2), { seed: 1 }),
      critic: new Model(device, mlp(2, 1), { seed: 2 }),
    });
    const build = (
      { generator, critic }: ReturnType<typeof make>,
      which: "both" | "critic" | "generator",
    ) => {
      const [adamD, sgdG] = [adam({ lr: 0.01 }), sgd({ lr: 0.1, momentum: 0.9 })];
      return compile(
        device,
        { real: f32(8, 2) },
        ({ real }, t) => {
          const fake = generator.forward(t.normal([8, 4]), t);
          const lossD = bce(critic.forward(real, t), true).add(
            bce(critic.forward(stopGradient(fake), t), false),
          );
          const lossG = bce(critic.forward(fake, t), true);
          const updates = {
            both: () => [adamD.minimize(lossD, critic), sgdG.minimize(lossG, generator)],
            critic: () => [adamD.minimize(lossD, critic)],
            generator: () => [sgdG.minimize(lossG, generator)],
          };
          return { outputs: { lossD, lossG }, updates: updates[which]() };
        },
        { name: "gan", seed: 3 },
      );
    };
    const alone = async (which: "critic" | "generator") => {
      const models = make();
      const step = build(models, which);
      const [g, c] = [await stateOf(models.generator), await stateOf(models.critic)];
      await step({ real: REAL });
      const result = await Promise.all([stateOf(models.generator), stateOf(models.critic)]);
      expect(result[which === "critic" ? 0 : 1]).toEqual(which === "critic" ? g : c);
      await step.dispose();
      for (const model of Object.values(models)) await model.dispose();
      return result[which === "critic" ? 1 : 0];
    };
    const models = make();
    const step = build(models, "both");
    const { lossD, lossG } = await step({ real: REAL });
    expect(await lossD.item()).toBeGreaterThan(0);
    expect(await lossG.item()).toBeGreaterThan(0);
    // Both read the networks as they were before the step.
    expect(await stateOf(models.critic)).toEqual(await alone("critic"));
    expect(await stateOf(models.generator)).toEqual(await alone("generator"));
    await step.dispose();
    for (const model of Object.values(models)) await model.dispose();
  });

  test.each([false, true])(
    "a batch that is not finite is dropped, and the next ones train on (scaling: %s)",
    async (scaling) => {
      const device = await open();
      const train = async (batches: readonly number[]) => {
        const model = new Model(device, nn.sequential(nn.batchNorm(1), nn.linear({ in: 1, out: 1 })));
        const optimizer = sgd({ lr: 0.1, momentum: 0.9 });
        const step = compile(device, { x: f32(4, 1) }, ({ x }, t) => {
          const loss = model.forward(x, t).sub(1).square().mean();
          return { outputs: { loss }, updates: optimizer.minimize(loss, model, { scaling }) };
        });
        const states: number[][][] = [];
        for (const x of batches) {
          await step({ x: [[x], [1], [2], [4]] });
          states.push(await stateOf(model));
        }
        // A trainer that shares the optimizer goes on, too.
        const trainer = new Trainer({ model, loss: mse(), optimizer });
        const data = arrays({ x: ndarray([2, 1], [1, 2]), y: ndarray([2, 1], [1, 0]) });
        for await (const _ of trainer.fit(data, { epochs: 1, batchSize: 2, shuffle: false }));
        states.push(await stateOf(model));
        await trainer.dispose();
        await step.dispose();
        await model.dispose();
        return states;
      };
      const [first, second, last] = await train([0, 3]);
      expect(await train([0, Number.NaN, 3, Number.POSITIVE_INFINITY])).toEqual([
        first,
        first,
        second,
        second,
        last,
      ]);
      expect(new Set([first, second, last].map(String)).size).toBe(3);
    },
  );

  test("a gradient penalty: ‖∂c/∂x‖ is brought to 1", async () => {
    const device = await open();
    const critic = new Model(device, mlp(2, 1), { seed: 4 });
    const optimizer = adam({ lr: 0.05 });
    const step = compile(device, { x: f32(8, 2) }, ({ x }, t) => {
      const slope = grad((z: Tensor) => critic.forward(z, t).sum())(x);
      const penalty = slope
        .square()
        .sum({ axes: [1] })
        .sqrt()
        .sub(1)
        .square()
        .mean();
      return { outputs: { penalty }, updates: optimizer.minimize(penalty, critic) };
    });
    const losses: number[] = [];
    for (let i = 0; i < 60; i++) losses.push(await (await step({ x: REAL })).penalty.item());
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 20);
    await step.dispose();
    await critic.dispose();
  });

  test("passes of one model in a step move its statistics in order and drop other elements", async () => {
    const device = await open();
    const model = new Model(device, nn.sequential(nn.batchNorm(1, { momentum: 0.5 }), nn.dropout(0.5)));
    const step = compile(device, { a: f32(64, 1), b: f32(64, 1) }, ({ a, b }, t) => ({
      first: model.forward(a, t),
      second: model.forward(b, t),
    }));
    const column = (mean: number) => Array.from({ length: 64 }, (_, i) => [mean + (i % 2 ? 1 : -1)]);
    const { first, second } = await step({ a: column(2), b: column(10) });
    const [a, b] = await Promise.all([first.read(), second.read()]);
    const dropped = (data: ArrayLike<number>) => Array.from(data, (x) => Number(x === 0)).join("");
    expect(dropped(a.data)).not.toBe(dropped(b.data));
    const [mean, variance] = await Promise.all(
      ["0.running_mean", "0.running_var"].map(async (name) => (await model.tensor(name).read()).data[0]!),
    );
    expect(mean).toBeCloseTo((0 * 0.5 + 2 * 0.5) * 0.5 + 10 * 0.5, 5);
    expect(variance).toBeCloseTo((1 * 0.5 + (64 / 63) * 0.5) * 0.5 + (64 / 63) * 0.5, 5);
    expect(model.batchesTracked).toBe(2);
    await step({ a: column(2), b: column(10) });
    expect(model.batchesTracked).toBe(4);
    // In its inference form nothing is tracked or dropped.
    const look = compile(device, { a: f32(64, 1) }, ({ a }, t) => model.forward(a, t), { training: false });
    const same = [await look({ a: column(2) }), await look({ a: column(2) })];
    expect((await same[1]!.read()).data).toHaveLength(64);
    expect(model.batchesTracked).toBe(4);
    await step.dispose();
    await look.dispose();
    await model.dispose();
  });

  test("an optimizer counts its steps over all functions that take them", async () => {
    const device = await open();
    const run = async (sizes: readonly number[]) => {
      const model = new Model(device, nn.linear({ in: 1, out: 1 }), { seed: 5 });
      const optimizer = adam({ lr: 0.1, betas: [0.5, 0.5] });
      const make = (n: number) =>
        compile(device, { x: f32(n, 1) }, ({ x }, t) => ({
          updates: optimizer.minimize(model.forward(x, t).square().mean(), model),
        }));
      const steps = new Map([...new Set(sizes)].map((n) => [n, make(n)]));
      for (const n of sizes) await steps.get(n)!({ x: Array.from({ length: n }, () => [1]) });
      const state = await stateOf(model);
      for (const step of steps.values()) await step.dispose();
      await model.dispose();
      return state.flat();
    };
    const [mixed, same] = [await run([2, 4, 2, 4]), await run([2, 2, 2, 2])];
    mixed.forEach((x, i) => {
      expect(x).toBeCloseTo(same[i]!, 5);
    });
  });

  test("steps of one's own and a trainer's are counted together, and reset counts from 0", async () => {
    const device = await open();
    const run = async (who: string) => {
      const model = new Model(device, nn.linear({ in: 1, out: 1 }), { seed: 5 });
      const optimizer = adam({ lr: 0.1, betas: [0.5, 0.9] });
      const trainer = new Trainer({ model, loss: mse(), optimizer });
      const own = compile(device, { x: f32(2, 1) }, ({ x }, t) => ({
        updates: optimizer.minimize(model.forward(x, t).square().mean(), model),
      }));
      const data = arrays({ x: ndarray([2, 1], [1, 1]), y: ndarray([2, 1], [0, 0]) });
      for (const taker of who) {
        if (taker === "o") await own({ x: [[1], [1]] });
        else if (taker === "r") trainer.reset();
        else for await (const _ of trainer.fit(data, { epochs: 9, batchSize: 2 })) break;
      }
      const { step } = trainer;
      const state = (await stateOf(model)).flat();
      await Promise.all([own.dispose(), trainer.dispose()]);
      await model.dispose();
      return { step, state };
    };
    const same = await run("oooo");
    for (const who of ["otot", "ttoo", "ttoroooo", "oorotot"]) {
      const { step, state } = await run(who);
      expect(step, who).toBe(4);
      for (const [i, x] of state.entries()) expect(x, who).toBeCloseTo(same.state[i]!, 5);
    }
  });

  test("steps of one's own in the middle of fit are refused, after it they are not", async () => {
    const device = await open();
    const model = new Model(device, nn.linear({ in: 1, out: 1 }));
    const optimizer = adam({ lr: 0.1 });
    const trainer = new Trainer({ model, loss: mse(), optimizer });
    const own = compile(device, { x: f32(2, 1) }, ({ x }, t) => ({
      updates: optimizer.minimize(model.forward(x, t).square().mean(), model),
    }));
    const data = arrays({ x: ndarray([2, 1], [1, 1]), y: ndarray([2, 1], [0, 0]) });
    const mixed = async () => {
      for await (const _ of trainer.fit(data, { epochs: 5, batchSize: 2 })) await own({ x: [[1], [1]] });
    };
    await expect(mixed()).rejects.toThrow(
      /^The optimizer took 1 steps of somebody else's in the middle of fit, /,
    );
    expect(trainer.step).toBe(2);
    for await (const _ of trainer.fit(data, { epochs: 2, batchSize: 2 }));
    expect(trainer.step).toBe(4);
    await Promise.all([own.dispose(), trainer.dispose()]);
    await model.dispose();
  });

  test("a refused step leaves the model as it was", async () => {
    const device = await open();
    const model = new Model(device, mlp(2, 1), { seed: 6 });
    const other = new Model(device, mlp(2, 1), { seed: 7 });
    const before = await stateOf(model);
    const optimizer = sgd({ lr: 1 });
    const attempt = (trace: (x: Tensor, y: Tensor) => any, message: RegExp) =>
      expect(() =>
        compile(device, { x: f32(4, 2) }, ({ x }, t) => ({ updates: trace(model.forward(x, t), x) }), {
          name: "step",
        }),
      ).toThrow(message);
    attempt((y) => optimizer.minimize(y, model), /the loss has shape \[4, 1\]; reduce it to a scalar/);
    attempt((y) => optimizer.minimize(y.sum(), other), /The loss depends on no parameter of the model/);
    attempt(
      (y) => optimizer.minimize(stopGradient(y).sum(), model),
      /depends on no parameter of the model; .*without stopGradient/,
    );
    for (const whole of [
      (y: Tensor) => y.argmax({ axis: 0 }).cast({ dtype: "f32" }),
      (y: Tensor) => y.cast({ dtype: "i32" }).cast({ dtype: "f32" }),
      (y: Tensor) => y.greater(0).cast({ dtype: "f32" }),
    ])
      attempt(
        (y) => optimizer.minimize(whole(y).sum(), model),
        /depends on no parameter of the model; .* or whole numbers \(argmax, casts\) between\.$/,
      );
    attempt(
      (y) => [optimizer.minimize(y.sum(), model), optimizer.minimize(y.mean(), model)],
      /is updated twice/,
    );
    attempt(
      (y) => [
        optimizer.minimize(y.sum(), model),
        { variable: model.tensor("2.bias").variable, value: tensor([1]).mul(2) },
      ],
      /2.bias is updated twice/,
    );
    expect(() => model.forward(tensor([[1, 2]]), undefined as never)).toThrow(
      "forward: the second argument is missing; pass the t that the traced function of compile receives.",
    );
    expect(() => compile(device, {}, (_, t) => model.forward(tensor([[1, 2, 3]]), t))).toThrow(
      /Layer 0, linear\(2 → 8\), does not take \[1, 3\]/,
    );
    const good = compile(device, { x: f32(4, 2) }, ({ x }, t) => ({
      updates: optimizer.minimize(model.forward(x, t).sum(), model),
    }));
    await expect(good({ x: [[1, 2]] })).rejects.toThrow(/has the shape \[1, 2\]/);
    expect(await stateOf(model)).toEqual(before);
    await good.dispose();
    await model.dispose();
    expect(() => compile(device, { x: f32(4, 2) }, ({ x }, t) => model.forward(x, t))).toThrow(
      "The model was disposed of; make it anew.",
    );
    await other.dispose();
  });

  test("mixed precision keeps to f16 inside and f32 outside", async () => {
    const device = await open();
    const model = new Model(device, mlp(2, 1), { seed: 8 });
    const optimizer = sgd({ lr: 0.1 });
    const make = (precision: "f32" | "mixed") =>
      compile(
        device,
        { x: f32(8, 2) },
        ({ x }, t) => {
          const loss = model.forward(x, t).sub(1).square().mean();
          return {
            outputs: { loss },
            updates: optimizer.minimize(loss, model, { scaling: precision === "mixed" }),
          };
        },
        { precision, name: "step" },
      );
    if (!device.facts.f16) {
      expect(() => make("mixed")).toThrow(
        /^step: mixed precision needs shader-f16, which the adapter .*; use "f32"\.$/,
      );
      await model.dispose();
      return;
    }
    const [exact, mixed] = [make("f32"), make("mixed")];
    const start = await stateOf(model);
    const reset = () =>
      model.tensors.all.forEach(({ name }, i) => {
        model.tensor(name).write(start[i]!);
      });
    const wanted = await (await exact({ x: REAL })).loss.item();
    const after = (await stateOf(model)).flat();
    reset();
    const { loss } = await mixed({ x: REAL });
    expect(loss.dtype).toBe("f32");
    expect(Math.abs((await loss.item()) - wanted)).toBeLessThan(0.01 * wanted);
    (await stateOf(model)).flat().forEach((x, i) => {
      expect(Math.abs(x - after[i]!)).toBeLessThan(0.01);
    });
    await exact.dispose();
    await mixed.dispose();
    await model.dispose();
  });
});

test("a run is one encoder and one submit, resident inputs included, and makes nothing", async () => {
  const opened = await openDevice();
  const calls = new Map<string, number>();
  const wrap = <T extends object>(target: T, path: string): T =>
    new Proxy(target, {
      get(object, key) {
        const value = Reflect.get(object, key, object);
        if (key === "queue") return wrap(value as object, "queue.");
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          calls.set(path + String(key), (calls.get(path + String(key)) ?? 0) + 1);
          const result = value.apply(object, args);
          return key === "createCommandEncoder" ? wrap(result, "encoder.") : result;
        };
      },
    });
  const device = new WebGPUBackend({ ...opened, device: wrap(opened.device, "") });
  const make = compile(device, {}, (_, t) => ({
    z: t.normal([8, 2]),
    bytes: tensor([1, 2, 3]).cast({ dtype: "f32" }),
  }));
  const model = new Model(device, mlp(2, 1));
  const optimizer = adam({ lr: 0.01 });
  const step = compile(device, { z: f32(8, 2), w: f32(8, 2), x: f32(8, 2) }, ({ z, w, x }, t) => {
    const loss = model.forward(z.add(x), t).mul(w.sum()).mean();
    return { outputs: { loss }, updates: optimizer.minimize(loss, model) };
  });
  const w = model.tensor("0.weight");
  const { z } = await make({});
  await step({ z, w, x: REAL });
  calls.clear();
  const runs = 3;
  for (let i = 0; i < runs; i++) await step({ z, w, x: REAL });
  await device.finish();
  expect(Object.fromEntries(calls)).toEqual({
    createCommandEncoder: runs,
    "encoder.beginComputePass": runs,
    "encoder.copyBufferToBuffer": 2 * runs, // z and w
    "encoder.finish": runs,
    "queue.submit": runs,
    "queue.writeBuffer": runs, // x and the row of hyperparameters
    "queue.onSubmittedWorkDone": 1, // this test's own wait
  });
  // Everything is given back; what is left is the pool of temporaries.
  await make.dispose();
  await step.dispose();
  await model.dispose();
  device.dispose();
  expect(device.bytes).toBe(0);
});

test("a resident input of bytes is copied in whole words", async () => {
  const device = await gpu();
  const give = compile(device, { x: u8(3) }, ({ x }) => ({ x }));
  const { x } = await give({ x: Uint8Array.of(1, 2, 3) });
  const take = compile(device, { x: u8(3) }, ({ x }) => ({ x }));
  expect(await (await take({ x })).x.read()).toEqual({
    shape: [3],
    dtype: "u8",
    data: Uint8Array.of(1, 2, 3),
  });
  await give.dispose();
  await take.dispose();
});
