// Attention, positions and transformers beyond single values, which are in test/oracle: derivatives of derivatives, what hidden
// keys do, how they plan, a training beside PyTorch's, and what is refused.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { dataTensor, defineOp, type Op, type Operand, type Tensor } from "../../src/core/op.ts";
import { Sampler } from "../../src/core/samples.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed } from "../../src/graph/node.ts";
import { bool, compile, evaluate, f, f32, i32, losses, Model, nn, optim } from "../../src/index.ts";
import { type AnyModule, parametersOf, Trace } from "../../src/nn/module.ts";
import { compilePlan } from "../../src/plan/plan.ts";
import { checkSample } from "../support/differences.ts";
import { GPU_FACTS } from "../support/facts.ts";
import { gpu } from "../support/gpu.ts";
import { numbersOf, type OracleCase, oracleCases, type Stored } from "../support/oracle.ts";

const s = new Sampler("attention");
const device = cpuBackend();

type Attention = (q: Operand, k: Operand, v: Operand, ...masks: readonly Operand[]) => Tensor;

/** Attention of tensors and additive masks as one op, for the finite differences. */
const attention = (name: string, options: f.AttentionOptions): Op<Attention> =>
  defineOp({
    name,
    operands: ["q", "k", "v", "...masks"],
    infer: ([q]) => [q!],
    reference: () => {
      throw new Error("It is differentiated only.");
    },
    implementation: {
      kind: "composition",
      compose: (inputs) => {
        const [q, k, v, ...masks] = inputs as unknown as [Tensor, Tensor, Tensor, ...Tensor[]];
        return [
          f.scaledDotProductAttention(q, k, v, { ...options, masks: [...masks, ...(options.masks ?? [])] }),
        ];
      },
    },
  });

const bools = (shape: readonly number[], values: readonly number[]) =>
  dataTensor({ shape, dtype: "bool", data: Uint32Array.from(values) });

describe("gradients, and gradients of gradients, by finite differences", () => {
  const [q, k, v] = [s.randn(2, 2, 3, 4), s.randn(2, 2, 3, 4), s.randn(2, 2, 3, 4)];
  test.each([
    ["plain", attention("plain", {}), [q, k, v]],
    ["causal", attention("causal", { causal: true, scale: 0.25 }), [q, k, v]],
    ["groups", attention("groups", {}), [q, s.randn(2, 1, 5, 4), s.randn(2, 1, 5, 4)]],
    ["an additive mask", attention("added", { causal: true }), [q, k, v, s.randn(2, 1, 3, 3)]],
    [
      "a mask that hides",
      attention("hidden", { masks: [bools([3, 3], [1, 0, 1, 0, 1, 1, 0, 0, 1])] }),
      [q, k, v],
    ],
  ] as const)("%s", async (_, op, inputs) => {
    for (const order of [1, 2] as const)
      expect(await checkSample(op, { inputs: [...inputs] }, 0, order)).toBeGreaterThanOrEqual(3);
  });
});

