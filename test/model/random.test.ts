// Random tensors of a trace: their distribution, and when they are the same.
import { expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { compile } from "../../src/model/compile.ts";
import { gpu } from "../support/gpu.ts";

const COUNT = 100_000;

async function draws(device: Backend, seed: number) {
  const run = compile(
    device,
    {},
    (_, t) => ({
      uniform: t.uniform([COUNT], { low: -1, high: 3 }),
      normal: t.normal([COUNT], { mean: 2, std: 0.5 }),
      again: t.normal([COUNT]),
      order: t.permutation(1021),
    }),
    { seed },
  );
  const read = async () => {
    const { uniform, normal, again, order } = await run({});
    const all = await Promise.all([uniform, normal, again, order].map((result) => result.read()));
    return all.map(({ data }) => data);
  };
  const runs = [await read(), await read()];
  await run.dispose();
  return runs;
}

/** Mean, variance, and the standardised third and fourth moments. */
function moments(data: ArrayLike<number>) {
  const values = Array.from(data);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const central = (k: number) => values.reduce((sum, x) => sum + (x - mean) ** k, 0) / values.length;
  const variance = central(2);
  return { mean, variance, skew: central(3) / variance ** 1.5, kurtosis: central(4) / variance ** 2 };
}

test("uniform and normal numbers have their moments, and the devices agree", async () => {
  const [first, second] = await draws(await gpu(), 7);
  const [reference] = await draws(cpuBackend(), 7);
  const [other] = await draws(cpuBackend(), 8);
  const [uniform, normal, again, order] = first!;

  // Within five standard errors of a sample of this size.
  const u = moments(uniform!);
  expect(Math.abs(u.mean - 1)).toBeLessThan(5 * Math.sqrt(16 / 12 / COUNT));
  expect(Math.abs(u.variance / (16 / 12) - 1)).toBeLessThan(5 * Math.sqrt(0.8 / COUNT));
  expect(Math.min(...Array.from(uniform!))).toBeGreaterThanOrEqual(-1);
  expect(Math.max(...Array.from(uniform!))).toBeLessThan(3);
  const n = moments(normal!);
  expect(Math.abs(n.mean - 2)).toBeLessThan((5 * 0.5) / Math.sqrt(COUNT));
  expect(Math.abs(n.variance / 0.25 - 1)).toBeLessThan(5 * Math.sqrt(2 / COUNT));
  expect(Math.abs(n.skew)).toBeLessThan(5 * Math.sqrt(6 / COUNT));
  expect(Math.abs(n.kurtosis - 3)).toBeLessThan(5 * Math.sqrt(24 / COUNT));

  // Two uses draw apart: no correlation.
  const product = Array.from(again!, (x, i) => (x * (normal![i]! - 2)) / 0.5);
  expect(Math.abs(product.reduce((a, b) => a + b, 0) / COUNT)).toBeLessThan(5 / Math.sqrt(COUNT));

  expect(uniform).toEqual(reference![0]);
  expect(order).toEqual(reference![3]);
  // erfinv's own error, and a driver that sums 1 − (2u + c) in another order: 2⁻²⁴ times the slope √(π/2)·exp(x²/2).
  const bound = (x: number) =>
    Math.max(1, Math.abs(x)) * 2 ** -19 + 2 ** -24 * 1.2534 * Math.exp((x * x) / 2);
  const apart = Array.from(again!, (x, i) => Math.abs(x - reference![2]![i]!) - bound(reference![2]![i]!));
  expect(Math.max(...apart)).toBeLessThan(0);

  for (const another of [second!, other!])
    another.forEach((data, i) => {
      const same = Array.from(data).filter((x, k) => x === first![i]![k]).length;
      expect(same).toBeLessThan(data.length / 100);
    });
  expect(await draws(await gpu(), 7)).toEqual([first, second]);
});

test("a permutation has each number once, and all orders alike", async () => {
  const device = await gpu();
  const run = compile(device, {}, (_, t) => t.permutation(3));
  const counts = new Map<string, number>();
  for (let i = 0; i < 600; i++) {
    const order = String((await (await run({})).read()).data);
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  await run.dispose();
  expect([...counts.keys()].sort()).toEqual(["0,1,2", "0,2,1", "1,0,2", "1,2,0", "2,0,1", "2,1,0"]);
  // χ² with 5 degrees of freedom: 25.7 once in ten thousand.
  expect([...counts.values()].reduce((sum, n) => sum + (n - 100) ** 2 / 100, 0)).toBeLessThan(25.7);

  // 5,000 is where some of the 24-bit keys are equal, and 70,000 where many are.
  for (const n of [0, 1, 2, 1000, 5000, 70_000]) {
    const mixed = compile(device, {}, (_, t) => t.permutation(n));
    const results = [await (await mixed({})).read(), await (await mixed({})).read()];
    for (const { dtype, data } of results) {
      expect(dtype).toBe("i32");
      expect(Int32Array.from(data).sort()).toEqual(Int32Array.from({ length: n }, (_, i) => i));
    }
    const [first, second] = results.map(({ data }) => data);
    const same = Array.from(first!).filter((x, i) => x === second![i]).length;
    if (n >= 1000) expect(same).toBeLessThan(20); // one is expected to be, as in any two orders
    await mixed.dispose();
  }
  for (const n of [-1, 2.5])
    expect(() => compile(device, {}, (_, t) => t.permutation(n))).toThrow(`permutation: of ${n} numbers`);
  expect(() => compile(device, {}, (_, t) => t.uniform([2], { low: 1, high: 1 }))).toThrow(
    "uniform: from 1 to 1",
  );
  expect(() => compile(device, {}, (_, t) => t.normal([2], { std: -1 }))).toThrow(
    "normal: mean 0 and std -1",
  );
});
