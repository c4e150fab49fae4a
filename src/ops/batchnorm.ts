import gradSource from "../../shaders/batchnorm-grad.wgsl?raw";
import gradMergeSource from "../../shaders/batchnorm-grad-merge.wgsl?raw";
import gradSumsSource from "../../shaders/batchnorm-grad-sums.wgsl?raw";
import mergeSource from "../../shaders/batchnorm-merge.wgsl?raw";
import statisticsSource from "../../shaders/batchnorm-statistics.wgsl?raw";
import { ShapeError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import { type Shape, sameShape, showShape, showType, sizeOf, type TensorType } from "../core/shape.ts";
import { accumulated } from "../core/tolerance.ts";
import {
  applyScale,
  type BatchNormAttrs,
  batchNormScale,
  besides,
  checkChannels,
  checkCount,
  forEachPlane,
  gradScale,
  type Layout,
  layoutOf,
  normalized,
  statisticsOf,
  statisticsScale,
} from "./batchnorm-reference.ts";
import {
  type AdapterFacts,
  type Dispatch,
  floatLiteral,
  input,
  output,
  scratch,
  specialize,
} from "./kernel.ts";
import { defineOp } from "./op.ts";
import {
  type Reduction,
  type Sharing,
  share,
  slabsFor,
  suitsWorkgroups,
  threadsGrid,
} from "./reduce-kernel.ts";
import { type Sampler, type } from "./samples.ts";

export type { BatchNormAttrs };

const TOTAL = {
  1: "fn total(v: f32) -> f32 { return v; }",
  4: "fn total(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }",
};

/** The second pass walks a channel's slabs one after another. */
const MOST_SLABS = 64;

/** How many elements a thread reads at once. */
const widthOf = ({ length }: Layout) => (length % 4 === 0 ? 4 : 1);

/** Ways to share the elements of each channel out, the best for this kind of adapter first. */
function sharings(x: TensorType, facts: AdapterFacts): Sharing[] {
  const layout = layoutOf("", x);
  const width = widthOf(layout);
  const length = layout.length / width;
  const vector = width === 4 ? "vec4<f32>" : "f32";
  const reduction: Reduction = {
    outputs: layout.channels,
    count: layout.count / width,
    vector,
    partial: "vec4<f32>",
    across: layout.length < 4,
    functions: [
      TOTAL[width],
      "fn place(channel: u32, i: u32) -> u32 {",
      `  return (i / ${length}u * ${layout.channels}u + channel) * ${length}u + i % ${length}u;`,
      "}",
    ].join("\n"),
  };
  const make = (name: Sharing["name"], least: number) =>
    share(name, reduction, Math.min(MOST_SLABS, slabsFor(name, reduction, facts, least)), facts);
  const threads = make("threads", 16);
  if (!suitsWorkgroups(reduction, facts)) return [threads];
  const workgroup = make("workgroup", 2048);
  return facts.software ? [threads, workgroup] : [workgroup, threads];
}

const DIVISORS = Array.from({ length: 15 }, (_, i) => i + 2);

/** Mean and biased variance of each channel over the batch and all positions. */
export const batchNormStatistics = defineOp({
  name: "batchNormStatistics",
  infer: ([x]) => {
    const { channels } = checkCount("batchNormStatistics", x!);
    const result: TensorType = { shape: [channels], dtype: "f32" };
    return [result, result];
  },
  reference: ([x]) => {
    const { mean, variance } = statisticsOf(x!);
    const shape = [mean.length];
    return [
      { shape, dtype: "f32", data: mean },
      { shape, dtype: "f32", data: variance },
    ];
  },
  // dmean/n + dvariance · 2(x − mean)/n
  grad: ({ inputs: [x], outputs: [mean], dys: [dmean, dvariance] }, f) => {
    const { count } = layoutOf("", x!);
    const shape = besides(x!.shape);
    const spread = (dy: typeof dmean, factor: number) => f.reshape!(f.mul!(dy, factor), { shape });
    const viaMean = dmean && f.broadcastTo!(spread(dmean, 1 / count), { shape: x!.shape });
    const viaVariance =
      dvariance && f.mul!(f.sub!(x, f.reshape!(mean, { shape })), spread(dvariance, 2 / count));
    return [viaMean && viaVariance ? f.add!(viaVariance, viaMean) : (viaMean ?? viaVariance ?? null)];
  },
  implementation: {
    kind: "kernel",
    half: { inputs: [0], outputs: [] },
    kernel: ({ inputs: [x], facts }) => {
      const { channels } = layoutOf("", x!);
      const width = widthOf(layoutOf("", x!));
      return sharings(x!, facts).map(({ name, slabs, workgroups, source }) => ({
        name,
        scratch: [16 * slabs * channels],
        dispatches: [
          {
            kernel: `batchNorm/statistics-${name}`,
            source: source(statisticsSource, { WIDTH: width }),
            bindings: [scratch(0), input(0)],
            workgroups,
            bytes: 4 * sizeOf(x!.shape) + 16 * slabs * channels,
          },
          {
            kernel: "batchNorm/merge",
            source: specialize(mergeSource, { CHANNELS: channels, SLABS: slabs }),
            bindings: [scratch(0, "read"), output(0), output(1)],
            workgroups: threadsGrid(channels, facts),
            bytes: (16 * slabs + 8) * channels,
          },
        ],
      }));
    },
  },
  tolerance: accumulated(([x]) => layoutOf("", x!).count, { scale: ([x]) => statisticsScale(x!) }),
  samples: (s) => [
    ...SHAPES.map((shape) => ({ inputs: [s.randn(...shape)] })),
    { name: "mean far from 0", inputs: [s.uniform(1000, 1001, [16, 3, 8, 8])] },
    { name: "constant", inputs: [s.integers(5, 5, [2, 3, 4, 4])], exact: true, gradient: false },
  ],
  errors: [
    {
      inputs: [type([1, 3])],
      message: /batchNormStatistics: \[1, 3\] has 1 value\(s\) for each channel; .* larger batch/,
    },
    { inputs: [type([3])], message: /batchNormStatistics: input is f32\[3\]; use f32 \[N, C\]/ },
  ],
});

/** Linear layers and images, vectors of four and not, one slab and many, one channel. */
const SHAPES: readonly Shape[] = [
  [5, 3],
  [4, 3, 2],
  [2, 3, 7, 7],
  [2, 1, 1, 1],
  [8, 6, 4, 4],
  [33, 70],
  [16, 5, 16, 16],
];

const GRAD_NAMES = ["gamma", "mean", "variance"];

/**
 * Gradients of batch norm in x, gamma and beta, x's through the statistics included:
 * dx = gamma/σ · (dy − mean(dy) − x̂ · mean(dy · x̂)), dgamma = Σ dy · x̂, dbeta = Σ dy. Ioffe, Szegedy, 2015, §3.
 */
export const batchNormGrad = defineOp<BatchNormAttrs>({
  name: "batchNormGrad",
  infer: ([x, gamma, mean, variance, dy]) => {
    checkChannels("batchNormGrad", GRAD_NAMES, [gamma!, mean!, variance!], x!);
    if (dy!.dtype !== "f32" || !sameShape(dy!.shape, x!.shape))
      throw new ShapeError(`batchNormGrad: dy is ${showType(dy!)}, x is ${showType(x!)}; use equal shapes.`);
    const channel: TensorType = { shape: gamma!.shape, dtype: "f32" };
    return [{ shape: x!.shape, dtype: "f32" }, channel, channel];
  },
  reference: ([x, gamma, mean, variance, dy], { eps }) => {
    const layout = layoutOf("", x!);
    const { channels, length, count } = layout;
    const dgamma = new Float64Array(channels);
    const dbeta = new Float64Array(channels);
    const inverse = Float64Array.from(variance!.data, (v) => 1 / Math.sqrt(v + Math.fround(eps)));
    forEachPlane(layout, (c, offset) => {
      const m = mean!.data[c]!;
      let sum = 0;
      let product = 0;
      for (let i = offset; i < offset + length; i++) {
        sum += dy!.data[i]!;
        product += dy!.data[i]! * (x!.data[i]! - m);
      }
      dbeta[c]! += sum;
      dgamma[c]! += product * inverse[c]!;
    });
    const dx = new Float64Array(x!.data.length);
    forEachPlane(layout, (c, offset) => {
      const m = mean!.data[c]!;
      const scale = gamma!.data[c]! * inverse[c]!;
      const slope = (inverse[c]! * dgamma[c]!) / count;
      const offsetOf = dbeta[c]! / count;
      for (let i = offset; i < offset + length; i++)
        dx[i] = scale * (dy!.data[i]! - offsetOf - (x!.data[i]! - m) * slope);
    });
    const shape = gamma!.shape;
    return [
      { shape: x!.shape, dtype: "f32", data: dx },
      { shape, dtype: "f32", data: dgamma },
      { shape, dtype: "f32", data: dbeta },
    ];
  },
  implementation: {
    kind: "kernel",
    loads: [4],
    half: { inputs: [0], outputs: [0] },
    stores: true,
    kernel: ({ inputs: [x], attrs: { eps }, facts }) => {
      const layout = layoutOf("", x!);
      const { channels, count } = layout;
      const size = sizeOf(x!.shape);
      const width = widthOf(layout);
      const plane = layout.length / width;
      const fits = (n: number) => facts.software && plane % n === 0 && size / (width * n) >= 2048;
      const per = Math.max(1, ...DIVISORS.filter(fits));
      const constants = { CHANNELS: channels, LENGTH: plane, PER: per, TOTAL: size / (width * per) };
      const last: Dispatch = {
        kernel: "batchNormGrad/input",
        source: specialize(gradSource, { Vector: width === 4 ? "vec4<f32>" : "f32", ...constants }),
        bindings: [input(0), input(4), scratch(1, "read"), output(0)],
        workgroups: threadsGrid(constants.TOTAL, facts),
        bytes: 12 * size,
      };
      return sharings(x!, facts).map(({ name, slabs, workgroups, source }) => ({
        name,
        scratch: [16 * slabs * channels, 16 * channels],
        dispatches: [
          {
            kernel: `batchNormGrad/sums-${name}`,
            source: source(gradSumsSource),
            bindings: [scratch(0), input(0), input(4), input(2)],
            workgroups,
            bytes: 8 * size + 16 * slabs * channels,
          },
          {
            kernel: "batchNormGrad/merge",
            source: specialize(gradMergeSource, {
              CHANNELS: channels,
              SLABS: slabs,
              COUNT: count,
              EPS: eps,
            }),
            bindings: [scratch(0, "read"), input(1), input(2), input(3), scratch(1), output(1), output(2)],
            workgroups: threadsGrid(channels, facts),
            bytes: (16 * slabs + 36) * channels,
          },
          last,
        ],
      }));
    },
  },
  // Five roundings beside the sums, inverseSqrt's 2 ulp twice among them.
  tolerance: accumulated(([x]) => layoutOf("", x!).count, {
    factor: 2,
    scale: (inputs, attrs) => gradScale(inputs, attrs),
  }),
  samples: (s) => [
    ...SHAPES.map((shape) => gradSample(s, shape, s.randn(...shape))),
    { name: "mean far from 0", ...gradSample(s, [16, 4, 8, 8], s.uniform(1000, 1001, [16, 4, 8, 8])) },
  ],
  errors: [
    {
      inputs: [type([2, 3]), type([4]), type([3]), type([3]), type([2, 3])],
      attrs: { eps: 1e-5 },
      message: /batchNormGrad: gamma is f32\[4\]; \[2, 3\] has 3 channels, so use f32\[3\]/,
    },
    {
      inputs: [type([2, 3]), type([3]), type([3]), type([3]), type([2, 4])],
      attrs: { eps: 1e-5 },
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
      s.values([...variance], channels),
      s.randn(...shape),
    ],
    attrs: { eps: 1e-5 },
  };
}

/**
 * (x − mean)/√(variance + eps) · gamma + beta, where mean and variance are x's own over the batch: the gradient in x
 * accounts for that, and none is left for mean and variance. The other inputs come in a shape that broadcasts to x's.
 */
export const batchNormApply = defineOp<BatchNormAttrs>({
  name: "batchNormApply",
  infer: ([x, ...rest]) => {
    layoutOf("batchNormApply", x!);
    const shape = besides(x!.shape);
    for (const given of rest)
      if (!sameShape(given.shape, shape))
        throw new ShapeError(
          `batchNormApply: gamma, beta, mean or variance is ${showType(given)}; use f32${showShape(shape)} beside ${showShape(x!.shape)}.`,
        );
    return [{ shape: x!.shape, dtype: "f32" }];
  },
  reference: ([x, gamma, beta, mean, variance], { eps }) => [
    normalized(x!, gamma!.data, beta!.data, mean!.data, variance!.data, eps),
  ],
  grad: ({ dy, inputs: [x, gamma, , mean, variance], attrs }, f) => {
    const flat = (value: typeof x) => f.reshape!(value, { shape: [-1] });
    const [dx, dgamma, dbeta] = f.all.batchNormGrad!(x, flat(gamma), flat(mean), flat(variance), dy, attrs);
    const spread = (value: typeof x) => f.reshape!(value, { shape: besides(x!.shape) });
    return [dx!, spread(dgamma), spread(dbeta), null, null];
  },
  implementation: {
    kind: "elementwise",
    expression: ([x, gamma, beta, mean, variance], { eps }) =>
      `(${x} - ${mean}) * (${gamma} * inverseSqrt(${variance} + ${floatLiteral(eps)})) + ${beta}`,
  },
  // Seven roundings, inverseSqrt's 2 ulp among them.
  tolerance: accumulated(() => 1, { factor: 2, scale: (inputs, { eps }) => [applyScale(inputs, eps)] }),
  samples: (s) =>
    SHAPES.map((shape) => ({
      inputs: [
        s.randn(...shape),
        s.randn(...besides(shape)),
        s.randn(...besides(shape)),
        s.randn(...besides(shape)),
        s.uniform(0.1, 4, besides(shape)),
      ],
      attrs: { eps: 1e-5 },
      gradient: false, // mean and variance are not x's here; batchNorm's own test has them so
    })),
  errors: [
    {
      inputs: [type([2, 3, 4]), type([3]), type([3]), type([3]), type([3])],
      attrs: { eps: 1e-5 },
      message: /batchNormApply: gamma, .* is f32\[3\]; use f32\[1, 3, 1\] beside \[2, 3, 4\]/,
    },
  ],
});

/**
 * Normalises each channel by its mean and variance over the batch, then scales and shifts it; gives the result, the mean
 * and the biased variance. Ioffe, Szegedy, 2015.
 */
export const batchNorm = defineOp<BatchNormAttrs>({
  name: "batchNorm",
  infer: ([x, gamma, beta]) => {
    checkChannels("batchNorm", ["gamma", "beta"], [gamma!, beta!], x!);
    checkCount("batchNorm", x!);
    const channel: TensorType = { shape: gamma!.shape, dtype: "f32" };
    return [{ shape: x!.shape, dtype: "f32" }, channel, channel];
  },
  reference: ([x, gamma, beta], { eps }) => {
    const { mean, variance } = statisticsOf(x!);
    const shape = gamma!.shape;
    return [
      normalized(x!, gamma!.data, beta!.data, mean, variance, eps),
      { shape, dtype: "f32", data: mean },
      { shape, dtype: "f32", data: variance },
    ];
  },
  implementation: {
    kind: "composition",
    compose: ([x, gamma, beta], attrs, f) => {
      const [mean, variance] = f.all.batchNormStatistics!(x);
      const spread = (value: typeof x) => f.reshape!(value, { shape: besides(x!.shape) });
      const y = f.batchNormApply!(x, spread(gamma), spread(beta), spread(mean), spread(variance), attrs);
      return [y, mean!, variance!];
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
export const batchNormInference = defineOp<BatchNormAttrs>({
  name: "batchNormInference",
  infer: ([x, ...channels]) => {
    checkChannels("batchNormInference", ["gamma", "beta", "mean", "variance"], channels, x!);
    return [{ shape: x!.shape, dtype: "f32" }];
  },
  reference: ([x, gamma, beta, mean, variance], { eps }) => [
    normalized(x!, gamma!.data, beta!.data, mean!.data, variance!.data, eps),
  ],
  implementation: {
    kind: "composition",
    compose: ([x, gamma, beta, mean, variance], { eps }, f) => {
      const spread = (value: typeof x) => f.reshape!(value, { shape: besides(x!.shape) });
      const scale = f.div!(gamma, f.sqrt!(f.add!(variance, eps)));
      return [f.add!(f.mul!(f.sub!(x, spread(mean)), spread(scale)), spread(beta))];
    },
  },
  // Eleven roundings, sqrt's 4.5 ulp (half of which a square root halves) and the quotient's 2.5 among them.
  tolerance: accumulated(() => 1, {
    factor: 3,
    scale: ([x, ...rest], { eps }) => [
      applyScale([x!, ...rest.map((given) => ({ ...given, shape: besides(x!.shape) }))], eps),
    ],
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
