// Second-order methods against what they must find: closed forms, NIST's certified values, SciPy's iteration counts.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { Random } from "../../src/core/rng.ts";
import {
  compile,
  f,
  f32,
  type MinimizeProgress,
  Model,
  minimize,
  type NumericArray,
  nn,
  type Op,
  optim,
  type Tensor,
  type TraceContext,
  tensor,
  type Unary,
  valueAndGrad,
} from "../../src/index.ts";
import { elementwiseOp } from "../../src/ops/elementwise/define.ts";
import { gpu } from "../support/gpu.ts";
import { NIST } from "../support/nist.ts";

const double = cpuBackend({ precision: "f64" });
const single = cpuBackend();

const parts = (w: Tensor): [x: Tensor, y: Tensor] => [
  w.slice({ starts: [0], ends: [1] }),
  w.slice({ starts: [1], ends: [2] }),
];
/** The residuals whose squares' sum is Rosenbrock's function. */
const valley = (w: Tensor): Tensor => {
  const [x, y] = parts(w);
  return f.concat([y.sub(x.square()).mul(10), x.sub(1)], { axis: 0 });
};
const rosenbrock = (w: Tensor): Tensor => valley(w).square().sum();
const FAR = [-1.2, 1] as const;

/** Numbers beyond float32, which tensors hold, as a sum of two of them: exact to float64 on a device that computes in it. */
const exact = (values: readonly number[]): Tensor =>
  tensor(values).add(tensor(values.map((x) => x - Math.fround(x))));

const DEVICES: [string, () => Promise<Backend>][] = [
  ["adapter", gpu],
  ["CPU reference", async () => single],
];

describe.each(DEVICES)("on the %s", (_, open) => {
  test("Newton solves linear regression in one step, to the normal equations' solution", async () => {
    const device = await open();
    const inputs = [
      [1, 0.5],
      [1, -1],
      [1, 2],
      [1, 1.5],
      [1, -0.25],
    ];
    const targets = [2, -1.5, 4, 4.5, -0.5];
    const x = tensor(inputs);
    const y = tensor(targets).reshape({ shape: [5, 1] });
    const cost = (theta: Tensor) => x.matmul(theta).sub(y).square().sum();
    // XᵀX·θ = Xᵀy for two parameters.
    const sum = (of: (row: number[], i: number) => number) => inputs.map(of).reduce((a, b) => a + b);
    const [n, sx, sxx] = [5, sum(([, a]) => a!), sum(([, a]) => a! * a!)];
    const [sy, sxy] = [sum((_row, i) => targets[i]!), sum(([, a], i) => a! * targets[i]!)];
    const slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
    const want = [(sy - slope * sx) / n, slope].map((value) => expect.closeTo(value, 5));
    for (const method of [optim.newton(), optim.dampedNewton()]) {
      const fit = await minimize(device, cost, { start: [[3], [-3]], method });
      expect(fit.converged, fit.reason).toBe(true);
      expect(fit.iterations).toBe(1);
      expect(fit.x.shape).toEqual([2, 1]);
      expect([...fit.x.data]).toEqual(want);
    }
    const residuals = (theta: Tensor) => x.matmul(theta).sub(y);
    const gauss = await minimize(device, residuals, { start: [[3], [-3]], method: optim.gaussNewton() });
    expect(gauss.iterations).toBe(1);
    expect([...gauss.x.data]).toEqual(want);
  });

  test("BFGS and L-BFGS go through Rosenbrock's valley in about as many iterations as SciPy", async () => {
    const device = await open();
    // scipy.optimize.minimize 1.17.1 in float64: BFGS 32 iterations and 39 evaluations, L-BFGS-B 36 and 44.
    for (const method of [optim.bfgs(), optim.lbfgs({ history: 10 })]) {
      const { x, value, converged, reason, iterations, evaluations, products } = await minimize(
        device,
        rosenbrock,
        { start: FAR, method },
      );
      expect(converged, reason).toBe(true);
      expect(iterations, method.name).toBeGreaterThan(28);
      expect(iterations, method.name).toBeLessThan(45);
      expect(evaluations, method.name).toBeLessThan(60);
      expect(products).toBe(0);
      expect(value).toBeLessThan(1e-8);
      expect([...x.data]).toEqual([expect.closeTo(1, 3), expect.closeTo(1, 3)]);
    }
  });

  test("trees of tensors, and progress from iteration to iteration", async () => {
    const device = await open();
    const seen: MinimizeProgress[] = [];
    const fit = await minimize(
      device,
      ({ a, of: [{ b }] }) => a.sub(3).square().sum().add(b.add(1).square().sum()).add(1),
      {
        start: { a: [[1, 2]], of: [{ b: 0 }] },
        method: optim.bfgs(),
        onIteration: (progress) => {
          seen.push(progress);
        },
      },
    );
    expect(fit.converged, fit.reason).toBe(true);
    expect(fit.x.a.shape).toEqual([1, 2]);
    expect([...fit.x.a.data, ...fit.x.of[0].b.data]).toEqual([3, 3, -1].map((x) => expect.closeTo(x, 3)));
    expect(fit.x.of[0].b.shape).toEqual([]);
    expect(seen.map(({ iteration }) => iteration)).toEqual(seen.map((_, i) => i));
    expect(seen[0]).toEqual({ iteration: 0, value: 7, gradientNorm: 4 });
    expect(seen.at(-1)).toMatchObject({ iteration: fit.iterations, value: fit.value });
  });
});

