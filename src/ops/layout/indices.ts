import iotaSource from "../../../shaders/layout/iota.wgsl?raw";
import markSource from "../../../shaders/layout/scatter-mark.wgsl?raw";
import scanSource from "../../../shaders/layout/scatter-scan.wgsl?raw";
import takeSource from "../../../shaders/layout/scatter-take.wgsl?raw";
import { dtype, number, whole } from "../../core/attributes.ts";
import { type DType, wgslType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { bitsOf, gridOf, input, output, scratch, specialize, words } from "../../core/kernel.ts";
import { referenceArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, required, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { sameShape, showShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { accumulated, exact } from "../../core/tolerance.ts";
import { copyDispatch, fillDispatch } from "./copy-kernel.ts";

/** Of `iota`. */
export interface IotaAttrs {
  /** How many numbers. */
  readonly size: number;
  readonly start?: number;
  readonly step?: number;
  /** i32 unless given; f32, i32 or u32. */
  readonly dtype?: DType;
}

/** start, start + step, start + 2·step, …: torch.arange(start, start + size·step, step). Integers wrap. */
export const iota: Op<(attrs: IotaAttrs) => Tensor, Required<IotaAttrs>> = defineOp({
  name: "iota",
  operands: [],
  attributes: { size: whole(required), start: number(0), step: number(1), dtype: dtype("i32") },
  infer: (_, { size, start, step, dtype }) => {
    if (!["f32", "i32", "u32"].includes(dtype))
      throw new ShapeError(`iota: dtype is ${dtype}; use f32, i32 or u32.`);
    if (!Number.isInteger(size) || size < 0)
      throw new ShapeError(`iota: size is ${size}; use a whole number of at least 0.`);
    for (const [name, value] of Object.entries({ start, step }))
      if (dtype === "f32" ? !Number.isFinite(Math.fround(value)) : !Number.isInteger(value))
        throw new ShapeError(
          `iota: ${name} is ${value}; use a ${dtype === "f32" ? "finite" : "whole"} number for ${dtype}.`,
        );
    return [{ shape: [size], dtype }];
  },
  reference: (_, { size, start, step, dtype }) => {
    const data = referenceArray(dtype, size);
    const [first, by] = dtype === "f32" ? [Math.fround(start), Math.fround(step)] : [start, step];
    for (let i = 0; i < size; i++) data[i] = first + i * by;
    return [{ shape: [size], dtype, data }];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ attrs: { size, start, step, dtype }, facts }) => [
      {
        name: "iota",
        dispatches: [
          {
            kernel: "iota",
            source: specialize(iotaSource, { Element: wgslType(dtype), COUNT: size }),
            bindings: [output(), words],
            words: [bitsOf(start, dtype), bitsOf(step, dtype)],
            workgroups: gridOf(Math.ceil(size / 64), facts),
            bytes: 4 * size,
          },
        ],
      },
    ],
  },
  // A product and a sum.
  tolerance: accumulated(() => 1, {
    scale: (_, { size, start, step }) => [
      Float64Array.from({ length: size }, (_, i) => Math.abs(start) + i * Math.abs(step)),
    ],
  }),
  samples: () => [
    { inputs: [], attrs: { size: 9 } },
    { inputs: [], attrs: { size: 1031, start: -7, step: 3 } },
    { inputs: [], attrs: { size: 5, start: 2 ** 32 - 2, dtype: "u32" } },
    { inputs: [], attrs: { size: 67, start: 0.5, step: -0.1, dtype: "f32" } },
    { inputs: [], attrs: { size: 0 } },
  ],
  errors: [
    { inputs: [], attrs: { size: -1 }, message: /iota: size is -1; use a whole number/ },
    { inputs: [], attrs: { size: 3, step: 0.5 }, message: /iota: step is 0.5; use a whole number for i32/ },
    { inputs: [], attrs: { size: 3, dtype: "bool" }, message: /iota: dtype is bool; use f32, i32 or u32/ },
  ],
});

/** Of `oneHot`. */
export interface OneHotAttrs {
  readonly classes: number;
  /** f32 unless given. */
  readonly dtype?: DType;
}

/**
 * 1 at each index and 0 elsewhere, along a new last axis of `classes`: torch.nn.functional.one_hot. An index outside
 * 0 … classes−1 gives zeros, as in JAX.
 */
export const oneHot: Op<(indices: Operand, attrs: OneHotAttrs) => Tensor, Required<OneHotAttrs>> = defineOp({
  name: "oneHot",
  operands: ["indices"],
  attributes: { classes: whole(required), dtype: dtype("f32") },
  infer: ([indices], { classes, dtype }) => {
    if (indices.dtype !== "i32" && indices.dtype !== "u32")
      throw new ShapeError(`oneHot: indices are ${showType(indices)}; use i32 or u32.`);
    if (!Number.isInteger(classes) || classes < 1)
      throw new ShapeError(`oneHot: classes is ${classes}; use a whole number of at least 1.`);
    return [{ shape: [...indices.shape, classes], dtype }];
  },
  reference: ([indices], { classes, dtype }) => {
    const data = referenceArray(dtype, indices.data.length * classes);
    indices.data.forEach((index, i) => {
      if (index >= 0 && index < classes) data[i * classes + index] = 1;
    });
    return [{ shape: [...indices.shape, classes], dtype, data }];
  },
  implementation: {
    kind: "composition",
    compose: ([indices], { classes, dtype }, f) => {
      const column = f.reshape(indices, { shape: [...indices.shape, 1] });
      const hits = f.equal(column, iota({ size: classes, dtype: indices.dtype }));
      return [dtype === "bool" ? hits : f.cast(hits, { dtype })];
    },
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.integers(0, 6, [5], "i32")], attrs: { classes: 7 } },
    { inputs: [s.integers(0, 9, [3, 4], "u32")], attrs: { classes: 8, dtype: "i32" } },
    {
      inputs: [s.values([-1, 0, 3, 2], [4], "i32")],
      attrs: { classes: 3, dtype: "bool" },
      name: "no such class",
    },
    { inputs: [s.integers(0, 3, [], "i32")], attrs: { classes: 4 } },
  ],
  errors: [
    { inputs: [type([3])], attrs: { classes: 3 }, message: /oneHot: indices are f32\[3\]; use i32 or u32/ },
    {
      inputs: [type([3], "i32")],
      attrs: { classes: 0 },
      message: /oneHot: classes is 0; use a whole number/,
    },
  ],
});

function checkScatter(x: TensorType, indices: TensorType, updates: TensorType): void {
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
    checkScatter(x, indices, updates);
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
    const number = f.reshape(iota({ size: sizeOf(indices.shape) }), { shape: indices.shape });
    const nobody = f.constant({ value: -1, shape: [x.shape[0]!], dtype: "i32" });
    const counts = f.equal(f.gather(scatter(nobody, indices, number), indices), number);
    const column = [...indices.shape, ...x.shape.slice(1).map(() => 1)];
    const zeros = f.constant({ value: 0, shape: updates.shape, dtype: "f32" });
    return [
      scatter(dy, indices, zeros),
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
      const fill = fillDispatch({ shape: [rows], dtype: "u32" }, 0, facts);
      return [
        {
          name: "marks",
          scratch: [4 * rows],
          dispatches: [
            { ...fill, bindings: fill.bindings.map((b) => ({ ...b, ...scratch(0) })) },
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
