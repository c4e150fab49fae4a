// The programs of examples/, each run on the adapter as it stands; their numbers are what they print.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { CIFAR10_CLASSES } from "../src/data/cifar10.ts";
import { shapes } from "../src/data/shapes.ts";
import { fileOf } from "./support/cifar10.ts";

/** Where the examples read and write. */
const folder = mkdtempSync(join(tmpdir(), "descent-examples-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs an example; what it printed, call by call. */
async function run(name: string): Promise<unknown[][]> {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  const cwd = process.cwd();
  process.chdir(folder);
  try {
    await import(`../examples/${name}.ts`);
    return log.mock.calls;
  } finally {
    process.chdir(cwd);
    log.mockRestore();
  }
}

/** What follows a word in the calls, numbers as they are. */
const after = (calls: readonly unknown[][], word: string): unknown[] =>
  calls.flatMap((call) => {
    const at = call.indexOf(word);
    return at < 0 ? [] : [call[at + 1]];
  });
const numbers = (calls: readonly unknown[][], word: string) => after(calls, word).map(Number);
const listed = (calls: readonly unknown[][], word: string) =>
  Array.from(after(calls, word)[0] as ArrayLike<number>);

test("cifar10, which README shows", async () => {
  const readme = readFileSync("README.md", "utf8");
  expect(/```ts\n([\s\S]*?)```/.exec(readme)?.[1]).toBe(readFileSync("examples/cifar10.ts", "utf8"));

  mkdirSync(join(folder, "data"));
  const { train, test } = shapes({ train: 256, test: 64 });
  writeFileSync(join(folder, "data/data_batch_1.bin"), fileOf(train, 0, train.count));
  writeFileSync(join(folder, "data/test_batch.bin"), fileOf(test, 0, test.count));
  const epochs = (await run("cifar10")) as [loss: number, accuracy: number][];
  expect(epochs).toHaveLength(10);
  expect(epochs[9]?.[0]).toBeLessThan(0.8 * (epochs[0]?.[0] ?? 0));
  for (const [, accuracy] of epochs) expect(accuracy).toBeGreaterThan(0);
  expect(existsSync(join(folder, "runs/cifar10/checkpoints/step-000020/model.safetensors"))).toBe(true);
});

test("inference, from what the program before saved", async () => {
  const guesses = after(await run("inference"), "looks like") as { label: string; probability: number }[][];
  expect(guesses).toHaveLength(4);
  for (const guess of guesses) {
    expect(guess).toHaveLength(3);
    expect(CIFAR10_CLASSES).toContain(guess[0]?.label);
    const [first = 0, second = 0, third = 0] = guess.map(({ probability }) => probability);
    expect(first).toBeGreaterThan(second);
    expect(second).toBeGreaterThan(third);
  }
});

test("tensors", async () => {
  const calls = await run("tensors");
  expect(calls[0]?.[0]).toEqual({ shape: [2, 2], dtype: "f32", data: Float32Array.of(0, 2, 7, 14) });
  expect(listed(calls, "sum of squares")).toEqual([30]);
  expect(listed(calls, "gradient")).toEqual([2, 4, 6, 8]);
  expect(numbers(calls, "distance")).toEqual([5, 10]);
});

test("table-regression", async () => {
  const calls = await run("table-regression");
  const errors = numbers(calls, "validation mae");
  expect(Math.min(...errors)).toBeLessThan(0.1);
  expect(errors[0]).toBeGreaterThan(3 * Math.min(...errors));
  expect(Math.abs((listed(calls, "price")[0] ?? 0) - 1.5)).toBeLessThan(0.3);
});

test("own-loss", async () => {
  const calls = await run("own-loss");
  expect(listed(calls, "slope")[0]).toBeCloseTo(2, 0);
  expect(numbers(calls, "within one").at(-1)).toBeGreaterThan(0.9);
});

test("own-layer", async () => {
  const calls = await run("own-layer");
  expect(numbers(calls, "accuracy").at(-1)).toBeGreaterThan(0.95);
  expect(listed(calls, "alpha").some((alpha) => alpha !== 0.25)).toBe(true);
  expect(listed(calls, "logits")).toEqual([64, 2]);
});

test("transfer", async () => {
  const calls = await run("transfer");
  const report = calls.flat().find((x) => typeof x === "object" && x !== null && "reshaped" in x);
  expect(report).toEqual({
    loaded: ["0.0.weight", "0.0.bias"],
    missing: [],
    unexpected: [],
    reshaped: [
      { name: "1.weight", file: [2, 16], model: [3, 16] },
      { name: "1.bias", file: [2], model: [3] },
    ],
  });
  const accuracies = numbers(calls, "accuracy");
  expect(accuracies).toHaveLength(60);
  expect(accuracies[29]).toBeGreaterThan(0.9);
  expect(accuracies[59]).toBeGreaterThan(0.9);
  expect(after(calls, "the body is as it was:")).toEqual([true]);
});

test("lora", async () => {
  const calls = await run("lora");
  expect(numbers(calls, "first task")[0]).toBeGreaterThan(0.9);
  expect(numbers(calls, "second task before")[0]).toBeLessThan(0.85);
  expect(numbers(calls, "second task")[0]).toBeGreaterThan(0.9);
  expect(after(calls, "changes")[0]).toEqual(
    ["0", "2", "4"].flatMap((path) => [`${path}.lora_A`, `${path}.lora_B`]),
  );
  expect(numbers(calls, "apart by")[0]).toBeLessThan(1e-4);
});

test("two-networks", async () => {
  const calls = await run("two-networks");
  expect(numbers(calls, "radius before")[0]).toBeLessThan(1);
  const radius = numbers(calls, "radius after")[0] ?? 0;
  expect(Math.abs(radius - 2)).toBeLessThan(0.7);
});

test("reinforcement", async () => {
  const reached = numbers(await run("reinforcement"), "reached the goal");
  expect(reached).toHaveLength(25);
  expect(reached[0]).toBeLessThan(0.8);
  expect(reached.at(-1)).toBeGreaterThan(0.9);
});

test("stream", async () => {
  const calls = await run("stream");
  const accuracies = numbers(calls, "accuracy");
  expect(accuracies).toHaveLength(5);
  expect(accuracies.at(-1)).toBeGreaterThan(0.95);
});

test("own-optimizer", async () => {
  const losses = numbers(await run("own-optimizer"), "loss");
  expect(losses).toHaveLength(6);
  expect(losses.at(-1)).toBeLessThan(0.1 * (losses[0] ?? 0));
});

test("own-op", async () => {
  const calls = await run("own-op");
  const positiveZero = (x: number) => x + 0;
  expect(listed(calls, "shrunk").map(positiveZero)).toEqual([-1.5, 0, 0, 0.25, 2.5]);
  expect(listed(calls, "gradient").map(positiveZero)).toEqual([-3, 0, 0, 0.5, 5]);
  const rows = calls.filter(([op]) => op === "softshrink");
  expect(rows).toHaveLength(2);
  for (const [, name, pass] of rows) expect(pass, String(name)).toBe(true);
});

test("derivatives", async () => {
  const calls = await run("derivatives");
  const [first = 0, second = 0] = listed(calls, "Hessian's first column");
  // 1200x² − 400y + 2 and −400x
  expect(first).toBeCloseTo(1330, 1);
  expect(second).toBeCloseTo(480, 2);
  const penalties = numbers(calls, "penalty");
  expect(penalties.at(-1)).toBeLessThan(0.1 * (penalties[0] ?? 0));
});

test("minimize", async () => {
  const calls = await run("minimize");
  expect(numbers(calls, "minimum")[0]).toBeCloseTo(1, 2);
  expect(numbers(calls, "after")[0]).toBeLessThan(50);
  expect((numbers(calls, "b1")[0] ?? 0) / 238.94212918).toBeCloseTo(1, 3);
  expect((numbers(calls, "b2")[0] ?? 0) / 5.5015643181e-4).toBeCloseTo(1, 3);
});

test("look-inside", async () => {
  const calls = await run("look-inside");
  expect(String(calls[0]?.[0])).toContain("conv2d");
  expect(after(calls, "0.weight")).toEqual([[4, 1, 3, 3]]);
  expect(after(calls, "layer")).toEqual(["0", "1", "2", "3", "4"]);
  expect(listed(calls, "output")).toEqual([1, 2, 3, 1, 2, 3]);
});
