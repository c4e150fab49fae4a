import { whole, wholeOrWholes } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { referenceArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, required, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { normalizeAxis, sameShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { exact } from "../../core/tolerance.ts";
import { movable, type SliceAttrs, sliceAxes, stridedReference } from "./strided.ts";

/** Of `split`. */
export interface SplitAttrs {
  /** The length of every part, of which the last may be shorter; or the length of each. */
  readonly sizes: number | readonly number[];
  readonly axis?: number;
}

/** The slices that a tensor is split into. */
function partsOf(x: TensorType, { sizes, axis = 0 }: SplitAttrs): SliceAttrs[] {
  movable("split", x);
  const at = normalizeAxis("split", axis, x.shape.length);
  const length = x.shape[at]!;
  const even = typeof sizes === "number" && Number.isInteger(sizes) && sizes > 0 ? sizes : undefined;
  const lengths =
    typeof sizes === "number"
      ? Array.from({ length: even ? Math.max(1, Math.ceil(length / even)) : 0 }, (_, i) =>
          Math.min(even!, length - i * even!),
        )
      : sizes;
  const whole = lengths.every((size) => Number.isInteger(size) && size >= 0);
  if (lengths.length === 0 || !whole || lengths.reduce((a, b) => a + b, 0) !== length)
    throw new ShapeError(
      `split: sizes ${typeof sizes === "number" ? sizes : `[${sizes}]`} do not make up axis ${at} of ${showType(x)}; use a length of at least 1, or lengths that add up to ${length}.`,
    );
  let end = 0;
  return lengths.map((size) => {
    const from = end;
    end += size;
    return {
      starts: x.shape.map((_, a) => (a === at ? from : 0)),
      ends: x.shape.map((dim, a) => (a === at ? from + size : dim)),
    };
  });
}

/** The parts of x along an axis, in order, of one length (the last may be shorter) or of the lengths given: torch.split. */
export const split: Op<(x: Operand, attrs: SplitAttrs) => readonly Tensor[], Required<SplitAttrs>> = defineOp(
  {
    name: "split",
    operands: ["x"],
    attributes: { sizes: wholeOrWholes(required), axis: whole(0) },
    list: true,
    infer: ([x], attrs) =>
      partsOf(x, attrs).map((part) => ({ shape: sliceAxes(x, part).map((a) => a.dim), dtype: x.dtype })),
    reference: ([x], attrs) =>
      partsOf(x, attrs).map((part) => {
        const axes = sliceAxes(x, part);
        return stridedReference(
          x,
          axes.map((a) => a.dim),
          axes,
          0,
        );
      }),
    implementation: {
      kind: "composition",
      compose: ([x], attrs, f) => partsOf(x, attrs).map((part) => f.slice(x, part)),
    },
    tolerance: exact,
    samples: (s) => [
      { inputs: [s.randn(7, 3)], attrs: { sizes: 3 } },
      { inputs: [s.randn(2, 9, 4)], attrs: { sizes: [2, 0, 7], axis: -2 } },
      { inputs: [s.integers(0, 99, [257], "i32")], attrs: { sizes: 257 } },
    ],
    errors: [
      {
        inputs: [type([7])],
        attrs: { sizes: [3, 3] },
        message: /split: sizes \[3,3\] do not make up axis 0 of f32\[7\]/,
      },
      { inputs: [type([7])], attrs: { sizes: 0 }, message: /split: sizes 0 do not make up axis 0/ },
    ],
  },
);

function stacked(inputs: readonly TensorType[], axis: number): { at: number; shape: number[] } {
  const [first] = inputs;
  if (!first) throw new ShapeError("stack: needs at least one tensor.");
  const at = normalizeAxis("stack", axis, first.shape.length + 1);
  for (const x of inputs)
    if (x.dtype !== first.dtype || !sameShape(x.shape, first.shape))
      throw new ShapeError(
        `stack: ${inputs.map(showType).join(" and ")} differ; give all one shape and dtype.`,
      );
  return { at, shape: [...first.shape.slice(0, at), inputs.length, ...first.shape.slice(at)] };
}

/** Tensors of one shape as one tensor, along a new axis: torch.stack. */
export const stack: Op<(tensors: readonly Operand[], attrs?: { axis?: number }) => Tensor, { axis: number }> =
  defineOp({
    name: "stack",
    operands: ["...tensors"],
    attributes: { axis: whole(0) },
    infer: (inputs, { axis }) => [{ shape: stacked(inputs, axis).shape, dtype: inputs[0]!.dtype }],
    reference: (inputs, { axis }) => {
      const { at, shape } = stacked(inputs, axis);
      const [first] = inputs;
      const data = referenceArray(first!.dtype, sizeOf(shape));
      const inner = sizeOf(first!.shape.slice(at));
      inputs.forEach((x, i) => {
        x.data.forEach((value, k) => {
          data[(Math.floor(k / inner) * inputs.length + i) * inner + (k % inner)] = value;
        });
      });
      return [{ shape, dtype: first!.dtype, data }];
    },
    implementation: {
      kind: "composition",
      compose: (inputs, { axis }, f) => {
        const { at, shape } = stacked(inputs, axis);
        const one = shape.map((dim, a) => (a === at ? 1 : dim));
        return [
          f.concat(
            inputs.map((x) => f.reshape(x, { shape: one })),
            { axis: at },
          ),
        ];
      },
    },
    tolerance: exact,
    samples: (s) => [
      { inputs: [s.randn(3, 5), s.randn(3, 5)] },
      { inputs: [s.randn(3, 4), s.randn(3, 4), s.randn(3, 4)], attrs: { axis: -1 } },
      { inputs: [s.randn(2, 3, 4), s.randn(2, 3, 4)], attrs: { axis: 1 } },
      { inputs: [s.randn(), s.randn()] },
      { inputs: [s.integers(0, 9, [1031], "u32")], attrs: { axis: 1 } },
    ],
    errors: [
      { inputs: [type([2]), type([3])], message: /stack: f32\[2\] and f32\[3\] differ; give all one shape/ },
      { inputs: [type([2]), type([2])], attrs: { axis: 2 }, message: /stack: axis 2 does not exist/ },
    ],
  });
