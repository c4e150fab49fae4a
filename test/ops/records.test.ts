import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/core/errors.ts";
import { callOp } from "../../src/core/op.ts";
import { Sampler } from "../../src/core/samples.ts";
import { feed } from "../../src/graph/node.ts";
import { casesOf, samplesOf } from "../../src/verify/parity.ts";
import { records } from "../../src/verify/records.ts";

describe("every record is complete", () => {
  test("names are unique", () => {
    const names = records.map((op) => op.name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(60);
  });

  test.each(records.map((op) => [op.name, op] as const))("%s", (name, op) => {
    expect(op.samples?.(new Sampler(name)).length ?? 0, "samples").toBeGreaterThan(0);
    expect(op.tolerance, "tolerance").toBeDefined();
    // Every op can be misused: at the least, with the wrong dtype, rank or number of inputs.
    expect(op.errors?.length ?? 0, "error cases").toBeGreaterThan(0);
    expect(["elementwise", "kernel", "composition", "view", "pack"]).toContain(op.implementation.kind);
    for (const { inputs, attrs, message } of op.errors ?? []) {
      const call = () => callOp(op, [...inputs.map((t, i) => feed(`x${i}`, t.shape, t.dtype)), attrs]);
      expect(call).toThrow(ShapeError);
      expect(call).toThrow(message);
      try {
        call();
      } catch (error) {
        expect((error as Error).message, "one sentence").toMatch(/^[^\n]+\.$/);
      }
    }
  });

  test("samples are the same each time", () => {
    for (const op of records) {
      const [a, b] = [samplesOf(op), samplesOf(op)];
      a.forEach((sample, i) => {
        sample.inputs.forEach((x, k) => {
          if (x.data.length < 10_000) expect(Array.from(b[i]!.inputs[k]!.data)).toEqual(Array.from(x.data));
        });
      });
    }
  });

  test("inferred shapes and dtypes are those of the reference", () => {
    for (const op of records)
      for (const parity of casesOf(op)) {
        if (parity.sample.inputs.some((x) => x.data.length > 1e5)) continue;
        const inferred = op.infer(parity.sample.inputs, parity.sample.attrs);
        const reference = op.reference(parity.sample.inputs, parity.sample.attrs);
        expect(
          reference.map(({ shape, dtype }) => ({ shape: [...shape], dtype })),
          parity.label,
        ).toEqual(inferred.map(({ shape, dtype }) => ({ shape: [...shape], dtype })));
        for (const result of reference)
          expect(result.data.length).toBe(result.shape.reduce((a, b) => a * b, 1));
      }
  });
});
