import { describe, expect, test } from "vitest";
import { samplesOf } from "../src/verify/parity.ts";
import { records } from "../src/verify/records.ts";
import { checkSample } from "./support/differences.ts";

/** Elements of a sample at most: the reference runs four times for each input. */
const LARGEST = { 1: 60_000, 2: 6_000 };

// A composition has the gradients of its parts.
const differentiable = records.filter((op) => op.grad || op.implementation.kind === "composition");

describe.each([1, 2] as const)("derivatives of order %i: finite differences in float64", (order) => {
  test.each(differentiable.map((op) => [op.name, op] as const))("%s", async (name, op) => {
    const samples = samplesOf(op).filter((s) => s.gradient !== false);
    let checked = 0;
    for (const [number, sample] of samples.entries()) {
      if (sample.inputs.reduce((n, x) => n + x.data.length, 0) > LARGEST[order]) continue;
      checked += await checkSample(op, sample, number, order);
    }
    if (samples.some((s) => s.inputs.some((x) => x.dtype === "f32")))
      expect(checked, `${name} has a gradient that no sample checks`).toBeGreaterThan(0);
  });
});