describe("what is hidden", () => {
  test("a query without any key gives 0, whatever hides them, and its gradients are 0", async () => {
    const [q, k, v] = ["q", "k", "v"].map((name) => feed(name, [2, 1, 2, 2]));
    const numbers = Float32Array.from({ length: 8 }, (_, i) => i - 3);
    for (const [type, seen] of [
      [bool(2, 1, 1, 2), Uint32Array.of(1, 0, 0, 0)],
      [f32(2, 1, 1, 2), Float32Array.of(0, -Infinity, -Infinity, -3e38)],
    ] as const) {
      const run = compile(
        await gpu(),
        { q: f32(2, 1, 2, 2), k: f32(2, 1, 2, 2), v: f32(2, 1, 2, 2), m: type },
        ({ q, k, v, m }) => {
          const y = f.scaledDotProductAttention(q, k, v, { masks: [m] });
          return { y, slopes: gradients(y.square().sum(), [q, k, v]) };
        },
      );
      const { y, slopes } = await run({ q: numbers, k: numbers, v: numbers, m: seen });
      // The first example sees its first key alone.
      expect([...(await y.read()).data]).toEqual([-3, -2, -3, -2, 0, 0, 0, 0]);
      for (const slope of slopes) expect([...(await slope.read()).data.slice(4)]).toEqual([0, 0, 0, 0]);
      await run.dispose();
    }
    expect(() => f.scaledDotProductAttention(q!, k!, v!, { masks: [bools([2, 2], [1, 1, 0, 0])] })).toThrow(
      "scaledDotProductAttention: row 1 of the mask [2, 2] hides every key; let each query see one at least.",
    );
  });

  test("nothing that comes later is seen, nor padding", async () => {
    const model = new Model(
      device,
      nn.transformerBlock({ features: 8, heads: 2, causal: true, rotary: true }),
      { seed: 2 },
    );
    const input = (change: number, at: number) => ({
      shape: [1, 4, 8],
      dtype: "f32" as const,
      data: Float32Array.from(
        { length: 32 },
        (_, i) => Math.sin(i) + (i >= 8 * at && i < 8 * at + 8 ? change : 0),
      ),
    });
    const [a, b] = [await model.predict(input(0, 3)), await model.predict(input(1, 3))];
    expect(a.data.slice(0, 24)).toEqual(b.data.slice(0, 24));
    expect(a.data.slice(24)).not.toEqual(b.data.slice(24));
    const keyMask = { shape: [1, 4], dtype: "bool" as const, data: Uint32Array.of(0, 1, 1, 1) };
    const masked = [
      await model.predict({ x: input(0, 0), keyMask }),
      await model.predict({ x: input(1, 0), keyMask }),
    ];
    expect(masked[0]!.data.slice(8)).toEqual(masked[1]!.data.slice(8));
    await model.dispose();
  });
});

test("products of rotated rows depend on their distance", async () => {
  const row = (x: readonly number[]) =>
    dataTensor({ shape: [6, 4], dtype: "f32", data: Float64Array.from({ length: 24 }, (_, i) => x[i % 4]!) });
  const [a, b] = [f.rotary(row([1, 2, -1, 0.5])), f.rotary(row([0.5, -2, 3, 1]))];
  const { data } = await evaluate(cpuBackend({ precision: "f64" }), a.matmul(b, { transposeB: true }));
  for (let i = 1; i < 6; i++)
    for (let j = 1; j < 6; j++) expect(data[6 * i + j]).toBeCloseTo(data[6 * (i - 1) + j - 1]!, 10);
  expect(data[1]).not.toBeCloseTo(data[2]!, 3);
});

test("weights and sums are dropped in training only, others in each step", async () => {
  const x = {
    shape: [2, 3, 4],
    dtype: "f32" as const,
    data: Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
  };
  for (const make of [nn.multiHeadAttention, nn.transformerBlock] as ((
    size: nn.MultiHeadAttentionOptions,
  ) => nn.Module)[]) {
    const dropping = new Model(device, make({ features: 4, heads: 2, dropout: 0.5 }), { seed: 1 });
    const plain = new Model(device, make({ features: 4, heads: 2 }), { seed: 1 });
    expect(await dropping.predict(x)).toEqual(await plain.predict(x));
    const run = compile(device, { x: f32(2, 3, 4) }, ({ x }, t) => ({ y: dropping.forward(x, t) }));
    const first = await (await run({ x: x.data })).y.read();
    const second = await (await run({ x: x.data })).y.read();
    expect(first).not.toEqual(second);
    for (const owner of [dropping, plain, run]) await owner.dispose();
  }
});

