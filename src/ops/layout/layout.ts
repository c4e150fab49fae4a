import { dtype, whole, wholes } from "../../core/attributes.ts";
import type { DType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import type { Dispatch, Kernel } from "../../core/kernel.ts";
import { referenceArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, optional, required, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import {
  normalizeAxis,
  type Shape,
  showShape,
  sizeOf,
  stridesOf,
  type TensorType,
} from "../../core/shape.ts";
import { exact } from "../../core/tolerance.ts";
import { type Axis, concatDispatch, stridedVariants, wholeAxis } from "./kernel.ts";
import { movable, type SliceAttrs, sliceAxes, stridedReference } from "./strided.ts";

/** The kernel of ops that rearrange one input. */
const stridedKernel =
  <A>(axesOf: (x: TensorType, attrs: A) => Axis[], fillOf: (attrs: A) => number): Kernel<A> =>
  ({ inputs: [x], attrs, facts }) =>
    stridedVariants(x!.dtype, axesOf(x!, attrs), fillOf(attrs), facts);

/** The same elements under another shape. One axis may be −1: it is worked out. A view: no work on the device. */
export const reshape: Op<(x: Operand, attrs: { shape: Shape }) => Tensor, { shape: Shape }> = defineOp({
  name: "reshape",
  operands: ["x"],
  attributes: { shape: wholes(required) },
  infer: ([x], { shape }) => {
    const size = sizeOf(x!.shape);
    const known = shape.reduce((product, dim) => (dim === -1 ? product : product * dim), 1);
    const unknown = shape.filter((dim) => dim === -1).length;
    const result = shape.map((dim) => (dim === -1 && known > 0 ? size / known : dim));
    if (unknown > 1 || sizeOf(result) !== size || result.some((dim) => dim < 0 || !Number.isInteger(dim)))
      throw new ShapeError(
        `reshape: ${showShape(x!.shape)} has ${size} elements and does not fit ${showShape(shape)}; the products must be equal, with at most one -1.`,
      );
    return [{ shape: result, dtype: x!.dtype }];
  },
  reference: ([x], { shape }) => {
    const known = shape.reduce((product, dim) => (dim === -1 ? product : product * dim), 1);
    return [{ ...x!, shape: shape.map((dim) => (dim === -1 ? x!.data.length / known : dim)) }];
  },
  grad: ({ dy, inputs: [x] }, f) => [f.reshape(dy, { shape: x!.shape })],
  implementation: { kind: "view" },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(2, 3, 4)], attrs: { shape: [6, 4] } },
    { inputs: [s.randn(2, 3)], attrs: { shape: [-1] } },
    { inputs: [s.randn()], attrs: { shape: [1, 1] } },
    { inputs: [s.randn(0, 3)], attrs: { shape: [3, 0] } },
    { inputs: [s.integers(0, 9, [4, 2], "i32")], attrs: { shape: [2, -1] } },
  ],
  errors: [
    {
      inputs: [type([2, 3])],
      attrs: { shape: [4, 2] },
      message: /reshape: \[2, 3\] has 6 elements.*\[4, 2\]/,
    },
  ],
});

/** Permutes axes: output axis i is input axis perm[i]. */
export const transpose: Op<
  (x: Operand, attrs: { perm: readonly number[] }) => Tensor,
  { perm: readonly number[] }
