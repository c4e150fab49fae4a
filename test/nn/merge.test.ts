// Merges and branches: forms of inputs and results, types, names and what is refused. Their numbers are in test/oracle.
import { describe, expect, expectTypeOf, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { ndarray } from "../../src/core/ndarray.ts";
import type { Tensor } from "../../src/core/op.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { f32 as f32Of } from "../../src/model/tracing.ts";
import { module } from "../../src/nn/compose.ts";
import * as nn from "../../src/nn/layers/index.ts";
import type { Module } from "../../src/nn/module.ts";

const device = cpuBackend();
const linear = () => nn.linear({ in: 2, out: 2, bias: false });
const names = (model: Model<any, any>) => model.tensors.all.map(({ name }) => name);
const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });

test("branches and a merge stand in a row of layers, and are made again of the model's file", async () => {
  const network = nn.sequential(
    nn.parallel(linear(), nn.sequential(linear(), nn.relu())),
    nn.concat(),
    nn.linear({ in: 4, out: 1 }),
  );
  expectTypeOf(network).toEqualTypeOf<Module<Tensor, Tensor>>();
  const model = new Model(device, network);
  expect(names(model)).toEqual(["0.0.weight", "0.1.0.weight", "2.weight", "2.bias"]);
  const { networkOf } = await import("../../src/nn/rebuild.ts");
  const again = new Model(device, networkOf(JSON.parse(model.description().network!)), { seed: 0 });
  await again.load(await model.file());
  expect(await again.predict([[1, -2]])).toEqual(await model.predict([[1, -2]]));
});

test("twins have one set of weights, and keep the form of their inputs", async () => {
  const twins = nn.siamese<{ left: Tensor; right: Tensor }>(linear());
  const model = new Model(device, twins);
  expect(names(model)).toEqual(["network.weight"]);
  const { left, right } = await model.predict({ left: [[1, 2]], right: [[1, 2]] });
  expect(left).toEqual(right);
  const pair = new Model(device, nn.sequential(nn.siamese(linear()), nn.dot({ normalize: true })));
  const same = await pair.predict([ndarray([1, 2], [1, 2]), ndarray([1, 2], [2, 4])]);
  expect(same.shape).toEqual([1, 1]);
  expect(same.data[0]).toBeCloseTo(1, 6);
});

test("twins with running statistics are refused in training, and predict", async () => {
  const model = new Model(device, nn.siamese(nn.batchNorm(2)));
  const pair = [ndarray([2, 2], [1, 2, 3, 4]), ndarray([2, 2], [1, 2, 3, 4])];
  const [a, b] = await model.predict(pair);
  expect(a).toEqual(b);
  const train = () =>
    compile(device, { x: f32Of(2, 2) }, ({ x }, t) => ({ outputs: { y: model.forward([x, x], t)[0]! } }));
  expect(train).toThrow("batchNorm(2): is used in two places, and its running");
});

test("a merge joins any graph of parts", async () => {
  const network = module(
    { a: linear(), b: linear(), sum: nn.add(), best: nn.maximum() },
    ({ a, b, sum, best }, x: Tensor) => {
      const [left, right] = [a(x), b(x)];
      return sum([best([left, right]), left, x]);
    },
  );
  const model = new Model(device, network, { seed: 3 });
  const [a, b] = [model.tensor("a.weight"), model.tensor("b.weight")];
  a.write(Float32Array.of(1, 0, 0, 1));
  b.write(Float32Array.of(0, 1, 1, 0));
  expect((await model.predict([[1, 5]])).data).toEqual(Float32Array.of(5 + 1 + 1, 5 + 5 + 5));
});

test("a function is a layer that only code can make again", async () => {
  const double = nn.lambda((x: Tensor) => x.mul(2));
  const model = new Model(device, nn.sequential(linear(), double));
  expect(model.description()).toEqual({ parts_made_in_code: "1, lambda()" });
  model.tensor("0.weight").write(Float32Array.of(1, 0, 0, 1));
  expect((await model.predict([[1, 2]])).data).toEqual(Float32Array.of(2, 4));
});