describe("Rosenbrock's valley, in float64 and in float32", () => {
  const methods = [
    { method: optim.newton(), of: rosenbrock },
    { method: optim.dampedNewton(), of: rosenbrock },
    { method: optim.bfgs(), of: rosenbrock },
    { method: optim.lbfgs({ history: 1 }), of: rosenbrock },
    { method: optim.hessianFree(), of: rosenbrock },
    { method: optim.gaussNewton(), of: valley },
    { method: optim.levenberg(), of: valley },
    { method: optim.levenbergMarquardt(), of: valley },
    { method: optim.hessianFree(), of: valley },
    { method: optim.hessianFree({ loss: (r) => r.square().sum() }), of: valley },
  ];
  test.each(methods)("$method.name", async ({ method, of }) => {
    const fine = await minimize(double, of, { start: FAR, method });
    expect(fine.converged, fine.reason).toBe(true);
    expect(fine.x.data).toBeInstanceOf(Float64Array);
    expect([...fine.x.data]).toEqual([expect.closeTo(1, 6), expect.closeTo(1, 6)]);
    const coarse = await minimize(single, of, { start: FAR, method });
    expect(coarse.converged, coarse.reason).toBe(true);
    expect(coarse.x.data).toBeInstanceOf(Float32Array);
    expect([...coarse.x.data]).toEqual([expect.closeTo(1, 2), expect.closeTo(1, 2)]);
  });
});

describe("NIST's nonlinear regression", () => {
  const digits = (got: readonly number[], want: readonly number[]) =>
    Math.min(...want.map((value, i) => -Math.log10(Math.abs(got[i]! / value - 1))));

  test.each(NIST)("$name: the data are NIST's", ({ x, y, at, certified, squares }) => {
    const sum = x.reduce((all, value, i) => all + (y[i]! - at(certified, value)) ** 2, 0);
    expect(sum.toExponential(10)).toBe(Number(squares).toExponential(10));
  });

  /** What Levenberg–Marquardt finds: half the sum of squares, and how many digits of the parameters are certified. */
  const solve = async (device: Backend, problem: (typeof NIST)[number], start: readonly number[]) => {
    const [x, y] = [exact(problem.x), exact(problem.y)];
    const found = await minimize(device, (b) => problem.model(Object.values(b), x).sub(y), {
      start: Object.fromEntries(start.map((value, i) => [`b${i + 1}`, value])),
      method: optim.levenbergMarquardt(),
    });
    const got = Object.values(found.x).map(({ data }) => data[0]!);
    return { ...found, digits: digits(got, problem.certified) };
  };

  test.each(NIST)("$name to 6 digits from both starts, computed in float64", async (problem) => {
    for (const start of problem.starts) {
      const { converged, reason, digits, value } = await solve(double, problem, start);
      expect(converged, reason).toBe(true);
      expect(digits, `from ${start}`).toBeGreaterThan(6);
      expect(digits && 2 * value).toBeCloseTo(Number(problem.squares), 5);
    }
  });

  // Rounding the residuals to float32 moves the minimum: by what of it is left, the fits stand for the digits below.
  const SINGLE: Readonly<Record<string, number>> = { Misra1a: 4, MGH09: 3, Eckerle4: 4, Thurber: 4 };
  test.each(NIST)("$name from the near start in float32, as far as it goes", async (problem) => {
    const { converged, reason, digits } = await solve(single, problem, problem.starts[1]!);
    expect(converged, reason).toBe(true);
    expect(digits).toBeGreaterThan(SINGLE[problem.name]!);
  });
});

