import averageSource from "../../../shaders/pool/average.wgsl?raw";
import averageGradSource from "../../../shaders/pool/average-grad.wgsl?raw";
import averageGradPairsSource from "../../../shaders/pool/average-grad-pairs.wgsl?raw";
import averagePairsSource from "../../../shaders/pool/average-pairs.wgsl?raw";
import maxSource from "../../../shaders/pool/max.wgsl?raw";
import maxGradSource from "../../../shaders/pool/max-grad.wgsl?raw";
import maxGradPairsSource from "../../../shaders/pool/max-grad-pairs.wgsl?raw";
import maxIndexSource from "../../../shaders/pool/max-index.part.wgsl?raw";
import maxPairsSource from "../../../shaders/pool/max-pairs.wgsl?raw";
import { ShapeError } from "../../core/errors.ts";
import { input, output } from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import {
  defineOp,
  type Op,
  type Operand,
  optional,
  required,
  type Tensor,
  type Unary,
} from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { showShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { accumulated, exact } from "../../core/tolerance.ts";
import { columnsUnder, pairsVariant, poolDispatch, windowsOver } from "./kernel.ts";
import {
  type AveragePoolAttrs,
  type AveragePoolGradAttrs,
  type AveragePoolOptions,
  forEachWindow,
  inferPool,
  inferPoolGrad,
  type Pair,
  type PoolAttrs,
  type PoolGradAttrs,
  type PoolOptions,
  resolvePool,
} from "./shape.ts";

export type { AveragePoolAttrs, PoolAttrs };

function maxPoolReference(x: NDArray, attrs: PoolAttrs): NDArray[] {
  const type = inferPool("maxPool2d", x, attrs);
  const w = x.shape[3]!;
  const data = new Float64Array(sizeOf(type.shape));
  const index = new Int32Array(data.length);
  forEachWindow(x.shape, attrs, (o, base, top, bottom, left, right) => {
    let at = top * w + left;
    let best = x.data[base + at]!;
    for (let row = top; row < bottom; row++)
      for (let i = row * w + left; i < row * w + right; i++) {
        const v = x.data[base + i]!;
        if (v > best || Number.isNaN(v)) {
          best = v;
          at = i;
        }
      }
    data[o] = best;
    index[o] = at;
  });
  return [
    { ...type, data },
    { shape: type.shape, dtype: "i32", data: index },
  ];
}

/** Geometries on which the pools are tried: the usual ones, vectors of several channels, overlap, padding, strides past the kernel, one element. */
const GEOMETRIES: readonly { shape: readonly number[]; attrs: PoolAttrs }[] = [
  { shape: [2, 3, 8, 8], attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } },
  { shape: [2, 4, 2, 4], attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } },
  { shape: [2, 3, 7, 5], attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } },
  { shape: [2, 3, 9, 11], attrs: { kernel: [3, 3], stride: [2, 2], padding: [1, 1] } },
  { shape: [1, 2, 13, 7], attrs: { kernel: [3, 2], stride: [1, 3], padding: [0, 1] } },
  { shape: [2, 1, 2, 40], attrs: { kernel: [1, 20], stride: [1, 1], padding: [0, 0] } },
  { shape: [1, 1, 1, 1], attrs: { kernel: [1, 1], stride: [1, 1], padding: [0, 0] } },
  { shape: [5, 4, 7, 7], attrs: { kernel: [7, 7], stride: [7, 7], padding: [3, 3] } },
  { shape: [0, 3, 4, 4], attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } },
  { shape: [16, 16, 32, 32], attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } },
];

const GEOMETRY_ERRORS: readonly { attrs: PoolAttrs; message: string }[] = [
  {
    attrs: { kernel: [2, 2], stride: [0, 1], padding: [0, 0] },
    message: "kernel .* stride \\[0,1\\] .* must be two whole numbers",
  },
  {
    attrs: { kernel: [3, 3], stride: [1, 1], padding: [2, 1] },
    message: "padding \\[2,1\\] is more than half the kernel",
  },
  {
    attrs: { kernel: [5, 5], stride: [1, 1], padding: [0, 0] },
    message: "a window of 5×5 does not fit an image of 4×4 .* use a smaller kernel",
  },
];

