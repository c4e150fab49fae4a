// Values and gradients against PyTorch, in float64: conventions at kinks and ties, extremes, and the layers' geometry.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { Tensor } from "../../src/core/op.ts";
import type { Shape } from "../../src/core/shape.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed } from "../../src/graph/node.ts";
import { resolvePadding } from "../../src/ops/conv/shape.ts";
import * as f from "../../src/ops/f.ts";
import functions from "../fixtures/pytorch/functions.json" with { type: "json" };
import layers from "../fixtures/pytorch/layers.json" with { type: "json" };
import { resultsOf } from "../support/ops.ts";

type Num = number | string; // "inf", "-inf" and "nan" as strings
type Numbers = Num | readonly Numbers[];
interface Packed {
  shape: number[];
  data: Num[];
}

/** Constants inside a graph are float32, so results agree to about 2⁻²⁴ of what was added up. */
const TOLERANCE = 2e-7;

const number = (x: Num): number =>
  typeof x === "number" ? x : x === "nan" ? Number.NaN : x === "inf" ? Infinity : -Infinity;
const flat = (x: Numbers): number[] => (Array.isArray(x) ? x.flatMap(flat) : [number(x as Num)]);
const shapeOf = (x: Numbers): number[] => (Array.isArray(x) ? [x.length, ...shapeOf(x[0]!)] : []);
const pack = (x: Numbers): Packed => ({ shape: shapeOf(x), data: flat(x) });

function expectClose(got: readonly number[], want: readonly number[], label: string, tolerance = TOLERANCE) {
  expect(got.length, label).toBe(want.length);
  const wrong = want.flatMap((b, i) => {
    const a = got[i]!;
    const close = Number.isFinite(b) ? Math.abs(a - b) <= tolerance * (1 + Math.abs(b)) : Object.is(a, b);
    return close ? [] : [`${label}[${i}] is ${a}, PyTorch has ${b}`];
  });
  expect(wrong).toEqual([]);
}

/** Runs `build` on inputs; gives its results and the gradients of Σ result · upstream, upstream 1 unless given. */
async function run(
  inputs: readonly Packed[],
  build: (...values: Tensor[]) => Tensor[],
  upstream?: readonly Num[],
): Promise<{ results: number[][]; gradients: number[][] }> {
  const values = inputs.map((x, i) => feed(`x${i}`, x.shape));
  const results = build(...values);
  const [first] = results as [Tensor];
  const weights = feed("upstream", first.shape);
  const slopes = gradients(f.sum(f.mul(first, weights)), values);
  const named = (prefix: string, list: readonly Tensor[]) =>
    list.map((y, i) => [`${prefix}${i}`, y] as const);
  // The inputs are among the outputs so that the graph has all of them, whatever the results depend on.
  const all = [...named("x", [...values, weights]), ...named("y", results), ...named("g", slopes)];
  const outputs = Object.fromEntries(all);
  const executable = await cpuBackend({ precision: "f64" }).compile({ name: "pytorch", outputs });
  const size = results[0]!.shape.reduce((a, b) => a * b, 1);
  executable.run({
    ...Object.fromEntries(inputs.map((x, i) => [`x${i}`, Float64Array.from(x.data, number)])),
    upstream: Float64Array.from({ length: size }, (_, i) => (upstream ? number(upstream[i]!) : 1)),
  });
  const fetch = async (name: string) => [...(await executable.fetch(name)).data];
  return {
    results: await Promise.all(results.map((_, i) => fetch(`y${i}`))),
    gradients: await Promise.all(slopes.map((_, i) => fetch(`g${i}`))),
  };
}

/** Those of torch's functions that are ops here. */
const UNARY: Record<string, (x: Tensor) => Tensor> = {
  relu: (x) => f.relu(x),
  leaky_relu: (x) => f.leakyRelu(x, { slope: 0.01 }),
  elu: (x) => f.elu(x, { alpha: 1 }),
  selu: (x) => f.selu(x),
  gelu_erf: (x) => f.gelu(x, { approximate: "none" }),
  gelu_tanh: (x) => f.gelu(x, { approximate: "tanh" }),
  silu: (x) => f.silu(x),
  softplus: (x) => f.softplus(x),
  mish: (x) => f.mish(x),
  sigmoid: (x) => f.sigmoid(x),
  tanh: (x) => f.tanh(x),
  abs: (x) => f.abs(x),
  sqrt: (x) => f.sqrt(x),
  sign: (x) => f.sign(x),
};