test("Hessian-free trains a deep autoencoder, which gradient descent does not with as many gradients", async () => {
  // 24 bumps of two parameters, at 12 places each, through a middle of two units: after Martens, 2010, §6.
  const random = new Random(5, 1);
  const bumps = Array.from({ length: 24 }, () => {
    const [at, width] = [random.uniform(2, 9), random.uniform(1, 3)];
    return Array.from({ length: 12 }, (_, i) => Math.exp(-(((i - at) / width) ** 2)));
  });
  const sizes = [12, 10, 6, 2, 6, 10, 12];
  const start: number[] = [];
  const layers = sizes.slice(1).map((out, i) => {
    const from = start.length;
    const width = sizes[i]!;
    for (let k = 0; k < width * out; k++) start.push(random.uniform(-1, 1) / Math.sqrt(width));
    for (let k = 0; k < out; k++) start.push(0);
    return { from, width, out };
  });
  const data = tensor(bumps);
  const network = (w: Tensor): Tensor =>
    layers.reduce((x, { from, width, out }, i) => {
      const bias = from + width * out;
      const weight = w.slice({ starts: [from], ends: [bias] }).reshape({ shape: [width, out] });
      const y = x.matmul(weight).add(w.slice({ starts: [bias], ends: [bias + out] }));
      return i === layers.length - 1 ? y : y.tanh();
    }, data);
  const loss = (y: Tensor) => y.sub(data).square().mean();

  const method = optim.hessianFree({ loss, damping: 0.1, iterations: 40 });
  const fit = await minimize(single, network, { start, method, maxIterations: 25 });
  const gradients = fit.evaluations + fit.products;

  const step = compile(single, { w: f32(start.length), rate: f32() }, ({ w, rate }) => {
    const { value, gradient } = valueAndGrad((at: Tensor) => loss(network(at)))(w);
    return { value, next: w.sub(gradient.mul(rate)) };
  });
  const descended: number[] = [];
  for (const rate of [0.5, 2, 4]) {
    let w: NumericArray = Float32Array.from(start);
    let last = 0;
    for (let i = 0; i < gradients; i++) {
      const { value, next } = await step({ w, rate });
      [last, w] = [await value.item(), (await next.read()).data];
      if (!(last < 10)) break;
    }
    descended.push(last);
  }
  expect(fit.value, `${gradients} gradients; descent: ${descended}`).toBeLessThan(
    0.2 * Math.min(...descended),
  );
});

describe("a model", () => {
  const x = tensor([
    [1, 2],
    [0.5, -1],
    [-1, 0.25],
    [2, 1],
  ]);
  // 3a − b + 0.5, exactly.
  const y = tensor([[1.5], [3], [-2.75], [5.5]]);
  const made = () =>
    new Model(single, nn.sequential(nn.linear({ in: 2, out: 1 }), nn.dropout(0.5)), { seed: 3 });

  test.each([optim.newton(), optim.lbfgs(), optim.levenbergMarquardt(), optim.hessianFree()])(
    "has what $name found",
    async (method) => {
      const model = made();
      const residuals = (t: TraceContext) => model.forward(x, t).sub(y);
      const cost = (t: TraceContext) => residuals(t).square().mean();
      const f = method.gives === "residuals" ? residuals : cost;
      const fit = await minimize(single, f, { start: model, method });
      expect(fit.converged, fit.reason).toBe(true);
      expect(fit.x).toBe(model);
      const [{ data: weight }, { data: bias }] = [
        await model.tensor("0.weight").read(),
        await model.tensor("0.bias").read(),
      ];
      expect([...weight, ...bias]).toEqual([3, -1, 0.5].map((value) => expect.closeTo(value, 3)));
      await model.dispose();
    },
  );

  test("keeps what is frozen", async () => {
    const model = made();
    model.freeze("0.bias");
    const before = await model.tensor("0.bias").read();
    const cost = (t: TraceContext) => model.forward(x, t).sub(y).square().mean();
    const { value, x: same } = await minimize(single, cost, { start: model, method: optim.bfgs() });
    expect(value).toBeGreaterThan(1e-3);
    expect(await same.tensor("0.bias").read()).toEqual(before);
    model.freeze("**");
    const frozen = minimize(single, cost, { start: model, method: optim.bfgs() });
    await expect(frozen).rejects.toThrow(
      "minimize: the model has no parameters that are not frozen; unfreeze some.",
    );
    await expect(minimize(double, cost, { start: model, method: optim.bfgs() })).rejects.toThrow(
      "minimize: the model is on another device; pass the device that it was made with.",
    );
    await model.dispose();
  });
});

