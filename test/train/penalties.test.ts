// Terms that are minimised beside the loss: of layers, of parameters, in trainers and in steps of one's own.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { OptionError, ShapeError } from "../../src/core/errors.ts";
import { ndarray } from "../../src/core/ndarray.ts";
import { arrays } from "../../src/data/arrays.ts";
import { mse } from "../../src/losses/index.ts";
import { compile, evaluate } from "../../src/model/compile.ts";
import { loadModel } from "../../src/model/load.ts";
import { Model } from "../../src/model/model.ts";
import { tensor } from "../../src/model/program.ts";
import { f32 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/index.ts";
import { adam, sgd } from "../../src/optim/optimizers.ts";
import * as penalties from "../../src/optim/penalties.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { all, backends, noise, stateOf } from "./support.ts";

const set = arrays({ x: noise([20, 3]), y: noise([20, 2], 4), name: "rows" });
const sum = (data: ArrayLike<number>, size: (x: number) => number) =>
  Array.from(data).reduce((total, x) => total + size(x), 0);

describe.each(backends)("penalties on %s", (_, open) => {
  test("l2(λ/2) is sgd's weight decay λ, and l1 moves by its sign", async () => {
    const device = await open();
    const make = (options: object) =>
      new Trainer({
        device,
        model: nn.linear({ in: 3, out: 2 }),
        loss: mse(),
        optimizer: sgd({ lr: 0.1 }),
        ...options,
      });
    const decayed = make({ optimizer: sgd({ lr: 0.1, weightDecay: 0.5 }) });
    const penalized = make({ penalties: [penalties.l2(0.25)] });
    const parts = make({ penalties: [penalties.l2(0.25)] });
    const [first] = await all(decayed.fit(set, { epochs: 3, batchSize: 8 }));
    const [own] = await all(penalized.fit(set, { epochs: 3, batchSize: 8 }));
    await all(parts.fit(set, { epochs: 3, batchSize: 4, accumulate: 2 }));
    expect(own!.loss).toBeCloseTo(first!.loss, 6);
    expect(own!.penalty).toBeGreaterThan(0);
    expect(first).not.toHaveProperty("penalty");
    for (const other of [penalized, parts]) {
      const state = await stateOf(other);
      for (const [name, values] of await stateOf(decayed))
        values.forEach((value, i) => {
          expect(state.get(name)![i], name).toBeCloseTo(value, 5);
        });
    }
    for (const trainer of [decayed, penalized, parts]) await trainer.dispose();

    const flat = make({
      loss: (output: any) => output.mean().mul(0),
      penalties: [penalties.l1(2, { match: "weight" })],
    });
    const before = await flat.model.tensor("weight").read();
    const biases = await flat.model.tensor("bias").read();
    await all(flat.fit(set, { epochs: 1, batchSize: 20 }));
    const { data } = await flat.model.tensor("weight").read();
    data.forEach((x, i) => {
      expect(x).toBeCloseTo(before.data[i]! - 0.2 * Math.sign(before.data[i]!), 6);
    });
    expect((await flat.model.tensor("bias").read()).data).toEqual(biases.data);
    await flat.dispose();
  });

  test("the loss is reported without them or with them, as asked, in steps, epochs and evaluations", async () => {
    const device = await open();
    const network = () =>
      nn.sequential(nn.linear({ in: 3, out: 2 }), nn.activityRegularization({ l1: 0.5, l2: 0.25 }));
    const results = [];
    for (const reportedLoss of ["data", "total"] as const)
      for (const accumulate of [1, 2]) {
        const trainer = new Trainer({
          device,
          model: network(),
          loss: mse(),
          optimizer: sgd({ lr: 0 }),
          penalties: [penalties.l1(0.125)],
          reportedLoss,
        });
        const steps: { loss: number; penalty?: number }[] = [];
        const [epoch] = await all(
          trainer.fit(set, {
            epochs: 1,
            batchSize: 10,
            accumulate,
            shuffle: false,
            validation: set,
            onStep: (step) => steps.push(step),
          }),
        );
        results.push({ epoch: epoch!, steps });
        const { output } = (await trainer.model.trace(set.x as never)) as { output: { data: Float32Array } };
        const parameters = await Promise.all(
          ["0.weight", "0.bias"].map((name) => trainer.model.tensor(name).read()),
        );
        const expected =
          (0.5 * sum(output.data, Math.abs) + 0.25 * sum(output.data, (x) => x * x)) / 20 +
          0.125 * parameters.reduce((total, { data }) => total + sum(data, Math.abs), 0);
        const squares =
          sum(output.data, () => 0) +
          output.data.reduce((s, x, i) => s + (x - (set.y as any).data[i]) ** 2, 0) / 40;
        for (const numbers of [epoch!, epoch!.validation, await trainer.evaluate(set, { batchSize: 7 })]) {
          expect(numbers.penalty).toBeCloseTo(expected, 5);
          expect(numbers.loss).toBeCloseTo(reportedLoss === "total" ? squares + expected : squares, 5);
        }
        expect(steps).toHaveLength(accumulate === 1 ? 2 : 1);
        for (const { penalty } of steps) expect(penalty).toBeGreaterThan(0);
        // Without the trainer's: the model's evaluation is of the loss alone.
        expect((await trainer.model.evaluate(set, { loss: mse() })).loss).toBeCloseTo(squares, 5);
        await trainer.dispose();
      }
    expect(results[2]!.epoch.loss).toBeGreaterThan(results[0]!.epoch.loss);
  });

  test("a step of one's own finds them, and the gradient is that of the sum", async () => {
    const device = await open();
    const model = new Model(
      device,
      nn.penalized(nn.sequential(nn.linear({ in: 2, out: 1 }), nn.activityRegularization({ l2: 1 })), {
        l1: 0.5,
      }),
    );
    model.tensor("0.weight").write([2, -3]);
    model.tensor("0.bias").write([0]);
    const optimizer = sgd({ lr: 1 });
    const step = compile(device, { x: f32(2, 2) }, ({ x }, t) => {
      model.forward(x, t);
      const own = penalties.l2(0.25, { match: "*.bias" })(model);
      const loss = t.penalty().add(own);
      expect(t.penalties.map(({ name }) => name)).toEqual(["0.weight", "1.activity"]);
      return { outputs: { loss }, updates: optimizer.minimize(loss, model) };
    });
    const { loss } = await step({
      x: [
        [1, 0],
        [0, 1],
      ],
    });
    // ½·(2 + 3), and the mean of 2² and (−3)².
    expect(await loss.item()).toBeCloseTo(2.5 + 6.5, 5);
    const { data } = await model.tensor("0.weight").read();
    expect([...data]).toEqual([2 - 0.5 - 2, -3 + 0.5 + 3].map((x) => expect.closeTo(x, 5)));
    await step.dispose();

    const loaded = await loadModel(device, await model.encode());
    expect(loaded.network.label).toBe(model.network.label);
    const none = compile(device, { x: f32(1, 2) }, ({ x }, t) => {
      const plain = new Model(device, nn.linear({ in: 2, out: 1 }));
      plain.forward(x, t);
      return t.penalty();
    });
    expect(await (await none({ x: [[1, 2]] })).item()).toBe(0);
    await model.dispose();
  });
});

test("what is worked out by hand: L2 spreads, L1 gives sparse solutions under training", async () => {
  const device = cpuBackend();
  const x = ndarray([1, 4], [1, 1, 1, 1]);
  const norms = await evaluate(
    device,
    [
      [1, 0, 0, 0],
      [0.25, 0.25, 0.25, 0.25],
    ].map((w) => {
      const weight = tensor(w);
      const { l1, l2 } = penalties;
      // A variable of the host's numbers, in place of a model's.
      const model = { parameters: [{ name: "weight" } as never] };
      return { product: weight.sum(), l1: l1(1)(model, () => weight), l2: l2(1)(model, () => weight) };
    }),
  );
  expect(norms.map(({ product, l1, l2 }) => [product.data[0], l1.data[0], l2.data[0]])).toEqual([
    [1, 1, 1],
    [1, 1, 0.25],
  ]);

  // Ten inputs of which the first alone is what the target goes by, and the second is almost the same.
  const inputs = noise([60, 10], 6);
  const columns = inputs.data.map((v, i) => (i % 10 === 1 ? inputs.data[i - 1]! + 0.02 * v : v));
  const set = arrays({
    x: { ...inputs, data: columns as Float32Array<ArrayBuffer> },
    y: ndarray(
      [60, 1],
      Array.from({ length: 60 }, (_, i) => 2 * inputs.data[10 * i]!),
    ),
  });
  const trained = async (penalty: penalties.Penalty) => {
    const trainer = new Trainer({
      device,
      model: nn.linear({ in: 10, out: 1, bias: false }),
      loss: mse(),
      optimizer: sgd({ lr: 0.05 }),
      penalties: [penalty],
    });
    await all(trainer.fit(set, { epochs: 400, batchSize: 60 }));
    const { data } = await trainer.model.tensor("weight").read();
    await trainer.dispose();
    return Array.from(data, Math.abs);
  };
  const [lasso, ridge] = [await trained(penalties.l1(0.05)), await trained(penalties.l2(0.05))];
  // Steps of lr·λ about 0 are what a subgradient leaves of it.
  const zeros = (weights: readonly number[]) => weights.filter((w) => w < 0.006).length;
  expect(zeros(lasso)).toBeGreaterThanOrEqual(8);
  expect(zeros(ridge)).toBeLessThanOrEqual(3);
  // Of two inputs that say the same, L2 takes both alike.
  expect(Math.max(ridge[0]!, ridge[1]!) / Math.min(ridge[0]!, ridge[1]!)).toBeLessThan(1.1);
  expect(x.data).toHaveLength(4);
});

describe("what penalties refuse", () => {
  const device = cpuBackend();
  const model = () => nn.sequential(nn.linear({ in: 3, out: 2 }), nn.activityRegularization({ l1: 1 }));
  test("options outside their range", () => {
    expect(() => penalties.l1(-1)).toThrow(
      new OptionError("l1: the factor is -1; use a finite number of at least 0."),
    );
    expect(() => penalties.l2(1, { matches: "*" } as never)).toThrow(
      /l2: there is no option "matches"; use match/,
    );
    expect(() => nn.activityRegularization({})).toThrow(
      /activityRegularization: l1 and l2 are 0, which adds nothing/,
    );
    expect(() => nn.penalized(nn.relu(), { l2: 1 })).toThrow(
      /penalized: the network has no parameter called "weight"; it has none/,
    );
    expect(() => nn.penalized(nn.linear({ in: 1, out: 1 }), { l2: -1 })).toThrow(
      /penalized: l2 is -1; use a finite number of at least 0/,
    );
    const options = { device, model: model(), loss: mse(), optimizer: sgd({ lr: 1 }) };
    expect(() => new Trainer({ ...options, penalties: penalties.l1(1) as never })).toThrow(
      /new Trainer: the penalties are no list/,
    );
    expect(() => new Trainer({ ...options, reportedLoss: "all" as never })).toThrow(
      /reportedLoss is "all"; use "data" or "total"/,
    );
    expect(() => new Trainer({ ...options, metrics: { penalty: mse() } })).toThrow(
      /a metric is called "penalty"/,
    );
  });

  test("a pattern that fits nothing, a penalty that is no number, padding that would be penalised", async () => {
    const options = { device, loss: mse(), optimizer: adam({ lr: 1 }) };
    const fits = (trainer: Trainer, more: object = {}) =>
      all(trainer.fit(set, { epochs: 1, batchSize: 8, ...more }));
    await expect(
      fits(new Trainer({ ...options, model: model(), penalties: [penalties.l2(1, { match: "2.*" })] })),
    ).rejects.toThrow(/l2: no parameter fits "2\.\*"; there are 0\.weight, 0\.bias/);
    await expect(fits(new Trainer({ ...options, model: model() }), { lastBatch: "masked" })).rejects.toThrow(
      /Padding of the last batch would count in the penalty 1\.activity; use lastBatch/,
    );
    await fits(
      new Trainer({ ...options, model: nn.linear({ in: 3, out: 2 }), penalties: [penalties.l2(1)] }),
      { lastBatch: "masked" },
    );
    const torn = nn.module({ body: nn.linear({ in: 3, out: 2 }) }, ({ body }, x, context) => {
      const y = body(x);
      context.penalize(y, "size");
      return y;
    });
    await expect(fits(new Trainer({ ...options, model: torn }))).rejects.toThrow(
      new ShapeError("penalize: the penalty size is f32[8, 2]; give one f32 number, a sum for instance."),
    );
  });
});
