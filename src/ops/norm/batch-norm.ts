import { number } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { moments } from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, type Tensor } from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { type Shape, sameShape, showShape, showType, type TensorType } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import { gradVariants, statisticsFromMoments, statisticsVariants } from "./batch-norm-kernel.ts";
import {
  applyScale,
  type BatchNormAttrs,
  batchNormScale,
  besides,
  checkChannels,
  checkCount,
  forEachPlane,
  gradScale,
  inverseOf,
  layoutOf,
  normalized,
  statisticsOf,
  statisticsScale,
} from "./batch-norm-reference.ts";
import { gradOfGrad } from "./batch-norm-second.ts";

export type { BatchNormAttrs };

/**
 * Mean, biased variance and 1/√(variance + eps) of each channel over the batch and all positions.
 * @internal
 */
export const batchNormStatistics: Op<
  (x: Operand, attrs?: Partial<BatchNormAttrs>) => [mean: Tensor, variance: Tensor, inverse: Tensor],
  BatchNormAttrs
> = defineOp({
  name: "batchNormStatistics",
  operands: ["x"],
  attributes: { eps: number(1e-5) },
  infer: ([x]) => {
    const { channels } = checkCount("batchNormStatistics", x);
    const result: TensorType = { shape: [channels], dtype: "f32" };
    return [result, result, result];
  },
  reference: ([x], { eps }) => {
    const { mean, variance } = statisticsOf(x);
    const shape = [mean.length];
    return [
      { shape, dtype: "f32", data: mean },
      { shape, dtype: "f32", data: variance },
      { shape, dtype: "f32", data: inverseOf(variance, eps) },
    ];
  },
  // dmean/n + (dvariance − dinverse · inverse³/2) · 2(x − mean)/n
  grad: ({ inputs: [x], outputs: [mean, , inverse], dys: [dmean, direct, dinverse] }, f) => {
    const indirect = dinverse && f.mul(dinverse, f.mul(f.mul(f.square(inverse), inverse), -0.5));
    const dvariance = direct && indirect ? f.add(direct, indirect) : (direct ?? indirect);
    const { count } = layoutOf("", x);
    const shape = besides(x.shape);
    const spread = (dy: Tensor, factor: number) => f.reshape(f.mul(dy, factor), { shape });
    const viaMean = dmean && f.broadcastTo(spread(dmean, 1 / count), { shape: x.shape });
    const viaVariance =
      dvariance && f.mul(f.sub(x, f.reshape(mean, { shape })), spread(dvariance, 2 / count));
    return [viaMean && viaVariance ? f.add(viaVariance, viaMean) : (viaMean ?? viaVariance ?? null)];
  },
  implementation: {
    kind: "kernel",
    loads: [0],
    half: { inputs: [0], outputs: [] },
    kernel: ({ inputs: [x], attrs: { eps }, facts }) => statisticsVariants(x!, eps, facts),
    fromMoments: ({ inputs: [x], attrs: { eps }, facts }, slabs) =>
      statisticsFromMoments(layoutOf("", x!).channels, slabs, eps, moments("read"), facts),
  },
  tolerance: accumulated(([x]) => layoutOf("", x!).count, {
    scale: ([x], { eps }) => statisticsScale(x!, eps),
  }),
  samples: (s) => [
    ...SHAPES.map((shape) => ({ inputs: [s.randn(...shape)], attrs: { eps: 1e-5 } })),
    { name: "mean far from 0", inputs: [s.uniform(1000, 1001, [16, 3, 8, 8])], attrs: { eps: 1e-3 } },
    { name: "constant", inputs: [s.integers(5, 5, [2, 3, 4, 4])], attrs: { eps: 1e-5 }, gradient: false },
  ],
  errors: [
    {
      inputs: [type([1, 3])],
      attrs: { eps: 1e-5 },
      message: /batchNormStatistics: \[1, 3\] has 1 value\(s\) for each channel; .* larger batch/,
    },
    { inputs: [type([3])], message: /batchNormStatistics: input is f32\[3\]; use f32 \[N, C\]/ },
  ],
});

/** Linear layers and images, vectors of four and not, one slab and many, one channel and enough for a subgroup each. */
const SHAPES: readonly Shape[] = [
  [5, 3],
  [4, 3, 2],
  [2, 3, 7, 7],
  [2, 1, 1, 1],
  [8, 6, 4, 4],
  [33, 70],
  [16, 5, 16, 16],
  [17, 9, 4, 8],
  [16, 10, 5, 7],
];

