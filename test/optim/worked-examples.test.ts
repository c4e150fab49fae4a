import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { Tensor } from "../../src/core/op.ts";
import * as f from "../../src/ops/f.ts";
import { AVERAGE } from "../../src/optim/optimizer.ts";
import { adam, adamW, type Optimizer, sgd } from "../../src/optim/optimizers.ts";
import { gpu } from "../support/gpu.ts";
import { minimise } from "../support/minimise.ts";

/** C(w) = w²/2, whose gradient is w. */
const bowl = (w: Tensor) => f.mul(0.5, f.sum(f.square(w)));

/** Worked by hand; every number is a sum of powers of two, so float32 must give it exactly. */
const exactCases: { name: string; optimizer: Optimizer; path: number[] }[] = [
  // w ← w − α·w = (1 − α)·w
  {
    name: "gradient descent, α = 0.5: halves each step",
    optimizer: sgd({ lr: 0.5 }),
    path: [1, 0.5, 0.25, 0.125, 0.0625],
  },
  { name: "gradient descent, α = 1: arrives in one step", optimizer: sgd({ lr: 1 }), path: [1, 0, 0, 0, 0] },
  { name: "gradient descent, α = 2: swings for ever", optimizer: sgd({ lr: 2 }), path: [1, -1, 1, -1, 1] },
  { name: "gradient descent, α = 3: diverges", optimizer: sgd({ lr: 3 }), path: [1, -2, 4, -8, 16] },
  {
    // v: 1, 1, 1/2, 0, −1/4, −1/4 (v ← v/2 + w); w ← w − v/2
    name: "momentum 0.5, α = 0.5",
    optimizer: sgd({ lr: 0.5, momentum: 0.5 }),
    path: [1, 0.5, 0, -0.25, -0.25, -0.125, 0],
  },
  {
    // v: 1, 3/4, 5/16 (v ← v/2 + w); w ← w − (w + v/2)/2
    name: "Nesterov momentum 0.5, α = 0.5",
    optimizer: sgd({ lr: 0.5, momentum: 0.5, nesterov: true }),
    path: [1, 0.25, -0.0625, -0.109375],
  },
  // g = w + w = 2w with weight decay 1
  {
    name: "weight decay adds to the gradient",
    optimizer: sgd({ lr: 0.25, weightDecay: 1 }),
    path: [1, 0.5, 0.25, 0.125],
  },
];

/**
 * α = 0.1, β₁ = 0.9, β₂ = 0.999, ε = 1e-8, by 40-digit arithmetic:
 * t=1  m 0.1           v 0.001           m̂ 1               v̂ 1               w 0.900000001000
 * t=2  m 0.180000000100 v 0.001809000002 m̂ 0.947368421579  v̂ 0.904952477139  w 0.800412229712
 * t=3  m 0.242041223061 v 0.002447850739 m̂ 0.893141044506  v̂ 0.816766740909  w 0.701586274504
 * t=4  m 0.287995728206 v 0.002937626189 m̂ 0.837440326274  v̂ 0.735509075564  w 0.603939062682
 * t=5  m 0.319590061653 v 0.003299430954 m̂ 0.780420653105  v̂ 0.661207283684  w 0.507963661927
 */
const ADAM = [1, 0.900000001, 0.800412229712, 0.701586274504, 0.603939062682, 0.507963661927];
/** The same with decoupled decay 0.1: w ← 0.99·w before each step. */
const ADAMW = [1, 0.890000001, 0.781571856954, 0.675101223189];

const backends: [string, () => Promise<Backend>][] = [
  ["webgpu", gpu],
  ["cpu", async () => cpuBackend()],
];

describe.each(backends)("optimizers on C(w) = w²/2 from w = 1, on %s", (_, open) => {
  test.each(exactCases)("$name", async ({ optimizer, path }) => {
    const got = await minimise(await open(), optimizer, [1], bowl, path.length - 1);
    expect(got.map(([w]) => w! + 0)).toEqual(path);
  });

  test.each([
    ["Adam", adam({ lr: 0.1 }), ADAM],
    ["AdamW", adamW({ lr: 0.1, weightDecay: 0.1 }), ADAMW],
  ] as const)("%s with bias correction", async (_name, optimizer, path) => {
    const got = await minimise(await open(), optimizer, [1], bowl, path.length - 1);
    // Six float32 roundings a step on numbers below 1.
    got.forEach(([w], step) => {
      expect(Math.abs(w! - path[step]!), `step ${step}: ${w} instead of ${path[step]}`).toBeLessThan(
        2e-7 * Math.max(1, 2 * step),
      );
    });
  });

  test("moving averages: a copy first, then a ← decay·a + (1 − decay)·w", async () => {
    // w: 1/2, 1/4, 1/8, 1/16; with decay 1/4 a: 1/2, 5/16, 11/64, 23/256.
    const follow = async (optimizer: Optimizer) =>
      (await minimise(await open(), optimizer, [1], bowl, 4, AVERAGE)).map(([a]) => a);
    expect(await follow(sgd({ lr: 0.5, ema: { decay: 0.25 } }))).toEqual([1 / 2, 5 / 16, 11 / 64, 23 / 256]);
    // Decay 3/4: a: 1/2, 7/16, 23/64, 73/256.
    expect(await follow(sgd({ lr: 0.5, ema: { decay: 0.75 } }))).toEqual([1 / 2, 7 / 16, 23 / 64, 73 / 256]);
    // Warming up, the decays are 2/11, 3/12 and 4/13: the average follows closely.
    const warm = await follow(sgd({ lr: 0.5, ema: { decay: 0.75, warmUp: true } }));
    [1 / 2, 13 / 44, 59 / 352, 217 / 2288].forEach((a, step) => {
      expect(warm[step]!).toBeCloseTo(a, 6);
    });
  });

  test.each([
    ["momentum", { lr: 0.05, momentum: 0.9 }, sgd],
    ["Nesterov", { lr: 0.05, momentum: 0.9, nesterov: true }, sgd],
    ["Adam", { lr: 0.1 }, adam],
    ["AdamW", { lr: 0.1, weightDecay: 0.1 }, adamW],
  ] as const)("%s: the average is that of the path in float64", async (_name, options, make) => {
    const backend = await open();
    const ema = { decay: 0.9 };
    const run = (slot?: string) => minimise(backend, make({ ...options, ema }), [1, -2, 3], bowl, 12, slot);
    const path = (await run()).slice(1);
    expect(path).toEqual((await minimise(backend, make(options), [1, -2, 3], bowl, 12)).slice(1));
    const averages = await run(AVERAGE);
    let expected = path[0]!;
    path.forEach((w, step) => {
      if (step > 0) expected = expected.map((a, i) => 0.9 * a + 0.1 * w[i]!);
      // Three float32 roundings a step on numbers up to 3.
      expected.forEach((a, i) => {
        expect(Math.abs(averages[step]![i]! - a)).toBeLessThan(2e-7 * (step + 2));
      });
    });
  });

  test("clipping scales a gradient of norm 5 down to 1", async () => {
    // w = (3, 4), |g| = 5: with α = 1 the step is g/(5 + 1e-6).
    const [, w] = await minimise(await open(), sgd({ lr: 1, clipNorm: 1 }), [3, 4], bowl, 1);
    expect(w![0]).toBeCloseTo(2.4, 5);
    expect(w![1]).toBeCloseTo(3.2, 5);
  });
});