const poolErrors = (name: string) => [
  ...GEOMETRY_ERRORS.map(({ attrs, message }) => ({
    inputs: [type([1, 1, 4, 4])],
    attrs,
    message: new RegExp(`${name}: ${message}`),
  })),
  {
    inputs: [type([4, 4])],
    attrs: GEOMETRIES[0]!.attrs,
    message: new RegExp(`${name}: input is f32\\[4, 4\\]; use f32 \\[N, C, H, W\\]`),
  },
];

const POOL = { kernel: required, stride: optional, padding: 0 };

/** Height and width of images [N, C, H, W]. */
const planeOf = ({ shape }: TensorType): Pair => [shape[2]!, shape[3]!];

/**
 * The maximum of each window, and its index within the plane (i32, not differentiable).
 *
 * The first of equal elements is taken and gets the gradient; NaN wins over every number: both as in PyTorch.
 */
export const maxPool2d: Op<(x: Operand, attrs: PoolOptions) => Tensor, PoolAttrs> = defineOp({
  name: "maxPool2d",
  operands: ["x"],
  attributes: POOL,
  resolve: resolvePool,
  first: true,
  infer: ([x], attrs) => {
    const result = inferPool("maxPool2d", x!, attrs);
    return [result, { shape: result.shape, dtype: "i32" }];
  },
  reference: ([x], attrs) => maxPoolReference(x!, attrs),
  grad: ({ dy, inputs: [x], outputs: [, index], attrs }) => [
    maxPool2dGrad(index, dy, { ...attrs, size: planeOf(x) }),
  ],
  implementation: {
    kind: "kernel",
    loads: [0],
    half: { inputs: [0], outputs: [0] },
    stores: true,
    kernel: ({ inputs: [x], outputs: [out], attrs, facts, unread }) => {
      const kept = unread?.has(1) ? 1 : 2;
      const index = kept === 2 ? maxIndexSource : "fn keep_index(i: u32, at: IndexVector) {}";
      const rest = {
        bindings: [input(0), output(0), output(1)].slice(0, 1 + kept),
        bytes: 4 * (sizeOf(x!.shape) + kept * sizeOf(out!.shape)),
        constants: { CHANNELS: x!.shape[1]! },
      };
      const [window, pairs] = [maxSource, maxPairsSource].map((source) => [source, index].join("\n"));
      const name = "maxPool2d";
      const span = columnsUnder(attrs);
      return [
        ...pairsVariant(name, pairs!, 4, x!.shape, attrs, facts, {
          ...rest,
          constants: { ...rest.constants, OH: out!.shape[2]! },
        }),
        {
          name: "window",
          dispatches: [
            poolDispatch(`${name}/window`, window!, out!.shape, x!.shape, attrs, span, facts, rest),
          ],
        },
      ];
    },
  },
  tolerance: exact,
  samples: (s) => [
    ...GEOMETRIES.map(({ shape, attrs }) => ({ inputs: [s.distinct(...shape)], attrs })),
    {
      name: "ties and NaN",
      inputs: [
        s.values(
          [1, 1, 1, 1, Number.NaN, 2, 3, 3, -5, -5, -4, Number.NaN, -5, -9, 0, Number.NaN, -1, -2, -0, 0],
          [1, 1, 4, 5],
        ),
      ],
      attrs: { kernel: [2, 2], stride: [1, 1], padding: [1, 1] },
      gradient: false,
    },
  ],
  errors: poolErrors("maxPool2d"),
});

const gradErrors = (name: string, before: readonly TensorType[]) => [
  {
    inputs: [...before, type([1, 1, 3, 3])],
    attrs: { ...GEOMETRIES[0]!.attrs, size: [4, 4] as Pair },
    message: new RegExp(
      `${name}: dy is f32\\[1, 1, 3, 3\\]; an image of 4×4 has a gradient of f32 \\[N, C, 2, 2\\]`,
    ),
  },
];

