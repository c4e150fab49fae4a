import gatherSource from "../../../shaders/layout/gather.wgsl?raw";
import scatterSource from "../../../shaders/layout/gather-grad.wgsl?raw";
import { anyNumber } from "../../core/attributes.ts";
import { wgslType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { gridOf, input, output, perThread, specialize } from "../../core/kernel.ts";
import { type NDArray, referenceArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, required, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { showShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { accumulated, exact } from "../../core/tolerance.ts";

function checkIndices(op: string, indices: TensorType): void {
  if (indices.dtype !== "i32" && indices.dtype !== "u32")
    throw new ShapeError(`${op}: indices are ${showType(indices)}; use i32 or u32.`);
}

/** The vector type in which rows are moved, and how many vectors a row has. */
function vectors(dtype: TensorType["dtype"], row: number): { Vector: string; ROW: number } {
  const scalar = wgslType(dtype);
  return row % 4 === 0 ? { Vector: `vec4<${scalar}>`, ROW: row / 4 } : { Vector: scalar, ROW: row };
}

/** What an index that is no row gives, as bits: NaN, −1 or 4294967295. */
const missingBits = (dtype: TensorType["dtype"]) => (dtype === "f32" ? 0x7fc00000 : 0xffffffff);

/**
 * Rows of `table` [V, ...] at `indices`: an embedding, or a selection along the first axis. The result has shape
 * [...indices, ...]. An index outside 0 … V−1 gives NaN, in integer tables −1 (4294967295 for u32).
 */
export const gather: Op<(table: Operand, indices: Operand) => Tensor> = defineOp({
  name: "gather",
  operands: ["table", "indices"],
  infer: ([table, indices]) => {
    if (table.shape.length === 0 || !["f32", "i32", "u32"].includes(table.dtype))
      throw new ShapeError(`gather: the table is ${showType(table)}; use f32, i32 or u32 [V, ...].`);
    checkIndices("gather", indices);
    if (table.shape[0] === 0)
      throw new ShapeError(`gather: the table ${showShape(table.shape)} has no rows; give it at least one.`);
    return [{ shape: [...indices.shape, ...table.shape.slice(1)], dtype: table.dtype }];
  },
  reference: ([table, indices]) => {
    const [rows, ...rest] = table.shape as [number, ...number[]];
    const row = sizeOf(rest);
    const data = referenceArray(table.dtype, indices.data.length * row);
    const missing = table.dtype === "f32" ? Number.NaN : -1;
    indices.data.forEach((index, i) => {
      if (index >= 0 && index < rows) data.set(table.data.subarray(index * row, (index + 1) * row), i * row);
      else data.fill(missing, i * row, (i + 1) * row);
    });
    return [{ shape: [...indices.shape, ...rest], dtype: table.dtype, data }];
  },
  grad: ({ dy, inputs: [table, indices] }, f) => [
    f.scatterAdd(dy, indices, { rows: table.shape[0] ?? 0 }),
    null,
  ],
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [table, indices], outputs: [out], facts }) => {
      const count = sizeOf(indices!.shape);
      const { Vector, ROW } = vectors(table!.dtype, sizeOf(table!.shape.slice(1)));
      const width = Vector.startsWith("vec4") ? 4 : 1;
      const per = ROW > 1 ? perThread(ROW, count * ROW, width, facts) : count >= 65536 ? 4 : 1;
      const source = specialize(gatherSource, {
        Vector,
        Index: wgslType(indices!.dtype),
        ROWS: table!.shape[0]!,
        ROW,
        COUNT: count,
        PER: per,
        MISSING: missingBits(table!.dtype),
      });
      const dispatch = {
        kernel: "gather",
        source: `${source}\nfn missing() -> Vector {\n  let bits = MISSING;\n  return Vector(bitcast<${wgslType(table!.dtype)}>(bits));\n}`,
        bindings: [input(0), input(1), output()],
        workgroups: gridOf(Math.ceil((count * ROW) / (64 * per)), facts),
        bytes: 8 * sizeOf(out!.shape) + 4 * count,
      };
      return [{ name: "rows", dispatches: [dispatch] }];
    },
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(7, 3), s.integers(0, 6, [5], "i32")] },
    { inputs: [s.randn(11, 2, 4), s.integers(0, 10, [3, 5], "u32")] },
    { inputs: [s.randn(5), s.integers(0, 4, [], "i32")] },
    { inputs: [s.randn(3, 4), s.integers(0, 2, [0], "i32")] },
    { inputs: [s.randn(33, 64), s.integers(0, 32, [4096], "i32")] },
    { name: "no such row", inputs: [s.randn(3, 4), s.values([0, -1, 2, 3], [4], "i32")], gradient: false },
    { name: "no such row", inputs: [s.integers(0, 9, [3, 5], "i32"), s.values([3, 1, 2 ** 31], [3], "u32")] },
    { name: "no such row", inputs: [s.integers(0, 9, [3], "u32"), s.values([-3, 1], [2], "i32")] },
  ],
  errors: [
    { inputs: [type([3, 4]), type([2])], message: /gather: indices are f32\[2\]; use i32 or u32/ },
    { inputs: [type([0, 4]), type([2], "i32")], message: /gather: the table \[0, 4\] has no rows/ },
    { inputs: [type([3], "u8"), type([2], "i32")], message: /gather: the table is u8\[3\]; use f32/ },
  ],
});

