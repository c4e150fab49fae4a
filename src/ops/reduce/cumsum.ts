import source from "../../../shaders/reduce/cumsum.wgsl?raw";
import workgroupSource from "../../../shaders/reduce/cumsum-workgroup.wgsl?raw";
import { whole } from "../../core/attributes.ts";
import { wgslType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { gridOf, input, type KernelVariant, output, specialize } from "../../core/kernel.ts";
import { referenceArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { normalizeAxis, showType, sizeOf } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import { rowsAlong } from "./rows.ts";

/** Of `cumsum`. */
export interface CumsumAttrs {
  /** The last unless given. */
  readonly axis?: number;
  /** Sums from the end. */
  readonly reverse?: boolean;
}

/** Rows at least this long are worth a workgroup each, where there are fewer than so many. */
const LONG = 1024;
const MANY = 4096;

/** Running sums along an axis, y[k] = Σ x[0 … k], from its end on where `reverse`: torch.cumsum. */
export const cumsum: Op<(x: Operand, attrs?: CumsumAttrs) => Tensor, Required<CumsumAttrs>> = defineOp({
  name: "cumsum",
  operands: ["x"],
  attributes: { axis: whole(-1), reverse: false },
  infer: ([x], { axis }) => {
    if (!["f32", "i32", "u32"].includes(x.dtype))
      throw new ShapeError(`cumsum: input is ${showType(x)}; cast it to f32, i32 or u32 first.`);
    normalizeAxis("cumsum", axis, x.shape.length);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  reference: ([x], { axis, reverse }) => {
    const { rows, length, inner, place } = rowsAlong("cumsum", x, axis);
    const data = referenceArray(x.dtype, x.data.length);
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let k = 0; k < length; k++) {
        const i = place(row, 0) + (reverse ? length - 1 - k : k) * inner;
        data[i] = sum += x.data[i]!;
      }
    }
    return [{ shape: x.shape, dtype: x.dtype, data }];
  },
  grad: ({ dy, attrs: { axis, reverse } }) => [cumsum(dy, { axis, reverse: !reverse })],
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [x], attrs: { axis, reverse }, facts }) => {
      const { rows, length, inner } = rowsAlong("cumsum", x!, axis);
      const constants = {
        Element: wgslType(x!.dtype),
        ROWS: rows,
        LENGTH: length,
        INNER: inner,
        REVERSE: reverse,
      };
      const rest = { bindings: [input(0), output()], bytes: 8 * sizeOf(x!.shape) };
      const row: KernelVariant = {
        name: "row",
        dispatches: [
          {
            ...rest,
            kernel: "cumsum/row",
            source: specialize(source, constants),
            workgroups: gridOf(Math.ceil(rows / 64), facts),
          },
        ],
      };
      const lanes = Math.min(256, facts.maxInvocations);
      if (length < LONG || rows >= MANY) return [row];
      const workgroup: KernelVariant = {
        name: "workgroup",
        dispatches: [
          {
            ...rest,
            kernel: "cumsum/workgroup",
            source: specialize(workgroupSource, {
              ...constants,
              LANES: lanes,
              RUN: Math.ceil(length / lanes),
            }),
            workgroups: gridOf(rows, facts),
          },
        ],
      };
      return [workgroup, row];
    },
  },
  tolerance: accumulated(([x], { axis }) => rowsAlong("cumsum", x!, axis).length),
  samples: (s) => [
    { inputs: [s.randn(5, 7)] },
    { inputs: [s.randn(3, 4, 5)], attrs: { axis: 1, reverse: true } },
    { inputs: [s.randn(11, 2)], attrs: { axis: 0 } },
    { inputs: [s.randn(2, 1031)], attrs: { axis: 1 } },
    { inputs: [s.randn(3, 1500, 2)], attrs: { axis: 1, reverse: true } },
    { inputs: [s.randn(0, 3)] },
    { inputs: [s.randn(1)] },
    { name: "integers", inputs: [s.integers(-8, 8, [3, 2000])], exact: true },
    { name: "integers", inputs: [s.integers(-8, 8, [257, 3], "i32")], attrs: { axis: 0 }, exact: true },
    { name: "integers", inputs: [s.integers(0, 8, [2, 1024], "u32")], attrs: { reverse: true }, exact: true },
  ],
  errors: [
    { inputs: [type([2, 3])], attrs: { axis: 2 }, message: /cumsum: axis 2 does not exist/ },
    { inputs: [type([2], "bool")], message: /cumsum: input is bool\[2\]; cast it to f32, i32 or u32/ },
  ],
});
