import gradSource from "../../shaders/batchnorm-grad.wgsl?raw";
import gradMergeSource from "../../shaders/batchnorm-grad-merge.wgsl?raw";
import gradStoreSource from "../../shaders/batchnorm-grad-store.wgsl?raw";
import gradSumsSource from "../../shaders/batchnorm-grad-sums.wgsl?raw";
import mergeSource from "../../shaders/batchnorm-merge.wgsl?raw";
import statisticsSource from "../../shaders/batchnorm-statistics.wgsl?raw";
import statisticsStoreSource from "../../shaders/batchnorm-statistics-store.wgsl?raw";
import gradFunctions from "../../shaders/functions/batchnorm-grad.wgsl?raw";
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
  inverseOf,
  type Layout,
  layoutOf,
  normalized,
  statisticsOf,
  statisticsScale,
} from "./batchnorm-reference.ts";
import { type AdapterFacts, type Dispatch, input, output, scratch, specialize } from "./kernel.ts";
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
  const make = (name: Sharing["name"], slabs: number) =>
    share(name, reduction, Math.min(MOST_SLABS, slabs), facts);
  const threads = make("threads", slabsFor("threads", reduction, facts, 16));
  if (!suitsWorkgroups(reduction, facts)) return [threads];
  const workgroup = make("workgroup", slabsFor("workgroup", reduction, facts, 2048));
  const whole = make("workgroup", 1);
  const shared = workgroup.slabs > 1 ? [workgroup] : [];
  // A few channels keep a processor's cores busy, and one dispatch is better than two.
  const few = facts.software && layout.channels < 8;
  return facts.software && !few
    ? [whole, threads, ...shared]
    : few
      ? [threads, ...shared, whole]
      : [...shared, whole, threads];
}

/** A workgroup that sees a whole channel finishes it: no second pass. */
const isWhole = ({ name, slabs }: Sharing) => name === "workgroup" && slabs === 1;
const nameOf = (sharing: Sharing) => (isWhole(sharing) ? "whole" : sharing.name);

const DIVISORS = Array.from({ length: 15 }, (_, i) => i + 2);

