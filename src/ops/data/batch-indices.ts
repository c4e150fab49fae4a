import source from "../../../shaders/data/batch-indices.wgsl?raw";
import { whole } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { input, output, specialize } from "../../core/kernel.ts";
import { defineOp, type Op, required, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { exact } from "../../core/tolerance.ts";

/**
 * `count` entries of `order` (u32) from position counters[2] on, wrapping at the end: the images of one step.
 * @internal
 */
export const batchIndices: Op<
  (order: Tensor, counters: Tensor, attrs: { count: number }) => Tensor,
  { count: number }
> = defineOp({
  name: "batchIndices",
  operands: ["order", "counters"],
  attributes: { count: whole(required) },
  infer: ([order, counters], { count }) => {
    if (
      order?.dtype !== "u32" ||
      order.shape.length !== 1 ||
      counters?.dtype !== "u32" ||
      counters.shape[0] !== 4
    )
      throw new ShapeError("batchIndices: takes an order u32[n] and counters u32[4].");
    if (!Number.isInteger(count) || count < 0 || count > order.shape[0]!)
      throw new ShapeError(
        `batchIndices: ${count} entries do not fit an order of ${order.shape[0]}; ask for at most as many.`,
      );
    return [{ shape: [count], dtype: "u32" }];
  },
  reference: ([order, counters], { count }) => {
    const size = order.data.length;
    const data = Uint32Array.from({ length: count }, (_, i) => order.data[(counters.data[2]! + i) % size]!);
    return [{ shape: [count], dtype: "u32", data }];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [order], attrs: { count } }) => [
      {
        name: "indices",
        dispatches: [
          {
            kernel: "batchIndices",
            source: specialize(source, { SIZE: order!.shape[0]!, COUNT: count }),
            bindings: [input(0), input(1), output()],
            workgroups: [Math.ceil(count / 64), 1, 1],
            bytes: 8 * count,
          },
        ],
      },
    ],
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.integers(0, 99, [100], "u32"), s.values([0, 0, 3, 0], [4], "u32")], attrs: { count: 7 } },
    {
      inputs: [s.integers(0, 99, [100], "u32"), s.values([0, 0, 90, 0], [4], "u32")],
      attrs: { count: 67 },
      name: "wraps",
    },
    { inputs: [s.integers(0, 9, [1], "u32"), s.values([0, 0, 0, 0], [4], "u32")], attrs: { count: 1 } },
  ],
  errors: [
    {
      inputs: [type([4], "u32"), type([4], "u32")],
      attrs: { count: 5 },
      message: /batchIndices: 5 entries do not fit an order of 4/,
    },
    {
      inputs: [type([4]), type([4], "u32")],
      attrs: { count: 1 },
      message: /batchIndices: takes an order u32/,
    },
  ],
});