describe("what fails ends the search at the last good point, and says why", () => {
  test("a singular Hessian: Newton stops, damped Newton damps and says by how much", async () => {
    // No curvature along y.
    const flat = (w: Tensor) => parts(w)[0].sub(1).pow(4).sum();
    const start = [3, 2] as const;
    const stopped = await minimize(single, flat, { start, method: optim.newton() });
    expect(stopped).toMatchObject({
      converged: false,
      iterations: 0,
      value: 16,
      reason: "the Hessian is singular, of rank 1 in 2 parameters; use optim.dampedNewton()",
    });
    expect([...stopped.x.data]).toEqual(start);
    const damping: (number | undefined)[] = [];
    const damped = await minimize(single, flat, {
      start,
      method: optim.dampedNewton(),
      onIteration: (progress) => {
        damping.push(progress.damping);
      },
    });
    expect(damped.converged, damped.reason).toBe(true);
    expect(damped.value).toBeLessThan(1e-6);
    expect(damping[1]).toBeGreaterThan(0);
  });

  test("a singular Jacobian: Gauss–Newton stops, Levenberg–Marquardt does not mind", async () => {
    const sum = (w: Tensor) => {
      const [x, y] = parts(w);
      return f.concat([x.add(y).sub(2), x.add(y).square().sub(5)], { axis: 0 });
    };
    const stopped = await minimize(single, sum, { start: [1, 2], method: optim.gaussNewton() });
    expect(stopped.reason).toBe(
      "the Jacobian is singular, of rank 1 in 2 parameters; use optim.levenbergMarquardt()",
    );
    expect(stopped).toMatchObject({ converged: false, iterations: 0 });
    const fitted = await minimize(single, sum, { start: [1, 2], method: optim.levenbergMarquardt() });
    expect(fitted.converged, fitted.reason).toBe(true);
  });

  test("a line search that finds nothing lower", async () => {
    // Its gradient says that it falls where it rises.
    const lying = (w: Tensor) => w.square().sum().mul(-1).add(w.square().sum().mul(2).stopGradient());
    for (const method of [optim.bfgs(), optim.lbfgs(), optim.dampedNewton(), optim.hessianFree()]) {
      const { converged, reason, x, iterations } = await minimize(single, lying, { start: [1, -1], method });
      expect(reason, method.name).toMatch(/^the line search failed, no lower value was found along the step/);
      expect({ converged, iterations, x: [...x.data] }).toEqual({
        converged: false,
        iterations: 0,
        x: [1, -1],
      });
    }
  });

  test("numbers that are not finite on the way are gone round, or end it", async () => {
    // Undefined below 0, where a whole step from 3 leads.
    const cost = (w: Tensor) => w.sub(w.log()).sum();
    const stopped = await minimize(single, cost, { start: [3], method: optim.newton() });
    expect(stopped.reason).toBe(
      "a whole step leads to where the function is not finite; use optim.dampedNewton()",
    );
    expect([...stopped.x.data]).toEqual([3]);
    for (const method of [optim.dampedNewton(), optim.bfgs(), optim.lbfgs()]) {
      const { x, converged, reason } = await minimize(single, cost, { start: [3], method });
      expect(converged, reason).toBe(true);
      expect(x.data[0]).toBeCloseTo(1, 3);
    }
  });

  test("iterations that are used up, and a signal", async () => {
    const short = await minimize(single, rosenbrock, { start: FAR, method: optim.bfgs(), maxIterations: 3 });
    expect(short).toMatchObject({ iterations: 3, converged: false, reason: "3 iterations are done" });
    const signal = { aborted: false };
    const stopped = await minimize(single, rosenbrock, {
      start: FAR,
      method: optim.bfgs(),
      signal,
      onIteration: ({ iteration }) => {
        signal.aborted = iteration === 2;
      },
    });
    expect(stopped).toMatchObject({ iterations: 2, converged: false, reason: "stopped by the signal" });
  });
});