/** Gradient of maxPool2d from the indices it found: each pixel gathers from the windows whose maximum it is. */
export const maxPool2dGrad: Op<(index: Operand, dy: Operand, attrs: PoolGradAttrs) => Tensor, PoolGradAttrs> =
  defineOp({
    name: "maxPool2dGrad",
    operands: ["index", "dy"],
    attributes: { ...POOL, size: required },
    resolve: resolvePool<PoolGradAttrs>,
    infer: ([index, dy], attrs) => {
      const result = inferPoolGrad("maxPool2dGrad", dy!, attrs);
      if (index!.dtype !== "i32" || index!.shape.some((dim, axis) => dim !== dy!.shape[axis]))
        throw new ShapeError(
          `maxPool2dGrad: index is ${showType(index!)}; use maxPool2d's second result, i32${showShape(dy!.shape)}.`,
        );
      return [result];
    },
    reference: ([index, dy], attrs) => {
      const type = inferPoolGrad("maxPool2dGrad", dy!, attrs);
      const data = new Float64Array(sizeOf(type.shape));
      const window = dy!.shape[2]! * dy!.shape[3]!;
      const plane = attrs.size[0] * attrs.size[1];
      for (let o = 0; o < dy!.data.length; o++)
        data[Math.floor(o / window) * plane + index!.data[o]!]! += dy!.data[o]!;
      return [{ ...type, data }];
    },
    implementation: {
      kind: "kernel",
      half: { inputs: [1], outputs: [0] },
      stores: true,
      kernel: ({ inputs: [index], outputs: [dx], attrs, facts }) => {
        const count = sizeOf(dx!.shape);
        const rest = {
          bindings: [input(0), input(1), output()],
          bytes: 4 * (count + 2 * sizeOf(index!.shape)),
        };
        const gather = poolDispatch(
          "maxPool2dGrad/gather",
          maxGradSource,
          dx!.shape,
          dx!.shape,
          attrs,
          windowsOver(attrs),
          facts,
          rest,
        );
        return [
          ...pairsVariant("maxPool2dGrad", maxGradPairsSource, 2, dx!.shape, attrs, facts, {
            ...rest,
            constants: { OH: index!.shape[2]! },
          }),
          { name: "gather", dispatches: [gather] },
        ];
      },
    },
    tolerance: accumulated(
      (_, { kernel, stride }) => Math.ceil(kernel[0] / stride[0]) * Math.ceil(kernel[1] / stride[1]),
    ),
    samples: (s) => [
      ...GEOMETRIES.map((geometry) => maxGradSample(s, geometry, (shape) => s.randn(...shape))),
      {
        ...maxGradSample(s, GEOMETRIES[3]!, (shape) => s.integers(-8, 8, shape)),
        name: "integers",
        exact: true,
      },
    ],
    errors: [
      ...gradErrors("maxPool2dGrad", [type([1, 1, 3, 3], "i32")]),
      {
        inputs: [type([1, 1, 2, 2]), type([1, 1, 2, 2])],
        attrs: { ...GEOMETRIES[0]!.attrs, size: [4, 4] },
        message: /maxPool2dGrad: index is f32.*use maxPool2d's second result/,
      },
    ],
  });

function maxGradSample(
  s: Sampler,
  { shape, attrs }: (typeof GEOMETRIES)[number],
  draw: (shape: readonly number[]) => NDArray,
) {
  const [y, index] = maxPoolReference(s.distinct(...shape), attrs);
  return { inputs: [index!, draw(y!.shape)], attrs: { ...attrs, size: [shape[2]!, shape[3]!] as Pair } };
}

/** How many elements a window's sum is divided by. */
const windowSize = (attrs: AveragePoolAttrs, rows: number, columns: number) =>
  (attrs.countIncludePad ?? true) ? attrs.kernel[0] * attrs.kernel[1] : rows * columns;

