// A step as two programs over a gradient arena: what a user writes where something stands between gradients and update.
import { afterAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { accumulationBound } from "../../src/core/tolerance.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { f32, i32, type Tracing } from "../../src/model/tracing.ts";
import { variable } from "../../src/model/variable.ts";
import * as nn from "../../src/nn/layers/index.ts";
import type { Minimizer } from "../../src/optim/minimize.ts";
import { adam, adamW, sgd } from "../../src/optim/optimizers.ts";
import { gpu } from "../support/gpu.ts";

const devices: [name: string, open: () => Promise<Backend>][] = [
  ["adapter", gpu],
  ["CPU reference", async () => cpuBackend()],
];

const X = Array.from({ length: 8 }, (_, i) => [Math.cos(i), Math.sin(2 * i)]);
const Y = X.map(([a = 0, b = 0]) => [a * b]);
const TYPES = (n: number) => ({ x: f32(n, 2), y: f32(n, 1) });
type Inputs = { [Name in "x" | "y"]: ReturnType<Tracing["normal"]> };

/** Disposed of when the file is done. */
const made: { dispose(): unknown }[] = [];
const own = <T extends { dispose(): unknown }>(x: T): T => {
  made.push(x);
  return x;
};
afterAll(async () => {
  for (const x of made.reverse()) await x.dispose();
});

const network = () =>
  nn.sequential(
    nn.linear({ in: 2, out: 8 }),
    nn.batchNorm(8),
    nn.tanh(),
    nn.dropout(0.2),
    nn.linear({ in: 8, out: 1 }),
  );
const plain = () => nn.sequential(nn.linear({ in: 2, out: 8 }), nn.tanh(), nn.linear({ in: 8, out: 1 }));
const modelOf = (device: Backend, make = plain, seed = 1) => own(new Model(device, make(), { seed }));
const lossOf = (model: Model, { x, y }: Inputs, t: Tracing) => model.forward(x, t).sub(y).square().mean();
const stateOf = async (model: Model) =>
  new Map(
    await Promise.all(
      model.tensors.all.map(async ({ name }) => [name, [...(await model.tensor(name).read()).data]] as const),
    ),
  );

/** The halves of a step. `share` is the part of the step that the batch is. */
function halves(device: Backend, model: Model, optimizer: Minimizer, size = 8, share = 1) {
  const backward = (accumulate: boolean) =>
    own(
      compile(device, TYPES(size), (inputs, t) => {
        const loss = lossOf(model, inputs, t).mul(share);
        return { outputs: { loss }, updates: optimizer.backward(loss, model, { accumulate }) };
      }),
    );
  const step = own(compile(device, {}, () => ({ updates: optimizer.step(model) }), { name: "step" }));
  return { begin: backward(false), add: backward(true), step };
}

describe.each(devices)("two halves on the %s", (_, open) => {
  test.each<[string, () => Minimizer]>([
    ["sgd with momentum", () => sgd({ lr: 0.1, momentum: 0.9 })],
    [
      "adamW with clipping, an average and groups",
      () =>
        adamW({
          lr: 0.01,
          clipNorm: 0.1,
          ema: { decay: 0.9 },
          groups: [{ match: "**.bias", weightDecay: 0 }],
        }),
    ],
  ])("have the bits of minimize: %s, running statistics and dropout", async (_, optimizer) => {
    const device = await open();
    const [whole, split] = [modelOf(device, network), modelOf(device, network)];
    const single = optimizer();
    const minimize = own(
      compile(device, TYPES(8), (inputs, t) => {
        const loss = lossOf(whole, inputs, t);
        return { outputs: { loss }, updates: single.minimize(loss, whole) };
      }),
    );
    const { begin, step } = halves(device, split, optimizer());
    const before = await stateOf(split);
    for (let i = 0; i < 4; i++) {
      const [a, b] = [await minimize({ x: X, y: Y }), await begin({ x: X, y: Y })];
      expect(await b.loss.item()).toBe(await a.loss.item());
      await step({});
    }
    const after = await stateOf(split);
    expect(after).toEqual(await stateOf(whole));
    // The first bias is followed by a batch norm, which takes it out.
    for (const [name, values] of after)
      if (name !== "0.bias") expect(values, name).not.toEqual(before.get(name));
    expect(split.batchesTracked).toBe(4);
  });

  test("add up micro-batches to one batch as large", async () => {
    const device = await open();
    const [whole, parts] = [modelOf(device), modelOf(device)];
    // Without momentum a step follows its gradients alone.
    const [one, two] = [sgd({ lr: 0.1 }), sgd({ lr: 0.1 })];
    const large = halves(device, whole, one);
    const small = halves(device, parts, two, 4, 1 / 2);
    for (let i = 0; i < 3; i++) {
      await large.begin({ x: X, y: Y });
      await small.begin({ x: X.slice(0, 4), y: Y.slice(0, 4) });
      await small.add({ x: X.slice(4), y: Y.slice(4) });
      for (const { name } of whole.parameters) {
        const [a, b] = [await one.grad(whole, name).read(), await two.grad(parts, name).read()];
        expect(b.shape).toEqual(a.shape);
        // Eight examples through 8 units, in factors of at most 1 but for the error, which is below 4.
        const bound = accumulationBound(8 * 8, 4, 1);
        a.data.forEach((value, k) => {
          expect(Math.abs(b.data[k]! - value), `${name} ${k}`).toBeLessThan(bound);
        });
      }
      await large.step({});
      await small.step({});
    }
    const [a, b] = [await stateOf(whole), await stateOf(parts)];
    for (const [name, values] of a)
      values.forEach((value, k) => {
        expect(Math.abs(b.get(name)![k]! - value), `${name} ${k}`).toBeLessThan(1e-5);
      });
  });

  test("change gradients between, from the host and in a program", async () => {
    const device = await open();
    const model = modelOf(device);
    const optimizer = sgd({ lr: 1 });
    const { begin, step } = halves(device, model, optimizer);
    const [bias, weight] = [optimizer.grad(model, "2.bias"), optimizer.grad(model, "0.weight")];
    expect([bias.name, bias.shape, weight.shape]).toEqual(["2.bias", [1], [8, 2]]);
    // Signs alone, as signSGD.
    const sign = own(
      compile(device, {}, () => ({
        outputs: { norm: weight.value.square().sum() },
        updates: { variable: weight.variable, value: weight.value.sign() },
      })),
    );
    const before = await stateOf(model);
    await begin({ x: X, y: Y });
    const gradient = (await weight.read()).data;
    const other = (await optimizer.grad(model, "0.bias").read()).data;
    bias.write([0.25]);
    const { norm } = await sign({});
    expect(await norm.item()).toBeCloseTo(
      [...gradient].reduce((sum, g) => sum + g * g, 0),
      5,
    );
    await step({});
    const after = await stateOf(model);
    expect(after.get("2.bias")).toEqual(before.get("2.bias")!.map((p) => Math.fround(p - 0.25)));
    expect(after.get("0.weight")).toEqual(
      before.get("0.weight")!.map((p, i) => Math.fround(p - Math.sign(gradient[i]!))),
    );
    expect(after.get("0.bias")).toEqual(before.get("0.bias")!.map((p, i) => Math.fround(p - other[i]!)));
    // They stay until the next ones take their place.
    expect((await bias.read()).data[0]).toBe(0.25);
  });

  test("go by gradients that the host computed alone", async () => {
    const device = await open();
    const model = modelOf(device);
    const optimizer = sgd({ lr: 1 });
    const step = own(compile(device, {}, () => ({ updates: optimizer.step(model) })));
    const [before] = (await stateOf(model)).get("2.bias")!;
    optimizer.grad(model, "2.bias").write([0.5]);
    await step({});
    expect((await stateOf(model)).get("2.bias")).toEqual([Math.fround(before! - 0.5)]);
  });

  test("in mixed precision have the bits of minimize, gradients multiplied by the loss scale", async () => {
    const device = await open();
    if (!device.facts.f16) return;
    const [whole, split] = [modelOf(device), modelOf(device)];
    const [one, two] = [adam({ lr: 0.01 }), adam({ lr: 0.01 })];
    const options = { precision: "mixed" } as const;
    const scaling = { scaling: true };
    const minimize = own(
      compile(
        device,
        TYPES(8),
        (inputs, t) => ({ updates: one.minimize(lossOf(whole, inputs, t), whole, scaling) }),
        options,
      ),
    );
    const backward = own(
      compile(
        device,
        TYPES(8),
        (inputs, t) => ({ updates: two.backward(lossOf(split, inputs, t), split, scaling) }),
        options,
      ),
    );
    const step = own(compile(device, {}, () => ({ updates: two.step(split, scaling) })));
    for (let i = 0; i < 3; i++) {
      await minimize({ x: X, y: Y });
      await backward({ x: X, y: Y });
      await step({});
    }
    expect(await stateOf(split)).toEqual(await stateOf(whole));
    expect(Math.max(...(await two.grad(split, "2.bias").read()).data.map(Math.abs))).toBeGreaterThan(100);
  });

  test("say what is wrong", async () => {
    const device = await open();
    const [model, other] = [modelOf(device), modelOf(device, plain, 2)];
    const optimizer = sgd({ lr: 1 });
    const { begin, step } = halves(device, model, optimizer);
    const none =
      "step: there are no gradients of this model for a step of this sgd; first run a function whose updates are its backward(loss, model).";
    await expect(step({})).rejects.toThrow(none);
    // A step of another model's, or of another optimizer, finds nothing in what this one leaves.
    await begin({ x: X, y: Y });
    const name = "step";
    await expect(
      own(compile(device, {}, () => ({ updates: optimizer.step(other) }), { name }))({}),
    ).rejects.toThrow(none);
    const second = sgd({ lr: 1 });
    await expect(
      own(compile(device, {}, () => ({ updates: second.step(model) }), { name }))({}),
    ).rejects.toThrow(none);
    await step({});
    expect(() =>
      compile(device, TYPES(8), (inputs, t) => ({
        updates: optimizer.backward(lossOf(model, inputs, t), other),
      })),
    ).toThrow("The loss depends on no parameter of the model");
    expect(() =>
      compile(
        device,
        TYPES(8),
        (inputs, t) => {
          const loss = lossOf(model, inputs, t);
          return { updates: [optimizer.backward(loss, model), optimizer.backward(loss, model)] };
        },
        { name: "twice" },
      ),
    ).toThrow(/^twice: gradients of .* is updated twice/);
    expect(() => optimizer.grad(model, "3.weight")).toThrow(
      'There is no gradient of "3.weight"; there are those of 0.weight, 0.bias, 2.weight, 2.bias.',
    );
    expect(() => optimizer.grad(model, "2.bias").write([1, 2])).toThrow(
      '"2.bias": 2 numbers for f32[1]; give exactly 1.',
    );
    const frozen = modelOf(device);
    frozen.freeze("0.*");
    expect(() => optimizer.grad(frozen, "0.bias")).toThrow(
      'There is no gradient of "0.bias"; there are those of 2.weight',
    );
    frozen.freeze("**");
    const nothing = "There is nothing to train: the model has no parameters, or all of them are frozen.";
    expect(() =>
      compile(device, TYPES(8), (inputs, t) => ({
        updates: optimizer.backward(lossOf(frozen, inputs, t), frozen),
      })),
    ).toThrow(nothing);
    expect(() => compile(device, {}, () => ({ updates: optimizer.step(frozen) }))).toThrow(nothing);
    expect(() => optimizer.grad(frozen, "2.bias")).toThrow(
      'There is no gradient of "2.bias"; there are those of none.',
    );
  });
});

describe.each(devices)("a variable of one's own on the %s", (_, open) => {
  test("stays from run to run, of any dtype", async () => {
    const device = await open();
    const mean = variable(device, f32(2), "mean");
    const count = variable(device, i32());
    const follow = compile(device, { x: f32(2) }, ({ x }) => ({
      outputs: { was: mean.value },
      updates: [
        { variable: mean.variable, value: mean.value.mul(0.5).add(x) },
        { variable: count.variable, value: count.value.add(1) },
      ],
    }));
    await follow({ x: [2, 4] });
    const { was } = await follow({ x: [1, 1] });
    expect([...(await was.read()).data]).toEqual([2, 4]);
    expect(await mean.read()).toEqual({ shape: [2], dtype: "f32", data: Float32Array.of(2, 3) });
    expect(await count.read()).toEqual({ shape: [], dtype: "i32", data: Int32Array.of(2) });
    count.write([7]);
    await follow({ x: mean });
    expect([...(await mean.read()).data, ...(await count.read()).data]).toEqual([3, 4.5, 8]);
    await follow.dispose();
    mean.dispose();
    count.dispose();
    await expect(mean.read()).rejects.toThrow('"mean" was released; make it anew before it is used.');
  });

  test("changes places with another in one step", async () => {
    const device = await open();
    const [a, b] = [own(variable(device, f32(1), "a")), own(variable(device, f32(1), "b"))];
    a.write([1]);
    b.write([2]);
    const swap = own(
      compile(device, {}, () => ({
        updates: [
          { variable: a.variable, value: b.value },
          { variable: b.variable, value: a.value },
        ],
      })),
    );
    await swap({});
    expect([(await a.read()).data[0], (await b.read()).data[0]]).toEqual([2, 1]);
  });

  test("can be what is trained, and so can a model's tensor be read in a trace", async () => {
    const device = await open();
    const model = modelOf(device);
    const w = variable(device, f32(2), "w");
    const step = own(
      compile(device, { x: f32(8, 2), y: f32(8, 1) }, ({ x, y }) => {
        const loss = x
          .matmul(w.value.reshape({ shape: [2, 1] }))
          .sub(y)
          .square()
          .mean();
        const [g] = gradients(loss, [w.value]);
        const penalty = model.tensor("0.weight").value.square().sum();
        return {
          outputs: { loss, penalty },
          updates: { variable: w.variable, value: w.value.sub(g!.mul(0.1)) },
        };
      }),
    );
    const target = X.map(([a = 0, b = 0]) => [2 * a - b]);
    let last = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 60; i++) {
      const { loss, penalty } = await step({ x: X, y: target });
      if (i === 0)
        expect(await penalty.item()).toBeCloseTo(
          (await stateOf(model)).get("0.weight")!.reduce((sum, v) => sum + v * v, 0),
          5,
        );
      last = await loss.item();
    }
    expect(last).toBeLessThan(0.01);
    w.dispose();
  });

  test("says what is wrong", async () => {
    const device = await open();
    expect(() => variable(device, 3 as never)).toThrow(
      "variable: the type is a number; give one such as f32(64, 2).",
    );
    expect(() => variable(device, f32(-1))).toThrow(/^variable: the type is f32\[-1\]; use whole numbers/);
    expect(() => variable(undefined as never, f32(1))).toThrow("variable: the first argument is no device");
    const two = variable(device, f32(2), "two");
    expect(() => two.write([1])).toThrow('"two": 1 numbers for f32[2]; give exactly 2.');
    two.dispose();
  });
});