test("initial weights are PyTorch's", () => {
  const model = new Model(device, nn.multiHeadAttention({ features: 16, heads: 2 }), { seed: 3 });
  expect(model.tensors.all.map(({ name }) => name)).toEqual([
    "in_proj_weight",
    "in_proj_bias",
    "out_proj.weight",
    "out_proj.bias",
  ]);
  return Promise.all(
    Object.entries({
      in_proj_weight: Math.sqrt(6 / 64),
      "out_proj.weight": 1 / 4,
      in_proj_bias: 0,
      "out_proj.bias": 0,
    }).map(async ([name, bound]) => {
      const largest = Math.max(...Array.from((await model.tensor(name).read()).data, Math.abs));
      expect(largest).toBeLessThanOrEqual(bound);
      expect(largest).toBeGreaterThanOrEqual(0.9 * bound);
    }),
  );
});

test("linear layers inside take a change of low rank, under their names", () => {
  const block = nn.transformerBlock({ features: 4, heads: 2, keyValueHeads: 1 });
  const names = parametersOf(nn.lora(block, { rank: 1, match: "self_attn.**" })).map(({ name }) => name);
  expect(names.filter((name) => name.endsWith("lora_A"))).toEqual(
    ["q_proj", "k_proj", "v_proj", "out_proj"].map((part) => `self_attn.${part}.lora_A`),
  );
  expect(names).toContain("linear1.weight");
});

describe("plans of attention at batch 16, 128 places, 128 features and 4 heads", () => {
  /** Dispatches of a network's pass, or of its gradients in its input and tensors, for a GPU. */
  function dispatches(network: AnyModule, backward: boolean): number {
    const names = new Map(
      parametersOf(network).map(({ module, key, name, spec }) => [
        `${key} ${name}`,
        { module, key, leaf: feed(name, spec.shape) },
      ]),
    );
    const parameter = (module: AnyModule, key: string) =>
      [...names.values()].find((one) => one.module === module && one.key === key)!.leaf;
    const trace = new Trace(
      network,
      { counters: feed("counters", [4], "u32"), parameter, buffer: parameter },
      true,
    );
    const x = feed("x", [16, 128, 128]);
    const y = trace.run(network, x) as Tensor;
    const slopes = backward
      ? gradients(y.mul(feed("upstream", y.shape)).sum(), [x, ...[...names.values()].map(({ leaf }) => leaf)])
      : [y];
    const outputs = Object.fromEntries(slopes.map((slope, i) => [String(i), slope]));
    return compilePlan({ name: network.label, outputs }, GPU_FACTS).steps.length;
  }
  const size = { features: 128, heads: 4, causal: true };
  test.each([
    // One product for queries, keys and values, one transposition and its three parts, scores with scale and mask, softmax,
    // the product with the values, back, and out_proj: no mask is stored, no key transposed.
    ["attention", nn.multiHeadAttention(size), 10, 33],
    ["rotary", nn.multiHeadAttention({ ...size, rotary: true }), 12, 39],
    ["a block", nn.transformerBlock(size), 22, 71],
  ])("%s", (_, network, forward, both) => {
    expect(dispatches(network, false)).toBeLessThanOrEqual(forward);
    expect(dispatches(network, true)).toBeLessThanOrEqual(both);
  });
});

interface StepsCase extends OracleCase {
  readonly text: string;
  readonly time: number;
  readonly block: nn.TransformerBlockOptions;
  /** Where each sequence of each step's batch begins. */
  readonly starts: readonly (readonly number[])[];
  readonly tensors: Readonly<Record<string, Stored>>;
  readonly losses: readonly number[];
}

