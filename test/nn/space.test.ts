// Layers over signals and images: what they refuse, their way through a file, and their compositions on the adapter.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { accumulationBound } from "../../src/core/tolerance.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed } from "../../src/graph/node.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { f32 } from "../../src/model/tracing.ts";
import { flopsOf } from "../../src/nn/cost.ts";
import { describe as describeNetwork } from "../../src/nn/describe.ts";
import * as nn from "../../src/nn/index.ts";
import { type AnyModule, type Module, parametersOf, Trace } from "../../src/nn/module.ts";
import { networkOf } from "../../src/nn/rebuild.ts";
import * as f from "../../src/ops/f.ts";
import { sgd } from "../../src/optim/optimizers.ts";
import { gpu } from "../support/gpu.ts";
import { type LayerCase, oracleCases } from "../support/oracle.ts";

const FILES = ["conv.json", "pool.json", "space.json"];
const cases = oracleCases<LayerCase>("layer").filter(({ file }) => FILES.includes(file));

test("a saved network has them again", () => {
  expect(cases.length).toBeGreaterThan(90);
  for (const { layer, args } of cases) {
    const make = (nn as unknown as Record<string, (...args: readonly unknown[]) => AnyModule>)[layer]!;
    const network = make(...args);
    const again = networkOf(JSON.parse(JSON.stringify(describeNetwork(network))));
    expect(again.label).toBe(network.label);
    expect(describeNetwork(again)).toEqual(describeNetwork(network));
    const shapes = (module: AnyModule) => parametersOf(module).map(({ name, spec }) => [name, spec.shape]);
    expect(shapes(again)).toEqual(shapes(network));
  }
});

test("a separable convolution's parts are named", () => {
  const network = nn.sequential(nn.separableConv2d({ in: 3, out: 8, kernel: 5, depthMultiplier: 2 }));
  expect(parametersOf(network).map(({ name, spec }) => [name, ...spec.shape])).toEqual([
    ["0.depthwise.weight", 6, 1, 5, 5],
    ["0.pointwise.weight", 8, 6, 1, 1],
    ["0.pointwise.bias", 8],
  ]);
});

test("operations of a transposed convolution are those of the convolution that it transposes", () => {
  const small = feed("small", [2, 4, 5, 6]);
  const weight = feed("weight", [4, 3, 3, 3]);
  const large = f.convTranspose2d(small, weight, { stride: 2 });
  expect(flopsOf(large.node)).toBe(2 * sizeOf(small.shape) * 3 * 9);
  expect(flopsOf(f.conv2d(large, weight, { stride: 2 }).node)).toBe(flopsOf(large.node));
});

