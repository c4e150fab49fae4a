import { expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { accuracy, meanAbsoluteError, meanSquaredError } from "../../src/metrics/index.ts";
import { evaluate } from "../../src/model/compile.ts";
import { tensor } from "../../src/model/program.ts";
import { gpu } from "../support/gpu.ts";

/** Two sequences of three steps, with logits of two classes each: right, wrong, right and wrong, right, right. */
const logits = tensor([2, 1, 0, 3, -1, -2, 5, 4, 1, 7, 3, 3], { shape: [2, 3, 2] });
const labels = tensor([0, 0, 0, 1, 1, 0], { shape: [2, 3], dtype: "i32" });
const mask = tensor([1, 1, 0, 0, 1, 0], { shape: [2, 3], dtype: "bool" });
const weights = tensor([1, 3, 0, 0, 4, 0], { shape: [2, 3] });

test.each([
  ["adapter", gpu],
  ["CPU reference", async () => cpuBackend()],
])("metrics of any rank, and of what a mask keeps: on the %s", async (_, open) => {
  const device = await open();
  const [y, t] = [
    tensor([
      [1, Number.NaN],
      [5, -2],
    ]),
    tensor([
      [2, 0],
      [2, -2],
    ]),
  ];
  const rows = tensor([[0], [1]]);
  const some = tensor([
    [1, 0],
    [1, 2],
  ]);
  const all = await evaluate(device, {
    steps: accuracy()(logits, labels),
    kept: accuracy()(logits, labels, mask),
    weighted: accuracy()(logits, labels, weights),
    none: accuracy()(logits, labels, weights.mul(0)),
    absolute: meanAbsoluteError()(y, t, some),
    squared: meanSquaredError()(y, t, some),
    rows: meanSquaredError()(y, t, rows),
  });
  const values = Object.fromEntries(Object.entries(all).map(([name, { data }]) => [name, data[0]]));
  expect(values.steps).toBeCloseTo(4 / 6, 6);
  expect(values.kept).toBeCloseTo(2 / 3, 6);
  expect(values.weighted).toBeCloseTo(5 / 8, 6);
  expect(values.none).toBeNaN();
  expect(values.absolute).toBeCloseTo((1 + 3 + 0) / 4, 6);
  expect(values.squared).toBeCloseTo((1 + 9 + 0) / 4, 6);
  expect(values.rows).toBeCloseTo((9 + 0) / 2, 6);
});

test("metrics refuse what would be broadcast by accident", () => {
  const [column, row] = [tensor([[1], [2]]), tensor([1, 2])];
  const message = /: the output is f32\[2, 1\] and the target f32\[2\]; use f32 tensors of one shape/;
  expect(() => meanAbsoluteError()(column, row)).toThrow(message);
  expect(() => meanSquaredError()(column, row)).toThrow(message);
  const some = tensor([0, 0, 1], { dtype: "i32" });
  expect(() => accuracy()(logits, some)).toThrow(
    /accuracy: the target is i32\[3\] beside .* use i32\[2, 3\]/,
  );
});
