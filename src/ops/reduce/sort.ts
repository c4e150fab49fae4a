import permuteSource from "../../../shaders/reduce/permute-along.wgsl?raw";
import { whole } from "../../core/attributes.ts";
import { wgslType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { gridOf, input, output, specialize } from "../../core/kernel.ts";
import { type NDArray, referenceArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, required, type Tensor } from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { normalizeAxis, sameShape, showShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { exact } from "../../core/tolerance.ts";
import { rowsAlong } from "./rows.ts";
import { sortVariants } from "./sort-kernel.ts";

/** Of `sort`. */
export interface SortAttrs {
  /** The last unless given. */
  readonly axis?: number;
  readonly descending?: boolean;
}

function check(op: string, x: TensorType, axis: number): void {
  if (!["f32", "i32", "u32"].includes(x.dtype))
    throw new ShapeError(`${op}: input is ${showType(x)}; cast it to f32, i32 or u32 first.`);
  normalizeAxis(op, axis, x.shape.length);
}

/** Negative where a comes before b in rising order: NaN is the greatest, and 0 is no more than −0. */
function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

function sorted(x: NDArray, { axis, descending }: Required<SortAttrs>): NDArray[] {
  const { rows, length, place } = rowsAlong("sort", x, axis);
  const values = referenceArray(x.dtype, x.data.length);
  const indices = new Int32Array(x.data.length);
  const sign = descending ? -1 : 1;
  for (let row = 0; row < rows; row++) {
    const order = Array.from({ length }, (_, k) => k);
    order.sort((a, b) => sign * compare(x.data[place(row, a)]!, x.data[place(row, b)]!));
    order.forEach((from, k) => {
      values[place(row, k)] = x.data[place(row, from)]!;
      indices[place(row, k)] = from;
    });
  }
  return [
    { shape: x.shape, dtype: x.dtype, data: values },
    { shape: x.shape, dtype: "i32", data: indices },
  ];
}

const notFinite = (s: Sampler) =>
  s.values(
    [3, Number.NaN, -1, 0, Number.POSITIVE_INFINITY, -0, Number.NaN, Number.NEGATIVE_INFINITY],
    [2, 4],
  );

/**
 * The elements of x in rising or falling order along an axis, and where each was (i32): torch.sort with stable=True. Equal
 * elements, −0 and 0 among them, keep their order; NaN counts as greater than any number. The gradient goes to where each
 * element was.
 */
export const sort: Op<
  (x: Operand, attrs?: SortAttrs) => readonly [values: Tensor, indices: Tensor],
  Required<SortAttrs>
> = defineOp({
  name: "sort",
  operands: ["x"],
  attributes: { axis: whole(-1), descending: false },
  infer: ([x], { axis }) => {
    check("sort", x, axis);
    return [
      { shape: x.shape, dtype: x.dtype },
      { shape: x.shape, dtype: "i32" },
    ];
  },
  reference: ([x], attrs) => sorted(x, attrs),
  grad: ({ dy, outputs: [, indices], attrs: { axis } }) => [
    permuteAlong(dy, indices, { axis, inverse: true }),
  ],
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [x], attrs: { axis, descending }, facts }) =>
      sortVariants(x!, axis, descending, facts),
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.distinct(5, 7)] },
    { inputs: [s.distinct(3, 6, 4)], attrs: { axis: 1, descending: true } },
    { inputs: [s.distinct(300)] },
    { inputs: [s.integers(0, 9, [3, 131])], name: "ties", gradient: false },
    {
      inputs: [s.integers(0, 3, [1031, 2])],
      attrs: { axis: 0, descending: true },
      name: "ties",
      gradient: false,
    },
    { inputs: [s.integers(-99, 99, [2, 67], "i32")], attrs: { descending: true } },
    { inputs: [s.values([5, 2 ** 32 - 1, 0, 2 ** 31], [4], "u32")] },
    { inputs: [notFinite(s)], name: "not finite", gradient: false },
    { inputs: [notFinite(s)], attrs: { descending: true }, name: "not finite", gradient: false },
    { inputs: [s.randn(0, 3)], gradient: false },
    { inputs: [s.randn(1)] },
  ],
  errors: [
    { inputs: [type([2, 3])], attrs: { axis: 2 }, message: /sort: axis 2 does not exist/ },
    { inputs: [type([2], "bool")], message: /sort: input is bool\[2\]; cast it to f32, i32 or u32/ },
  ],
});

export interface PermuteAlongAttrs {
  readonly axis: number;
  /** Back from that order. */
  readonly inverse?: boolean;
}

/**
 * The elements of x along an axis in the order that indices (i32, of x's shape) say, y[k] = x[indices[k]], or back from it,
 * y[indices[k]] = x[k]. Each row's indices name every place once, as those of `sort` do.
 * @internal
 */
export const permuteAlong: Op<
  (x: Operand, indices: Operand, attrs: PermuteAlongAttrs) => Tensor,
  Required<PermuteAlongAttrs>
