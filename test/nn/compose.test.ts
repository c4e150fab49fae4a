// Networks and layers of one's own: names, shared parts, several inputs and results, and what the types refuse.
import { describe, expect, expectTypeOf, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { NDArray } from "../../src/core/ndarray.ts";
import type { Tensor } from "../../src/core/op.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { tensor } from "../../src/model/program.ts";
import { f32 } from "../../src/model/tracing.ts";
import { buffer, layer, module, parameter } from "../../src/nn/compose.ts";
import { constant } from "../../src/nn/init.ts";
import { batchNorm, linear, relu, sequential } from "../../src/nn/layers/index.ts";
import * as f from "../../src/ops/f.ts";
import { sgd } from "../../src/optim/optimizers.ts";
import { gpu } from "../support/gpu.ts";

const prelu = (channels: number) =>
  layer(
    { alpha: parameter([channels], constant(0.25)) },
    ({ alpha }, x: Tensor) => x.relu().add(x.minimum(0).mul(alpha)),
    "prelu",
  );

const names = (model: Model<any, any>) => model.tensors.all.map(({ name }) => name);

describe("parts and names", () => {
  const device = cpuBackend();

  test("tensors are named by their path, parts in their order", () => {
    const head = module(
      { norm: batchNorm(2), out: sequential(relu(), linear({ in: 2, out: 1 })) },
      ({ norm, out }, x: Tensor) => out(norm(x)),
    );
    const model = new Model(
      device,
      module({ body: prelu(2), head }, ({ body, head }, x: Tensor) => head(body(x))),
    );
    expect(names(model)).toEqual([
      "body.alpha",
      "head.norm.weight",
      "head.norm.bias",
      "head.out.1.weight",
      "head.out.1.bias",
      "head.norm.running_mean",
      "head.norm.running_var",
    ]);
    expect([...model.tensors.counting]).toEqual(["head.norm"]);
    expect(() => model.tensor("body.beta")).toThrow(
      'The model has no tensor "body.beta"; it has body.alpha, head.norm.weight',
    );
  });

  test("tied parts have their tensors once, and the gradients of all their uses", async () => {
    const shared = linear({ in: 2, out: 2, bias: false });
    const model = new Model(
      device,
      module({ a: shared, again: shared }, ({ a, again }, x: Tensor) => again(a(x))),
    );
    expect(names(model)).toEqual(["a.weight"]);
    const weight = model.tensor("a.weight");
    weight.write([1, 2, 3, 4]);
    expect([...(await model.predict([[1, 1]])).data]).toEqual([17, 37]);
    const optimizer = sgd({ lr: 1 });
    const step = compile(device, { x: f32(1, 2) }, ({ x }, t) => ({
      updates: optimizer.minimize(model.forward(x, t).sum(), model),
    }));
    await step({ x: [[1, 1]] });
    // ∂ΣWWx/∂W = 1(Wx)ᵀ + Wᵀ1xᵀ = [[3, 7], [3, 7]] + [[4, 4], [6, 6]]
    expect([...(await weight.read()).data]).toEqual([1 - 7, 2 - 11, 3 - 9, 4 - 13]);
  });

  test("a layer's buffers are kept, saved and not trained", async () => {
    const shift = layer(
      { scale: parameter([2], constant(3)), offset: buffer([2], 1) },
      ({ scale, offset }, x: Tensor) => x.mul(scale).add(offset),
    );
    const model = new Model(device, sequential(shift));
    expect(model.parameters.map(({ name }) => name)).toEqual(["0.scale"]);
    expect([...(await model.predict([[1, 2]])).data]).toEqual([4, 7]);
    model.tensor("0.offset").write([10, 20]);
    const { tensors } = await model.file();
    expect([...tensors.keys()]).toEqual(["0.scale", "0.offset"]);
    const other = new Model(device, sequential(shift));
    await other.load(await model.encode());
    expect([...(await other.predict([[1, 2]])).data]).toEqual([13, 26]);
  });

  test("a part of a shape that does not fit is named", async () => {
    const model = new Model(
      device,
      module(
        { left: linear({ in: 2, out: 1 }), deep: sequential(relu(), linear({ in: 3, out: 1 })) },
        ({ left, deep }, x: Tensor) => left(x).add(deep(x)),
      ),
    );
    await expect(model.predict([[1, 2]])).rejects.toThrow(
      "Layer deep.1, linear(3 → 1), does not take [1, 2]: linear: takes [..., 3], got [1, 2]",
    );
  });

  test("parts that are none are told by name", () => {
    expect(() => module({ body: undefined as never }, (_, x: Tensor) => x)).toThrow(
      "module: the part body is undefined; give a layer or a network.",
    );
    expect(() => module({ body: relu as never }, (_, x: Tensor) => x)).toThrow(
      "module: the part body is a function",
    );
    expect(() => layer({ w: [2, 3] as never }, (_, x: Tensor) => x)).toThrow(
      "layer: w is a list; give nn.parameter(shape) or nn.buffer(shape).",
    );
    expect(() => parameter([2, -1])).toThrow(
      "parameter: the shape is [2, -1]; use whole numbers of at least 0.",
    );
    expect(() => buffer([1.5])).toThrow("buffer: the shape is [1.5]");
    expect(() => module({ "a.b": relu() }, (_, x: Tensor) => x)).toThrow(
      'module: a part is called "a.b"; leave out the dot',
    );
    expect(() => new Model(device, {} as never)).toThrow(
      "new Model: the second argument is a record, no network",
    );
    expect(
      () =>
        new Model(
          device,
          module({ a: relu() }, (_, x: Tensor) => x),
          { seed: 1.5 },
        ),
    ).toThrow("the seed is 1.5");
  });
});

test("a DAG of two inputs and a record of results trains on the adapter as on the CPU", async () => {
  const build = () =>
    module(
      {
        picture: sequential(linear({ in: 3, out: 4 }), relu()),
        row: prelu(2),
        head: linear({ in: 6, out: 2 }),
      },
      ({ picture, row, head }, x: { picture: Tensor; row: Tensor }) => {
        const joined = f.concat([picture(x.picture), row(x.row)], { axis: 1 });
        return { logits: head(joined), features: joined };
      },
    );
  const inputs = {
    picture: [
      [1, 2, 3],
      [0, 1, -1],
    ],
    row: [
      [1, -1],
      [-2, 3],
    ],
  };
  const run = async (device: Awaited<ReturnType<typeof gpu>> | ReturnType<typeof cpuBackend>) => {
    const model = new Model(device, build(), { seed: 9 });
    const optimizer = sgd({ lr: 0.1 });
    const step = compile(device, { picture: f32(2, 3), row: f32(2, 2) }, (x, t) => {
      const { logits, features } = model.forward(x, t);
      const loss = logits.square().mean().add(features.mean());
      return { outputs: { loss }, updates: optimizer.minimize(loss, model) };
    });
    for (let i = 0; i < 3; i++) await step(inputs);
    const { logits, features } = await model.predict(inputs);
    const all = [...logits.data, ...features.data];
    expect([logits.shape, features.shape]).toEqual([
      [2, 2],
      [2, 6],
    ]);
    const alpha = (await model.tensor("row.alpha").read()).data[0]!;
    await step.dispose();
    await model.dispose();
    return [alpha, ...all];
  };
  const [adapter, reference] = [await run(await gpu()), await run(cpuBackend())];
  expect(adapter[0]).not.toBe(0.25);
  adapter.forEach((x, i) => {
    expect(x).toBeCloseTo(reference[i]!, 5);
  });
});

test("types", () => {
  const device = cpuBackend();
  const network = module({ body: linear({ in: 2, out: 1 }) }, ({ body }, x: { a: Tensor }) => ({
    y: body(x.a),
  }));
  const model = new Model(device, network);
  // What types refuse must not run.
  const never = () => {
    expectTypeOf(model.predict({ a: [[1, 2]] })).toEqualTypeOf<Promise<{ readonly y: NDArray }>>();
    // @ts-expect-error: there is no part "head"
    module({ body: relu() }, ({ head }, x: Tensor) => head(x));
    // @ts-expect-error: a part takes a tensor
    module({ body: relu() }, ({ body }, _: Tensor) => body(3));
    // @ts-expect-error: a layer's function is no layer
    module({ body: relu }, (_, x: Tensor) => x);
    // @ts-expect-error: there is no tensor "beta"
    layer({ alpha: parameter([1]) }, ({ beta }, x: Tensor) => x.mul(beta));
    // @ts-expect-error: the input is a record
    model.predict([[1, 2]]);
    // @ts-expect-error: the input is called a
    model.predict({ b: [[1, 2]] });
    // @ts-expect-error: two inputs are no tensor
    sequential(network);
    compile(device, { x: f32(2) }, ({ x }, t) => {
      // @ts-expect-error: the network takes a record
      model.forward(x, t);
      // @ts-expect-error: there is no result z
      model.forward({ a: x }, t).z;
      return { outputs: { x } };
    });
    const step = compile(device, { x: f32(2) }, ({ x }) => ({ outputs: { loss: x.sum() } }));
    // @ts-expect-error: the input is called x
    step({ y: [1, 2] });
    // @ts-expect-error: the output is called loss
    void step({ x: [1, 2] }).then(({ mean }) => mean);
    const updates = compile(device, {}, (_, t) => ({
      updates: sgd({ lr: 1 }).minimize(model.forward({ a: tensor([[1, 2]]) }, t).y.sum(), model),
    }));
    // @ts-expect-error: a step without outputs gives none
    void updates({}).then(({ loss }) => loss);
  };
  expect(typeof never).toBe("function");
});