const conv = { in: 4, out: 6, kernel: 3 };
const refused: readonly (readonly [string, () => unknown, string])[] = [
  [
    "conv1d groups",
    () => nn.conv1d({ ...conv, groups: 3 }),
    "conv1d: 3 groups divide neither 4 inputs nor 6",
  ],
  [
    "conv1d kernel",
    () => nn.conv1d({ ...conv, kernel: 0 }),
    "conv1d: kernel is 0; use a whole number of at least 1",
  ],
  ["conv1d padding", () => nn.conv1d({ ...conv, padding: -1 }), "conv1d: padding [0,0,-1,-1] must be"],
  [
    "conv1d same",
    () => nn.conv1d({ ...conv, stride: 2, padding: "same" }),
    'conv1d: padding "same" needs stride 1',
  ],
  [
    "conv2d stride",
    () => nn.conv2d({ ...conv, stride: [1, 0.5] }),
    "conv2d: stride is 0.5; use a whole number",
  ],
  [
    "conv2d kernel of three",
    () => nn.conv2d({ ...conv, kernel: [3, 3, 3] as never }),
    "A kernel, stride or size is [3, 3, 3]; use a number, or two for height and width.",
  ],
  [
    "conv2d without a kernel",
    () => nn.conv2d({ in: 4, out: 6 } as never),
    "A kernel, stride or size is undefined",
  ],
  [
    "conv2d padding",
    () => nn.conv2d({ ...conv, padding: [1, 2, 3] as never }),
    "conv2d: padding is [1, 2, 3]; use a",
  ],
  [
    "separableConv2d multiplier",
    () => nn.separableConv2d({ ...conv, depthMultiplier: 0 }),
    "separableConv2d: depthMultiplier is 0; use",
  ],
  [
    "convTranspose2d output padding",
    () => nn.convTranspose2d({ ...conv, stride: 2, outputPadding: 2 }),
    "convTranspose2d: outputPadding is 2; use less than the stride or the dilation, 2.",
  ],
  [
    "convTranspose1d padding",
    () => nn.convTranspose1d({ ...conv, padding: -2 }),
    "convTranspose1d: padding is -2; use",
  ],
  [
    "convTranspose1d groups",
    () => nn.convTranspose1d({ ...conv, groups: 4 }),
    "convTranspose1d: 4 groups divide",
  ],
  [
    "maxPool2d kernel",
    () => nn.maxPool2d([2, 0]),
    "maxPool2d: kernel is 0; use a whole number of at least 1",
  ],
  [
    "maxPool1d padding",
    () => nn.maxPool1d(3, { padding: 2 }),
    "maxPool1d: padding is 2; use at most half the kernel, 3",
  ],
  [
    "avgPool1d stride",
    () => nn.avgPool1d(3, { stride: 1.5 }),
    "avgPool1d: stride is 1.5; use a whole number",
  ],
  [
    "adaptiveAvgPool2d",
    () => nn.adaptiveAvgPool2d([3, 0]),
    "adaptiveAvgPool2d: size is 0; use a whole number",
  ],
  ["adaptiveMaxPool1d", () => nn.adaptiveMaxPool1d(-1), "adaptiveMaxPool1d: size is -1; use a whole number"],
  ["upsample2d scale", () => nn.upsample2d({ scale: 1.5 }), "upsample2d: scale is 1.5; use a whole number"],
  [
    "upsample2d neither",
    () => nn.upsample2d({}),
    "upsample2d: neither scale nor size is given; use one of them",
  ],
  [
    "upsample1d both",
    () => nn.upsample1d({ scale: 2, size: 4 }),
    "upsample1d: both scale and size are given",
  ],
  [
    "upsample1d mode",
    () => nn.upsample1d({ scale: 2, mode: "bilinear" as never }),
    'upsample1d: mode is "bilinear"; use "nearest" or "linear"',
  ],
  [
    "upsample2d corners",
    () => nn.upsample2d({ scale: 2, alignCorners: true }),
    'upsample2d: alignCorners is true, which "nearest" does not know; use "bilinear"',
  ],
  [
    "zeroPad2d",
    () => nn.zeroPad2d([1, 2] as never),
    "zeroPad2d: the amounts are [1, 2]; use one whole number",
  ],
  [
    "zeroPad1d",
    () => nn.zeroPad1d(-1),
    "zeroPad1d: the amounts are [-1, -1]; use one whole number of at least 0",
  ],
  [
    "constantPad1d",
    () => nn.constantPad1d(1, Number.NaN),
    "constantPad1d: value is NaN; use a finite number",
  ],
  ["crop2d", () => nn.crop2d([1, 1, 0.5, 0]), "crop2d: the amounts are [1, 1, 0.5, 0]; use one whole number"],
  ["flatten", () => nn.flatten(0), "flatten: startDim is 0; use a whole number of at least 1"],
  ["reshape", () => nn.reshape([-1, 2, -1]), "reshape: the shape is [-1, 2, -1]; use whole numbers"],
  ["permute", () => nn.permute([0, 1]), "permute: the axes are [0, 1]; name each of 1, 2, … once"],
  ["repeatVector", () => nn.repeatVector(0), "repeatVector: n is 0; use a whole number of at least 1"],
  ["unsqueeze", () => nn.unsqueeze(0), "unsqueeze: axis is 0; use a whole number other than 0"],
  ["squeeze", () => nn.squeeze(1.5), "squeeze: axis is 1.5; use a whole number other than 0"],
];

test.each(refused)("%s that cannot be is refused when the layer is made", (_, make, message) => {
  expect(make).toThrow(message);
});