/** Of `scatterAdd`. */
export interface ScatterAddAttrs {
  /** Rows of the result. */
  readonly rows: number;
}

/** How many leading axes of dy the indices take; checks that they agree. */
function inferScatter(dy: TensorType, indices: TensorType, { rows }: ScatterAddAttrs): TensorType {
  checkIndices("scatterAdd", indices);
  const lead = indices.shape.length;
  if (dy.dtype !== "f32" || indices.shape.some((dim, axis) => dim !== dy.shape[axis]))
    throw new ShapeError(
      `scatterAdd: dy is ${showType(dy)}; use f32 with the shape ${showShape(indices.shape)} of the indices in front.`,
    );
  if (!Number.isInteger(rows) || rows < 1)
    throw new ShapeError(`scatterAdd: rows is ${rows}; use a whole number of at least 1.`);
  return { shape: [rows, ...dy.shape.slice(lead)], dtype: "f32" };
}

function scatterReference([dy, indices]: readonly NDArray[], attrs: ScatterAddAttrs): NDArray {
  const type = inferScatter(dy!, indices!, attrs);
  const data = new Float64Array(sizeOf(type.shape));
  const row = sizeOf(type.shape.slice(1));
  indices!.data.forEach((index, i) => {
    if (index < 0 || index >= attrs.rows) return;
    for (let k = 0; k < row; k++) data[index * row + k]! += dy!.data[i * row + k]!;
  });
  return { ...type, data };
}

/** Adds each row of dy [...indices, ...] to the row of the result that its index names; other indices are left out. */
export const scatterAdd: Op<
  (dy: Operand, indices: Operand, attrs: ScatterAddAttrs) => Tensor,
  ScatterAddAttrs
> = defineOp({
  name: "scatterAdd",
  operands: ["dy", "indices"],
  attributes: { rows: anyNumber(required) },
  infer: ([dy, indices], attrs) => [inferScatter(dy, indices, attrs)],
  reference: (inputs, attrs) => [scatterReference(inputs, attrs)],
  grad: ({ dy, inputs: [, indices], attrs: { rows } }, f) => {
    const below = f.less(indices, rows);
    const kept = indices.dtype === "i32" ? f.logicalAnd(below, f.greaterEqual(indices, 0)) : below;
    const row = dy.shape.slice(1).map(() => 1);
    // What gather gives of an index that is no row would be NaN.
    return [f.where(f.reshape(kept, { shape: [...indices.shape, ...row] }), f.gather(dy, indices), 0), null];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [dy, indices], outputs: [out], attrs: { rows }, facts }) => {
      const count = sizeOf(indices!.shape);
      const { Vector, ROW } = vectors("f32", sizeOf(out!.shape.slice(1)));
      // Every thread reads all indices: as few threads as keep the adapter busy.
      const per = Math.ceil((rows * ROW) / (facts.software ? 1024 : 65536));
      const dispatch = {
        kernel: "scatterAdd/scan",
        source: specialize(scatterSource, {
          Vector,
          Index: wgslType(indices!.dtype),
          ROWS: rows,
          ROW,
          COUNT: count,
          PER: per,
        }),
        bindings: [input(0), input(1), output()],
        workgroups: gridOf(Math.ceil((Math.ceil(rows / per) * ROW) / 64), facts),
        bytes: 4 * (sizeOf(dy!.shape) + count + sizeOf(out!.shape)),
      };
      return [{ name: "scan", dispatches: [dispatch] }];
    },
  },
  tolerance: accumulated(([, indices]) => indices!.data.length),
  samples: (s) => [
    { inputs: [s.randn(5, 3), s.integers(0, 6, [5], "i32")], attrs: { rows: 7 } },
    { inputs: [s.randn(3, 5, 2, 4), s.integers(0, 10, [3, 5], "u32")], attrs: { rows: 11 } },
    { inputs: [s.randn(), s.integers(0, 2, [], "i32")], attrs: { rows: 3 } },
    { inputs: [s.randn(0, 4), s.integers(0, 2, [0], "i32")], attrs: { rows: 3 } },
    { inputs: [s.randn(1031, 16), s.integers(0, 12, [1031], "i32")], attrs: { rows: 13 } },
    { inputs: [s.randn(130, 12), s.integers(0, 4098, [130], "i32")], attrs: { rows: 4099 } },
    {
      name: "integers, no such row",
      inputs: [s.integers(-8, 8, [257, 6]), s.integers(-1, 5, [257], "i32")],
      attrs: { rows: 5 },
      exact: true,
    },
    { name: "no such row", inputs: [s.randn(3), s.values([5, 1, 2 ** 31], [3], "u32")], attrs: { rows: 5 } },
  ],
  errors: [
    {
      inputs: [type([4, 3]), type([5], "i32")],
      attrs: { rows: 2 },
      message: /scatterAdd: dy is f32\[4, 3\]; use f32 with the shape \[5\] of the indices in front/,
    },
    {
      inputs: [type([5, 3]), type([5], "i32")],
      attrs: { rows: 0 },
      message: /scatterAdd: rows is 0; use a whole number/,
    },
  ],
});