const GRAD_NAMES = ["gamma", "mean", "inverse"];

/**
 * Gradients of batch norm in x, gamma and beta, x's through the statistics included:
 * dx = gamma/σ · (dy − mean(dy) − x̂ · mean(dy · x̂)), dgamma = Σ dy · x̂, dbeta = Σ dy, given mean and inverse = 1/σ.
 * Ioffe, Szegedy, 2015, §3.
 * @internal
 */
export const batchNormGrad: Op<
  (
    x: Operand,
    gamma: Operand,
    mean: Operand,
    inverse: Operand,
    dy: Operand,
  ) => [dx: Tensor, dgamma: Tensor, dbeta: Tensor]
> = defineOp({
  name: "batchNormGrad",
  operands: ["x", "gamma", "mean", "inverse", "dy"],
  infer: ([x, gamma, mean, inverse, dy]) => {
    checkChannels("batchNormGrad", GRAD_NAMES, [gamma, mean, inverse], x);
    if (dy.dtype !== "f32" || !sameShape(dy.shape, x.shape))
      throw new ShapeError(`batchNormGrad: dy is ${showType(dy)}, x is ${showType(x)}; use equal shapes.`);
    const channel: TensorType = { shape: gamma.shape, dtype: "f32" };
    return [{ shape: x.shape, dtype: "f32" }, channel, channel];
  },
  reference: ([x, gamma, mean, { data: inverse }, dy]) => {
    const layout = layoutOf("", x);
    const { channels, length, count } = layout;
    const dgamma = new Float64Array(channels);
    const dbeta = new Float64Array(channels);
    forEachPlane(layout, (c, offset) => {
      const m = mean.data[c]!;
      let sum = 0;
      let product = 0;
      for (let i = offset; i < offset + length; i++) {
        sum += dy.data[i]!;
        product += dy.data[i]! * (x.data[i]! - m);
      }
      dbeta[c]! += sum;
      dgamma[c]! += product * inverse[c]!;
    });
    const dx = new Float64Array(x.data.length);
    forEachPlane(layout, (c, offset) => {
      const m = mean.data[c]!;
      const scale = gamma.data[c]! * inverse[c]!;
      const slope = (inverse[c]! * dgamma[c]!) / count;
      const offsetOf = dbeta[c]! / count;
      for (let i = offset; i < offset + length; i++)
        dx[i] = scale * (dy.data[i]! - offsetOf - (x.data[i]! - m) * slope);
    });
    const shape = gamma.shape;
    return [
      { shape: x.shape, dtype: "f32", data: dx },
      { shape, dtype: "f32", data: dgamma },
      { shape, dtype: "f32", data: dbeta },
    ];
  },
  grad: ({ inputs: [x, gamma, mean, inverse, dy], dy: a, dys: [, b, c] }, f) =>
    gradOfGrad([x, gamma, mean, inverse, dy], [a, b ?? null, c ?? null], f),
  implementation: {
    kind: "kernel",
    loads: [4],
    overwrites: 4,
    half: { inputs: [0], outputs: [0] },
    stores: true,
    kernel: ({ inputs: [x], facts }) => gradVariants(x!, facts),
  },
  // Four roundings beside the sums.
  tolerance: accumulated(([x]) => layoutOf("", x!).count, {
    factor: 2,
    scale: gradScale,
  }),
  samples: (s) => [
    ...SHAPES.map((shape) => gradSample(s, shape, s.randn(...shape))),
    { name: "mean far from 0", ...gradSample(s, [16, 4, 8, 8], s.uniform(1000, 1001, [16, 4, 8, 8])) },
  ],
  errors: [
    {
      inputs: [type([2, 3]), type([4]), type([3]), type([3]), type([2, 3])],
      message: /batchNormGrad: gamma is f32\[4\]; \[2, 3\] has 3 channels, so use f32\[3\]/,
    },
    {
      inputs: [type([2, 3]), type([3]), type([3]), type([3]), type([2, 4])],
      message: /batchNormGrad: dy is f32\[2, 4\], x is f32\[2, 3\]; use equal shapes/,
    },
  ],
});

function gradSample(s: Sampler, shape: Shape, x: NDArray) {
  const { mean, variance } = statisticsOf(x);
  const channels = [shape[1]!];
  return {
    inputs: [
      x,
      s.randn(...channels),
      s.values([...mean], channels),
      s.values([...inverseOf(variance, 1e-5)], channels),
      s.randn(...shape),
    ],
  };
}