describe("functions as in PyTorch", () => {
  for (const { name, x, y, dy } of functions.unary) {
    const build = UNARY[name];
    if (!build) continue;
    test(name, async () => {
      const got = await run([pack(x)], (v) => [build(v)]);
      expectClose(got.results[0]!, flat(y), "y");
      expectClose(got.gradients[0]!, flat(dy), "dx");
    });
  }

  test.each(functions.binary)("$name shares the gradient at ties", async ({ name, a, b, y, da, db }) => {
    const got = await run([pack(a), pack(b)], (u, v) => resultsOf(name, u, v));
    expectClose(got.results[0]!, y, "y");
    expectClose(got.gradients[0]!, da, "da");
    expectClose(got.gradients[1]!, db, "db");
  });

  const REDUCTIONS: Record<string, (x: Tensor) => Tensor> = {
    amax: (x) => f.max(x, { axes: [1] }),
    amin: (x) => f.neg(f.max(f.neg(x), { axes: [1] })),
    max_all: (x) => f.max(x),
    min_all: (x) => f.neg(f.max(f.neg(x))),
  };
  for (const { name, x, y, dx, arg } of functions.reductions) {
    const build = REDUCTIONS[name];
    test(`${name} at ties`, async () => {
      if (build) {
        const got = await run([pack(x)], (v) => [build(v)]);
        expectClose(got.results[0]!, flat(y), "y");
        expectClose(got.gradients[0]!, flat(dx), "dx");
      }
      if (arg) {
        const least = name.startsWith("min");
        const index = (v: Tensor) => f.argmax(least ? f.neg(v) : v, { axis: 1 });
        const got = await run([pack(x)], (v) => [v, index(v)], Array(18).fill(0));
        expectClose(got.results[1]!, flat(arg as Numbers), "index");
      }
    });
  }

  test.each(functions.maxPool2d)("maxPool2d, $name: the first of equal elements", async (entry) => {
    const { kernel, stride, padding, x, y, upstream, dx } = entry;
    const attrs = { kernel: [kernel, kernel], stride: [stride, stride], padding: [padding, padding] };
    const image = { shape: [1, 1, ...shapeOf(x)], data: flat(x) };
    const got = await run([image], (v) => resultsOf("maxPool2d", v, attrs), flat(upstream));
    expectClose(got.results[0]!, flat(y), "y");
    expectClose(got.gradients[0]!, flat(dx), "dx");
  });

  test.each(functions.powScalar)("$x to the power $exponent", async ({ x, exponent, y, dx }) => {
    const got = await run([pack(x)], (v) => [f.pow(v, exponent)]);
    expectClose(got.results[0]!, flat(y), "y");
    expectClose(got.gradients[0]!, flat(dx), "dx");
  });

  test.each(functions.powTensor)("$x to the tensor $exponent", async ({ x, exponent, y, dx, dexponent }) => {
    const got = await run([pack(x), pack(exponent)], (u, v) => [f.pow(u, v)]);
    expectClose(got.results[0]!, flat(y), "y");
    expectClose(got.gradients[0]!, flat(dx), "dx");
    expectClose(got.gradients[1]!, flat(dexponent), "dexponent");
  });

  const NORMALIZERS: Record<string, (x: Tensor) => Tensor> = {
    softmax: (x) => f.softmax(x, { axis: 0 }),
    log_softmax: (x) => f.logSoftmax(x, { axis: 0 }),
  };
  test.each(functions.normalizers.filter(({ name }) => name in NORMALIZERS))(
    "$name of $x",
    async ({ name, x, y, upstream, dx }) => {
      const got = await run([pack(x)], (v) => [NORMALIZERS[name]!(v)], flat(upstream as Numbers));
      expectClose(got.results[0]!, flat(y), "y");
      expectClose(got.gradients[0]!, flat(dx), "dx");
    },
  );

  test.each(functions.crossEntropy)(
    "cross-entropy of $x, label $label, smoothing $labelSmoothing",
    async (entry) => {
      const { x, label, labelSmoothing, y, dx } = entry;
      const logits = { shape: [1, 3], data: x };
      const labels = f.constant({ value: label, shape: [1], dtype: "i32" });
      const hard = await run([logits], (v) => [f.softmaxCrossEntropy(v, labels, { labelSmoothing })]);
      expectClose(hard.results[0]!, flat(y), "y");
      expectClose(hard.gradients[0]!, flat(dx), "dx");
      // The same distribution over the classes as soft targets.
      const share = x.map((_, k) => labelSmoothing / 3 + (k === label ? 1 - labelSmoothing : 0));
      const soft = await run([logits, { shape: [1, 3], data: share }], (v, t) => [f.softCrossEntropy(v, t)]);
      expectClose(soft.results[0]!, flat(y), "y of soft targets");
      expectClose(soft.gradients[0]!, flat(dx), "dx of soft targets");
    },
  );
});

