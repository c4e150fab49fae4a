import maxSource from "../../../shaders/pool/max.wgsl?raw";
import maxGradSource from "../../../shaders/pool/max-grad.wgsl?raw";
import maxGradPairsSource from "../../../shaders/pool/max-grad-pairs.wgsl?raw";
import maxIndexSource from "../../../shaders/pool/max-index.part.wgsl?raw";
import maxPairsSource from "../../../shaders/pool/max-pairs.wgsl?raw";
import maxPickSource from "../../../shaders/pool/max-pick.wgsl?raw";
import { wholes } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { gridOf, input, output, specialize } from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, required, type Tensor } from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { sameShape, showShape, showType, sizeOf } from "../../core/shape.ts";
import { accumulated, exact } from "../../core/tolerance.ts";
import type { Pair } from "../conv/shape.ts";
import { GEOMETRIES, gradErrors, POOL, poolErrors } from "./cases.ts";
import { columnsUnder, pairsVariant, poolDispatch, windowsOver } from "./kernel.ts";
import {
  forEachWindow,
  inferPool,
  inferPoolGrad,
  type PoolAttrs,
  type PoolGradAttrs,
  type PoolOptions,
  planeOf,
  resolvePool,
} from "./shape.ts";

export type { PoolAttrs };

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
    const result = inferPool("maxPool2d", x, attrs);
    return [result, { shape: result.shape, dtype: "i32" }];
  },
  reference: ([x], attrs) => maxPoolReference(x, attrs),
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
        bindings: (from: number, to: number) =>
          [input(0, "x", { width: from, slots: 1 }), output(0, "out", { width: to }), output(1)].slice(
            0,
            1 + kept,
          ),
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

/**
 * Gradient of maxPool2d from the indices it found: each pixel gathers from the windows whose maximum it is.
 * @internal
 */
export const maxPool2dGrad: Op<(index: Operand, dy: Operand, attrs: PoolGradAttrs) => Tensor, PoolGradAttrs> =
  defineOp({
    name: "maxPool2dGrad",
    operands: ["index", "dy"],
    attributes: { ...POOL, size: wholes(required) },
    resolve: resolvePool<PoolGradAttrs>,
    infer: ([index, dy], attrs) => {
      const result = inferPoolGrad("maxPool2dGrad", dy, attrs);
      if (index.dtype !== "i32" || index.shape.some((dim, axis) => dim !== dy.shape[axis]))
        throw new ShapeError(
          `maxPool2dGrad: index is ${showType(index)}; use maxPool2d's second result, i32${showShape(dy.shape)}.`,
        );
      return [result];
    },
    reference: ([index, dy], attrs) => {
      const type = inferPoolGrad("maxPool2dGrad", dy, attrs);
      const data = new Float64Array(sizeOf(type.shape));
      const window = dy.shape[2]! * dy.shape[3]!;
      const plane = attrs.size[0] * attrs.size[1];
      for (let o = 0; o < dy.data.length; o++)
        data[Math.floor(o / window) * plane + index.data[o]!]! += dy.data[o]!;
      return [{ ...type, data }];
    },
    grad: ({ dy, inputs: [index], attrs: { size: _, ...attrs } }) => [null, maxPool2dPick(dy, index, attrs)],
    implementation: {
      kind: "kernel",
      half: { inputs: [1], outputs: [0] },
      stores: true,
      kernel: ({ inputs: [index], outputs: [dx], attrs, facts }) => {
        const count = sizeOf(dx!.shape);
        const rest = {
          bindings: (from: number, to: number) => [
            input(0, "index", { dtype: "i32", width: from }),
            input(1, "dy", { width: from }),
            output(0, "dx", { width: to }),
          ],
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

/**
 * The elements of x that maxPool2d found in another tensor of its shape, at the indices it gave: maxPool2dGrad's gradient.
 * @internal
 */
export const maxPool2dPick: Op<(x: Operand, index: Operand, attrs: PoolOptions) => Tensor, PoolAttrs> =
  defineOp({
    name: "maxPool2dPick",
    operands: ["x", "index"],
    attributes: POOL,
    resolve: resolvePool,
    infer: ([x, index], attrs) => {
      const result = inferPool("maxPool2dPick", x, attrs);
      if (index.dtype !== "i32" || !sameShape(index.shape, result.shape))
        throw new ShapeError(
          `maxPool2dPick: index is ${showType(index)}; use maxPool2d's second result, i32${showShape(result.shape)}.`,
        );
      return [result];
    },
    reference: ([x, index], attrs) => {
      const type = inferPool("maxPool2dPick", x, attrs);
      const window = type.shape[2]! * type.shape[3]!;
      const plane = x.shape[2]! * x.shape[3]!;
      const pick = (_: number, o: number) => x.data[Math.floor(o / window) * plane + index.data[o]!]!;
      return [{ ...type, data: new Float64Array(index.data.length).map(pick) }];
    },
    grad: ({ dy, inputs: [x, index], attrs }) => [
      maxPool2dGrad(index, dy, { ...attrs, size: planeOf(x) }),
      null,
    ],
    implementation: {
      kind: "kernel",
      stores: true,
      kernel: ({ inputs: [x], outputs: [out], facts }) => {
        const count = sizeOf(out!.shape);
        const [PLANE, WINDOWS] = [x!, out!].map(({ shape }) => shape[2]! * shape[3]!) as [number, number];
        const dispatch = {
          kernel: "maxPool2dPick",
          source: specialize(maxPickSource, { COUNT: count, PLANE, WINDOWS }),
          bindings: [input(0, "x"), input(1, "index", { dtype: "i32" }), output(0, "y")],
          workgroups: gridOf(Math.ceil(count / 64), facts),
          bytes: 12 * count,
        };
        return [{ name: "pick", dispatches: [dispatch] }];
      },
    },
    tolerance: exact,
    samples: (s) =>
      GEOMETRIES.map(({ shape, attrs }) => {
        const [, index] = maxPoolReference(s.distinct(...shape), attrs);
        return { inputs: [s.randn(...shape), index!], attrs };
      }),
    errors: [
      {
        inputs: [type([1, 1, 4, 4]), type([1, 1, 4, 4], "i32")],
        attrs: GEOMETRIES[0]!.attrs,
        message:
          /maxPool2dPick: index is i32\[1, 1, 4, 4\]; use maxPool2d's second result, i32\[1, 1, 2, 2\]/,
      },
    ],
  });