> = defineOp({
  name: "transpose",
  operands: ["x"],
  attributes: { perm: wholes(required) },
  infer: ([x], { perm }) => {
    movable("transpose", x!);
    if (perm.length !== x!.shape.length || [...perm].sort((a, b) => a - b).some((axis, i) => axis !== i))
      throw new ShapeError(`transpose: perm [${perm}] must name each axis of ${showShape(x!.shape)} once.`);
    return [{ shape: perm.map((axis) => x!.shape[axis]!), dtype: x!.dtype }];
  },
  reference: ([x], { perm }) => [
    stridedReference(
      x!,
      perm.map((axis) => x!.shape[axis]!),
      permuted(x!, perm),
      0,
    ),
  ],
  grad: ({ dy, attrs: { perm } }, f) => [f.transpose(dy, { perm: perm.map((_, i) => perm.indexOf(i)) })],
  implementation: {
    kind: "kernel",
    kernel: stridedKernel(
      (x, { perm }) => permuted(x, perm),
      () => 0,
    ),
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(3, 5)], attrs: { perm: [1, 0] } },
    { inputs: [s.randn(2, 3, 4, 5)], attrs: { perm: [0, 3, 1, 2] } },
    { inputs: [s.randn(7)], attrs: { perm: [0] } },
    { inputs: [s.randn()], attrs: { perm: [] } },
    { inputs: [s.randn(0, 2)], attrs: { perm: [1, 0] } },
    { inputs: [s.integers(0, 99, [13, 17], "i32")], attrs: { perm: [1, 0] } },
    { inputs: [s.randn(127, 131)], attrs: { perm: [1, 0] } },
    { inputs: [s.randn(128, 100)], attrs: { perm: [1, 0] } },
    { inputs: [s.randn(3, 8, 2, 4)], attrs: { perm: [0, 2, 3, 1] } },
    { inputs: [s.randn(4, 3, 5, 8)], attrs: { perm: [3, 2, 1, 0] } },
    { inputs: [s.randn(7, 5, 16, 64)], attrs: { perm: [1, 0, 2, 3] } },
  ],
  errors: [
    {
      inputs: [type([2, 3])],
      attrs: { perm: [0, 0] },
      message: /transpose: perm \[0,0\] must name each axis/,
    },
  ],
});

function permuted(x: TensorType, perm: readonly number[]): Axis[] {
  const strides = stridesOf(x.shape);
  return perm.map((axis) => wholeAxis(x.shape[axis]!, strides[axis]!));
}

/** Elements starts[i] … ends[i]−1 of each axis, every steps[i]-th. */
export const slice: Op<(x: Operand, attrs: SliceAttrs) => Tensor, SliceAttrs> = defineOp({
  name: "slice",
  operands: ["x"],
  attributes: { starts: wholes(required), ends: wholes(required), steps: wholes(optional) },
  infer: ([x], attrs) => {
    movable("slice", x!);
    const { starts, ends, steps } = attrs;
    const rank = x!.shape.length;
    if (starts.length !== rank || ends.length !== rank || (steps && steps.length !== rank))
      throw new ShapeError(
        `slice: starts, ends and steps need ${rank} entries each for ${showShape(x!.shape)}.`,
      );
    x!.shape.forEach((dim, axis) => {
      if (starts[axis]! < 0 || ends[axis]! > dim || starts[axis]! > ends[axis]! || (steps?.[axis] ?? 1) < 1)
        throw new ShapeError(
          `slice: ${starts[axis]}…${ends[axis]} (step ${steps?.[axis] ?? 1}) is outside axis ${axis} of ${showShape(x!.shape)}; use 0 ≤ start ≤ end ≤ ${dim} and a step of at least 1.`,
        );
    });
    return [{ shape: sliceAxes(x!, attrs).map((a) => a.dim), dtype: x!.dtype }];
  },
  reference: ([x], attrs) => {
    const axes = sliceAxes(x!, attrs);
    return [
      stridedReference(
        x!,
        axes.map((a) => a.dim),
        axes,
        0,
      ),
    ];
  },
  grad: ({ dy, inputs: [x], attrs: { starts, steps } }, f) => {
    const interior = x!.shape.map((_, axis) => (steps?.[axis] ?? 1) - 1);
    const spread = dy.shape.map((dim, axis) => (dim === 0 ? 0 : (dim - 1) * (interior[axis]! + 1) + 1));
    const high = x!.shape.map((dim, axis) => dim - starts[axis]! - spread[axis]!);
    return [f.pad(dy, { low: starts, high, interior, value: 0 })];
  },
  implementation: {
    kind: "kernel",
    kernel: stridedKernel(
      (x, attrs) => sliceAxes(x, attrs),
      () => 0,
    ),
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(5, 7)], attrs: { starts: [1, 2], ends: [4, 7] } },
    { inputs: [s.randn(9, 4)], attrs: { starts: [0, 1], ends: [9, 4], steps: [2, 3] } },
    { inputs: [s.randn(3, 4)], attrs: { starts: [1, 0], ends: [1, 4] } },
    { inputs: [s.randn(2, 3, 5, 7)], attrs: { starts: [1, 0, 2, 3], ends: [2, 3, 5, 4] } },
    { inputs: [s.integers(0, 9, [1031], "i32")], attrs: { starts: [7], ends: [1030], steps: [5] } },
    { inputs: [s.randn(70, 9, 64)], attrs: { starts: [1, 3, 16], ends: [70, 8, 48] } },
  ],
  errors: [
    {
      inputs: [type([5, 7])],
      attrs: { starts: [0, 0], ends: [6, 7] },
      message: /slice: 0…6 .* outside axis 0 of \[5, 7\]/,
    },
    {
      inputs: [type([5])],
      attrs: { starts: [0, 0], ends: [1, 1] },
      message: /slice: starts, ends and steps need 1/,
    },
  ],
});

