import { expect, test } from "vitest";
import { ShapeError } from "../../src/core/errors.ts";
import { type OpRecord, resolveAttributes } from "../../src/core/op.ts";
import { type Shape, sizeOf, type TensorType } from "../../src/core/shape.ts";
import { samplesOf } from "../../src/verify/parity.ts";
import { records } from "../../src/verify/records.ts";

/** A shape with one of its axes made empty, each in turn. */
const emptied = (shape: Shape): Shape[] =>
  shape.map((_, axis) => shape.map((dim, other) => (other === axis ? 0 : dim)));

const combinations = <T>(lists: readonly T[][]): T[][] =>
  lists.reduce<T[][]>((all, list) => all.flatMap((some) => list.map((x) => [...some, x])), [[]]);

function inferred(op: OpRecord, inputs: readonly TensorType[], attrs: unknown): TensorType[] {
  try {
    return op.infer(inputs, attrs);
  } catch (error) {
    if (error instanceof ShapeError) return [];
    throw error;
  }
}

test("what a kernel would make of nothing is what its record says", () => {
  const seen = new Set<string>();
  for (const op of records)
    for (const { inputs, attrs: given } of samplesOf(op)) {
      const attrs = resolveAttributes(op, given, inputs);
      if (inputs.length === 0 || op.implementation.kind !== "kernel") continue;
      for (const shapes of combinations(inputs.map((x) => emptied(x.shape)))) {
        const none = inputs.map(({ dtype }, i) => ({ shape: shapes[i]!, dtype, data: new Float64Array(0) }));
        if (inferred(op, none, attrs).every((type) => sizeOf(type.shape) === 0)) continue;
        seen.add(op.name);
        const value = op.empty?.(attrs) ?? 0;
        for (const result of op.reference(none, attrs))
          expect(new Set(result.data), op.name).toEqual(new Set([value]));
      }
    }
  expect([...seen]).toEqual(expect.arrayContaining(["sum", "mean", "pad", "matmul", "conv2dWeightGrad"]));
});
