// Runs that are split into several submits, as a page asks for.
import { expect, test } from "vitest";
import { evenCuts } from "../../src/backend/webgpu/executable.ts";
import { feed } from "../../src/graph/node.ts";
import * as f from "../../src/ops/f.ts";
import { gpu } from "../support/gpu.ts";

test("cuts weigh about the same", () => {
  expect(evenCuts([1, 1, 1, 1], 2)).toEqual([2]);
  expect(evenCuts([1, 1, 1, 1], 1)).toEqual([]);
  expect(evenCuts([10, 1, 1], 3)).toEqual([1]);
  expect(evenCuts([1, 1, 1], 100)).toEqual([1, 2]);
  expect(evenCuts([], 4)).toEqual([]);
});

test("a run over its budget is split between dispatches and computes the same", async () => {
  const backend = await gpu();
  const a = feed("a", [32, 32]);
  const program = { name: "products", outputs: { y: f.matmul(f.matmul(f.matmul(a, a), a), a) } };
  const executable = await backend.compile(program);
  const { queue } = backend.device;
  const submit = queue.submit.bind(queue);
  let submits = 0;
  queue.submit = (buffers) => {
    submits++;
    submit(buffers);
  };
  const run = async () => {
    submits = 0;
    executable.run({ a: Float32Array.from({ length: 1024 }, (_, i) => (i % 7) / 7) });
    const taken = submits;
    return { taken, y: [...(await executable.fetch("y")).data] };
  };
  try {
    backend.submitBudget = 1e-9;
    const whole = await run();
    expect(whole.taken).toBe(1);
    await run();
    await backend.finish();
    await new Promise((resolve) => setTimeout(resolve, 10));
    const split = await run();
    expect(split.taken).toBe(3);
    expect(split.y).toEqual(whole.y);
  } finally {
    backend.submitBudget = Number.POSITIVE_INFINITY;
    queue.submit = submit;
    executable.dispose();
  }
});