/** Of `pad`: how many elements are put before, behind and between those of each axis. */
export interface PadAttrs {
  readonly low: readonly number[];
  readonly high: readonly number[];
  /** Gaps between neighbouring elements of each axis. */
  readonly interior?: readonly number[];
  /** 0 unless given. */
  readonly value?: number;
}

function padAxes(x: TensorType, { low, high, interior }: PadAttrs): Axis[] {
  const strides = stridesOf(x.shape);
  return x.shape.map((limit, axis) => {
    const hole = (interior?.[axis] ?? 0) + 1;
    const spread = limit === 0 ? 0 : (limit - 1) * hole + 1;
    return {
      dim: low[axis]! + spread + high[axis]!,
      start: -low[axis]!,
      step: 1,
      hole,
      limit,
      stride: strides[axis]!,
    };
  });
}

/** Puts `value` before, after and between the elements of each axis. */
export const pad: Op<(x: Operand, attrs: PadAttrs) => Tensor, PadAttrs & { value: number }> = defineOp({
  name: "pad",
  operands: ["x"],
  attributes: { low: wholes(required), high: wholes(required), interior: wholes(optional), value: 0 },
  infer: ([x], attrs) => {
    movable("pad", x!);
    const rank = x!.shape.length;
    const all = [...attrs.low, ...attrs.high, ...(attrs.interior ?? [])];
    if (
      attrs.low.length !== rank ||
      attrs.high.length !== rank ||
      (attrs.interior && attrs.interior.length !== rank)
    )
      throw new ShapeError(
        `pad: low, high and interior need ${rank} entries each for ${showShape(x!.shape)}.`,
      );
    if (all.some((n) => n < 0 || !Number.isInteger(n)))
      throw new ShapeError(`pad: amounts [${all}] must be whole numbers of at least 0; use slice to cut.`);
    return [{ shape: padAxes(x!, attrs).map((a) => a.dim), dtype: x!.dtype }];
  },
  reference: ([x], attrs) => {
    const axes = padAxes(x!, attrs);
    return [
      stridedReference(
        x!,
        axes.map((a) => a.dim),
        axes,
        x!.dtype === "f32" ? Math.fround(attrs.value) : attrs.value,
      ),
    ];
  },
  grad: ({ dy, inputs: [x], attrs: { low, interior } }, f) => {
    const steps = x!.shape.map((_, axis) => (interior?.[axis] ?? 0) + 1);
    const ends = x!.shape.map((dim, axis) => low[axis]! + (dim === 0 ? 0 : (dim - 1) * steps[axis]! + 1));
    return [f.slice(dy, { starts: low, ends, steps })];
  },
  implementation: {
    kind: "kernel",
    kernel: stridedKernel(
      (x, attrs) => padAxes(x, attrs),
      ({ value }) => value,
    ),
  },
  tolerance: exact,
  empty: ({ value }) => value,
  samples: (s) => [
    { inputs: [s.randn(3, 4)], attrs: { low: [1, 0], high: [2, 3], value: 0 } },
    { inputs: [s.randn(3, 4)], attrs: { low: [0, 1], high: [0, 2], interior: [2, 1], value: -1.5 } },
    { inputs: [s.randn(0, 2)], attrs: { low: [2, 0], high: [1, 0], value: 7 } },
    { inputs: [s.randn(2, 3, 5, 7)], attrs: { low: [0, 0, 1, 1], high: [0, 0, 1, 1], value: 0 } },
    { inputs: [s.randn(63, 9, 32)], attrs: { low: [1, 0, 4], high: [0, 1, 8], value: 3 } },
    { inputs: [s.integers(-9, 9, [257], "i32")], attrs: { low: [3], high: [5], value: 2 } },
    { inputs: [s.integers(-9, 9, [5], "i32")], attrs: { low: [1], high: [0], value: -2147483647 } },
    {
      inputs: [s.randn(3, 4)],
      attrs: { low: [1, 0], high: [0, 2], value: Number.NEGATIVE_INFINITY },
      gradient: false,
    },
  ],
  errors: [
    { inputs: [type([3])], attrs: { low: [-1], high: [0], value: 0 }, message: /pad: amounts .* at least 0/ },
    {
      inputs: [type([3])],
      attrs: { low: [1, 1], high: [0], value: 0 },
      message: /pad: low, high and interior need 1/,
    },
  ],
});

