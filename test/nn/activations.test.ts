// Activations: saved and made again, refused where their numbers are outside the definition, and the learned ones on the
// adapter. Their values are beside PyTorch's in test/oracle.
import { expect, describe as group, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { feed } from "../../src/graph/node.ts";
import {
  type Backend,
  compile,
  evaluate,
  f,
  f32,
  gradients,
  Model,
  nn,
  type Tensor,
  tensor,
} from "../../src/index.ts";
import { describe, type NetworkDescription } from "../../src/nn/describe.ts";
import { type AnyModule, parametersOf, Trace } from "../../src/nn/module.ts";
import { networkOf } from "../../src/nn/rebuild.ts";
import { gpu } from "../support/gpu.ts";
import { type LayerCase, oracleCases } from "../support/oracle.ts";

const layers = nn as unknown as Readonly<Record<string, (...args: readonly unknown[]) => AnyModule>>;
const written = oracleCases<LayerCase>("layer")
  .filter(({ file }) => file === "activations.json")
  .map(({ layer, args }) => [`${layer}(${JSON.stringify(args).slice(1, -1)})`, layer, args] as const);
const unique = [...new Map(written.map((entry) => [entry[0], entry])).values()];

group("every activation is made again from its description", () => {
  test.each(unique)("%s", (_, layer, args) => {
    const made = layers[layer]!(...args);
    const description = describe(made) as NetworkDescription;
    expect(description).toMatchObject({ layer });
    const again = networkOf(JSON.parse(JSON.stringify(description)));
    expect(again.label).toBe(made.label);
    expect(describe(again)).toEqual(description);
    const tensors = (module: AnyModule) => parametersOf(module).map(({ name, spec }) => [name, spec.shape]);
    expect(tensors(again)).toEqual(tensors(made));
  });
});

test("labels say what is not usual", () => {
  expect(nn.relu().label).toBe("relu()");
  expect(nn.leakyRelu(0.2).label).toBe("leakyRelu(0.2)");
  expect(nn.hardTanh({ max: 2 }).label).toBe("hardTanh({ min: -1, max: 2 })");
  expect(nn.prelu({ features: 3 }).label).toBe("prelu(3)");
});

const applied = (module: AnyModule, shape: readonly number[]) => () => {
  const tensor = (of: AnyModule, name: string) => feed(name, of.parameters![name]!.shape);
  const source = { counters: feed("counters", [4], "u32"), parameter: tensor, buffer: tensor };
  return new Trace(module, source, true).run(module, feed("x", shape));
};

test.each<[make: () => unknown, message: RegExp]>([
  [() => nn.hardTanh({ min: 1, max: 0 }), /hardTanh: min is 1 and max 0; use a max above the min/],
  [() => nn.hardTanh({ low: 1 } as never), /hardTanh: there is no option "low"; use min, max/],
  [() => nn.leakyRelu(Number.NaN), /leakyRelu: slope is NaN; use a finite number/],
  [() => nn.elu(Number.POSITIVE_INFINITY), /elu: alpha is Infinity/],
  [() => nn.celu(0), /celu: alpha is 0; use a finite number above 0/],
  [() => nn.gelu("sigmoid" as never), /gelu: approximate is sigmoid; use "none" or "tanh"/],
  [() => nn.softplus({ beta: -1 }), /softplus: beta is -1; use a finite number above 0/],
  [() => nn.softplus({ threshold: Number.NaN }), /softplus: threshold is NaN/],
  [() => nn.threshold(Number.NaN, 0), /threshold: threshold is NaN/],
  [() => nn.thresholdedRelu(-1), /thresholdedRelu: theta is -1; use a finite number of at least 0/],
  [() => nn.thresholdedLinear(-1), /thresholdedLinear: theta is -1/],
  [() => nn.hardshrink(-1), /hardshrink: lambda is -1/],
  [() => nn.softshrink(-1), /softshrink: lambda is -1/],
  [() => nn.softmax(0.5), /softmax: axis is 0.5; use a whole number/],
  [applied(nn.logSoftmax(2), [3, 4]), /logSoftmax: axis 2 does not exist/],
  [() => nn.glu(0.5), /glu: axis is 0.5/],
  [applied(nn.glu(), [2, 3]), /glu: axis -1 of \[2, 3\] is odd; it needs two halves/],
  [() => nn.prelu({ features: 0 }), /prelu: features is 0/],
  [applied(nn.prelu({ features: 3 }), [2, 4]), /prelu: takes \[batch, 3, …\], got \[2, 4\]/],
  [() => nn.parametricSoftplus({ beta: Number.NaN }), /parametricSoftplus: beta is NaN/],
  [() => nn.swish({ beta: Number.NaN }), /swish: beta is NaN/],
  [() => nn.swish({ learned: 1 } as never), /swish: learned is 1; use true or false/],
])("refused: $1", (make, message) => {
  expect(make).toThrow(message);
});

test("learned and gated activations have the reference's values and gradients on the adapter", async () => {
  const network = nn.sequential(
    nn.prelu({ features: 4, alpha: -0.5 }),
    nn.swish({ beta: 0.75, learned: true }),
    nn.parametricSoftplus({ features: 4, alpha: 0.5, beta: 2 }),
    nn.glu(1),
  );
  const x = Float32Array.from({ length: 120 }, (_, i) => Math.sin(i * i));
  const results = async (device: Backend) => {
    const model = new Model(device, network);
    const run = compile(device, { x: f32(3, 4, 5, 2) }, ({ x }: { x: Tensor }, t) => {
      const y = model.forward(x, t);
      const loss = f.sum(f.square(y));
      return {
        y,
        slopes: gradients(loss, [x, ...model.tensors.all.map(({ name }) => model.tensor(name).value)]),
      };
    });
    const { y, slopes } = await run({ x });
    const read = await Promise.all([y, ...slopes].map((result) => result.read()));
    return read.map(({ data }) => data as Float32Array);
  };
  const [want, got] = [await results(cpuBackend()), await results(await gpu())];
  expect(got).toHaveLength(1 + 1 + 4);
  for (const [i, data] of want.entries()) {
    const scale = Math.max(...data.map(Math.abs));
    expect(scale).toBeGreaterThan(0);
    // Elementwise functions a few ulp off each, and sums of up to 120 terms.
    for (const [k, value] of data.entries()) expect(Math.abs(got[i]![k]! - value)).toBeLessThan(1e-5 * scale);
  }
});

test.each<[name: string, apply: (x: Tensor) => Tensor]>([
  ["threshold", (x) => f.threshold(x, { threshold: 0.1, value: 0 })],
  ["hardshrink", (x) => f.hardshrink(x, { lambda: 0.1 })],
])("%s and its slope round the threshold alike", async (_, apply) => {
  // 0.1 in float32, which is above 0.1.
  const x = tensor([Math.fround(0.1)]);
  const y = apply(x);
  const results = await evaluate(cpuBackend({ precision: "f64" }), [y, gradients(y.sum(), [x])[0]]);
  expect(results.map(({ data }) => data[0])).toEqual([0, 0]);
});