interface LayerEntry {
  name: string;
  layer: string;
  options: any;
  inputs: Record<string, Packed>;
  output: Packed;
  upstream: Packed;
  gradients: Record<string, Packed>;
  before?: Record<string, Packed>;
  after?: Record<string, Packed>;
}

const pair = (x: number | readonly number[]) => (typeof x === "number" ? [x, x] : x);
const column = (x: Tensor, rank: number) =>
  f.reshape(x, { shape: [1, -1, ...(Array(rank - 2).fill(1) as number[])] });

function buildLayer(entry: LayerEntry, known: (name: string) => Tensor): (...inputs: Tensor[]) => Tensor[] {
  const { layer, options } = entry;
  if (layer === "conv2d")
    return (x, weight, bias) => {
      const stride = pair(options.stride) as [number, number];
      const dilation = pair(options.dilation) as [number, number];
      const kernel = weight!.shape.slice(2) as unknown as [number, number];
      const padding = resolvePadding(options.padding, kernel, stride, dilation);
      const attrs = { stride, padding, dilation, groups: options.groups };
      return [f.add(f.conv2d(x, weight, attrs), column(bias!, 4))];
    };
  if (layer === "batch_norm") {
    const attrs = { eps: options.eps };
    if (options.training) return (x, weight, bias) => f.batchNorm(x!, weight!, bias!, attrs);
    return (x, weight, bias) => [
      f.batchNormInference(x, weight, bias, known("runningMean"), known("runningVar"), attrs),
    ];
  }
  const attrs = {
    kernel: pair(options.kernel_size),
    stride: pair(options.stride),
    padding: pair(options.padding),
    ...("count_include_pad" in options ? { countIncludePad: options.count_include_pad } : {}),
  };
  return (x) => resultsOf(layer === "max_pool2d" ? "maxPool2d" : "avgPool2d", x, attrs);
}

describe("layers as in PyTorch", () => {
  test.each(layers.layers as unknown as LayerEntry[])("$name", async (entry) => {
    const before = Object.keys(entry.before ?? {});
    const names = Object.keys(entry.inputs);
    const inputs = [...Object.values(entry.inputs), ...Object.values(entry.before ?? {})];
    const got = await run(
      inputs,
      (...values) =>
        buildLayer(
          entry,
          (name) => values[names.length + before.indexOf(name)]!,
        )(...values.slice(0, names.length)),
      entry.upstream.data,
    );
    // The fixture has 12 digits; a gradient that cancels is small beside what it was summed from.
    expectClose(got.results[0]!, flat(entry.output.data), "y");
    names.forEach((name, i) => {
      expectClose(got.gradients[i]!, flat(entry.gradients[name]!.data), `gradient in ${name}`, 1e-6);
    });
    if (entry.layer === "batch_norm" && entry.options.training) {
      const shape: Shape = entry.inputs.x!.shape;
      const count = shape.reduce((a, b) => a * b, 1) / shape[1]!;
      const { momentum } = entry.options;
      const moved = (name: string, batch: readonly number[]) =>
        batch.map((value, c) => number(entry.before![name]!.data[c]!) * (1 - momentum) + value * momentum);
      const unbiased = got.results[2]!.map((v) => (v * count) / (count - 1));
      expectClose(moved("runningMean", got.results[1]!), flat(entry.after!.runningMean!.data), "mean");
      expectClose(moved("runningVar", unbiased), flat(entry.after!.runningVar!.data), "variance");
    }
  });
});