> = defineOp({
  name: "permuteAlong",
  operands: ["x", "indices"],
  attributes: { axis: whole(required), inverse: false },
  infer: ([x, indices], { axis }) => {
    check("permuteAlong", x, axis);
    if (indices.dtype !== "i32" || !sameShape(indices.shape, x.shape))
      throw new ShapeError(`permuteAlong: indices are ${showType(indices)}; use i32${showShape(x.shape)}.`);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  reference: ([x, indices], { axis, inverse }) => {
    const { rows, length, place } = rowsAlong("permuteAlong", x, axis);
    const data = referenceArray(x.dtype, x.data.length);
    for (let row = 0; row < rows; row++)
      for (let k = 0; k < length; k++) {
        const [at, other] = [place(row, k), place(row, indices.data[place(row, k)]!)];
        data[inverse ? other : at] = x.data[inverse ? at : other]!;
      }
    return [{ shape: x.shape, dtype: x.dtype, data }];
  },
  grad: ({ dy, inputs: [, indices], attrs: { axis, inverse } }) => [
    permuteAlong(dy, indices, { axis, inverse: !inverse }),
    null,
  ],
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [x], attrs: { axis, inverse }, facts }) => {
      const { length, inner } = rowsAlong("permuteAlong", x!, axis);
      const count = sizeOf(x!.shape);
      return [
        {
          name: "permute",
          dispatches: [
            {
              kernel: "permuteAlong",
              source: specialize(permuteSource, {
                Element: wgslType(x!.dtype),
                COUNT: count,
                LENGTH: length,
                INNER: inner,
                INVERSE: inverse,
              }),
              bindings: [input(0), input(1), output()],
              workgroups: gridOf(Math.ceil(count / 64), facts),
              bytes: 12 * count,
            },
          ],
        },
      ];
    },
  },
  tolerance: exact,
  samples: (s) =>
    [false, true].flatMap((inverse) => [
      {
        inputs: [s.randn(2, 4), s.values([3, 1, 0, 2, 0, 1, 3, 2], [2, 4], "i32")],
        attrs: { axis: 1, inverse },
      },
      {
        inputs: [s.randn(3, 2, 2), s.values([1, 2, 0, 0, 2, 0, 1, 1, 0, 1, 2, 2], [3, 2, 2], "i32")],
        attrs: { axis: 0, inverse },
      },
      {
        inputs: [s.integers(0, 9, [0, 3], "i32"), s.integers(0, 2, [0, 3], "i32")],
        attrs: { axis: 1, inverse },
      },
    ]),
  errors: [
    {
      inputs: [type([2, 3]), type([2, 3])],
      attrs: { axis: 1 },
      message: /permuteAlong: indices are f32\[2, 3\]; use i32\[2, 3\]/,
    },
  ],
});

/** Of `topK`. */
export interface TopKAttrs {
  /** How many. */
  readonly k: number;
  /** The last unless given. */
  readonly axis?: number;
  /** The largest unless false: then the smallest. */
  readonly largest?: boolean;
}

function shortened(x: TensorType, { axis, k }: Required<TopKAttrs>): number[] {
  check("topK", x, axis);
  const at = normalizeAxis("topK", axis, x.shape.length);
  if (!Number.isInteger(k) || k < 0 || k > x.shape[at]!)
    throw new ShapeError(`topK: k is ${k} for axis ${at} of ${showType(x)}; use 0…${x.shape[at]}.`);
  return x.shape.map((dim, a) => (a === at ? k : dim));
}

/**
 * The k largest (or smallest) elements along an axis, the first of them first, and where they were (i32): torch.topk. They
 * are the beginning of what `sort` gives, ties and NaN included.
 */
export const topK: Op<
  (x: Operand, attrs: TopKAttrs) => readonly [values: Tensor, indices: Tensor],
  Required<TopKAttrs>
> = defineOp({
  name: "topK",
  operands: ["x"],
  attributes: { k: whole(required), axis: whole(-1), largest: true },
  infer: ([x], attrs) => {
    const shape = shortened(x, attrs);
    return [
      { shape, dtype: x.dtype },
      { shape, dtype: "i32" },
    ];
  },
  reference: ([x], attrs) => {
    const shape = shortened(x, attrs);
    const { rows, place } = rowsAlong("topK", x, attrs.axis);
    const to = rowsAlong("topK", { shape, dtype: x.dtype }, attrs.axis);
    return sorted(x, { axis: attrs.axis, descending: attrs.largest }).map(({ dtype, data }) => {
      const kept = referenceArray(dtype, sizeOf(shape));
      for (let row = 0; row < rows; row++)
        for (let k = 0; k < attrs.k; k++) kept[to.place(row, k)] = data[place(row, k)]!;
      return { shape, dtype, data: kept };
    });
  },
  implementation: {
    kind: "composition",
    compose: ([x], attrs, f) => {
      const ends = shortened(x, attrs);
      const starts = ends.map(() => 0);
      return sort(x, { axis: attrs.axis, descending: attrs.largest }).map((y) =>
        f.slice(y, { starts, ends }),
      );
    },
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.distinct(5, 7)], attrs: { k: 3 } },
    { inputs: [s.distinct(9, 4)], attrs: { k: 2, axis: 0, largest: false } },
    { inputs: [s.integers(0, 9, [2, 300])], attrs: { k: 5 }, name: "ties", gradient: false },
    { inputs: [s.integers(0, 9, [6], "i32")], attrs: { k: 6 } },
    { inputs: [notFinite(s)], attrs: { k: 2 }, name: "not finite", gradient: false },
    { inputs: [s.distinct(3, 2)], attrs: { k: 0 }, gradient: false },
  ],
  errors: [
    { inputs: [type([2, 3])], attrs: { k: 4 }, message: /topK: k is 4 for axis 1 of f32\[2, 3\]; use 0…3/ },
    { inputs: [type([2], "bool")], attrs: { k: 1 }, message: /topK: input is bool\[2\]; cast/ },
  ],
});
