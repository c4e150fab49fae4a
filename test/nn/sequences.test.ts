// Networks for sequences out of what the package exports: an LSTM cell over its time steps and a causal transformer
// block, written with plain ops.
import { describe, expect, test } from "vitest";
import { accumulationBound } from "../../src/core/tolerance.ts";
import {
  type Backend,
  compile,
  cpuBackend,
  f,
  i32,
  losses,
  Model,
  nn,
  optim,
  type Tensor,
} from "../../src/index.ts";
import { gpu } from "../support/gpu.ts";

const [BATCH, TIME, COUNT, FEATURES, HIDDEN, HEADS] = [4, 16, 7, 6, 8, 2] as const;

/** PyTorch's LSTM of one layer, gates in the order i, f, g, o: [N, T, in] → [N, T, hidden]. Hochreiter, Schmidhuber, 1997. */
const lstm = (from: number, hidden: number) =>
  nn.layer(
    {
      weight_ih: nn.parameter([4 * hidden, from], nn.init.uniform(-(hidden ** -0.5), hidden ** -0.5)),
      weight_hh: nn.parameter([4 * hidden, hidden]),
      bias: nn.parameter([4 * hidden]),
    },
    ({ weight_ih, weight_hh, bias }, x: Tensor) => {
      const [batch = 0, time = 0] = x.shape;
      // All inputs at once; what is left for a time step is the product with the state.
      const given = x.matmul(weight_ih, { transposeB: true }).add(bias);
      let h: Tensor = f.constant({ value: 0, shape: [batch, hidden] });
      let c = h;
      const outputs: Tensor[] = [];
      for (const now of f.split(given, { sizes: 1, axis: 1 })) {
        const gates = now
          .reshape({ shape: [batch, 4 * hidden] })
          .add(h.matmul(weight_hh, { transposeB: true }));
        const [i, forget, g, o] = f.split(gates, { sizes: hidden, axis: 1 }) as [
          Tensor,
          Tensor,
          Tensor,
          Tensor,
        ];
        c = forget.sigmoid().mul(c).add(i.sigmoid().mul(g.tanh()));
        h = o.sigmoid().mul(c.tanh());
        outputs.push(h);
      }
      expect(outputs).toHaveLength(time);
      return f.stack(outputs, { axis: 1 });
    },
    "lstm()",
  );

/** (x − mean)/√(variance + ε)·γ + β along the last axis. Ba et al., 2016. */
const layerNorm = (features: number) =>
  nn.layer(
    { weight: nn.parameter([features], nn.init.ones), bias: nn.parameter([features], nn.init.zeros) },
    ({ weight, bias }, x: Tensor) => {
      const last = { axes: [-1], keepdims: true };
      const centred = x.sub(x.mean(last));
      return centred.div(centred.square().mean(last).add(1e-5).sqrt()).mul(weight).add(bias);
    },
  );

/** Self-attention in which a place sees itself and those before it: [N, T, D] → [N, T, D]. Vaswani et al., 2017. */
const attention = (features: number, heads: number) =>
  nn.module(
    { qkv: nn.linear({ in: features, out: 3 * features }), out: nn.linear({ in: features, out: features }) },
    ({ qkv, out }, x: Tensor) => {
      const [batch = 0, time = 0] = x.shape;
      const width = features / heads;
      const headsOf = (part: Tensor) =>
        part.reshape({ shape: [batch, time, heads, width] }).transpose({ perm: [0, 2, 1, 3] });
      const [q, k, v] = f.split(qkv(x), { sizes: features, axis: 2 }).map(headsOf) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      const place = f.iota({ size: time });
      const seen = place.reshape({ shape: [time, 1] }).greaterEqual(place.reshape({ shape: [1, time] }));
      const scores = q.matmul(k, { transposeB: true }).mul(width ** -0.5);
      const weights = f.where(seen, scores, Number.NEGATIVE_INFINITY).softmax({ axis: -1 });
      const mixed = weights.matmul(v).transpose({ perm: [0, 2, 1, 3] });
      return out(mixed.reshape({ shape: [batch, time, features] }));
    },
  );

const block = (features: number, heads: number) =>
  nn.module(
    {
      before: layerNorm(features),
      attention: attention(features, heads),
      between: layerNorm(features),
      mlp: nn.sequential(
        nn.linear({ in: features, out: 4 * features }),
        nn.gelu(),
        nn.linear({ in: 4 * features, out: features }),
      ),
    },
    ({ before, attention, between, mlp }, x: Tensor) => {
      const y = x.add(attention(before(x)));
      return y.add(mlp(between(y)));
    },
  );

/** Adds a trained vector for each place. */
const positions = (time: number, features: number) =>
  nn.layer({ weight: nn.parameter([time, features], nn.init.normal(0.1)) }, ({ weight }, x: Tensor) =>
    x.add(weight),
  );

const networks = {
  "an LSTM cell over 16 time steps": () =>
    nn.sequential(
      nn.embedding({ count: COUNT, features: FEATURES }),
      lstm(FEATURES, HIDDEN),
      nn.linear({ in: HIDDEN, out: COUNT }),
    ),
  "a causal transformer block": () =>
    nn.sequential(
      nn.embedding({ count: COUNT, features: FEATURES }),
      positions(TIME, FEATURES),
      block(FEATURES, HEADS),
      layerNorm(FEATURES),
      nn.linear({ in: FEATURES, out: COUNT }),
    ),
};

