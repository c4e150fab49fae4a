// Layers made of others, tied weights, and networks with a part replaced. Numbers are in test/oracle.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { Tensor } from "../../src/core/op.ts";
import { compile } from "../../src/model/compile.ts";
import { loadModel } from "../../src/model/load.ts";
import { Model } from "../../src/model/model.ts";
import { i32 } from "../../src/model/tracing.ts";
import { module } from "../../src/nn/compose.ts";
import { describe as describeNetwork } from "../../src/nn/describe.ts";
import * as nn from "../../src/nn/layers/index.ts";
import type { AnyModule } from "../../src/nn/module.ts";
import { networkOf } from "../../src/nn/rebuild.ts";
import { replacePart } from "../../src/nn/replace.ts";
import { sgd } from "../../src/optim/optimizers.ts";

const device = cpuBackend();
const names = (network: Parameters<typeof describeNetwork>[0]) =>
  new Model<any, any>(device, network).tensors.all.map(({ name }) => name);

describe("tied weights", () => {
  const language = () => {
    const words = nn.embedding({ count: 5, features: 3 });
    return nn.sequential(words, nn.linear({ in: 3, out: 3, bias: false }), nn.tied(words));
  };

  test("are one tensor, in the file and its description too", async () => {
    const model = new Model(device, language(), { seed: 4 });
    expect(model.tensors.all.map(({ name }) => name)).toEqual(["0.weight", "1.weight", "2.bias"]);
    const again = await loadModel(device, await model.encode());
    expect(again.tensors.all.map(({ name }) => name)).toEqual(["0.weight", "1.weight", "2.bias"]);
    const indices = { shape: [2], dtype: "i32" as const, data: Int32Array.of(1, 4) };
    expect(await again.predict(indices)).toEqual(await model.predict(indices));
  });

  test("get the gradients of both uses", async () => {
    const words = nn.embedding({ count: 2, features: 1 });
    const model = new Model(device, nn.sequential(words, nn.tied(words, { bias: false })));
    const weight = model.tensor("0.weight");
    weight.write(Float32Array.of(2, 3));
    const optimizer = sgd({ lr: 1 });
    const step = compile(device, { x: i32(1) }, ({ x }, t) => ({
      updates: optimizer.minimize(model.forward(x, t).sum(), model),
    }));
    await step({ x: [0] });
    // w₀·(w₀ + w₁): slopes 2·w₀ + w₁ and w₀.
    expect((await weight.read()).data).toEqual(Float32Array.of(2 - 7, 3 - 2));
    await step.dispose();
  });

  test("are those of an embedding or a linear layer", () => {
    expect(() => nn.tied(nn.relu())).toThrow(
      "tied: the layer is relu(); give an embedding or a linear layer",
    );
    expect(() => nn.tied(undefined as never)).toThrow("tied: the layer is undefined; give an embedding");
    expect(() => nn.tied(nn.linear({ in: 1, out: 1 }), { biass: true } as never)).toThrow(
      "tied: there is no option",
    );
  });
});

test("a part that stands in two places is described once", () => {
  const shared = nn.linear({ in: 2, out: 2 });
  const network = nn.sequential(shared, nn.residual(nn.sequential(nn.relu(), shared)), nn.relu(), shared);
  const again = networkOf(JSON.parse(JSON.stringify(describeNetwork(network))));
  expect(names(again)).toEqual(names(network));
  expect(names(network)).toEqual(["0.weight", "0.bias"]);
  expect(() => networkOf({ layer: "sequential", parts: [{ layer: "same", args: [3] }] })).toThrow(
    'The file: its network is damaged at a layer "same"',
  );
});