/** Whether mean and inverse, as they were traced, are what batchNormStatistics gives of x. */
function areOwn([x, , , mean, inverse]: readonly Tensor[]): boolean {
  const isOf = (value: Tensor, index: number): boolean => {
    const { op, inputs } = value.node;
    if (op?.implementation.kind === "view") return isOf(inputs[0]!, index);
    const [from] = inputs;
    const own = from?.node === x!.node && from.index === x!.index;
    return op === batchNormStatistics && value.index === index && own;
  };
  return isOf(mean!, 0) && isOf(inverse!, 2);
}

/**
 * (x − mean) · inverse · gamma + beta; the other inputs come in a shape that broadcasts to x's. Where mean and inverse
 * are x's own, straight from batchNormStatistics, the gradient in x holds what goes through them, from one kernel, and
 * none is left for them.
 * @internal
 */
export const batchNormApply: Op<
  (x: Operand, gamma: Operand, beta: Operand, mean: Operand, inverse: Operand) => Tensor
> = defineOp({
  name: "batchNormApply",
  operands: ["x", "gamma", "beta", "mean", "inverse"],
  infer: ([x, ...rest]) => {
    layoutOf("batchNormApply", x);
    const shape = besides(x.shape);
    for (const given of rest)
      if (!sameShape(given.shape, shape))
        throw new ShapeError(
          `batchNormApply: gamma, beta, mean or inverse is ${showType(given)}; use f32${showShape(shape)} beside ${showShape(x.shape)}.`,
        );
    return [{ shape: x.shape, dtype: "f32" }];
  },
  reference: ([x, gamma, beta, mean, inverse]) => [
    normalized(x, gamma.data, beta.data, mean.data, inverse.data),
  ],
  grad: ({ dy, traced, inputs: [x, gamma, , mean, inverse] }, f) => {
    if (!areOwn(traced)) {
      const t = f.sub(x, mean);
      const dx = f.mul(dy, f.mul(gamma, inverse));
      const dyt = f.mul(dy, t);
      return [dx, f.mul(dyt, inverse), dy, f.neg(dx), f.mul(dyt, gamma)];
    }
    const flat = (value: typeof x) => f.reshape(value, { shape: [-1] });
    const [dx, dgamma, dbeta] = batchNormGrad(x, flat(gamma), flat(mean), flat(inverse), dy);
    const spread = (value: typeof x) => f.reshape(value, { shape: besides(x.shape) });
    return [dx, spread(dgamma), spread(dbeta), null, null];
  },
  implementation: {
    kind: "elementwise",
    expression: ([x, gamma, beta, mean, inverse]) => `(${x} - ${mean}) * (${gamma} * ${inverse}) + ${beta}`,
  },
  // Four roundings.
  tolerance: accumulated(() => 1, { scale: (inputs) => [applyScale(inputs)] }),
  samples: (s) =>
    SHAPES.map((shape) => ({
      inputs: [
        s.randn(...shape),
        s.randn(...besides(shape)),
        s.randn(...besides(shape)),
        s.randn(...besides(shape)),
        s.uniform(0.5, 3, besides(shape)),
      ],
    })),
  errors: [
    {
      inputs: [type([2, 3, 4]), type([3]), type([3]), type([3]), type([3])],
      message: /batchNormApply: gamma, .* is f32\[3\]; use f32\[1, 3, 1\] beside \[2, 3, 4\]/,
    },
  ],
});

/**
 * Normalises each channel by its mean and variance over the batch, then scales and shifts it; gives the result, the mean
 * and the biased variance. Ioffe, Szegedy, 2015.
 */
export const batchNorm: Op<
  (
    x: Operand,
    gamma: Operand,
    beta: Operand,
    attrs?: Partial<BatchNormAttrs>,
  ) => [y: Tensor, mean: Tensor, variance: Tensor],
  BatchNormAttrs
