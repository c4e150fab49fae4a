// Optimizers and schedules beside PyTorch's: twenty steps of each from one start, and their rates.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { Tensor } from "../../src/core/op.ts";
import "../../src/ops/methods.ts";
import { compile } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { zeros } from "../../src/nn/init.ts";
import type { Module } from "../../src/nn/module.ts";
import * as optim from "../../src/optim/index.ts";
import { AVERAGE } from "../../src/optim/optimizer.ts";
import { minimise } from "../support/minimise.ts";
import { arrayOf, expectSame, type OracleCase, oracleCases, type Stored } from "../support/oracle.ts";

interface OptimizerCase extends OracleCase {
  readonly optimizer: string;
  readonly start: readonly number[];
  readonly path: readonly (readonly number[])[];
  readonly average?: readonly (readonly number[])[];
}

interface MuonCase extends OracleCase {
  readonly tensors: Readonly<Record<string, Stored>>;
  readonly after: Readonly<Record<string, Stored>>;
}

interface ScheduleCase extends OracleCase {
  readonly schedule: string;
  readonly total: number;
  readonly values: readonly number[];
  /** What it is told after each step. */
  readonly observed?: readonly number[];
}

const named = optim as unknown as Record<string, (...args: readonly unknown[]) => any>;
const title = (name: string, args: readonly unknown[]) => `${name}(${JSON.stringify(args).slice(1, -1)})`;

/** C(w) = ½(w₀² + 4w₁² + ½w₂²) + ½w₀w₁ + ¼Σw⁴, as in optim.py. */
function cost(w: Tensor): Tensor {
  const at = (i: number) => w.slice({ starts: [i], ends: [i + 1] }).reshape({ shape: [] });
  const [x, y, z] = [at(0), at(1), at(2)];
  const bowl = x.square().add(y.square().mul(4)).add(z.square().mul(0.5)).mul(0.5);
  return bowl.add(x.mul(y).mul(0.5)).add(w.square().square().sum().mul(0.25));
}

const optimizers = oracleCases<OptimizerCase>("optimizer")
  .filter(({ path }) => path)
  .map((entry) => [title(entry.optimizer, entry.args), entry] as const);
const schedules = oracleCases<ScheduleCase>("schedule").map(
  (entry) => [title(entry.schedule, entry.args), entry] as const,
);

/** Both sides compute in float64; a path adds up roundings. */
function expectPath(what: string, got: readonly number[][], want: readonly (readonly number[])[]): void {
  expect(got.length).toBe(want.length);
  want.forEach((row, t) => {
    row.forEach((x, i) => {
      expect(
        Math.abs(got[t]![i]! - x),
        `${what} ${i} after step ${t + 1}: ${got[t]![i]}, not ${x}`,
      ).toBeLessThan(1e-11);
    });
  });
}

describe("optimizers as PyTorch steps", () => {
  test("there are cases", () => expect(optimizers.length).toBeGreaterThan(30));
  test.each(optimizers)("%s", async (_, { optimizer: name, args, start, path, average }) => {
    const run = (slot?: string) =>
      minimise(cpuBackend({ precision: "f64" }), named[name]!(...args), start, cost, path.length, slot, true);
    expectPath("parameter", (await run()).slice(1), path);
    if (average) expectPath("average", await run(AVERAGE), average);
  });
});

describe("muon, matrices together and the rest by another rule", () => {
  const cases = oracleCases<MuonCase>("optimizer").filter(({ tensors }) => tensors);
  test("there are cases", () => expect(cases.length).toBeGreaterThan(1));
  test.each(cases)("%#", async ({ args, tensors, after }) => {
    const device = cpuBackend({ precision: "f64" });
    const network: Module = {
      label: "parameters",
      parameters: Object.fromEntries(
        Object.entries(tensors).map(([name, { shape }]) => [name, { shape, init: zeros }]),
      ),
      forward: (x) => x,
    };
    const model = new Model(device, network);
    for (const [name, given] of Object.entries(tensors))
      model.tensor(name).write(arrayOf(given).data as Float32Array);
    const rest = optim.sgd({ lr: 0.0625, momentum: 0.5 });
    const optimizer = optim.muon({ ...(args[0] as optim.MuonOptions), rest });
    const step = compile(device, {}, () => {
      const costs = Object.keys(tensors).map((name) => {
        const w = model.tensor(name).value;
        return w.square().mul(0.5).add(w.square().square().mul(0.25)).sum();
      });
      return {
        updates: optimizer.minimize(
          costs.reduce((a, b) => a.add(b)),
          model,
        ),
      };
    });
    for (let k = 0; k < 20; k++) await step({});
    for (const [name, stored] of Object.entries(after))
      expectSame(name, (await model.tensor(name).read()).data as ArrayLike<number>, stored);
    await step.dispose();
    await model.dispose();
  });
});

/** A schedule by its name; an argument that names another is that one. */
function scheduleOf(name: string, args: readonly unknown[]): optim.Schedule {
  const isCase = (arg: unknown): arg is ScheduleCase =>
    typeof arg === "object" && arg !== null && "schedule" in arg;
  return named[name]!(...args.map((arg) => (isCase(arg) ? scheduleOf(arg.schedule, arg.args) : arg)));
}

describe("schedules as PyTorch's", () => {
  test("there are cases", () => expect(schedules.length).toBeGreaterThan(20));
  test.each(schedules)("%s", (_, { schedule: name, args, total, values, observed }) => {
    const schedule = scheduleOf(name, args);
    values.forEach((value, t) => {
      const got = schedule(t, total);
      expect(Math.abs(got - value), `step ${t}: ${got}, not ${value}`).toBeLessThan(1e-13);
      if (observed) schedule.feedback![0]!.observe(observed[t]!);
    });
  });
});
