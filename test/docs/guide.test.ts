// The programs that the pages show: each runs as it stands there, on the adapter, and prints what it should.
import { readFileSync } from "node:fs";
import { afterAll, afterEach, expect, test, vi } from "vitest";

const print = vi.spyOn(console, "log").mockImplementation(() => {});
afterEach(() => print.mockClear());
afterAll(() => print.mockRestore()); // other files run in this process

/** What a program prints. */
async function run(program: () => Promise<unknown>): Promise<unknown[][]> {
  await program();
  return print.mock.calls;
}

const finite = (x: unknown) => expect(Number.isFinite(x)).toBe(true);

test("an expression and its gradient", async () => {
  const [[value, gradient] = []] = await run(() => import("./guide/expression.ts"));
  // x·w = (0, 0.5): the mean of tanh² is tanh²(0.5)/2, its gradient tanh(0.5)·(1 − tanh²(0.5))·(3, 4).
  const t = Math.tanh(0.5);
  expect((value as Float32Array)[0]).toBeCloseTo((t * t) / 2, 6);
  expect((gradient as Float32Array)[0]).toBeCloseTo(3 * t * (1 - t * t), 5);
  expect((gradient as Float32Array)[1]).toBeCloseTo(4 * t * (1 - t * t), 5);
});

test("a network that learns from images", async () => {
  const epochs = (await run(() => import("./guide/cnn.ts"))) as [number, number][];
  expect(epochs).toHaveLength(2);
  expect(epochs[1]![0]).toBeLessThan(epochs[0]![0]);
  for (const [, accuracy] of epochs) finite(accuracy);
});

test("a step of one's own", async () => {
  const losses = await run(() => import("./guide/step.ts"));
  expect(losses).toHaveLength(2);
  for (const [loss] of losses) finite(loss);
  expect(losses[1]![0]).toBeLessThan(losses[0]![0] as number); // the critic gets better
});

test("gradients and update apart", async () => {
  const losses = await run(() => import("./guide/halves.ts"));
  expect(losses).toHaveLength(2);
  for (const [loss] of losses) finite(loss);
  expect(losses[1]![0]).toBeLessThan(losses[0]![0] as number);
});

test("a stream, batches added up, gradients looked at", async () => {
  const [[, shape] = [], ...epochs] = await run(() => import("./guide/stream.ts"));
  expect(shape).toEqual([16]);
  expect(epochs).toHaveLength(5);
  expect(epochs[4]![0]).toBeLessThan((epochs[0]![0] as number) / 2);
  for (const [loss, distance] of epochs)
    expect(distance).toBeLessThanOrEqual(Math.sqrt(loss as number) + 1e-6);
});

test("a layer of one's own, in a network of two inputs", async () => {
  const [[shape, names] = []] = await run(() => import("./guide/layer.ts"));
  expect(shape).toEqual([1, 2]);
  expect(names).toEqual(["body.0.weight", "body.0.bias", "head.value", "head.gate"]);
});

test("transfer learning", async () => {
  const [[loaded, reshaped] = [], [loss] = []] = await run(() => import("./guide/transfer.ts"));
  expect(loaded).toEqual(["body.0.weight", "body.0.bias"]);
  expect(reshaped).toEqual(["head.weight", "head.bias"]);
  finite(loss);
});

test("weights", async () => {
  const [[loaded, made] = []] = await run(() => import("./guide/weights.ts"));
  expect(["setosa", "versicolor", "virginica"]).toContain(made);
  // The file brings its labels along.
  expect(loaded).toBe(made);
});

test("the names that the guide gives are there", async () => {
  const descent = (await import("../../src/node.ts")) as unknown as Record<string, Record<string, unknown>>;
  const prose = readFileSync("docs/from-pytorch-and-tfjs.md", "utf8").replace(/^```[\s\S]*?^```$/gm, "");
  const names = [...prose.matchAll(/(?<![\w./])(nn|f|optim|losses|metrics|data)((?:\.\w+)+)/g)];
  expect(names.length).toBeGreaterThan(40);
  for (const [name, space, path] of names) {
    const found = path!
      .slice(1)
      .split(".")
      .reduce<any>((at, key) => at?.[key], descent[space!]);
    expect(found, name).toBeTypeOf("function");
  }
});
