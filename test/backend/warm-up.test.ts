// Software drivers compile kernels at their first dispatch: that happens, and is told, before a program's first run.
import { expect, test } from "vitest";
import { WebGPUBackend } from "../../src/backend/webgpu/backend.ts";
import { openDevice } from "../../src/backend/webgpu/device.ts";
import "../../src/backend/webgpu/dawn.ts";
import { read, standalone } from "../../src/graph/node.ts";
import * as f from "../../src/ops/f.ts";
import { resultsOf } from "../support/ops.ts";

test("each kernel is warmed up once, on memory of its own, with progress", async () => {
  const opened = await openDevice();
  const backend = new WebGPUBackend({ ...opened, facts: { ...opened.facts, software: true } });
  const x = standalone("x", [1031]);
  const numbers = Float32Array.from({ length: 1031 }, (_, i) => i - 500);
  backend.write(x, numbers);
  // Kernels enough that a second device helps, one of which writes in place; "relu" is there twice.
  const ops = ["relu", "sigmoid", "tanh", "exp", "abs", "neg", "square", "sqrt", "silu", "relu"];
  const outputs = Object.fromEntries(ops.map((name, i) => [`y${i}`, resultsOf(name, read(x))[0]!]));
  const program = { name: "many", outputs, updates: [{ variable: x, value: f.add(read(x), 1) }] };
  const seen: number[][] = [];
  const executable = await backend.compile(program, { fuse: false }, (...counts) => seen.push(counts));
  expect(await backend.read(x)).toEqual(numbers);
  const total = new Set(executable.plan.steps.map(({ source }) => source)).size;
  expect(total).toBeGreaterThan(8);
  expect(seen).toEqual(Array.from({ length: total + 1 }, (_, done) => [done, total]));
  executable.run();
  expect((await executable.fetch("y4")).data).toEqual(numbers.map(Math.abs));
  expect(await backend.read(x)).toEqual(numbers.map((n) => n + 1));

  // What is compiled already is ready at once, and a second wave of new kernels is warmed up too.
  const again = await backend.compile({ name: "again", outputs: { y: f.log(f.abs(read(x))) } });
  again.run();
  expect((await again.fetch("y")).shape).toEqual([1031]);
  for (const one of [executable, again]) one.dispose();
  backend.dispose();
});