/** The mean of each window; padding counts as zeros unless countIncludePad is false. */
export const avgPool2d: Op<(x: Operand, attrs: AveragePoolOptions) => Tensor, AveragePoolAttrs> = defineOp({
  name: "avgPool2d",
  operands: ["x"],
  attributes: { ...POOL, countIncludePad: true },
  resolve: resolvePool,
  infer: ([x], attrs) => [inferPool("avgPool2d", x!, attrs)],
  reference: ([x], attrs) => {
    const type = inferPool("avgPool2d", x!, attrs);
    const w = x!.shape[3]!;
    const data = new Float64Array(sizeOf(type.shape));
    forEachWindow(x!.shape, attrs, (o, base, top, bottom, left, right) => {
      let sum = 0;
      for (let row = top; row < bottom; row++)
        for (let i = base + row * w + left; i < base + row * w + right; i++) sum += x!.data[i]!;
      data[o] = sum / windowSize(attrs, bottom - top, right - left);
    });
    return [{ ...type, data }];
  },
  grad: ({ dy, inputs: [x], attrs }) => [avgPool2dGrad(dy, { ...attrs, size: planeOf(x) })],
  implementation: {
    kind: "kernel",
    half: { inputs: [0], outputs: [0] },
    stores: true,
    kernel: ({ inputs: [x], outputs: [out], attrs, facts }) => {
      const count = sizeOf(out!.shape);
      const rest = { bindings: [input(0), output()], bytes: 4 * (sizeOf(x!.shape) + count) };
      const window = poolDispatch(
        "avgPool2d/window",
        averageSource,
        out!.shape,
        x!.shape,
        attrs,
        columnsUnder(attrs),
        facts,
        {
          ...rest,
          constants: { CHANNELS: x!.shape[1]!, COUNT_PADDING: attrs.countIncludePad ?? true },
        },
      );
      return [
        ...pairsVariant("avgPool2d", averagePairsSource, 4, x!.shape, attrs, facts, {
          ...rest,
          constants: { CHANNELS: x!.shape[1]!, OH: out!.shape[2]! },
        }),
        { name: "window", dispatches: [window] },
      ];
    },
  },
  tolerance: accumulated((_, { kernel }) => kernel[0] * kernel[1]),
  samples: (s) => [
    ...GEOMETRIES.map(({ shape, attrs }) => ({ inputs: [s.randn(...shape)], attrs })),
    ...averageExtras((shape) => [s.integers(-8, 8, shape)]),
  ],
  errors: poolErrors("avgPool2d"),
});

/** Windows of 2 and 4 elements, whose division is exact; and padding that is not counted. */
function averageExtras(inputs: (shape: readonly number[]) => NDArray[]) {
  const attrs: AveragePoolAttrs = { kernel: [2, 2], stride: [1, 1], padding: [1, 1], countIncludePad: false };
  return [
    { name: "padding not counted", inputs: inputs([2, 3, 5, 7]), attrs, exact: true },
    {
      name: "integers",
      inputs: inputs([1, 2, 6, 6]),
      attrs: { ...attrs, countIncludePad: true },
      exact: true,
    },
  ];
}

