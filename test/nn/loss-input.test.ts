// What losses refuse: options and shapes when they are made and traced, numbers where the host has them.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { DataError, OptionError, ShapeError } from "../../src/core/errors.ts";
import { type NDArray, ndarray } from "../../src/core/ndarray.ts";
import type { Tensor } from "../../src/core/op.ts";
import { arrays } from "../../src/data/arrays.ts";
import { stream } from "../../src/data/stream.ts";
import { demandsOf } from "../../src/graph/demands.ts";
import * as losses from "../../src/losses/index.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { tensor } from "../../src/model/program.ts";
import { f32, i32 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/layers/index.ts";
import type { ForwardContext } from "../../src/nn/module.ts";
import { sgd } from "../../src/optim/optimizers.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { all, backends, noise } from "../train/support.ts";

const anyLosses = losses as unknown as Record<string, (options?: unknown) => losses.Loss<any, any>>;

describe("options outside their range", () => {
  test.each([
    ["mse", { reduction: "average" }, 'mse: reduction is "average"; use "mean", "sum" or "none".'],
    ["mse", { half: 1 }, "mse: half is 1; use true or false."],
    ["mse", "sum", "mse: the options are a string; give an object."],
    ["l1", { delta: 1 }, 'l1: there is no option "delta"; use reduction.'],
    ["huber", { delta: 0 }, "huber: delta is 0; use a finite number above 0."],
    ["smoothL1", { beta: -1 }, "smoothL1: beta is -1; use a finite number of at least 0."],
    [
      "crossEntropy",
      { labelSmoothing: 2 },
      "crossEntropy: labelSmoothing is 2; use a finite number from 0 to 1.",
    ],
    [
      "crossEntropy",
      { weight: [1, -1] },
      "crossEntropy: weight[1] is -1; use a finite number of at least 0.",
    ],
    ["crossEntropy", { weight: 2 }, "crossEntropy: weight is 2; use a list of numbers, one for each class."],
    ["nll", { ignoreIndex: 0.5 }, "nll: ignoreIndex is 0.5; use a whole number."],
    [
      "binaryCrossEntropyWithLogits",
      { posWeight: -1 },
      "binaryCrossEntropyWithLogits: posWeight is -1; use a finite number of at least 0.",
    ],
    ["focal", { alpha: 2 }, 'focal: alpha is 2; use a number from 0 to 1, or "none".'],
    ["focal", { gamma: -1 }, "focal: gamma is -1; use a finite number of at least 0."],
    ["softmaxFocal", { gamma: Number.NaN }, "softmaxFocal: gamma is NaN; use a finite number of at least 0."],
    ["hinge", { margin: 1 }, 'hinge: there is no option "margin"; use reduction.'],
    ["multiMargin", { p: 3 }, "multiMargin: p is 3; use 1 or 2."],
    [
      "klDivergence",
      { reduction: "batch" },
      'klDivergence: reduction is "batch"; use "mean", "batchmean", "sum" or "none".',
    ],
    ["cosineEmbedding", { margin: 2 }, "cosineEmbedding: margin is 2; use a finite number from -1 to 1."],
    ["contrastive", { margin: 0 }, "contrastive: margin is 0; use a finite number above 0."],
    ["triplet", { p: 0.5 }, "triplet: p is 0.5; use a finite number of at least 1."],
    ["triplet", { swap: 1 }, "triplet: swap is 1; use true or false."],
  ])("%s(%j)", (name, options, message) => {
    expect(() => anyLosses[name]!(options)).toThrow(new OptionError(message));
  });
});

describe("shapes and dtypes that do not fit", () => {
  const x = tensor([0, 1, 2, 3, 4, 5], { shape: [2, 3] });
  const labels = tensor([0, 2], { dtype: "i32" });
  const cases: [string, unknown, unknown, RegExp][] = [
    [
      "mse",
      x,
      tensor([1, 2]),
      /mse: the output is f32\[2, 3\] and the target f32\[2\]; use f32 tensors of one/,
    ],
    [
      "hinge",
      x,
      labels,
      /hinge: the output is f32\[2, 3\] and the target i32\[2\]; use f32 tensors of one shape/,
    ],
    [
      "multiMargin",
      x,
      x,
      /multiMargin: the target is f32\[2, 3\] beside the output f32\[2, 3\]; use i32\[2\]/,
    ],
    [
      "nll",
      x,
      tensor([0], { dtype: "i32" }),
      /nll: the target is i32\[1\] beside .* use i32\[2\], one class/,
    ],
    ["crossEntropy", x, undefined, /crossEntropy: the target is undefined beside the output f32\[2, 3\]/],
    [
      "cosineEmbedding",
      x,
      labels,
      /cosineEmbedding: the output is f32\[2, 3\]; give 2 tensors f32 \[\.\.\., D\]/,
    ],
    [
      "contrastive",
      [x, x],
      x,
      /contrastive: the target is f32\[2, 3\]; use f32 or i32\[2\], one number for each row/,
    ],
    [
      "triplet",
      { anchor: x, positive: x },
      x,
      /triplet: the output is a record; give 3 tensors .* \{ anchor, /,
    ],
    [
      "triplet",
      [x, x, tensor([[1]])],
      x,
      /triplet: the output has f32\[2, 3\] and f32\[1, 1\]; give tensors of one/,
    ],
  ];
  test.each(cases)("%s", (name, output, target, message) => {
    expect(() => anyLosses[name]!()(output, target)).toThrow(message);
    expect(() => anyLosses[name]!()(output, target)).toThrow(ShapeError);
  });

  test("as many class weights as classes, and no ignored label among probabilities", () => {
    expect(() => losses.crossEntropy({ weight: [1, 2] })(x, labels)).toThrow(
      /crossEntropy: there are 2 weights and 3 classes; give one for each class/,
    );
    expect(() => losses.crossEntropy({ ignoreIndex: 0 })(x, x)).toThrow(
      /crossEntropy: ignoreIndex is 0, and the target is f32\[2, 3\], which has no labels; use a mask/,
    );
  });
});

test("a target of given numbers is checked at once and keeps nothing of the losses that were made of it", () => {
  const [x, y] = [tensor([[1, 2, 3]]), tensor([2], { dtype: "i32" })];
  losses.crossEntropy()(x, y);
  losses.crossEntropy()(x, y, tensor([1]));
  expect(demandsOf(y)).toEqual([]);
});

describe("numbers that no target may have", () => {
  const x = noise([6, 4]);
  const classes = (...numbers: number[]) => ndarray([numbers.length], numbers, "i32");
  const cases: [string, losses.Loss<any, any>, NDArray, RegExp][] = [
    [
      "crossEntropy",
      losses.crossEntropy(),
      classes(0, 1, 2, 3, 0, 1),
      /crossEntropy: .* holds 3, as its number 3; use class numbers from 0 to 2\./,
    ],
    [
      "crossEntropy, ignoring",
      losses.crossEntropy({ ignoreIndex: 7 }),
      classes(0, 7, 2, -1, 0, 1),
      /crossEntropy: .* holds -1, as its number 3; use class numbers from 0 to 2, or 7 for what counts for nothing/,
    ],
    ["multiMargin", losses.multiMargin(), classes(0, 1, 2, 5, 0, 1), /multiMargin: .* holds 5/],
    [
      "hinge",
      losses.hinge(),
      ndarray([6, 3], Array(18).fill(0.5)),
      /hinge: .* holds 0.5, as its number 0; use 1 or −1, not probabilities or class numbers/,
    ],
    [
      "binaryCrossEntropyWithLogits",
      losses.binaryCrossEntropyWithLogits(),
      ndarray([6, 3], Array(18).fill(-1)),
      /holds -1, as its number 0; use numbers from 0 to 1/,
    ],
    ["focal", losses.focal(), ndarray([6, 3], Array(18).fill(0.5)), /focal: .* holds 0.5, .* use 0 or 1/],
    [
      "klDivergence",
      losses.klDivergence(),
      ndarray([6, 3], Array(18).fill(-0.5)),
      /use probabilities of at least 0/,
    ],
  ];
  test.each(cases)("%s", async (_, loss, y, message) => {
    const device = cpuBackend();
    const set = arrays({ x, y, name: "rows" });
    const network = () => nn.linear({ in: 4, out: 3 });
    const make = () => new Trainer({ device, model: network(), loss, optimizer: sgd({ lr: 0.1 }) });

    for (const lastBatch of ["smaller", "masked"] as const) {
      const trainer = make();
      const run = all(trainer.fit(set, { epochs: 1, batchSize: 4, lastBatch }));
      await expect(run).rejects.toThrow(message);
      await expect(run).rejects.toThrow(/ y of rows holds /);
      await expect(trainer.evaluate(set)).rejects.toThrow(DataError);
      await trainer.dispose();
    }
    const types = { input: f32(6, 4), target: { shape: y.shape, dtype: y.dtype } } as const;
    const streamed = make();
    const source = [{ input: x, target: y }] as never;
    await expect(all(streamed.fit(stream(source, types), { epochs: 1 }))).rejects.toThrow(message);
    await streamed.dispose();

    const model = new Model(device, network());
    await expect(model.evaluate(set, { loss })).rejects.toThrow(message);
    const step = compile(device, { x: types.input, y: types.target }, ({ x, y }, t) =>
      loss(model.forward(x, t), y),
    );
    await expect(step({ x, y } as never)).rejects.toThrow(message);
    expect(() =>
      loss(tensor(x.data, { shape: [6, 4] }).slice({ starts: [0, 0], ends: [6, 3] }), tensor(y.data, y)),
    ).toThrow(message);
    await model.dispose();
  });

  test("what a mask leaves out may be anything, and labels of the device give NaN", async () => {
    const device = cpuBackend();
    const inputs = { x: f32(3, 2), y: i32(3), mask: f32(3) };
    const given = {
      x: [
        [1, 2],
        [3, 4],
        [5, 7],
      ],
      y: [0, 9, 1],
      mask: [1, 0, 1],
    };
    for (const loss of [losses.crossEntropy(), losses.nll(), losses.multiMargin(), losses.softmaxFocal()]) {
      const run = compile(device, inputs, ({ x, y, mask }) => loss(x, y, mask));
      expect(await (await run(given)).item()).toBeLessThan(20);
      const torn = compile(device, inputs, ({ x, y }) => loss(x, y.add(tensor(0, { dtype: "i32" }))));
      expect(await (await torn(given)).item()).toBeNaN();
    }
  });
});

test.each(backends)("pairs and triplets come from a network of several inputs: on %s", async (_, open) => {
  const device = await open();
  const body = nn.linear({ in: 3, out: 2 });
  const twins = { label: "twins", children: { body } };
  const pairs = new Trainer({
    device,
    model: {
      ...twins,
      forward: (x: { a: Tensor; b: Tensor }, context: ForwardContext) => [
        context.run(body, x.a),
        context.run(body, x.b),
      ],
    },
    loss: losses.contrastive({ margin: 2 }),
    optimizer: sgd({ lr: 0.2 }),
  });
  const set = arrays({
    x: { a: noise([10, 3]), b: noise([10, 3], 5) },
    y: ndarray([10], [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]),
  });
  for (const lastBatch of ["smaller", "masked"] as const) {
    const epochs = await all(
      pairs.fit(set, { epochs: lastBatch === "masked" ? 30 : 15, batchSize: 4, lastBatch }),
    );
    expect(epochs.at(-1)!.loss).toBeLessThan(epochs[0]!.loss);
  }
  await pairs.dispose();

  const triplets = new Trainer({
    device,
    model: {
      ...twins,
      forward: (x: Record<"anchor" | "positive" | "negative", Tensor>, context: ForwardContext) => ({
        anchor: context.run(body, x.anchor),
        positive: context.run(body, x.positive),
        negative: context.run(body, x.negative),
      }),
    },
    loss: losses.triplet(),
    optimizer: sgd({ lr: 0.2 }),
  });
  const near = noise([8, 3], 7);
  const threes = arrays({
    x: {
      anchor: near,
      positive: {
        ...near,
        data: near.data.map((v, i) => v + 0.1 * Math.sin(i)) as Float32Array<ArrayBuffer>,
      },
      negative: noise([8, 3], 8),
    },
    y: ndarray([8], Array(8).fill(0)),
  });
  const epochs = await all(triplets.fit(threes, { epochs: 15, batchSize: 4 }));
  expect(epochs.at(-1)!.loss).toBeLessThan(epochs[0]!.loss);
  await triplets.dispose();
});
