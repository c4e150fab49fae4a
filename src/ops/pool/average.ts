import averageSource from "../../../shaders/pool/average.wgsl?raw";
import averageGradSource from "../../../shaders/pool/average-grad.wgsl?raw";
import averageGradPairsSource from "../../../shaders/pool/average-grad-pairs.wgsl?raw";
import averagePairsSource from "../../../shaders/pool/average-pairs.wgsl?raw";
import { wholes } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { input, output } from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, required, type Tensor, type Unary } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { showType, sizeOf } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import type { Pair } from "../conv/shape.ts";
import { GEOMETRIES, gradErrors, POOL, poolErrors } from "./cases.ts";
import { columnsUnder, pairsVariant, poolDispatch, windowsOver } from "./kernel.ts";
import {
  type AveragePoolAttrs,
  type AveragePoolGradAttrs,
  type AveragePoolOptions,
  forEachWindow,
  inferPool,
  inferPoolGrad,
  planeOf,
  resolvePool,
} from "./shape.ts";

export type { AveragePoolAttrs };

/** How much of the padding counts. */
const counted = ({ countIncludePad = true, padding }: AveragePoolAttrs): Pair =>
  countIncludePad ? padding : [0, 0];

/** How many elements a window's sum is divided by: those within the image, or within its padding too. */
function windowSize(attrs: AveragePoolAttrs, size: Pair, row: number, column: number): number {
  const { kernel, stride, padding } = attrs;
  const edge = counted(attrs);
  const [rows, columns] = [row, column].map((window, axis) => {
    const start = window * stride[axis]! - padding[axis]!;
    return Math.min(start + kernel[axis]!, size[axis]! + edge[axis]!) - Math.max(start, -edge[axis]!);
  });
  return rows! * columns!;
}

/** What the shaders divide by: a window's whole size, or what windowSize gives. */
const divisors = (attrs: AveragePoolAttrs) => ({
  WHOLE: (attrs.countIncludePad ?? true) && !attrs.ceilMode,
  COUNTED_H: counted(attrs)[0],
  COUNTED_W: counted(attrs)[1],
});

/**
 * The mean of each window of [N, C, H, W]; padding counts as zeros unless countIncludePad is false, and what a window of
 * ceilMode has beyond it never does. As torch.nn.functional.avg_pool2d.
 */
export const avgPool2d: Op<(x: Operand, attrs: AveragePoolOptions) => Tensor, AveragePoolAttrs> = defineOp({
  name: "avgPool2d",
  operands: ["x"],
  attributes: { ...POOL, countIncludePad: true },
  resolve: resolvePool,
  infer: ([x], attrs) => [inferPool("avgPool2d", x, attrs)],
  reference: ([x], attrs) => {
    const type = inferPool("avgPool2d", x, attrs);
    const w = x.shape[3]!;
    const data = new Float64Array(sizeOf(type.shape));
    const size = planeOf(x);
    const [oh, ow] = planeOf(type);
    forEachWindow(x.shape, attrs, (o, base, top, bottom, left, right) => {
      let sum = 0;
      for (let row = top; row < bottom; row++)
        for (let i = base + row * w + left; i < base + row * w + right; i++) sum += x.data[i]!;
      data[o] = sum / windowSize(attrs, size, Math.floor(o / ow) % oh, o % ow);
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
      const rest = {
        bindings: (from: number, to: number) => [
          input(0, "x", { width: from }),
          output(0, "out", { width: to }),
        ],
        bytes: 4 * (sizeOf(x!.shape) + count),
      };
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
          constants: divisors(attrs),
        },
      );
      return [
        ...pairsVariant("avgPool2d", averagePairsSource, 4, x!.shape, attrs, facts, rest),
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

/**
 * Gradient of avgPool2d: each pixel gathers its share from the windows that hold it.
 * @internal
 */
export const avgPool2dGrad: Op<(dy: Operand, attrs: AveragePoolGradAttrs) => Tensor, AveragePoolGradAttrs> =
  defineOp({
    name: "avgPool2dGrad",
    operands: ["dy"],
    attributes: { ...POOL, countIncludePad: true, size: wholes(required) },
    resolve: resolvePool<AveragePoolGradAttrs>,
    infer: ([dy], attrs) => [inferPoolGrad("avgPool2dGrad", dy, attrs)],
    reference: ([dy], attrs) => {
      const type = inferPoolGrad("avgPool2dGrad", dy, attrs);
      const w = attrs.size[1];
      const [oh, ow] = planeOf(dy);
      const data = new Float64Array(sizeOf(type.shape));
      forEachWindow(type.shape, attrs, (o, base, top, bottom, left, right) => {
        const share = dy.data[o]! / windowSize(attrs, attrs.size, Math.floor(o / ow) % oh, o % ow);
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
        const rest = {
          bindings: (from: number, to: number) => [
            input(0, "dy", { width: from }),
            output(0, "dx", { width: to }),
          ],
          bytes: 4 * (count + sizeOf(dy!.shape)),
        };
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
            constants: divisors(attrs),
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
    if (x.dtype !== "f32" || x.shape.length !== 4)
      throw new ShapeError(`globalAvgPool2d: input is ${showType(x)}; use f32 [N, C, H, W].`);
    return [{ shape: x.shape.slice(0, 2), dtype: "f32" }];
  },
  reference: ([x]) => {
    const shape = x.shape.slice(0, 2);
    const plane = x.shape[2]! * x.shape[3]!;
    const data = new Float64Array(sizeOf(shape));
    for (let o = 0; o < data.length; o++) {
      let sum = 0;
      for (let i = o * plane; i < (o + 1) * plane; i++) sum += x.data[i]!;
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
