// Normalisation layers: what their steps are made of, and what they refuse. Their numbers are in test/oracle.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { Tensor } from "../../src/core/op.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { f32 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/layers/index.ts";
import type { Module } from "../../src/nn/module.ts";
import { gpu } from "../support/gpu.ts";

const names = (network: Module) => new Model(cpuBackend(), network).tensors.all.map(({ name }) => name);

/** A program of a layer's result and gradients. */
function programOf(device: Backend, network: Module, shape: readonly number[]) {
  const model = new Model(device, network);
  const types = { x: f32(...shape), dy: f32(...shape) };
  return compile(device, types, ({ x, dy }, t) => {
    const y = model.forward(x, t);
    const wanted: Tensor[] = [x, ...model.parameters.map(({ name }) => model.tensor(name).value)];
    const slopes: readonly Tensor[] = gradients(y.mul(dy).sum(), wanted);
    return { outputs: { y, slopes } };
  });
}

test("tensors are those that the options ask for", () => {
  const running = ["running_mean", "running_var"];
  expect(names(nn.batchNorm(2))).toEqual(["weight", "bias", ...running]);
  expect(names(nn.batchNorm(2, { scale: false }))).toEqual(["bias", ...running]);
  expect(names(nn.batchNorm(2, { affine: false }))).toEqual(running);
  const without = nn.batchNorm(2, { trackRunningStats: false });
  expect(names(without)).toEqual(["weight", "bias"]);
  expect(without.countsBatches).toBeUndefined();
  expect(names(nn.layerNorm(2))).toEqual(["weight", "bias"]);
  expect(names(nn.layerNorm(2, { bias: false }))).toEqual(["weight"]);
  expect(names(nn.layerNorm(2, { affine: false }))).toEqual([]);
  expect(names(nn.groupNorm(1, 2))).toEqual(["weight", "bias"]);
  expect(names(nn.instanceNorm(2))).toEqual([]);
  expect(names(nn.rmsNorm(2))).toEqual(["weight"]);
});

describe("forward and backward", () => {
  // Statistics and their use; the gradients of weight and bias, and of x in two. What is normalised is not kept.
  test.each([
    [nn.layerNorm(768), [1024, 768], 7],
    [nn.groupNorm(8, 32), [32, 32, 16, 16], 11],
    [nn.instanceNorm(32), [32, 32, 16, 16], 5],
    [nn.rmsNorm(768), [1024, 768], 10],
    [nn.batchNorm(32, { scale: false }), [32, 32, 16, 16], 5],
  ])("of $label take few dispatches", async (network, shape, most) => {
    const program = programOf(await gpu(), network, shape);
    expect((await program.plan()).steps.length).toBeLessThanOrEqual(most);
    await program.dispose();
  });

  test("of no examples are empty", async () => {
    for (const network of [nn.layerNorm(4), nn.rmsNorm(4), nn.groupNorm(2, 4)]) {
      const program = programOf(await gpu(), network, [0, 4]);
      const { y } = await program({ x: new Float32Array(0), dy: new Float32Array(0) });
      expect((await y.read()).shape).toEqual([0, 4]);
      await program.dispose();
    }
  });

  test("of numbers far from 0 are those of the same numbers near 0", async () => {
    const [rows, size] = [4, 64];
    // Quarters stay whole beside 2¹⁶, so both inputs centre to the same numbers.
    const x = Float32Array.from({ length: rows * size }, (_, i) => ((i * 37) % 101) / 4);
    const results: number[][] = [];
    for (const mean of [0, 2 ** 16]) {
      const program = programOf(await gpu(), nn.layerNorm(size), [rows, size]);
      const { y } = await program({ x: x.map((value) => value + mean), dy: new Float32Array(x.length) });
      results.push(Array.from((await y.read()).data));
      await program.dispose();
    }
    // The mean is rounded to 2⁻⁷, beside a deviation of about 7.
    results[0]!.forEach((value, i) => {
      expect(Math.abs(value - results[1]![i]!)).toBeLessThan(2 ** -8);
    });
  });
});