describe("a part is replaced", () => {
  const linear = (out = 2) => nn.linear({ in: 2, out, bias: false });

  test("within every kind of network, and the rest is what it was", () => {
    const body = linear();
    const network = nn.sequential(body, nn.residual(nn.sequential(nn.relu(), linear())), linear());
    const changed = replacePart(network, "2", linear(7));
    expect(changed.children!["0"]).toBe(body);
    expect(new Model(device, changed).summary([1, 2]).rows.at(-1)!.output).toEqual([1, 7]);
    expect(new Model(device, network).summary([1, 2]).rows.at(-1)!.output).toEqual([1, 2]);
    expect(names(replacePart(network, "1.body.1", nn.relu()))).toEqual(["0.weight", "2.weight"]);
    for (const form of [
      nn.checkpoint(network),
      nn.augmented(network, {}),
      nn.stochasticDepth(network, 0.1),
      nn.siamese(network),
      nn.timeDistributed(network),
      nn.parallel(nn.relu(), network),
      nn.residual(linear(), network),
      module({ network }, ({ network }, x: Tensor) => network(x)),
    ] as AnyModule[]) {
      const path = ["2", "network.2", "1.2", "shortcut.2"].find((at) =>
        names(form).includes(`${at}.weight`),
      )!;
      const other = replacePart(form, path, nn.relu());
      expect(names(other)).toEqual(names(form).filter((name) => name !== `${path}.weight`));
      expect(other.label).toBe(form.label);
      if (form.description)
        expect(describeNetwork(networkOf(describeNetwork(other)))).toEqual(describeNetwork(other));
    }
  });

  test("in all its places", () => {
    const shared = linear();
    const network = nn.sequential(shared, nn.relu(), shared);
    const changed = replacePart(network, "0", linear());
    expect(changed.children!["2"]).toBe(changed.children!["0"]);
  });

  test("not where there is none, or only code can", () => {
    const network = nn.sequential(linear(), nn.relu());
    expect(() => replacePart(network, "3", nn.relu())).toThrow(
      'replacePart: there is no part "3"; there are 0, 1.',
    );
    expect(() => replacePart(network, "", nn.relu())).toThrow('replacePart: there is no part ""');
    expect(() => replacePart(network, "1", nn.relu as never)).toThrow(
      "replacePart: the part for 1 is no layer or network; give one",
    );
    const inner = nn.sequential(linear());
    const form = { ...inner, label: "form()", description: { layer: "form", wraps: inner } };
    expect(() => replacePart(nn.sequential(form), "0.0", nn.relu())).toThrow(
      "replacePart: the parts of 0, form(), cannot be replaced",
    );
    const own = { label: "own()", children: { inner: linear() }, forward: (x: Tensor) => x };
    expect(() => replacePart(nn.sequential(own), "0.inner", nn.relu())).toThrow(
      "replacePart: the parts of 0, own(), cannot be replaced, for it is not made of nn.module",
    );
  });

  test("a changed squeeze and excitation is made in code alone", () => {
    const network = nn.squeezeExcitation({ channels: 4 });
    expect(describeNetwork(network)).not.toHaveProperty("unknown");
    const changed = replacePart(network, "fc1", nn.conv2d({ in: 4, out: 1, kernel: 1, bias: false }));
    expect(names(changed)).toEqual(["fc1.weight", "fc2.weight", "fc2.bias"]);
    expect(describeNetwork(changed)).toHaveProperty("unknown");
  });
});

test.each([
  [() => nn.maxout({ in: 2, out: 2, pieces: 0 }), "maxout: pieces is 0; use a whole number of at least 1."],
  [
    () => nn.highway({ features: 2, activation: "gelu" as never }),
    'highway: activation is "gelu"; use "relu" or',
  ],
  [() => nn.highway({ features: 2, gateBias: Number.NaN }), "highway: gateBias is NaN; use a finite number."],
  [() => nn.squeezeExcitation({ channels: 4, squeeze: 0 }), "squeezeExcitation: squeeze is 0; use a whole"],
  [() => nn.squeezeExcitation({ channel: 4 } as never), 'squeezeExcitation: there is no option "channel"'],
])("refused: %#", (make, message) => expect(make).toThrow(message));

test.each([
  [nn.maxout({ in: 3, out: 2, pieces: 2 }), [2, 4], "maxout: takes [..., 3], got [2, 4]"],
  [nn.highway({ features: 3 }), [2, 4], "highway: takes [..., 3], got [2, 4]"],
  [
    nn.squeezeExcitation({ channels: 3 }),
    [2, 3],
    "squeezeExcitation: takes [batch, 3, height, width], got [2, 3]",
  ],
])("refused inputs: %#", (network, shape, message) => {
  expect(() => new Model(device, network).summary(shape)).toThrow(message);
});
