// Every loss beside PyTorch's: values and gradients, and second derivatives beside differences of the first.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { NDArray } from "../../src/core/ndarray.ts";
import type { Tensor } from "../../src/core/op.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { losses } from "../../src/index.ts";
import type { Loss } from "../../src/losses/index.ts";
import { compile, type Result } from "../../src/model/compile.ts";
import { f32 } from "../../src/model/tracing.ts";
import { arrayOf, checkLoss, type LossCase, oracleCases } from "../support/oracle.ts";

const cases = oracleCases<LossCase>("loss");
const makers = losses as unknown as Readonly<Record<string, (...args: readonly unknown[]) => Loss<any, any>>>;
const titled = cases.map(
  (entry, i) => [`${entry.loss}(${JSON.stringify(entry.args).slice(1, -1)}) #${i}`, entry] as const,
);

describe("losses as PyTorch computes them", () => {
  test("every one of them has a case", () => {
    const named = new Set(cases.map(({ loss }) => loss));
    expect(Object.keys(losses).filter((name) => !named.has(name))).toEqual([]);
  });
  test.each(titled)("%s", (_, entry) => checkLoss(makers[entry.loss]!(...entry.args), entry));
});

/** One case of each with a mean and no mask, its outputs moved off the corners. */
const smooth = [...new Set(cases.map(({ loss }) => loss))].map((name) => {
  const entry = cases.find(
    ({ loss, mask, value, args }) =>
      loss === name && !mask && value.shape.length === 0 && args.length === (name === "triplet" ? 1 : 0),
  )!;
  return [name, entry] as const;
});

test.each(smooth)("the second derivative of %s is the slope of the first", async (name, entry) => {
  const device = cpuBackend({ precision: "f64" });
  const given = Array.isArray(entry.output) ? entry.output : [entry.output];
  const outputs = given.map(arrayOf);
  const types = outputs.map(({ shape }) => f32(...shape));
  const y = entry.target && { y: { shape: entry.target.shape, dtype: entry.target.dtype } };
  const loss = makers[name]!(...entry.args);
  const run = compile(device, { x: types, v: types, ...y }, ({ x, v, y }: any) => {
    const slopes: readonly Tensor[] = gradients(loss(x.length > 1 ? x : x[0], y), x as Tensor[]);
    const along = slopes.map((slope, i) => slope.mul(v[i]).sum()).reduce((a, b) => a.add(b));
    return { slopes, seconds: gradients(along, x as Tensor[]) };
  });
  const at = async (step: number, which: "slopes" | "seconds") => {
    const v = outputs.map(({ data }, i) => Float64Array.from(data, (_, k) => Math.sin(3 * k + i + 1)));
    const x = outputs.map(({ data }, i) =>
      Float64Array.from(data, (x, k) => x + 0.011 * Math.cos(7 * k + i) + step * v[i]![k]!),
    );
    const results = await run({ x, v, ...(entry.target && { y: arrayOf(entry.target).data }) } as never);
    const arrays = await Promise.all((results as any)[which].map((one: Result) => one.read()));
    return arrays.flatMap(({ data }: NDArray) => Array.from(data));
  };
  const h = 1e-5;
  const [more, less] = [await at(h, "slopes"), await at(-h, "slopes")];
  const got = await at(0, "seconds");
  got.forEach((second, i) => {
    expect(second).toBeCloseTo((more[i]! - less[i]!) / (2 * h), 6);
  });
  await run.dispose();
});