const misfits: readonly (readonly [Module, readonly number[], string])[] = [
  [nn.conv1d(conv), [2, 3, 8], "conv1d: takes [batch, 4, length], got [2, 3, 8]"],
  [nn.convTranspose1d(conv), [2, 4, 8, 1], "convTranspose1d: takes [batch, 4, length], got [2, 4, 8, 1]"],
  [nn.convTranspose2d({ ...conv, padding: 2 }), [1, 4, 1, 9], "give a result of -1×7; use less padding"],
  [nn.maxPool1d(2), [2, 8], "maxPool1d: takes [batch, channels, length], got [2, 8]"],
  [nn.globalMaxPool2d(), [2, 3, 8], "globalMaxPool2d: takes [batch, channels, height, width], got [2, 3, 8]"],
  [nn.adaptiveMaxPool2d(2), [2, 3, 0, 4], "adaptiveMaxPool2d: [2, 3, 0, 4] has nothing to pool"],
  [nn.upsample2d({ size: 3 }), [2, 3, 0, 4], "upsample2d: [2, 3, 0, 4] has nothing to enlarge"],
  [
    nn.reflectionPad2d([3, 0, 0, 0]),
    [1, 1, 4, 3],
    "reflectionPad2d: 3 elements cannot be mirrored along axis 3 of [1, 1, 4, 3]; use at most 2.",
  ],
  [
    nn.reflectionPad1d(2),
    [1, 1, 2],
    "reflectionPad1d: 2 elements cannot be mirrored along axis 2 of [1, 1, 2]; use at most 1.",
  ],
  [nn.replicationPad1d(1), [1, 1, 0], "replicationPad1d: axis 2 of [1, 1, 0] has no element to repeat"],
  [nn.crop1d(2), [1, 1, 4], "crop1d: 2 + 2 elements leave nothing of axis 2 of [1, 1, 4]; cut less than 4."],
  [nn.flatten(3), [2, 3], "flatten: [2, 3] has no axis 3"],
  [nn.reshape([5]), [2, 3, 2], "reshape: each of [2, 3, 2] has 6 elements and does not fit [5]"],
  [nn.permute([2, 1]), [2, 3], "permute: [2, 3] has 1 axes beside the batch's, and [2,1] names 2"],
  [nn.repeatVector(2), [2, 3, 4], "repeatVector: takes [batch, features], got [2, 3, 4]"],
  [nn.squeeze(1), [2, 3], "squeeze: axis 1 of [2, 3] is 3; name one that is 1."],
  [nn.unsqueeze(-3), [2, 3], "unsqueeze: axis -3 of [2, 3] is the batch's."],
];

test.each(misfits)("a tensor that does not fit is refused: $label", (layer, shape, message) => {
  const tensor = (of: AnyModule, name: string) => feed(name, of.parameters![name]!.shape);
  const source = { counters: feed("counters", [4], "u32"), parameter: tensor, buffer: tensor };
  expect(() => new Trace(layer, source, false).run(layer, feed("x", shape))).toThrow(message);
});

/** Whole numbers, so that sums, and products with the shares of these layers, are the same to the bit. */
const wholes = (count: number, step: number) =>
  Float32Array.from({ length: count }, (_, i) => ((i * step) % 13) - 6);

test("they train on the adapter as on the CPU, to the bit", async () => {
  const weights = async (device: Backend) => {
    const model = new Model(
      device,
      nn.sequential(
        nn.conv1d({ in: 2, out: 3, kernel: 3, stride: 2, padding: 1 }),
        nn.convTranspose1d({ in: 3, out: 2, kernel: 4, stride: 2, padding: 1 }),
        nn.unsqueeze(2),
        nn.separableConv2d({ in: 2, out: 1, kernel: [1, 3], padding: [0, 1] }),
      ),
    );
    for (const { name, shape } of model.parameters)
      model.tensor(name).write(wholes(sizeOf(shape), 5).map((x) => x / 8));
    const optimizer = sgd({ lr: 2 ** -8 });
    const step = compile(device, { x: f32(2, 2, 8) }, ({ x }, t) => ({
      updates: optimizer.minimize(model.forward(x, t).sum(), model),
    }));
    await step({ x: wholes(32, 7) });
    const { tensors } = await model.file();
    await step.dispose();
    await model.dispose();
    return [...tensors].map(([name, { data }]) => [name, [...(data as Float32Array)]]);
  };
  const expected = await weights(cpuBackend());
  expect(expected.map(([name]) => name)).toEqual([
    "0.weight",
    "0.bias",
    "1.weight",
    "1.bias",
    "3.depthwise.weight",
    "3.pointwise.weight",
    "3.pointwise.bias",
  ]);
  expect(await weights(await gpu())).toEqual(expected);
});