describe.each(oracleCases<StepsCase>("steps"))("$steps over characters", (given) => {
  test.each<[string, () => Promise<Backend>]>([
    ["the adapter", gpu],
    ["the CPU reference", async () => cpuBackend()],
  ])("has PyTorch's losses in each step on %s", async (_, open) => {
    const on = await open();
    const letters = [...new Set(given.text)].sort();
    const text = Array.from(given.text, (character) => letters.indexOf(character));
    const { time, block } = given;
    const network = nn.sequential(
      nn.embedding({ count: letters.length, features: block.features, positions: time }),
      nn.transformerBlock(block),
      nn.transformerBlock(block),
      nn.layerNorm(block.features),
      nn.linear({ in: block.features, out: letters.length }),
    );
    const model = new Model(on, network);
    expect(model.tensors.all.map(({ name }) => name).sort()).toEqual(Object.keys(given.tensors).sort());
    for (const [name, stored] of Object.entries(given.tensors))
      model.tensor(name).write(Float32Array.from(numbersOf(stored)));
    const adam = optim.adam({ lr: 0.01 });
    const type = i32(given.starts[0]!.length, time);
    const step = compile(on, { x: type, y: type }, ({ x, y }, t) => {
      const loss = losses.crossEntropy()(model.forward(x, t), y);
      return { outputs: { loss }, updates: adam.minimize(loss, model) };
    });
    const from = (starts: readonly number[], shift: number) =>
      Int32Array.from(starts.flatMap((start) => text.slice(start + shift, start + shift + time)));
    const seen: number[] = [];
    for (const starts of given.starts)
      seen.push(await (await step({ x: from(starts, 0), y: from(starts, 1) })).loss.item());
    seen.forEach((loss, i) => {
      const want = given.losses[i]!;
      expect(Math.abs(loss - want), `step ${i}: ${loss}, PyTorch's ${want}`).toBeLessThan(1e-3 * want);
    });
    expect(seen.at(-1)).toBeLessThan(0.9 * seen[0]!);
    await step.dispose();
    await model.dispose();
  });
});