// Each sequence goes on by its own stride, which two characters tell.
const text = Array.from({ length: BATCH }, (_, n) =>
  Array.from({ length: TIME + 1 }, (_, t) => (n + (n + 1) * t) % COUNT),
);
const batch = { x: text.map((row) => row.slice(0, -1)), y: text.map((row) => row.slice(1)) };
const TYPES = { x: i32(BATCH, TIME), y: i32(BATCH, TIME) };

/** A network on a device, with the gradients of its loss. */
async function gradientsOn(device: Backend, make: () => nn.Module) {
  const model = new Model(device, make(), { seed: 3 });
  const optimizer = optim.sgd({ lr: 0.1 });
  const backward = compile(device, TYPES, ({ x, y }, t) => {
    const loss = losses.crossEntropy()(model.forward(x, t), y);
    return { outputs: { loss }, updates: optimizer.backward(loss, model) };
  });
  const lossNow = async () => (await backward(batch)).loss.item();
  const loss = await lossNow();
  const gradients = new Map<string, ArrayLike<number>>();
  for (const { name } of model.parameters)
    gradients.set(name, (await optimizer.grad(model, name).read()).data);
  const dispose = async () => {
    await backward.dispose();
    await model.dispose();
  };
  return { model, loss, gradients, lossNow, dispose };
}

const norm = (x: ArrayLike<number>) => Math.hypot(...Array.from(x));

describe.each(Object.entries(networks))("%s", (_, make) => {
  test("has the gradients of finite differences in float64, parameter by parameter", async () => {
    const device = cpuBackend({ precision: "f64" });
    const { model, gradients, lossNow, dispose } = await gradientsOn(device, make);
    const h = 1e-5;
    for (const [name, gradient] of gradients) {
      const { variable } = model.tensor(name);
      const values = await device.read(variable);
      const direction = Float64Array.from(values, (_, i) => Math.cos(3 * i + 1));
      const at = async (step: number) => {
        device.write(
          variable,
          Float64Array.from(values, (v, i) => v + step * direction[i]!),
        );
        return lossNow();
      };
      const difference = ((await at(h)) - (await at(-h))) / (2 * h);
      device.write(variable, values);
      const slope = direction.reduce((sum, d, i) => sum + d * gradient[i]!, 0);
      // Central differences err by h²·f‴ and 1e-16/h; constants are written as float32.
      expect(norm(gradient), name).toBeGreaterThan(1e-5);
      expect(Math.abs(slope - difference), `${name}: ${slope}, ${difference}`).toBeLessThan(2e-6);
    }
    await dispose();
  });

  test("has the same loss and gradients on the adapter", async () => {
    const [here, exact] = [
      await gradientsOn(await gpu(), make),
      await gradientsOn(cpuBackend({ precision: "f64" }), make),
    ];
    // Each gradient adds up all places of all sequences; what comes before rounds less than these sums may.
    const bound = (magnitude: number) => accumulationBound(BATCH * TIME * HIDDEN, magnitude);
    expect(Math.abs(here.loss - exact.loss)).toBeLessThan(bound(exact.loss));
    expect([...here.gradients.keys()]).toEqual([...exact.gradients.keys()]);
    for (const [name, gradient] of exact.gradients) {
      const other = here.gradients.get(name)!;
      const distance = norm(Array.from(gradient, (g, i) => g - other[i]!));
      expect(distance, name).toBeLessThan(bound(norm(gradient)));
    }
    await here.dispose();
    await exact.dispose();
  });

  test.each<[string, () => Promise<Backend>, number]>([
    ["the adapter", gpu, 60],
    ["the CPU reference", async () => cpuBackend(), 20],
  ])("learns on %s", async (_, open, steps) => {
    const device = await open();
    const model = new Model(device, make(), { seed: 3 });
    const adam = optim.adam({ lr: 0.02 });
    const step = compile(device, TYPES, ({ x, y }, t) => {
      const loss = losses.crossEntropy()(model.forward(x, t), y);
      return { outputs: { loss }, updates: adam.minimize(loss, model) };
    });
    const seen: number[] = [];
    for (let i = 0; i < steps; i++) seen.push(await (await step(batch)).loss.item());
    // At first about ln 7 = 1.95, as chance has it.
    expect(seen[0]).toBeGreaterThan(1.5);
    expect(seen.at(-1)).toBeLessThan(steps > 50 ? 0.5 : 0.8 * seen[0]!);
    await step.dispose();
    await model.dispose();
  });
});

test("a causal block's outputs depend on nothing that comes later", async () => {
  const device = await gpu();
  const model = new Model(device, networks["a causal transformer block"](), { seed: 3 });
  const sequence = (last: number) => ({
    shape: [1, TIME],
    dtype: "i32" as const,
    data: Int32Array.from({ length: TIME }, (_, t) => (t < TIME - 1 ? t % COUNT : last)),
  });
  const [a, b] = [await model.predict(sequence(1)), await model.predict(sequence(5))];
  const before = (TIME - 1) * COUNT;
  expect(a.data.slice(0, before)).toEqual(b.data.slice(0, before));
  expect(a.data.slice(before)).not.toEqual(b.data.slice(before));
  await model.dispose();
});