describe("second derivatives", () => {
  // d/dx Σ (d/dx Σ y³)², beside central differences of it, both in float64.
  test.each([
    [nn.layerNorm([2, 3]), [3, 2, 3]],
    [nn.groupNorm(2, 4), [2, 4, 3]],
    [nn.instanceNorm(2, { affine: true }), [2, 2, 3]],
    [nn.rmsNorm(5), [3, 5]],
    [nn.batchNorm(3, { scale: false }), [5, 3]],
    [nn.batchNorm(3, { affine: false, trackRunningStats: false }), [2, 3, 2]],
  ])("of $label", async (network, shape) => {
    const device = cpuBackend({ precision: "f64" });
    const model = new Model(device, network);
    const program = compile(device, { x: f32(...shape) }, ({ x }, t) => {
      const y = model.forward(x, t);
      const [slope] = gradients(y.mul(y).mul(y).sum(), [x]) as [Tensor];
      const penalty = slope.square().sum();
      const [second] = gradients(penalty, [x]) as [Tensor];
      return { outputs: { penalty, second } };
    });
    const size = shape.reduce((a, b) => a * b, 1);
    const x = Float64Array.from({ length: size }, (_, i) => ((i * 37) % 19) / 8 - 1);
    const at = async (point: Float64Array) => {
      const { penalty, second } = await program({ x: point as never });
      return { penalty: (await penalty.read()).data[0]!, second: (await second.read()).data };
    };
    const { second } = await at(x);
    const step = 1e-5;
    for (let i = 0; i < size; i += 3) {
      const moved = (by: number) => at(x.map((value, k) => (k === i ? value + by : value)));
      const [up, down] = [await moved(step), await moved(-step)];
      const slope = (up.penalty - down.penalty) / (2 * step);
      // The difference is off by its rounding, 1e-16·penalty/step, and by step² times a third derivative.
      expect(Math.abs(second[i]! - slope)).toBeLessThan(1e-6 * Math.max(1, up.penalty));
    }
    await program.dispose();
  });
});

describe("refused are", () => {
  test.each([
    [() => nn.batchNorm(0), "batchNorm: features is 0; use a whole number of at least 1."],
    [() => nn.batchNorm(2, { eps: -1 }), "batchNorm: eps is -1; use a finite number of at least 0."],
    [
      () => nn.batchNorm(2, { momentum: 1.5 }),
      "batchNorm: momentum is 1.5; use a finite number from 0 to 1.",
    ],
    [() => nn.batchNorm(2, { momentun: 1 } as never), 'batchNorm: there is no option "momentun"; use eps,'],
    [() => nn.layerNorm([]), "layerNorm: normalizedShape is []; use the length of the last axis, or"],
    [() => nn.layerNorm([2, 0.5]), "layerNorm: normalizedShape is 0.5; use a whole number of at least 1."],
    [() => nn.layerNorm(2, { eps: Number.NaN }), "layerNorm: eps is NaN; use a finite number"],
    [() => nn.rmsNorm("2" as never), 'rmsNorm: normalizedShape is "2"; use the length'],
    [() => nn.groupNorm(3, 4), "groupNorm: 3 groups do not divide 4 channels evenly; choose a divisor."],
    [() => nn.groupNorm(0, 4), "groupNorm: groups is 0; use a whole number of at least 1."],
    [() => nn.instanceNorm(2, { eps: -1 }), "instanceNorm: eps is -1; use a finite number of at least 0."],
  ])("parameters: %#", (make, message) => expect(make).toThrow(message));

  test.each([
    [nn.layerNorm([2, 3]), [4, 3], "layerNorm: takes [..., 2, 3], got [4, 3]; its shape must be"],
    [nn.rmsNorm(3), [4, 2], "rmsNorm: takes [..., 3], got [4, 2]"],
    [nn.groupNorm(2, 4), [2, 3, 4], "groupNorm: takes [batch, 4, …], got [2, 3, 4]"],
    [nn.instanceNorm(4), [2, 4], "instanceNorm: takes [batch, 4, positions, …], got [2, 4]"],
    [nn.instanceNorm(4), [2, 4, 1], "instanceNorm: one value per channel has no variance in [2, 4, 1]"],
    [
      nn.batchNorm(4, { trackRunningStats: false }),
      [1, 4],
      "batchNorm: one value per channel has no variance",
    ],
  ])("inputs: %#", (network, shape, message) => {
    expect(() => new Model(cpuBackend(), network).summary(shape)).toThrow(message);
  });
});