/** Joins tensors along an axis. */
export const concat: Op<
  (tensors: readonly Operand[], attrs?: { axis?: number }) => Tensor,
  { axis: number }
> = defineOp({
  name: "concat",
  operands: ["...tensors"],
  attributes: { axis: whole(0) },
  infer: (inputs, { axis }) => {
    if (inputs.length === 0) throw new ShapeError("concat: needs at least one tensor.");
    const first = inputs[0]!;
    movable("concat", first);
    const at = normalizeAxis("concat", axis, first.shape.length);
    for (const x of inputs)
      if (
        x.dtype !== first.dtype ||
        x.shape.length !== first.shape.length ||
        x.shape.some((d, a) => a !== at && d !== first.shape[a])
      )
        throw new ShapeError(
          `concat: ${inputs.map((i) => `${i.dtype}${showShape(i.shape)}`).join(" and ")} differ in more than axis ${at}; make the others equal.`,
        );
    const shape = [...first.shape];
    shape[at] = inputs.reduce((sum, x) => sum + x.shape[at]!, 0);
    return [{ shape, dtype: first.dtype }];
  },
  reference: (inputs, { axis }) => {
    const first = inputs[0]!;
    const at = normalizeAxis("concat", axis, first.shape.length);
    const shape = [...first.shape];
    shape[at] = inputs.reduce((sum, x) => sum + x.shape[at]!, 0);
    const data = referenceArray(first.dtype, sizeOf(shape));
    const outer = sizeOf(shape.slice(0, at));
    const total = sizeOf(shape.slice(at));
    let from = 0;
    for (const x of inputs) {
      const length = sizeOf(x.shape.slice(at));
      for (let o = 0; o < outer; o++)
        data.set(x.data.subarray(o * length, (o + 1) * length), o * total + from);
      from += length;
    }
    return [{ shape, dtype: first.dtype, data }];
  },
  grad: ({ dy, inputs, attrs: { axis } }, f) => {
    const at = normalizeAxis("concat", axis, dy.shape.length);
    let from = 0;
    return inputs.map((x) => {
      const starts = dy.shape.map((_, a) => (a === at ? from : 0));
      from += x.shape[at]!;
      const ends = dy.shape.map((dim, a) => (a === at ? from : dim));
      return f.slice(dy, { starts, ends });
    });
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs, outputs: [out], attrs, facts }) => {
      const at = normalizeAxis("concat", attrs.axis, out!.shape.length);
      const outer = sizeOf(out!.shape.slice(0, at));
      const total = sizeOf(out!.shape.slice(at));
      const dispatches: Dispatch[] = [];
      let from = 0;
      inputs.forEach((x, i) => {
        const length = sizeOf(x.shape.slice(at));
        if (length > 0) dispatches.push(concatDispatch(i, x.dtype, { outer, length, total, from }, facts));
        from += length;
      });
      return [{ name: "concat", dispatches }];
    },
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(2, 3), s.randn(4, 3)], attrs: { axis: 0 } },
    { inputs: [s.randn(2, 3), s.randn(2, 0), s.randn(2, 5)], attrs: { axis: 1 } },
    { inputs: [s.randn(2, 3, 5), s.randn(2, 1, 5), s.randn(2, 2, 5)], attrs: { axis: -2 } },
    { inputs: [s.randn(130, 64), s.randn(130, 4)], attrs: { axis: 1 } },
    { inputs: [s.integers(0, 9, [129], "i32"), s.integers(0, 9, [1], "i32")], attrs: { axis: 0 } },
    { inputs: [s.randn(3)], attrs: { axis: 0 } },
  ],
  errors: [
    {
      inputs: [type([2, 3]), type([2, 4])],
      attrs: { axis: 0 },
      message: /concat: .*\[2, 3\] and .*\[2, 4\] differ in more than axis 0/,
    },
    { inputs: [], attrs: { axis: 0 }, message: /concat: needs at least one/ },
  ],
});

