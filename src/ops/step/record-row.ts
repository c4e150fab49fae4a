import source from "../../../shaders/step/record-row.wgsl?raw";
import { whole } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { input, output, specialize } from "../../core/kernel.ts";
import { defineOp, type Op, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { showType, sizeOf } from "../../core/shape.ts";
import { exact } from "../../core/tolerance.ts";

/** Numbers of one call, so that every adapter can bind them; a longer row is written by several. */
export const MOST_VALUES = 6;

/**
 * Writes scalars into row counters[3] of a ring f32[rows, width], from column `at` on, which the host reads now and then.
 */
export const recordRow: Op<
  (ring: Tensor, counters: Tensor, values: readonly Tensor[], attrs?: { at?: number }) => Tensor,
  { at: number }
> = defineOp({
  name: "recordRow",
  operands: ["ring", "counters", "...values"],
  attributes: { at: whole(0) },
  infer: ([ring, counters, ...values], { at }) => {
    if (
      ring.shape.length !== 2 ||
      ring.dtype !== "f32" ||
      counters.dtype !== "u32" ||
      counters.shape[0] !== 4
    )
      throw new ShapeError(
        `recordRow: takes a ring f32[rows, width] and counters u32[4], got ${showType(ring)} and ${showType(counters)}.`,
      );
    for (const [i, value] of values.entries())
      if (value.dtype !== "f32" || sizeOf(value.shape) !== 1)
        throw new ShapeError(
          `recordRow: number ${i} is ${showType(value)}; use one f32 number, a mean for instance.`,
        );
    if (values.length === 0 || values.length > MOST_VALUES || at + values.length > ring.shape[1]!)
      throw new ShapeError(
        `recordRow: ${values.length} numbers from column ${at} on do not fit ${showType(ring)}; give 1 to ${MOST_VALUES} that fit.`,
      );
    return [ring];
  },
  reference: ([ring, counters, ...values], { at }) => {
    const [rows, width] = ring.shape as [number, number];
    const data = Float64Array.from(ring.data);
    values.forEach((value, i) => {
      data[(counters.data[3]! % rows) * width + at + i] = value.data[0]!;
    });
    return [{ shape: ring.shape, dtype: "f32", data }];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [ring, , ...values], attrs: { at } }) => {
      const [rows, width] = ring!.shape as [number, number];
      const declarations = values.map(
        (_, i) => `@group(0) @binding(${2 + i}) var<storage, read> value${i}: array<f32>;`,
      );
      const cases = values.map((_, i) => `    case ${i}u: { return value${i}[0]; }`);
      const text = [
        specialize(source, { ROWS: rows, WIDTH: width, AT: at, COUNT: values.length }),
        ...declarations,
        "fn value(i: u32) -> f32 {",
        "  switch (i) {",
        ...cases,
        "    default: { return 0.0; }",
        "  }",
        "}",
      ].join("\n");
      const dispatch = {
        kernel: "recordRow",
        source: text,
        bindings: [output(), input(1), ...values.map((_, i) => input(2 + i))],
        workgroups: [1, 1, 1] as const,
        bytes: 8 * values.length,
      };
      return [{ name: "row", dispatches: [dispatch] }];
    },
  },
  inPlace: [0],
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(4, 3), s.values([1, 2, 3, 3], [4], "u32"), s.randn(), s.randn(1), s.randn()] },
    { inputs: [s.randn(8, 3), s.values([1, 2, 3, 5], [4], "u32"), s.randn(), s.randn(1)] },
    {
      inputs: [
        s.randn(5, 8),
        s.values([1, 2, 3, 13], [4], "u32"),
        ...Array.from({ length: 6 }, () => s.randn()),
      ],
      attrs: { at: 2 },
    },
  ],
  errors: [
    {
      inputs: [type([8, 3]), type([4], "u32"), type([2])],
      message: /recordRow: number 0 is f32\[2\]; use one f32 number/,
    },
    {
      inputs: [type([8, 3]), type([4], "u32"), type([])],
      attrs: { at: 3 },
      message: /recordRow: 1 numbers from column 3 on do not fit f32\[8, 3\]/,
    },
    {
      inputs: [type([8]), type([4], "u32"), type([])],
      message: /recordRow: takes a ring f32\[rows, width\]/,
    },
  ],
});
