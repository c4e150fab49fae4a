import markSource from "../../../shaders/layout/scatter-mark.wgsl?raw";
import scanSource from "../../../shaders/layout/scatter-scan.wgsl?raw";
import takeSource from "../../../shaders/layout/scatter-take.wgsl?raw";
import { wgslType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { gridOf, input, output, scratch, specialize } from "../../core/kernel.ts";
import { defineOp, type Op, type Operand, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { sameShape, showShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { exact } from "../../core/tolerance.ts";
import { copyDispatch, fillDispatch } from "./copy-kernel.ts";

function check(x: TensorType, indices: TensorType, updates: TensorType): void {
  if (x.shape.length === 0 || x.shape[0] === 0 || !["f32", "i32", "u32"].includes(x.dtype))
    throw new ShapeError(`scatter: x is ${showType(x)}; use f32, i32 or u32 [V, ...] with at least one row.`);
  if (indices.dtype !== "i32" && indices.dtype !== "u32")
    throw new ShapeError(`scatter: indices are ${showType(indices)}; use i32 or u32.`);
  const shape = [...indices.shape, ...x.shape.slice(1)];
  if (updates.dtype !== x.dtype || !sameShape(updates.shape, shape))
    throw new ShapeError(
      `scatter: updates are ${showType(updates)}; use ${x.dtype}${showShape(shape)}, a row of x for each index.`,
    );
}

/**
 * x [V, ...] with the rows that `indices` name replaced by `updates` [...indices, ...]: x[indices] = updates in NumPy. Of
 * several updates of one row the last counts; an index outside 0 … V−1 is left out. Elements are rows of a flat x. The
 * gradient in an update that does not count is 0.
 */
export const scatter: Op<(x: Operand, indices: Operand, updates: Operand) => Tensor> = defineOp({
  name: "scatter",
  operands: ["x", "indices", "updates"],
  infer: ([x, indices, updates]) => {
    check(x, indices, updates);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  reference: ([x, indices, updates]) => {
    const data = x.data.slice();
    const row = sizeOf(x.shape.slice(1));
    indices.data.forEach((index, i) => {
      if (index >= 0 && index < x.shape[0]!)
        data.set(updates.data.subarray(i * row, (i + 1) * row), index * row);
    });
    return [{ shape: x.shape, dtype: x.dtype, data }];
  },
  grad: ({ dy, inputs: [x, indices, updates] }, f) => {
    const number = f.reshape(f.iota({ size: sizeOf(indices.shape) }), { shape: indices.shape });
    const nobody = f.constant({ value: -1, shape: [x.shape[0]!], dtype: "i32" });
    const counts = f.equal(f.gather(f.scatter(nobody, indices, number), indices), number);
    const column = [...indices.shape, ...x.shape.slice(1).map(() => 1)];
    const zeros = f.constant({ value: 0, shape: updates.shape, dtype: "f32" });
    return [
      f.scatter(dy, indices, zeros),
      null,
      f.where(f.reshape(counts, { shape: column }), f.gather(dy, indices), 0),
    ];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [x, indices], facts }) => {
      const rows = x!.shape[0]!;
      const count = sizeOf(indices!.shape);
      if (count === 0) return [{ name: "copy", dispatches: [copyDispatch(sizeOf(x!.shape), facts)] }];
      const scalar = wgslType(x!.dtype);
      const size = sizeOf(x!.shape.slice(1));
      const wide = size % 4 === 0;
      const vectors = { Vector: wide ? `vec4<${scalar}>` : scalar, ROWS: rows, ROW: wide ? size / 4 : size };
      const index = { Index: wgslType(indices!.dtype), COUNT: count };
      const workgroups = gridOf(Math.ceil((rows * vectors.ROW) / 64), facts);
      const bytes = 4 * (2 * rows * size + count);
      const winners: TensorType = { shape: [rows], dtype: "u32" };
      return [
        {
          name: "marks",
          scratch: [4 * rows],
          dispatches: [
            { ...fillDispatch(winners, 0, facts), bindings: [scratch(0)] },
            {
              kernel: "scatter/mark",
              source: specialize(markSource, { ROWS: rows, ...index }),
              bindings: [input(1), scratch(0)],
              workgroups: gridOf(Math.ceil(count / 64), facts),
              bytes: 4 * (count + rows),
            },
            {
              kernel: "scatter/take",
              source: specialize(takeSource, vectors),
              bindings: [input(0), input(2), scratch(0, "read"), output()],
              workgroups,
              bytes,
            },
          ],
        },
        {
          name: "scan",
          dispatches: [
            {
              kernel: "scatter/scan",
              source: specialize(scanSource, { ...vectors, ...index }),
              bindings: [input(0), input(1), input(2), output()],
              workgroups,
              bytes,
            },
          ],
        },
      ];
    },
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(7, 3), s.values([6, 0, 4, 1], [4], "i32"), s.randn(4, 3)] },
    {
      inputs: [s.randn(11, 2, 4), s.values([3, 10, 3, 0, 5, 10], [2, 3], "u32"), s.randn(2, 3, 2, 4)],
      name: "twice",
    },
    { inputs: [s.randn(1031), s.integers(0, 1030, [700], "i32"), s.randn(700)] },
    { inputs: [s.randn(5), s.values([4], [], "i32"), s.randn()] },
    {
      name: "no such row",
      inputs: [
        s.integers(0, 9, [3, 5], "i32"),
        s.values([-1, 1, 3, 1], [4], "i32"),
        s.integers(10, 99, [4, 5], "i32"),
      ],
    },
    { name: "no such row", inputs: [s.randn(4, 3), s.values([-1, 1, 4, 1], [4], "i32"), s.randn(4, 3)] },
    { inputs: [s.randn(5, 2), s.integers(0, 4, [0], "i32"), s.randn(0, 2)], name: "nothing" },
  ],
  errors: [
    {
      inputs: [type([3, 4]), type([2]), type([2, 4])],
      message: /scatter: indices are f32\[2\]; use i32 or u32/,
    },
    {
      inputs: [type([3, 4]), type([2], "i32"), type([2, 3])],
      message: /scatter: updates are f32\[2, 3\]; use f32\[2, 4\], a row of x for each index/,
    },
    { inputs: [type([0, 4]), type([2], "i32"), type([2, 4])], message: /scatter: x is f32\[0, 4\]; use/ },
  ],
});