export interface PackAttrs {
  readonly offsets: readonly number[];
  /** Of the result, in elements. */
  readonly size: number;
  readonly dtype?: DType;
}

/**
 * Lays tensors out at given offsets of one flat tensor of `size` elements, zero elsewhere: how gradients are collected.
 * @internal
 */
export const pack: Op<(tensors: readonly Operand[], attrs: PackAttrs) => Tensor, PackAttrs> = defineOp({
  name: "pack",
  operands: ["...tensors"],
  attributes: { offsets: wholes(required), size: whole(required), dtype: dtype(optional) },
  infer: (inputs, { offsets, size }) => {
    const dtype = inputs[0]?.dtype ?? "f32";
    if (inputs.length !== offsets.length)
      throw new ShapeError(`pack: ${inputs.length} tensors for ${offsets.length} offsets.`);
    let end = 0;
    inputs.forEach((x, i) => {
      if (x.dtype !== dtype)
        throw new ShapeError(
          `pack: tensor ${i} is ${x.dtype}, the first is ${dtype}; pack one dtype at a time.`,
        );
      if (offsets[i]! < end || offsets[i]! + sizeOf(x.shape) > size || offsets[i]! % 64 !== 0)
        throw new ShapeError(
          `pack: tensor ${i} of ${sizeOf(x.shape)} elements at offset ${offsets[i]} overlaps its neighbour, leaves the ${size} elements or is not at a multiple of 64.`,
        );
      end = offsets[i]! + sizeOf(x.shape);
    });
    return [{ shape: [size], dtype }];
  },
  reference: (inputs, { offsets, size }) => {
    const dtype = inputs[0]?.dtype ?? "f32";
    const data = referenceArray(dtype, size);
    inputs.forEach((x, i) => {
      data.set(x.data, offsets[i]!);
    });
    return [{ shape: [size], dtype, data }];
  },
  grad: ({ dy, inputs, attrs: { offsets } }, f) =>
    inputs.map((x, i) =>
      f.reshape(f.slice(dy, { starts: [offsets[i]!], ends: [offsets[i]! + sizeOf(x.shape)] }), {
        shape: x.shape,
      }),
    ),
  implementation: { kind: "pack", offsets: ({ offsets }) => offsets },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(3, 5), s.randn(7)], attrs: { offsets: [0, 64], size: 128 } },
    { inputs: [s.randn(67), s.randn(), s.randn(0, 2)], attrs: { offsets: [64, 192, 256], size: 320 } },
  ],
  errors: [
    {
      inputs: [type([100]), type([3])],
      attrs: { offsets: [0, 64], size: 128 },
      message: /pack: tensor 1 .* overlaps/,
    },
  ],
});
