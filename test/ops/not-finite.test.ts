// Infinities and NaN written into graphs, on the GPU as on the CPU, alone and fused into other kernels.
import { expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { NumericArray } from "../../src/core/dtype.ts";
import type { Tensor } from "../../src/core/op.ts";
import { feed } from "../../src/graph/node.ts";
import * as f from "../../src/ops/f.ts";
import { gpu } from "../support/gpu.ts";

const x = feed("x", [2, 4]);
const mask = feed("mask", [2, 4], "bool");
const feeds: Record<string, NumericArray> = {
  x: Float32Array.of(1, -2, Number.NaN, 4, 5, -6, 7, -8),
  mask: Uint32Array.of(1, 0, 1, 1, 0, 1, 0, 1),
};
const scores = feed("scores", [2, 4]);
feeds.scores = Float32Array.of(1, -2, 3, 4, 5, -6, 7, -8);
const inf = Number.POSITIVE_INFINITY;

const CASES: Record<string, () => Tensor> = {
  "where with -Infinity": () => f.where(mask, scores, -inf),
  "softmax of masked scores": () => f.softmax(f.where(mask, scores, -inf), { axis: 1 }),
  "maximum with -Infinity, fused into a reduction": () =>
    f.max(f.maximum(f.mul(scores, 2), -inf), { axes: [1] }),
  "minimum with Infinity on a product": () =>
    f.minimum(f.matmul(scores, f.transpose(scores, { perm: [1, 0] })), inf),
  "maximum with NaN": () => f.maximum(x, Number.NaN),
  "a chain of constants": () => f.add(f.constant({ value: -inf, shape: [4], dtype: "f32" }), 1),
  "pad with NaN": () => f.pad(x, { low: [0, 1], high: [1, 0], value: Number.NaN }),
  "maximum keeps NaN": () => f.maximum(x, 0),
  "minimum keeps NaN": () => f.minimum(0, x),
};

test.each(Object.entries(CASES))("%s", async (_, build) => {
  const y = build();
  const outputs = { y, x: f.neg(x), mask: f.logicalNot(mask), scores: f.neg(scores) };
  const results: number[][] = [];
  for (const backend of [cpuBackend(), await gpu()]) {
    const executable = await backend.compile({ name: "notFinite", outputs });
    executable.run(feeds);
    results.push(Array.from((await executable.fetch("y")).data));
    executable.dispose();
  }
  const [want, got] = results as [number[], number[]];
  expect(got.length).toBe(want.length);
  want.forEach((value, i) => {
    if (Number.isFinite(value)) expect(got[i]).toBeCloseTo(value, 4);
    else expect(got[i]).toBe(value);
  });
});