describe("refused are", () => {
  const size = { features: 8, heads: 2 };
  test.each([
    [
      () => nn.multiHeadAttention({ features: 8, heads: 3 }),
      "multiHeadAttention: 3 heads do not divide 8 features; use a divisor.",
    ],
    [
      () => nn.multiHeadAttention({ ...size, heads: 4, keyValueHeads: 3 }),
      "multiHeadAttention: 3 keyValueHeads do not divide 4 heads; use",
    ],
    [
      () => nn.multiHeadAttention({ features: 6, heads: 2, rotary: true }),
      "multiHeadAttention: a head is 3 wide, and rotary turns pairs; use an even",
    ],
    [
      () => nn.multiHeadAttention({ ...size, casual: true } as never),
      'multiHeadAttention: there is no option "casual"; use features, heads,',
    ],
    [
      () => nn.multiHeadAttention({ ...size, rotary: { bass: 1 } as never }),
      'multiHeadAttention: rotary: there is no option "bass"; use base.',
    ],
    [() => nn.multiHeadAttention({ ...size, dropout: 1 }), "multiHeadAttention: p is 1; use a probability"],
    [
      () => nn.transformerBlock({ ...size, heads: 0 }),
      "multiHeadAttention: heads is 0; use a whole number of at least 1.",
    ],
    [
      () => nn.transformerBlock({ ...size, norm: "first" as never }),
      'transformerBlock: norm is "first"; use "pre" or "post".',
    ],
    [
      () => nn.transformerBlock({ ...size, activation: "swish" as never }),
      'transformerBlock: activation is "swish"; use relu, gelu,',
    ],
    [
      () => nn.transformerBlock({ ...size, feedForward: 0 }),
      "transformerBlock: feedForward is 0; use a whole number",
    ],
    [
      () => nn.transformerDecoderBlock({ ...size, hidden: 3 } as never),
      'transformerDecoderBlock: there is no option "hidden"; use features, heads,',
    ],
    [
      () => nn.embedding({ count: 3, features: 2, positions: 0 }),
      "positionalEmbedding: positions is 0; use a whole number",
    ],
    [
      () => nn.embedding({ count: 3, features: 2, position: 4 } as never),
      'embedding: there is no option "position"; use count, features,',
    ],
    [
      () => nn.positionalEmbedding({ positions: 3, width: 2 } as never),
      'positionalEmbedding: there is no option "width"',
    ],
    [() => nn.positionalEncoding({ base: 0 }), "positionalEncoding: base is 0; use a finite number above 0."],
  ])("options: %#", (make, message) => expect(make).toThrow(message));

  const x = f32(2, 3, 8);
  test.each<[AnyModule, Record<string, typeof x | ReturnType<typeof bool> | ReturnType<typeof i32>>, string]>(
    [
      [
        nn.multiHeadAttention(size),
        { query: f32(2, 3, 4) },
        "multiHeadAttention: the query is [2, 3, 4]; give [batch, time, 8]",
      ],
      [
        nn.multiHeadAttention(size),
        { query: x, key: f32(1, 3, 8) },
        "multiHeadAttention: the key is [1, 3, 8]; give [batch, time, 8]",
      ],
      [
        nn.multiHeadAttention(size),
        { query: x, key: x, value: f32(2, 4, 8) },
        "multiHeadAttention: the value is [2, 4, 8]; give",
      ],
      [
        nn.multiHeadAttention(size),
        { query: x, mask: bool(3, 4) },
        "scaledDotProductAttention: a mask is [3, 4] for scores [2, 2, 3, 3]; its axes must be theirs, or 1.",
      ],
      [
        nn.multiHeadAttention(size),
        { query: x, mask: i32(3, 3) },
        "scaledDotProductAttention: a mask is i32[3, 3]; give bool, true where",
      ],
      [
        nn.multiHeadAttention(size),
        { query: x, keyMask: bool(3, 3) },
        "multiHeadAttention: keyMask is bool[3, 3]; give bool [2, 3], true where",
      ],
      [
        nn.multiHeadAttention(size),
        { query: x, masks: bool(3, 3) },
        'multiHeadAttention: there is no option "masks"; use query, key,',
      ],
      [
        nn.multiHeadAttention({ ...size, causal: true }),
        { query: x, key: f32(2, 2, 8) },
        "causal attention of 3 queries to 2 keys hides every key from the first 1; give at least as many keys",
      ],
      [
        nn.transformerBlock(size),
        { x: f32(2, 3, 7) },
        "transformerBlock: takes a tensor or { x, mask, keyMask }, x of [batch, time, 8], got [2, 3, 7].",
      ],
      [
        nn.transformerBlock(size),
        { x, memory: x },
        'transformerBlock: there is no option "memory"; use x, mask, keyMask.',
      ],
      [
        nn.transformerDecoderBlock(size),
        { x },
        "transformerDecoderBlock: takes { x, memory, mask, keyMask, memoryMask, memoryKeyMask }, memory of [batch, time, 8], got undefined.",
      ],
    ],
  )("inputs: %#", (network, types, message) => {
    const model = new Model(device, network);
    expect(() => compile(device, types, (inputs, t) => ({ y: model.forward(inputs, t) as Tensor }))).toThrow(
      message,
    );
  });

  test.each([
    [
      nn.positionalEmbedding({ positions: 4, features: 3 }),
      [2, 5, 3],
      "a sequence of 5 is longer than its 4 positions; cut it, or give more",
    ],
    [
      nn.positionalEmbedding({ positions: 4, features: 3 }),
      [2, 3, 4],
      "positionalEmbedding: takes [..., time, 3], got [2, 3, 4].",
    ],
    [nn.positionalEncoding(), [3], "positionalEncoding: takes [..., time, features], got [3]."],
  ])("sequences: %#", (network, shape, message) => {
    expect(() => new Model(device, network).summary(shape)).toThrow(message);
  });

  test("functions' operands", () => {
    const x = feed("x", [2, 4, 3, 5]);
    const attend = f.scaledDotProductAttention;
    expect(() => attend(x, feed("k", [2, 3, 3, 5]), x)).toThrow(
      "do not go together; use [N, H, T, d], [N, G, S, d]",
    );
    expect(() => attend(feed("q", [4, 3, 5]), x, x)).toThrow(
      "queries are f32[4, 3, 5]; give f32 [batch, heads, time",
    );
    expect(() => attend(x, x, x, { mask: x } as never)).toThrow(
      'there is no option "mask"; use masks, causal,',
    );
    expect(() => f.rotary(x)).toThrow(
      "rotary: takes [..., time, an even number of features], got [2, 4, 3, 5].",
    );
  });
});