/** A layer's result and the gradient of the sum of its squares. */
async function results(device: Backend, layer: Module, shape: readonly number[]) {
  const model = new Model(device, layer);
  for (const { name, shape } of model.parameters) model.tensor(name).write(wholes(sizeOf(shape), 5));
  const run = compile(device, { x: f32(...shape) }, ({ x }, t) => {
    const y = model.forward(x, t);
    return { outputs: { y, dx: gradients(y.mul(y).sum(), [x])[0] } };
  });
  const { y, dx } = await run({ x: wholes(sizeOf(shape), 7) });
  const arrays = [await y.read(), await dx.read()].map(({ shape, data }) => ({ shape, data: [...data] }));
  await run.dispose();
  await model.dispose();
  return arrays;
}

describe("on the adapter as on the CPU, to the bit", () => {
  const layers: readonly (readonly [Module, readonly number[]])[] = [
    [nn.conv1d({ in: 3, out: 5, kernel: 3, stride: 2, padding: 1 }), [2, 3, 24]],
    [nn.separableConv2d({ in: 3, out: 4, kernel: 3, padding: 1 }), [2, 3, 6, 8]],
    [nn.convTranspose1d({ in: 2, out: 3, kernel: 4, stride: 2, padding: 1 }), [2, 2, 12]],
    [nn.convTranspose2d({ in: 2, out: 3, kernel: 3, stride: 2, padding: 1, outputPadding: 1 }), [2, 2, 5, 4]],
    [nn.adaptiveAvgPool2d([2, 3]), [2, 3, 3, 4]],
    [nn.adaptiveMaxPool2d([2, 3]), [2, 3, 5, 7]],
    [nn.upsample2d({ scale: 2 }), [2, 3, 4, 6]],
    [nn.upsample2d({ size: [5, 9] }), [2, 3, 4, 6]],
    [nn.upsample2d({ scale: [9, 3] }), [2, 1, 4, 6]],
    [nn.upsample1d({ scale: 3 }), [2, 3, 7]],
    [nn.upsample2d({ size: [9, 5], mode: "bilinear", alignCorners: true }), [2, 2, 5, 3]],
    [nn.reflectionPad2d([3, 1, 2, 0]), [2, 3, 4, 5]],
    [nn.replicationPad2d([1, 2, 0, 3]), [2, 3, 4, 5]],
    [nn.crop2d([1, 0, 2, 1]), [2, 3, 6, 5]],
    [nn.repeatVector(3), [4, 5]],
  ];
  test.each(layers)("$label", async (layer, shape) => {
    expect(await results(await gpu(), layer, shape)).toEqual(await results(cpuBackend(), layer, shape));
  });

  // Where a tent reaches over the end, what is left of it is divided by its sum: three quarters, say.
  const tents: readonly (readonly [Module, readonly number[], number])[] = [
    [nn.upsample2d({ scale: 2, mode: "bilinear" }), [2, 3, 4, 8], 4],
    [nn.upsample2d({ scale: [2, 5], mode: "bilinear" }), [2, 3, 3, 2], 10],
    [nn.upsample2d({ scale: 3, mode: "bilinear" }), [3, 1, 4, 5], 9],
    [nn.upsample1d({ scale: 4, mode: "linear" }), [2, 3, 9], 4],
    [nn.upsample1d({ scale: 2, mode: "linear" }), [1, 1, 6], 2],
  ];
  test.each(tents)("$label, to rounding", async (layer, shape, area) => {
    const [own, expected] = [
      await results(await gpu(), layer, shape),
      await results(cpuBackend(), layer, shape),
    ];
    // A result is a mean of numbers up to 6, its gradient a sum of 2y over the `area` that an element spreads over.
    for (const [i, bound] of [accumulationBound(8, 6), accumulationBound(8 * area, 12 * area)].entries()) {
      expect(own[i]!.shape).toEqual(expected[i]!.shape);
      own[i]!.data.forEach((x, at) => {
        expect(Math.abs(x - expected[i]!.data[at]!)).toBeLessThan(bound);
      });
    }
  });
});