> = defineOp({
  name: "batchNorm",
  operands: ["x", "gamma", "beta"],
  attributes: { eps: number(1e-5) },
  infer: ([x, gamma, beta]) => {
    checkChannels("batchNorm", ["gamma", "beta"], [gamma, beta], x);
    checkCount("batchNorm", x);
    const channel: TensorType = { shape: gamma.shape, dtype: "f32" };
    return [{ shape: x.shape, dtype: "f32" }, channel, channel];
  },
  reference: ([x, gamma, beta], { eps }) => {
    const { mean, variance } = statisticsOf(x);
    const shape = gamma.shape;
    return [
      normalized(x, gamma.data, beta.data, mean, inverseOf(variance, eps)),
      { shape, dtype: "f32", data: mean },
      { shape, dtype: "f32", data: variance },
    ];
  },
  implementation: {
    kind: "composition",
    compose: ([x, gamma, beta], attrs, f) => {
      const [mean, variance, inverse] = batchNormStatistics(x, attrs);
      const spread = (value: typeof x) => f.reshape(value, { shape: besides(x.shape) });
      const y = batchNormApply(x, spread(gamma), spread(beta), spread(mean), spread(inverse));
      return [y, mean, variance];
    },
  },
  tolerance: accumulated(([x]) => layoutOf("", x!).count, {
    factor: 2,
    scale: (inputs, attrs) => batchNormScale(inputs, attrs),
  }),
  samples: (s) => [
    ...SHAPES.slice(0, 6).map((shape) => ({
      inputs: [s.randn(...shape), s.randn(shape[1]!), s.randn(shape[1]!)],
      attrs: { eps: 1e-5 },
    })),
    {
      name: "mean far from 0",
      inputs: [s.uniform(1000, 1001, [16, 3, 8, 8]), s.randn(3), s.randn(3)],
      attrs: { eps: 1e-3 },
    },
  ],
  errors: [
    {
      inputs: [type([2, 3, 4, 4]), type([3]), type([2])],
      attrs: { eps: 1e-5 },
      message: /batchNorm: beta is f32\[2\]; \[2, 3, 4, 4\] has 3 channels, so use f32\[3\]/,
    },
    {
      inputs: [type([1, 3]), type([3]), type([3])],
      attrs: { eps: 1e-5 },
      message: /batchNorm: \[1, 3\] has 1 value\(s\) for each channel/,
    },
  ],
});

/** Normalises each channel by given statistics: batch norm outside training. */
export const batchNormInference: Op<
  (
    x: Operand,
    gamma: Operand,
    beta: Operand,
    mean: Operand,
    variance: Operand,
    attrs?: Partial<BatchNormAttrs>,
  ) => Tensor,
  BatchNormAttrs
> = defineOp({
  name: "batchNormInference",
  operands: ["x", "gamma", "beta", "mean", "variance"],
  attributes: { eps: number(1e-5) },
  infer: ([x, ...channels]) => {
    checkChannels("batchNormInference", ["gamma", "beta", "mean", "variance"], channels, x);
    return [{ shape: x.shape, dtype: "f32" }];
  },
  reference: ([x, gamma, beta, mean, variance], { eps }) => [
    normalized(x, gamma.data, beta.data, mean.data, inverseOf(variance.data, eps)),
  ],
  implementation: {
    kind: "composition",
    compose: ([x, gamma, beta, mean, variance], { eps }, f) => {
      const spread = (value: typeof x) => f.reshape(value, { shape: besides(x.shape) });
      const scale = f.div(gamma, f.sqrt(f.add(variance, eps)));
      return [f.add(f.mul(f.sub(x, spread(mean)), spread(scale)), spread(beta))];
    },
  },
  // Eleven roundings, sqrt's 4.5 ulp (half of which a square root halves) and the quotient's 2.5 among them.
  tolerance: accumulated(() => 1, {
    factor: 3,
    scale: ([x, gamma, beta, mean, variance], { eps }) => {
      const inverse = { ...variance!, data: inverseOf(variance!.data, eps) };
      const rest = [gamma!, beta!, mean!, inverse].map((v) => ({ ...v, shape: besides(x!.shape) }));
      return [applyScale([x!, ...rest])];
    },
  }),
  samples: (s) =>
    SHAPES.map((shape) => ({
      inputs: [
        s.randn(...shape),
        s.randn(shape[1]!),
        s.randn(shape[1]!),
        s.randn(shape[1]!),
        s.uniform(0.1, 4, [shape[1]!]),
      ],
      attrs: { eps: 1e-5 },
    })),
  errors: [
    {
      inputs: [type([2, 3]), type([3]), type([3]), type([3]), type([4])],
      attrs: { eps: 1e-5 },
      message: /batchNormInference: variance is f32\[4\]; \[2, 3\] has 3 channels/,
    },
  ],
});