/** Gradient of avgPool2d: each pixel gathers its share from the windows that hold it. */
export const avgPool2dGrad: Op<(dy: Operand, attrs: AveragePoolGradAttrs) => Tensor, AveragePoolGradAttrs> =
  defineOp({
    name: "avgPool2dGrad",
    operands: ["dy"],
    attributes: { ...POOL, countIncludePad: true, size: required },
    resolve: resolvePool<AveragePoolGradAttrs>,
    infer: ([dy], attrs) => [inferPoolGrad("avgPool2dGrad", dy!, attrs)],
    reference: ([dy], attrs) => {
      const type = inferPoolGrad("avgPool2dGrad", dy!, attrs);
      const w = attrs.size[1];
      const data = new Float64Array(sizeOf(type.shape));
      forEachWindow(type.shape, attrs, (o, base, top, bottom, left, right) => {
        const share = dy!.data[o]! / windowSize(attrs, bottom - top, right - left);
        for (let row = top; row < bottom; row++)
          for (let i = base + row * w + left; i < base + row * w + right; i++) data[i]! += share;
      });
      return [{ ...type, data }];
    },
    grad: ({ dy, attrs: { size: _, ...attrs } }) => [avgPool2d(dy, attrs)],
    implementation: {
      kind: "kernel",
      half: { inputs: [0], outputs: [0] },
      stores: true,
      kernel: ({ inputs: [dy], outputs: [dx], attrs, facts }) => {
        const count = sizeOf(dx!.shape);
        const rest = { bindings: [input(0), output()], bytes: 4 * (count + sizeOf(dy!.shape)) };
        const gather = poolDispatch(
          "avgPool2dGrad/gather",
          averageGradSource,
          dx!.shape,
          dx!.shape,
          attrs,
          windowsOver(attrs),
          facts,
          {
            ...rest,
            constants: { COUNT_PADDING: attrs.countIncludePad ?? true },
          },
        );
        return [
          ...pairsVariant("avgPool2dGrad", averageGradPairsSource, 2, dx!.shape, attrs, facts, rest),
          { name: "gather", dispatches: [gather] },
        ];
      },
    },
    // Each of the terms is a quotient, good to 2.5 ulp.
    tolerance: accumulated(
      (_, { kernel, stride }) => Math.ceil(kernel[0] / stride[0]) * Math.ceil(kernel[1] / stride[1]),
      { factor: 2 },
    ),
    samples: (s) => [
      ...GEOMETRIES.map(({ shape, attrs }) => averageGradSample(attrs, shape, (y) => s.randn(...y))),
      ...averageExtras(() => []).map(({ name, attrs }) => ({
        ...averageGradSample(attrs, [2, 3, 6, 6], (y) => s.integers(-8, 8, y)),
        name,
        exact: true,
      })),
    ],
    errors: gradErrors("avgPool2dGrad", []),
  });

function averageGradSample(
  attrs: AveragePoolAttrs,
  shape: readonly number[],
  draw: (shape: readonly number[]) => NDArray,
) {
  const y = inferPool("avgPool2dGrad", type(shape), attrs);
  return { inputs: [draw(y.shape)], attrs: { ...attrs, size: [shape[2]!, shape[3]!] as Pair } };
}

/** The mean of each plane: [N, C, H, W] → [N, C]. */
export const globalAvgPool2d: Op<Unary> = defineOp({
  name: "globalAvgPool2d",
  operands: ["x"],
  infer: ([x]) => {
    if (x!.dtype !== "f32" || x!.shape.length !== 4)
      throw new ShapeError(`globalAvgPool2d: input is ${showType(x!)}; use f32 [N, C, H, W].`);
    return [{ shape: x!.shape.slice(0, 2), dtype: "f32" }];
  },
  reference: ([x]) => {
    const shape = x!.shape.slice(0, 2);
    const plane = x!.shape[2]! * x!.shape[3]!;
    const data = new Float64Array(sizeOf(shape));
    for (let o = 0; o < data.length; o++) {
      let sum = 0;
      for (let i = o * plane; i < (o + 1) * plane; i++) sum += x!.data[i]!;
      data[o] = sum / plane;
    }
    return [{ shape, dtype: "f32", data }];
  },
  implementation: { kind: "composition", compose: ([x], _, f) => [f.mean(x, { axes: [2, 3] })] },
  tolerance: accumulated(([x]) => x!.shape[2]! * x!.shape[3]!),
  samples: (s) => [
    { inputs: [s.randn(2, 3, 7, 7)] },
    { inputs: [s.randn(1, 1, 1, 1)] },
    { inputs: [s.randn(3, 5, 31, 17)] },
    { name: "integers", inputs: [s.integers(-8, 8, [2, 5, 8, 8])], exact: true },
  ],
  errors: [
    {
      inputs: [type([2, 3, 4])],
      message: /globalAvgPool2d: input is f32\[2, 3, 4\]; use f32 \[N, C, H, W\]/,
    },
  ],
});