/** Mean, biased variance and 1/√(variance + eps) of each channel over the batch and all positions. */
export const batchNormStatistics = defineOp<BatchNormAttrs>({
  name: "batchNormStatistics",
  infer: ([x]) => {
    const { channels } = checkCount("batchNormStatistics", x!);
    const result: TensorType = { shape: [channels], dtype: "f32" };
    return [result, result, result];
  },
  reference: ([x], { eps }) => {
    const { mean, variance } = statisticsOf(x!);
    const shape = [mean.length];
    return [
      { shape, dtype: "f32", data: mean },
      { shape, dtype: "f32", data: variance },
      { shape, dtype: "f32", data: inverseOf(variance, eps) },
    ];
  },
  // dmean/n + (dvariance − dinverse · inverse³/2) · 2(x − mean)/n
  grad: ({ inputs: [x], outputs: [mean, , inverse], dys: [dmean, direct, dinverse] }, f) => {
    const indirect = dinverse && f.mul!(dinverse, f.mul!(f.mul!(f.square!(inverse), inverse), -0.5));
    const dvariance = direct && indirect ? f.add!(direct, indirect) : (direct ?? indirect);
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
    loads: [0],
    half: { inputs: [0], outputs: [] },
    kernel: ({ inputs: [x], attrs: { eps }, facts }) => {
      const { channels } = layoutOf("", x!);
      const width = widthOf(layoutOf("", x!));
      return sharings(x!, facts).map((sharing) => {
        const { name, slabs, workgroups, source } = sharing;
        const bytes = 4 * sizeOf(x!.shape);
        if (isWhole(sharing)) {
          const dispatch: Dispatch = {
            kernel: "batchNorm/statistics",
            source: source([statisticsSource, statisticsStoreSource].join("\n"), { WIDTH: width, EPS: eps }),
            bindings: [output(0), input(0), output(1), output(2)],
            workgroups,
            bytes,
          };
          return { name: nameOf(sharing), dispatches: [dispatch] };
        }
        return {
          name,
          scratch: [16 * slabs * channels],
          dispatches: [
            {
              kernel: `batchNorm/statistics-${name}`,
              source: source(statisticsSource, { WIDTH: width }),
              bindings: [scratch(0), input(0)],
              workgroups,
              bytes: bytes + 16 * slabs * channels,
            },
            {
              kernel: "batchNorm/merge",
              source: specialize(mergeSource, { CHANNELS: channels, SLABS: slabs, EPS: eps }),
              bindings: [scratch(0, "read"), output(0), output(1), output(2)],
              workgroups: threadsGrid(channels, facts),
              bytes: (16 * slabs + 12) * channels,
            },
          ],
        };
      });
    },
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

const GRAD_NAMES = ["gamma", "mean", "inverse"];

/**
 * Gradients of batch norm in x, gamma and beta, x's through the statistics included:
 * dx = gamma/σ · (dy − mean(dy) − x̂ · mean(dy · x̂)), dgamma = Σ dy · x̂, dbeta = Σ dy, given mean and inverse = 1/σ.
 * Ioffe, Szegedy, 2015, §3.
 */
export const batchNormGrad = defineOp({
  name: "batchNormGrad",
  infer: ([x, gamma, mean, inverse, dy]) => {
    checkChannels("batchNormGrad", GRAD_NAMES, [gamma!, mean!, inverse!], x!);
    if (dy!.dtype !== "f32" || !sameShape(dy!.shape, x!.shape))
      throw new ShapeError(`batchNormGrad: dy is ${showType(dy!)}, x is ${showType(x!)}; use equal shapes.`);
    const channel: TensorType = { shape: gamma!.shape, dtype: "f32" };
    return [{ shape: x!.shape, dtype: "f32" }, channel, channel];
  },
  reference: ([x, gamma, mean, { data: inverse }, dy]) => {
    const layout = layoutOf("", x!);
    const { channels, length, count } = layout;
    const dgamma = new Float64Array(channels);
    const dbeta = new Float64Array(channels);
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
    overwrites: 4,
    half: { inputs: [0], outputs: [0] },
    stores: true,
    kernel: ({ inputs: [x], facts }) => {
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
        bindings: [input(0), input(4), scratch(0, "read"), output(0)],
        workgroups: threadsGrid(constants.TOTAL, facts),
        bytes: 12 * size,
      };
      return sharings(x!, facts).map((sharing) => {
        const { name, slabs, workgroups, source } = sharing;
        if (isWhole(sharing)) {
          const text = [gradSumsSource, gradStoreSource].join("\n");
          const sums: Dispatch = {
            kernel: "batchNormGrad/sums",
            source: [source(text, { ELEMENTS: count }), gradFunctions].join("\n"),
            bindings: [scratch(0), input(0), input(4), input(2), input(1), input(3), output(1), output(2)],
            workgroups,
            bytes: 8 * size,
          };
          return { name: nameOf(sharing), scratch: [16 * channels], dispatches: [sums, last] };
        }
        return {
          name,
          scratch: [16 * channels, 16 * slabs * channels],
          dispatches: [
            {
              kernel: `batchNormGrad/sums-${name}`,
              source: source(gradSumsSource),
              bindings: [scratch(1), input(0), input(4), input(2)],
              workgroups,
              bytes: 8 * size + 16 * slabs * channels,
            },
            {
              kernel: "batchNormGrad/merge",
              source: [
                specialize(gradMergeSource, { CHANNELS: channels, SLABS: slabs, COUNT: count }),
                gradFunctions,
              ].join("\n"),
              bindings: [scratch(1, "read"), input(1), input(2), input(3), scratch(0), output(1), output(2)],
              workgroups: threadsGrid(channels, facts),
              bytes: (16 * slabs + 36) * channels,
            },
            last,
          ],
        };
      });
    },
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

/**
 * (x − mean) · inverse · gamma + beta, where mean and inverse = 1/√(variance + eps) are x's own over the batch: the
 * gradient in x accounts for that, and none is left for them. The other inputs come in a shape that broadcasts to x's.
 */
export const batchNormApply = defineOp({
  name: "batchNormApply",
  infer: ([x, ...rest]) => {
    layoutOf("batchNormApply", x!);
    const shape = besides(x!.shape);
    for (const given of rest)
      if (!sameShape(given.shape, shape))
        throw new ShapeError(
          `batchNormApply: gamma, beta, mean or inverse is ${showType(given)}; use f32${showShape(shape)} beside ${showShape(x!.shape)}.`,
        );
    return [{ shape: x!.shape, dtype: "f32" }];
  },
  reference: ([x, gamma, beta, mean, inverse]) => [
    normalized(x!, gamma!.data, beta!.data, mean!.data, inverse!.data),
  ],
  grad: ({ dy, inputs: [x, gamma, , mean, inverse] }, f) => {
    const flat = (value: typeof x) => f.reshape!(value, { shape: [-1] });
    const [dx, dgamma, dbeta] = f.all.batchNormGrad!(x, flat(gamma), flat(mean), flat(inverse), dy);
    const spread = (value: typeof x) => f.reshape!(value, { shape: besides(x!.shape) });
    return [dx!, spread(dgamma), spread(dbeta), null, null];
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
      gradient: false, // mean and inverse are not x's here; batchNorm's own test has them so
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
      normalized(x!, gamma!.data, beta!.data, mean, inverseOf(variance, eps)),
      { shape, dtype: "f32", data: mean },
      { shape, dtype: "f32", data: variance },
    ];
  },
  implementation: {
    kind: "composition",
    compose: ([x, gamma, beta], attrs, f) => {
      const [mean, variance, inverse] = f.all.batchNormStatistics!(x, attrs);
      const spread = (value: typeof x) => f.reshape!(value, { shape: besides(x!.shape) });
      const y = f.batchNormApply!(x, spread(gamma), spread(beta), spread(mean!), spread(inverse!));
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
    normalized(x!, gamma!.data, beta!.data, mean!.data, inverseOf(variance!.data, eps)),
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
