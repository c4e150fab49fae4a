// A model alone: predictions, evaluation, files, summary.
import { beforeAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { ndarray } from "../../src/core/ndarray.ts";
import type { Tensor } from "../../src/core/op.ts";
import { arrays, residentArrays } from "../../src/data/arrays.ts";
import { shapes } from "../../src/data/shapes.ts";
import { decodeTensors } from "../../src/interchange/safetensors.ts";
import { crossEntropy, mse } from "../../src/losses/index.ts";
import * as metrics from "../../src/metrics/index.ts";
import { compile } from "../../src/model/compile.ts";
import { loadModel } from "../../src/model/load.ts";
import { Model } from "../../src/model/model.ts";
import { f32 } from "../../src/model/tracing.ts";
import { module } from "../../src/nn/compose.ts";
import * as nn from "../../src/nn/layers/index.ts";
import type { Module } from "../../src/nn/module.ts";
import * as f from "../../src/ops/f.ts";
import { adam } from "../../src/optim/optimizers.ts";
import { gpu } from "../support/gpu.ts";

const devices: [name: string, open: () => Promise<Backend>][] = [
  ["adapter", gpu],
  ["CPU reference", async () => cpuBackend()],
];

/** y = x·[1, −1; 2, 0.5]ᵀ + [0, 1]. */
async function affine(device: Backend, options = {}) {
  const model = new Model(device, nn.linear({ in: 2, out: 2 }), options);
  model.tensor("weight").write([1, -1, 2, 0.5]);
  model.tensor("bias").write([0, 1]);
  return model;
}

describe.each(devices)("on the %s", (_, open) => {
  let device: Backend;
  beforeAll(async () => {
    device = await open();
  });

  test("predicts batches of any size, several at once", async () => {
    const model = await affine(device);
    const one = await model.predict([[1, 2]]);
    expect(one).toEqual({ shape: [1, 2], dtype: "f32", data: Float32Array.of(-1, 4) });
    const sizes = Array.from({ length: 12 }, (_, i) => i + 1);
    const rows = (n: number) => Array.from({ length: n }, (_, i) => [i, n]);
    const all = await Promise.all(sizes.flatMap((n) => [model.predict(rows(n)), model.predict(rows(n))]));
    all.forEach(({ shape, data }, k) => {
      const n = sizes[Math.floor(k / 2)]!;
      expect(shape).toEqual([n, 2]);
      expect([...data]).toEqual(rows(n).flatMap(([a, b]) => [a! - b!, 2 * a! + 0.5 * b! + 1]));
    });
    await model.dispose();
    await expect(model.predict([[1, 2]])).rejects.toThrow("The model was disposed of; make it anew.");
  });

  test("predicts trees", async () => {
    const network = module(
      { left: nn.linear({ in: 1, out: 1 }), right: nn.linear({ in: 2, out: 1 }) },
      ({ left, right }, x: { a: Tensor; b: Tensor }) => {
        const [u, v] = [left(x.a), right(x.b)];
        return { sum: u.add(v), both: [u, v] as const };
      },
    );
    const model = new Model(device, network);
    for (const [name, values] of Object.entries({
      "left.weight": [2],
      "left.bias": [1],
      "right.weight": [1, 3],
      "right.bias": [0],
    }))
      model.tensor(name).write(values);
    const inputs = {
      a: [[1], [2]],
      b: [
        [1, 0],
        [0, 1],
      ],
    };
    const [first, second] = await Promise.all([model.predict(inputs), model.predict(inputs)]);
    expect([...first.sum.data]).toEqual([4, 8]);
    expect([...first.both[0].data, ...first.both[1].data]).toEqual([3, 5, 1, 3]);
    expect(second).toEqual(first);
    const { activations, output } = await model.trace(inputs);
    expect(Object.keys(activations)).toEqual(["left", "right"]);
    expect([...activations.right!.data]).toEqual([1, 3]);
    expect(output).toEqual(first);
    await expect(model.predict({ a: [[1], [2, 3]], b: [[1, 0]] } as never)).rejects.toThrow(
      'The input "a" is ragged',
    );
    await expect(model.predict({ a: [[1]], b: "no" } as never)).rejects.toThrow(
      "b is a string; give a tensor",
    );
    await model.dispose();
  });

  test("says what an input is, best first", async () => {
    const model = await affine(device, { labels: ["cat", "dog"] });
    const e = Math.exp(-5);
    const guesses = await model.classify([1, 2], { top: 5 });
    expect(guesses.map(({ label }) => label)).toEqual(["dog", "cat"]);
    expect(guesses[0]!.probability).toBeCloseTo(1 / (1 + e), 5);
    expect(guesses[1]!.probability).toBeCloseTo(e / (1 + e), 5);
    expect(await model.classify(ndarray([2], [1, 2]))).toHaveLength(1);
    await expect(model.classify([1, 2], { top: 0 })).rejects.toThrow("classify: top is 0");
    await expect(model.classify([1, 2, 3])).rejects.toThrow("linear: takes [..., 2], got [1, 3]");
    await model.dispose();
  });

  test("images of bytes are normalised as the model says", async () => {
    const network = nn.sequential(nn.flatten());
    const model = new Model(device, network, { normalization: { mean: [0.5, 0], std: [0.5, 0.25] } });
    const { data } = await model.predict({
      shape: [1, 2, 1, 2],
      dtype: "u8",
      data: Uint8Array.of(0, 255, 51, 0),
    });
    [-1, 1, 0.8, 0].forEach((x, i) => {
      expect(data[i]).toBeCloseTo(x, 6);
    });
    const grey = { shape: [1, 1, 1, 2], dtype: "u8", data: new Uint8Array(2) } as const;
    await expect(model.predict(grey)).rejects.toThrow(
      "The input is u8[1, 1, 1, 2], and the model normalises images of 2",
    );
    await model.dispose();
  });

  test("is evaluated without a trainer, whatever the batches", async () => {
    const model = await affine(device);
    const x = ndarray([5, 2], [1, 2, 0, 1, 3, 0, -1, 1, 2, 2]);
    const labels = ndarray([5], [1, 1, 0, 1, 0], "i32");
    const set = arrays({ x, y: labels });
    const logits = [
      [-1, 4],
      [-1, 1.5],
      [3, 7],
      [-2, -0.5],
      [0, 6],
    ] as const;
    const losses = logits.map((row, i) => {
      const sum = Math.log(Math.exp(row[0]) + Math.exp(row[1]));
      return sum - row[labels.data[i]!]!;
    });
    const loss = losses.reduce((a, b) => a + b) / 5;
    const largest = (y: Tensor) => y.max({ axes: [1] }).mean();
    for (const batchSize of [1, 2, 5, 250]) {
      const found = await model.evaluate(set, { loss: crossEntropy(), metrics: { largest }, batchSize });
      expect(found.loss).toBeCloseTo(loss, 5);
      expect(found.accuracy).toBeCloseTo(3 / 5, 6);
      expect(found.largest).toBeCloseTo((4 + 1.5 + 7 - 0.5 + 6) / 5, 5);
    }
    const resident = residentArrays(device, "resident", x, labels);
    const seen: number[] = [];
    const again = await model.evaluate(resident, {
      loss: crossEntropy(),
      batchSize: 2,
      onProgress: (done) => seen.push(done),
    });
    expect(again.loss).toBeCloseTo(loss, 5);
    expect([seen[0], seen.at(-1)]).toEqual([0, 5]);
    resident.release();
    const regression = await model.evaluate(arrays({ x, y: ndarray([5, 2], logits.flat()) }), {
      loss: mse(),
      metrics: { mae: metrics.meanAbsoluteError() },
    });
    expect(regression).toEqual({ loss: 0, mae: 0 });
    await expect(model.evaluate(set, {} as never)).rejects.toThrow("evaluate: the loss is missing");
    await expect(model.evaluate(undefined as never, { loss: mse() })).rejects.toThrow(
      "evaluate: the data is undefined",
    );
    await expect(model.evaluate(set, { loss: (y: Tensor) => y } as never)).rejects.toThrow(
      'evaluate: "loss" is of the shape [5, 2]; give a scalar',
    );
    await model.dispose();
  });

  test("evaluates images", async () => {
    const { train } = shapes({ train: 20, test: 4 });
    const network = nn.sequential(
      nn.flatten(),
      nn.linear({ in: train.shape.reduce((a, b) => a * b), out: 10 }),
    );
    const model = new Model(device, network, {
      normalization: { mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2] },
    });
    const whole = await model.evaluate(train, { loss: crossEntropy() });
    const parts = await model.evaluate(train, { loss: crossEntropy(), batchSize: 8 });
    expect(parts.loss).toBeCloseTo(whole.loss, 4);
    expect(whole.accuracy! * 20).toBeCloseTo(Math.round(whole.accuracy! * 20), 4);
    await model.dispose();
  });

  test("files: what fits goes in, and the report says what did not", async () => {
    const network = () =>
      nn.sequential(nn.linear({ in: 2, out: 2 }), nn.batchNorm(2), nn.linear({ in: 2, out: 1 }));
    const source = new Model(device, network(), { seed: 1, labels: ["one"] });
    source.batchesTracked = 7;
    source.tensor("1.running_mean").write([3, 4]);
    const bytes = await source.encode();
    const file = await source.file();
    const target = new Model(device, network(), { seed: 2 });
    expect(await target.load(bytes)).toMatchObject({ missing: [], unexpected: [], reshaped: [] });
    expect(target.batchesTracked).toBe(7);
    expect(await target.encode()).toEqual(
      await new Model(device, network()).load(bytes).then(() => target.encode()),
    );
    for (const { name } of source.tensors.all)
      expect(await target.tensor(name).read(), name).toEqual(await source.tensor(name).read());

    const other = new Model(
      device,
      nn.sequential(nn.linear({ in: 2, out: 2 }), nn.relu(), nn.linear({ in: 2, out: 3 })),
      {
        seed: 3,
      },
    );
    const before = await other.file();
    await expect(other.load(bytes)).rejects.toThrow(
      /"2.weight" is F32 \[1, 2\], the model's is F32 \[3, 2\]/,
    );
    const broken = new Map(file.tensors);
    const weight = file.tensors.get("0.weight")!;
    broken.set("0.weight", { ...weight, data: Float32Array.of(1, Number.NaN, 2, 3) } as typeof weight);
    await expect(other.load({ ...file, tensors: broken }, { strict: false })).rejects.toThrow(
      'The file: element 1 of "0.weight" is NaN; use a file whose numbers are finite.',
    );
    const damaged = { ...file, metadata: { ...file.metadata, normalization: "{" } };
    await expect(other.load(damaged, { strict: false })).rejects.toThrow(
      "The file: its normalization is damaged",
    );
    expect(await other.file()).toEqual(before);
    expect(await other.load(bytes, { strict: false })).toEqual({
      loaded: ["0.weight", "0.bias"],
      missing: [],
      unexpected: ["1.num_batches_tracked", "1.weight", "1.bias", "1.running_mean", "1.running_var"],
      reshaped: [
        { name: "2.weight", file: [1, 2], model: [3, 2] },
        { name: "2.bias", file: [1], model: [3] },
      ],
    });
    const stranger = new Model(
      device,
      module({ mine: nn.linear({ in: 1, out: 1 }) }, ({ mine }, x: Tensor) => mine(x)),
    );
    await expect(stranger.load(bytes, { strict: false })).rejects.toThrow(
      "has no tensor that the network has",
    );
    for (const model of [source, target, other, stranger]) await model.dispose();
  });

  test("training runs count the batches of running statistics", async () => {
    const model = new Model(device, nn.sequential(nn.linear({ in: 1, out: 2 }), nn.batchNorm(2)));
    const optimizer = adam({ lr: 0.1 });
    const step = compile(device, { x: f32(4, 1) }, ({ x }, t) => ({
      updates: optimizer.minimize(model.forward(x, t).square().mean(), model),
    }));
    for (let i = 0; i < 3; i++) await step({ x: [[1], [2], [3], [4]] });
    expect(model.batchesTracked).toBe(3);
    expect((await model.file()).tensors.get("1.num_batches_tracked")!.data).toEqual(BigInt64Array.of(3n));
    await step.dispose();
    await model.dispose();
  });

  test("frozen parameters stay, and optimizers begin anew for the others", async () => {
    const model = new Model(
      device,
      nn.sequential(nn.linear({ in: 2, out: 2 }), nn.linear({ in: 2, out: 1 })),
    );
    const optimizer = adam({ lr: 0.1 });
    const make = () =>
      compile(device, { x: f32(2, 2) }, ({ x }, t) => ({
        updates: optimizer.minimize(model.forward(x, t).square().mean(), model),
      }));
    const tensors = async () =>
      Promise.all(model.tensors.all.map(async ({ name }) => [...(await model.tensor(name).read()).data]));
    const all = make();
    await all({
      x: [
        [1, 2],
        [3, 4],
      ],
    });
    model.freeze("0.**");
    expect(() => model.freeze("9.*")).toThrow(/freeze: no parameter fits "9.\*"; there are 0.weight, 0.bias/);
    const some = make();
    const before = await tensors();
    await some({
      x: [
        [1, 2],
        [3, 4],
      ],
    });
    const after = await tensors();
    expect(after.map((values, i) => String(values) === String(before[i]))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(model.summary([1, 2]).trained).toBe(3);
    await all.dispose();
    await some.dispose();
    await model.dispose();
  });
});

describe("a model that a file describes", () => {
  const device = cpuBackend();
  const image = ndarray(
    [1, 3, 8, 8],
    Float32Array.from({ length: 192 }, (_, i) => Math.sin(i)),
  );
  const row = ndarray([2, 3], [0.5, -1, 2, 0.1, 3, -2]);
  const activations = [
    nn.relu(),
    nn.tanh(),
    nn.sigmoid(),
    nn.silu(),
    nn.selu(),
    nn.softplus(),
    nn.mish(),
    nn.leakyRelu(0.2),
    nn.elu(0.7),
    nn.gelu(),
    nn.gelu("tanh"),
  ];
  const conv = nn.conv2d({
    in: 3,
    out: 3,
    kernel: [3, 3],
    padding: "same",
    init: (shape) => new Float32Array(shape.reduce((a, b) => a * b)).fill(0.1),
  });
  const networks: [string, Module, typeof image][] = [
    ...activations.map((layer): [string, Module, typeof image] => [layer.label, layer, row]),
    ["linear without bias", nn.linear({ in: 3, out: 2, bias: false }), row],
    ["batchNorm", nn.sequential(nn.batchNorm(3, { eps: 0.1, momentum: 0.5 })), row],
    ["dropout", nn.sequential(nn.dropout(0.3), nn.linear({ in: 3, out: 3 })), row],
    ["residual", nn.residual(nn.sequential(conv, nn.relu())), image],
    [
      "residual with a shortcut",
      nn.residual(nn.linear({ in: 3, out: 2 }), nn.linear({ in: 3, out: 2, bias: false })),
      row,
    ],
    ["checkpoint", nn.checkpoint(nn.linear({ in: 3, out: 2 })), row],
    ["augmented", nn.augmented(nn.sequential(conv, nn.globalAvgPool2d()), { flip: true, shift: 2 }), image],
    [
      "pools",
      nn.sequential(
        nn.maxPool2d([2, 2], { stride: 1, padding: [1, 1] }),
        nn.avgPool2d([3, 2], { countIncludePad: false }),
        nn.flatten(),
      ),
      image,
    ],
    [
      "embedding",
      nn.sequential(nn.embedding({ count: 5, features: 3 })),
      ndarray([2, 2], [0, 4, 1, 1], "i32"),
    ],
  ];

  test.each(networks)("%s", async (_, network, x) => {
    const model = new Model(device, network, {
      seed: 5,
      labels: ["a", "b"],
      normalization: { mean: [0.5], std: [0.2] },
    });
    const again = await loadModel(device, await model.encode());
    expect(again.network.label).toBe(model.network.label);
    expect([again.labels, again.normalization]).toEqual([model.labels, model.normalization]);
    expect(again.tensors.all.map(({ name }) => name)).toEqual(model.tensors.all.map(({ name }) => name));
    expect(await again.predict(x)).toEqual(await model.predict(x));
    expect(await again.file()).toEqual(await model.file());
  });

  test("says which part only code can make", async () => {
    const mine = module({ inner: nn.relu() }, ({ inner }, x: Tensor) => inner(x), "mine");
    const file = await new Model(device, nn.sequential(nn.relu(), nn.residual(mine))).file();
    await expect(loadModel(device, file, "net.safetensors")).rejects.toThrow(
      "net.safetensors does not say what its network is, because only code can make 1.body, mine; make the network and load the file into it.",
    );
  });

  test.each<[string, string]>([
    ["{", "net: its network is damaged; use another copy of the file."],
    ["{}", "net: its network is damaged; make the network in code and load the file into it."],
    ['{"layer":"quantum"}', 'net: its network has a layer "quantum", which this version does not have'],
    [
      '{"layer":"constructor"}',
      'net: its network has a layer "constructor", which this version does not have',
    ],
    [
      '{"layer":"linear","args":[{"in":-1,"out":2}]}',
      'net: its network has a layer "linear" that cannot be made: linear: in is -1',
    ],
    [
      '{"layer":"linear","args":[]}',
      'net: its network has a layer "linear" that cannot be made: linear: the options are undefined',
    ],
    ['{"layer":"sequential","parts":3}', 'net: its network is damaged at a layer "sequential"'],
    ['{"layer":"linear","args":[{"in":2,"out":2}]}', "net has no tensor"],
  ])("a damaged description: %s", async (network, message) => {
    const bytes = held();
    const file = decodeTensors(await bytes, "net");
    await expect(
      loadModel(device, { ...file, metadata: { ...file.metadata, network } }, "net"),
    ).rejects.toThrow(message);
  });
  const held = () => new Model(device, nn.relu()).encode();
});

test("predictions keep a bounded number of programs, each until its last run has ended", async () => {
  const device = cpuBackend();
  let [live, most, made] = [0, 0, 0];
  const compile = device.compile.bind(device);
  device.compile = async (...args) => {
    const executable = await compile(...args);
    const dispose = executable.dispose.bind(executable);
    made++;
    most = Math.max(most, ++live);
    executable.dispose = () => {
      live--;
      dispose();
    };
    return executable;
  };
  const model = new Model(device, nn.linear({ in: 1, out: 1 }));
  const rows = (n: number) => Array.from({ length: n }, () => [1]);
  for (let n = 1; n <= 40; n++) await model.predict(rows(n));
  expect([made, most]).toEqual([40, 9]); // the ninth is there before the oldest leaves
  await model.predict(rows(40));
  await model.predict(rows(33));
  expect(made).toBe(40);
  // Twelve at once: none leaves before it has run.
  const all = await Promise.all(Array.from({ length: 12 }, (_, i) => model.predict(rows(i + 1))));
  expect(all.map(({ shape }) => shape[0])).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
  await model.dispose();
  expect(live).toBe(0);
});

test("a summary counts by hand", () => {
  const network = nn.sequential(
    nn.conv2d({ in: 1, out: 4, kernel: 3 }),
    nn.relu(),
    nn.maxPool2d(2),
    nn.flatten(),
    nn.linear({ in: 36, out: 5 }),
  );
  const model = new Model(cpuBackend(), network);
  const summary = model.summary([2, 1, 8, 8]);
  const products = 2 * 4 * 6 * 6 * 9 * 2;
  const row = (path: string) => summary.rows.find((one) => one.path === path)!;
  expect(summary.rows.map(({ output, parameters, bytes }) => [output, parameters, bytes])).toEqual([
    [[2, 4, 6, 6], 40, 1152],
    [[2, 4, 6, 6], 0, 1152],
    [[2, 4, 3, 3], 0, 288],
    [[2, 36], 0, 288],
    [[2, 5], 185, 40],
  ]);
  expect(row("0").flops).toBe(products + 2 * 4 * 36);
  expect(row("3").flops).toBe(0);
  expect(row("4").flops).toBe(2 * 36 * 5 * 2 + 10);
  expect([summary.parameters, summary.trained, summary.bytes]).toEqual([225, 225, 900]);
  expect(summary.flops).toBe(summary.rows.reduce((n, { flops }) => n + flops, 0));
  model.freeze("0.*");
  expect(
    String(model.summary([2, 1, 8, 8]))
      .split("\n")
      .at(-1),
  ).toMatch(/^225 parameters \(185 of them trained\), /);

  const both = module(
    { a: nn.linear({ in: 2, out: 2 }), b: nn.linear({ in: 3, out: 2 }) },
    ({ a, b }, [x, y]: readonly [Tensor, Tensor]) => f.concat([a(a(x)).add(b(y)), b(y)], { axis: 1 }),
  );
  const tied = new Model(cpuBackend(), both).summary([f32(1, 2), f32(1, 3)]);
  expect(tied.rows.map(({ path, parameters }) => [path, parameters])).toEqual([
    ["a", 6],
    ["a", 0],
    ["b", 8],
    ["b", 0],
  ]);
  expect(tied.parameters).toBe(14);
  expect(tied.flops).toBe(2 * (8 + 2) + 2 * (12 + 2) + 2 + 4); // products, biases, the sum, and what joins them
});