describe("bad input", () => {
  const floored: Op<Unary> = elementwiseOp({
    name: "floored",
    arity: 1,
    reference: Math.floor,
    expression: ([x]) => `floor(${x})`,
  });
  // It has a gradient, and that has none.
  const once: Op<Unary> = elementwiseOp({
    name: "once",
    arity: 1,
    reference: (x) => x * x,
    expression: ([x]) => `${x} * ${x}`,
    grad: ({ dy, inputs: [x] }, t) => [t.mul(dy, t.mul(2, floored(x!)))],
  });
  const method = optim.newton();
  const start = [1, 2];
  const cases: [what: string, run: () => Promise<unknown>, message: RegExp][] = [
    [
      "an op without a second derivative",
      () => minimize(single, (w) => once(w).sum(), { start, method }),
      /^floored: has no gradient; keep it out of the path from parameters to the loss\.$/,
    ],
    [
      "a result that is no scalar",
      () => minimize(single, (w) => w.square(), { start, method }),
      /^minimize: the function gives f32\[2\] and newton takes a scalar; reduce it, e\.g\. by its sum/,
    ],
    [
      "a scalar where residuals are taken",
      () => minimize(single, (w) => w.square().sum(), { start, method: optim.levenbergMarquardt() }),
      /^minimize: the function gives a scalar and levenbergMarquardt takes a tensor of residuals; leave out/,
    ],
    [
      "a scalar where a loss is to come",
      () => minimize(single, (w) => w.sum(), { start, method: optim.hessianFree({ loss: (y) => y.sum() }) }),
      /^minimize: the function gives a scalar and hessianFree takes the output that its loss is of/,
    ],
    [
      "no tensor",
      () => minimize(single, () => 3 as never, { start, method }),
      /^minimize: the function gives a number; return a tensor of f32\.$/,
    ],
    [
      "a start that is not finite",
      () => minimize(single, (w) => w.a.sum(), { start: { a: [1, Number.NaN] }, method }),
      /^minimize: the start "a" holds NaN, as its number 1; start from finite numbers\.$/,
    ],
    [
      "a start without numbers",
      () => minimize(single, (w) => w.sum(), { start: [], method }),
      /^minimize: the start has no numbers; give at least one\.$/,
    ],
    [
      "a function that is not finite at the start",
      () => minimize(single, (w) => w.neg().log().sum(), { start, method }),
      /^minimize: the function or its gradient is not finite at the start; start elsewhere\.$/,
    ],
    [
      "an optimizer of steps",
      () => minimize(single, (w) => w.sum(), { start, method: optim.adam({ lr: 1 }) as never }),
      /^minimize: the method is a record; use one for whole functions, such as optim\.lbfgs\(\)/,
    ],
    [
      "an option that there is not",
      () => minimize(single, (w) => w.sum(), { start, method, ...{ lr: 1 } }),
      /^minimize: there is no option "lr"; use start, method, maxIterations/,
    ],
    [
      "a tolerance below 0",
      () => minimize(single, (w) => w.sum(), { start, method, tolerance: -1 }),
      /^minimize: tolerance is -1; use a finite number of at least 0\.$/,
    ],
    ["no device", () => minimize({} as never, (w: Tensor) => w, { start, method }), /^minimize: the first/],
    [
      "no function",
      () => minimize(single, 3 as never, { start, method }),
      /^minimize: the function is a number/,
    ],
  ];
  test.each(cases)("%s", async (_, run, message) => {
    await expect(run()).rejects.toThrow(message);
  });

  test("options of methods", () => {
    expect(() => optim.lbfgs({ history: 0 })).toThrow(
      "lbfgs: history is 0; use a whole number of at least 1.",
    );
    expect(() => optim.levenberg({ damping: 0 })).toThrow(
      "levenberg: damping is 0; use a finite number above 0.",
    );
    expect(() => optim.hessianFree({ iterations: 1.5 })).toThrow("hessianFree: iterations is 1.5");
    expect(() => optim.lbfgs({ lr: 1 } as never)).toThrow('lbfgs: there is no option "lr"; use history.');
  });
});
