import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { Tensor } from "../../src/core/op.ts";
import { grad } from "../../src/graph/transform.ts";
import { evaluate } from "../../src/model/compile.ts";
import { tensor } from "../../src/model/program.ts";
import * as f from "../../src/ops/f.ts";
import "../../src/ops/methods.ts";
import {
  adagrad,
  adam,
  adamW,
  byEpoch,
  exponential,
  inverseSquareRoot,
  inverseTime,
  linearScaling,
  multiStep,
  rmsProp,
  type Schedule,
  sgd,
  squareRootScaling,
  stepDecay,
} from "../../src/optim/index.ts";
import { AVERAGE, type Optimizer } from "../../src/optim/optimizer.ts";
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
  // w ← w − 2g − 2λ·w, g = w, λ = 1/4
  {
    name: "weight decay λ, α = 2: w − 2g − 2λw",
    optimizer: sgd({ lr: 2, weightDecay: 0.25 }),
    path: [1, -1.5, 2.25, -3.375],
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

/** η = 0.1, ε = 1e-8; RMSProp with β = 0.9, Adam with 0.9 and 0.999 without bias correction. */
const TAUGHT: [name: string, optimizer: Optimizer, path: number[], off?: number][] = [
  [
    "RMSProp, ε outside the root",
    rmsProp({ lr: 0.1, alpha: 0.9 }),
    [0.683772244, 0.49887062, 0.369180567, 0.272824899],
  ],
  [
    "RMSProp, ε inside the root",
    rmsProp({ lr: 0.1, alpha: 0.9, epsInside: true }),
    [0.68377225, 0.498870627, 0.369180574, 0.272824905],
  ],
  // Whether ε stands inside or outside of the root moves the ninth digit.
  ["Adagrad", adagrad({ lr: 0.1, eps: 1e-8 }), [0.9, 0.833103528, 0.780456182, 0.736223133], 2e-9],
  [
    "Adam without bias correction",
    adam({ lr: 0.1, biasCorrection: false }),
    [0.683772334, 0.270206169, -0.162141207, -0.507145886],
  ],
];

test.each(TAUGHT)("%s in float64, to nine digits", async (_, optimizer, path, off = 6e-10) => {
  const device = cpuBackend({ precision: "f64" });
  const got = await minimise(device, optimizer, [1], bowl, 4, undefined, true);
  path.forEach((w, step) => {
    expect(Math.abs(got[step + 1]![0]! - w), `step ${step + 1}: ${got[step + 1]}`).toBeLessThan(off);
  });
});

test("Nesterov in the textbook's coordinates: w = θ + α·μ·b of PyTorch's look-ahead points θ", async () => {
  const optimizer = sgd({ lr: 0.5, momentum: 0.5, nesterov: true });
  const points = await minimise(cpuBackend(), optimizer, [1], bowl, 3);
  const buffers = [[0], ...(await minimise(cpuBackend(), optimizer, [1], bowl, 3, "momentum_buffer"))];
  expect(points).toEqual([[1], [0.25], [-0.0625], [-0.109375]]);
  expect(points.map(([w], t) => w! + 0.25 * buffers[t]![0]!)).toEqual([1, 0.5, 0.125, -0.03125]);
});

describe("schedules as taught", () => {
  const at = (schedule: Schedule, ...steps: number[]) => steps.map((step) => schedule(step, 100));
  const close = (values: number[]) => values.map((value) => expect.closeTo(value, 12));

  test("1/t from 0.1: 0.1, 0.05, 0.0333, 0.025", () =>
    expect(at(inverseTime({ from: 0.1, decay: 1 }), 0, 1, 2, 3)).toEqual(close([0.1, 0.05, 0.1 / 3, 0.025])));

  test("×0.1 after epochs 30, 60, 90; ×0.5 every 5; ×0.1 every 20", () => {
    const milestones = byEpoch(multiStep({ from: 1, milestones: [30, 60, 90] }), 2);
    expect([59, 60, 119, 120, 179, 180].map((step) => milestones(step, 200))).toEqual(
      close([1, 0.1, 0.1, 0.01, 0.01, 0.001]),
    );
    const halves = stepDecay({ from: 1, factor: 0.5, every: 5 });
    expect(at(halves, 4, 5, 9, 10)).toEqual(close([1, 0.5, 0.5, 0.25]));
    expect(at(stepDecay({ from: 1, factor: 0.1, every: 20 }), 19, 20, 40)).toEqual(close([1, 0.1, 0.01]));
  });

  test("η₀e^(−kt), η₀/(1 + kt), α₀·t^epoch, t/√epoch·α₀", () => {
    for (const t of [0, 1, 7, 50]) {
      expect(exponential({ from: 0.2, decay: 0.3 })(t, 100)).toBeCloseTo(0.2 * Math.exp(-0.3 * t), 14);
      expect(inverseTime({ from: 0.2, decay: 0.3 })(t, 100)).toBeCloseTo(0.2 / (1 + 0.3 * t), 14);
      expect(exponential({ from: 0.2, gamma: 0.95 })(t, 100)).toBeCloseTo(0.2 * 0.95 ** t, 14);
      expect(inverseSquareRoot({ from: 0.2 * 0.5 })(t, 100)).toBeCloseTo((0.5 / Math.sqrt(t + 1)) * 0.2, 14);
    }
  });

  test("batch × k: rate × k, or × √k", () => {
    expect(linearScaling(0.1, 8192, 256)).toBeCloseTo(3.2, 12);
    expect(squareRootScaling(0.1, 1024, 256)).toBeCloseTo(0.2, 12);
    expect(() => linearScaling(0.1, 0, 256)).toThrow(
      "linearScaling: batch is 0; use a finite number above 0.",
    );
  });
});

/** ½Σ(w·x − t)² over two inputs. */
const squares =
  (inputs: readonly (readonly number[])[], targets: readonly number[]) =>
  (w: Tensor): Tensor =>
    f
      .matmul(tensor(inputs.map((row) => [...row])), w.reshape({ shape: [2, 1] }))
      .reshape({ shape: [2] })
      .sub(tensor([...targets]))
      .square()
      .sum()
      .mul(0.5);

describe("error surfaces of raw, centred and scaled inputs", () => {
  /** The eigenvalues of a cost's Hessian, by the engine's second derivatives. */
  async function eigenvalues(cost: (w: Tensor) => Tensor): Promise<[number, number]> {
    const row = (i: number) =>
      grad((w: Tensor) =>
        grad(cost)(w)
          .slice({ starts: [i], ends: [i + 1] })
          .sum(),
      )(tensor([0, 0]));
    const { first, second } = await evaluate(cpuBackend({ precision: "f64" }), {
      first: row(0),
      second: row(1),
    });
    const [[a, b], [, d]] = [first.data, second.data] as unknown as [[number, number], [number, number]];
    const root = Math.sqrt((a - d) ** 2 / 4 + b * b);
    return [(a + d) / 2 + root, (a * d - b * b) / ((a + d) / 2 + root)];
  }
  const descend = async (cost: (w: Tensor) => Tensor, lr: number, start: readonly number[], steps: number) =>
    (await minimise(cpuBackend({ precision: "f64" }), sgd({ lr }), start, cost, steps, undefined, true)).at(
      -1,
    )!;

  const SURFACES = [
    {
      name: "raw",
      inputs: [
        [101, 101],
        [101, 99],
      ],
      targets: [2, 2],
      large: 40402.99,
      small: 1.00993,
      limit: 4.95e-5,
      minimum: [2 / 101, 0],
    },
    {
      name: "scaled apart",
      inputs: [
        [0.1, 10],
        [0.1, -10],
      ],
      targets: [2, 2],
      large: 200,
      small: 0.02,
      limit: 0.01,
      minimum: [20, 0],
    },
  ];
  test.each(SURFACES)(
    "$name: eigenvalues, the largest stable rate, the minimum",
    async ({ inputs, targets, ...surface }) => {
      const { large, small, limit, minimum } = surface;
      const cost = squares(inputs, targets);
      const [most, least] = await eigenvalues(cost);
      expect(most / large).toBeCloseTo(1, 6);
      expect(least / small).toBeCloseTo(1, 5);
      expect(2 / most / limit).toBeCloseTo(1, 3);
      // The minimum stays; beside it a rate below the limit comes back along the steep direction, one above flies off.
      for (const w of await descend(cost, limit / 2, minimum, 3)) expect(Number.isFinite(w)).toBe(true);
      const off = (w: readonly number[]) => Math.hypot(...w.map((x, i) => x - minimum[i]!));
      const beside = minimum.map((x, i) => x + (i === 0 ? inputs[0]![0]! : inputs[0]![1]!) * 1e-3);
      expect(off(await descend(cost, 0.99 * limit, beside, 60))).toBeLessThan(off(beside));
      expect(off(await descend(cost, 1.01 * limit, beside, 60))).toBeGreaterThan(2 * off(beside));
      expect(off(await descend(cost, limit / 2, minimum, 3))).toBeLessThan(1e-9);
    },
  );

  test("raw and scaled: conditions of 40,006 and 10⁴", async () => {
    const conditions = await Promise.all(
      SURFACES.map(async ({ inputs, targets }) => {
        const [most, least] = await eigenvalues(squares(inputs, targets));
        return most / least;
      }),
    );
    expect(conditions.map(Math.round)).toEqual([40006, 10000]);
  });

  test("centred: condition 1, and α = ½ arrives in one step at (2, 0)", async () => {
    const cost = squares(
      [
        [1, 1],
        [1, -1],
      ],
      [2, 2],
    );
    expect(await eigenvalues(cost)).toEqual([2, 2]);
    expect(await descend(cost, 0.5, [-3, 5], 1)).toEqual([2, 0]);
  });
});

test("a deep linear network shrinks or grows what goes through it: W = 0.9·I and 1.5·I, 10 and 50 layers", async () => {
  const device = cpuBackend({ precision: "f64" });
  const through = async (scale: number, layers: number) => {
    const weight = tensor([
      [scale, 0],
      [0, scale],
    ]);
    let x = tensor([[1, 1]]);
    for (let k = 0; k < layers; k++) x = f.matmul(x, weight);
    return Number((await evaluate(device, x)).data[0]);
  };
  expect(await through(0.9, 10)).toBeCloseTo(0.3487, 4);
  expect(await through(0.9, 50)).toBeCloseTo(0.00515, 5);
  expect(await through(1.5, 10)).toBeCloseTo(57.67, 2);
  expect((await through(1.5, 50)) / 6.38e8).toBeCloseTo(1, 2);
});

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