test("types", () => {
  const never = () => {
    // @ts-expect-error: a linear layer takes no list
    nn.sequential(nn.parallel(linear(), linear()), linear());
    // @ts-expect-error: a merge takes no tensor
    nn.sequential(linear(), nn.add());
    expectTypeOf(nn.sequential(nn.relu(), nn.parallel(linear()))).toEqualTypeOf<
      Module<Tensor, readonly Tensor[]>
    >();
    const twins = nn.siamese(linear());
    expectTypeOf(nn.sequential(twins, nn.add(), nn.relu())).toEqualTypeOf<
      Module<readonly Tensor[], Tensor>
    >();
    expectTypeOf(nn.sequential(linear(), nn.relu())).toEqualTypeOf<Module>();
  };
  expect(typeof never).toBe("function");
});

describe("refused are", () => {
  test.each([
    [
      () => nn.sequential(linear() as Module, nn.relu as never),
      "sequential: part 1 is a function; give a layer or",
    ],
    [() => nn.residual(nn.relu as never), "residual: the body is a function; give a layer or a network."],
    [() => nn.residual(nn.relu(), "same" as never), "residual: the shortcut is a string; give a layer"],
    [() => nn.checkpoint(undefined as never), "checkpoint: the network is undefined; give a layer"],
    [() => nn.augmented(nn.relu as never, {}), "augmented: the network is a function; give a layer"],
    [() => nn.parallel(), "parallel: there is no branch; give at least one."],
    [() => nn.parallel(linear as never), "parallel: branch 0 is a function; give a layer or a network."],
    [() => nn.siamese(undefined as never), "siamese: the network is undefined; give a layer or a network."],
    [() => nn.timeDistributed({} as never), "timeDistributed: the network is a record; give a layer"],
    [() => nn.lambda(linear() as never), "lambda: it is given a record; give a function of a tensor."],
    [() => nn.concat({ axis: 0.5 }), "concat: axis is 0.5; use a whole number."],
    [() => nn.concat({ axes: 1 } as never), 'concat: there is no option "axes"; use axis.'],
    [() => nn.dot({ axes: [1] as never }), "dot: axes is [1]; use one axis, or a list of two."],
    [() => nn.dot({ axes: Number.NaN }), "dot: axes is NaN; use a whole number."],
  ])("parameters: %#", (make, message) => expect(make).toThrow(message));

  test.each([
    [nn.add(), f32(2, 3), "add: takes a list of at least 2 tensors, got a tensor; give it what parallel"],
    [nn.multiply(), [f32(2, 3)], "multiply: takes a list of at least 2 tensors, got a list of 1;"],
    [nn.average(), { a: f32(2), b: f32(2) }, "average: takes a list of at least 2 tensors, got a record;"],
    [nn.maximum(), [f32(2, 3), f32(2, 4)], "maximum: shapes [2, 3] and [2, 4] do not broadcast"],
    [nn.concat(), [f32(2, 3), f32(3, 3)], "concat: "],
    [nn.dot(), [f32(2, 3), f32(2, 3), f32(2, 3)], "dot: takes a list of 2 tensors, got a list of 3"],
    [nn.dot(), [f32(2, 3), f32(2, 4)], "dot: takes equal batches and equal lengths along the axes -1 and -1"],
    [
      nn.dot({ axes: 0 }),
      [f32(2, 3), f32(2, 3)],
      "dot: axis 0 of [2, 3] is the batch; use an axis from 1 to 1",
    ],
    [nn.siamese(linear()), f32(2, 2), "siamese: takes a list or record of tensors, got a tensor; give one"],
    [nn.timeDistributed(linear()), f32(2), "timeDistributed: takes [batch, time, …], got [2]; give it a"],
    [
      nn.timeDistributed(nn.lambda((x: Tensor) => x.sum())),
      f32(2, 3, 2),
      "timeDistributed: the network makes [] of 6 steps; use one that keeps the batch.",
    ],
  ] as const)("inputs: %#", (network, types, message) => {
    expect(() => new Model<any, any>(device, network as Module).summary(types)).toThrow(message);
  });
});
