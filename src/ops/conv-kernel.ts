import naiveSource from "../../shaders/conv-naive.wgsl?raw";
import tileSource from "../../shaders/conv-tile.wgsl?raw";
import weightNaiveSource from "../../shaders/conv-weight-naive.wgsl?raw";
import weightTileSource from "../../shaders/conv-weight-tile.wgsl?raw";
import type { Geometry, Pair } from "./conv-shape.ts";
import { type AdapterFacts, gridOf, input, type KernelVariant, output, specialize } from "./kernel.ts";
import { slabbed } from "./matmul-slabs.ts";

/**
 * The sum that the forward pass and the input gradient share: over source channels and taps, for every target channel
 * and pixel. See shaders/conv-naive.wgsl.
 */
export interface ConvSum {
  readonly batch: number;
  readonly groups: number;
  /** Channels of one group. */
  readonly sources: number;
  readonly targets: number;
  readonly input: Pair;
  readonly output: Pair;
  readonly kernel: Pair;
  readonly stride: Pair;
  /** Zeros before the input's first row and column; negative where it is cut. */
  readonly pad: Pair;
  readonly dilation: Pair;
  /** Distance of the input's elements from each other. */
  readonly hole: Pair;
  readonly targetStep: number;
  readonly sourceStep: number;
  readonly flip: boolean;
}

const pair = (make: (axis: 0 | 1) => number): Pair => [make(0), make(1)];

export function forwardSum(g: Geometry): ConvSum {
  const sources = g.inChannels / g.groups;
  const taps = g.kernel[0] * g.kernel[1];
  return {
    batch: g.batch,
    groups: g.groups,
    sources,
    targets: g.outChannels / g.groups,
    input: g.input,
    output: g.output,
    kernel: g.kernel,
    stride: g.stride,
    pad: pair((axis) => g.padding[axis][0]),
    dilation: g.dilation,
    hole: [1, 1],
    targetStep: sources * taps,
    sourceStep: taps,
    flip: false,
  };
}

export function inputGradSum(g: Geometry): ConvSum {
  const forward = forwardSum(g);
  return {
    ...forward,
    sources: forward.targets,
    targets: forward.sources,
    input: g.output,
    output: g.input,
    stride: [1, 1],
    pad: pair((axis) => g.dilation[axis] * (g.kernel[axis] - 1) - g.padding[axis][0]),
    hole: g.stride,
    targetStep: forward.sourceStep,
    sourceStep: forward.targetStep,
    flip: true,
  };
}

function sumConstants(sum: ConvSum) {
  return {
    BATCH: sum.batch,
    GROUPS: sum.groups,
    SOURCES: sum.sources,
    TARGETS: sum.targets,
    HEIGHT: sum.input[0],
    WIDTH: sum.input[1],
    OUT_HEIGHT: sum.output[0],
    OUT_WIDTH: sum.output[1],
    KERNEL_HEIGHT: sum.kernel[0],
    KERNEL_WIDTH: sum.kernel[1],
    STRIDE_Y: sum.stride[0],
    STRIDE_X: sum.stride[1],
    PAD_Y: sum.pad[0],
    PAD_X: sum.pad[1],
    DILATION_Y: sum.dilation[0],
    DILATION_X: sum.dilation[1],
    HOLE_Y: sum.hole[0],
    HOLE_X: sum.hole[1],
    TARGET_STEP: sum.targetStep,
    SOURCE_STEP: sum.sourceStep,
    FLIP: sum.flip,
  };
}

/** Floating-point operations and bytes of a convolution: the same for its three products. */
function cost(g: Geometry): { flops: number; bytes: number } {
  const weights = (g.outChannels * g.inChannels * g.kernel[0] * g.kernel[1]) / g.groups;
  const input = g.batch * g.inChannels * g.input[0] * g.input[1];
  const pixels = g.batch * g.output[0] * g.output[1];
  return { flops: 2 * weights * pixels, bytes: 4 * (weights + input + pixels * g.outChannels) };
}

/** All ways to compute the forward pass or the input gradient; bindings are the source, the weight, the result. */
export function convVariants(g: Geometry, sum: ConvSum, name: string, facts: AdapterFacts): KernelVariant[] {
  const constants = sumConstants(sum);
  const bindings = [input(0), input(1), output()];
  const work = { bindings, ...cost(g) };
  const rows = sum.batch * sum.groups * sum.output[0];
  const channels = Math.min(8, sum.targets);
  const pixels = Math.min(4, sum.output[1]);
  const threads = rows * Math.ceil(sum.targets / channels) * Math.ceil(sum.output[1] / pixels);
  return [
    {
      name: "tile",
      dispatches: [
        {
          kernel: `${name}/tile`,
          source: specialize(tileSource, { ...constants, CHANNELS: channels, PIXELS: pixels }),
          workgroups: gridOf(Math.ceil(threads / 64), facts),
          ...work,
        },
      ],
    },
    {
      name: "naive",
      dispatches: [
        {
          kernel: `${name}/naive`,
          source: specialize(naiveSource, constants),
          workgroups: gridOf(Math.ceil((rows * sum.targets * sum.output[1]) / 64), facts),
          ...work,
        },
      ],
    },
  ];
}

/** All ways to compute the weight gradient; inputs are x and dy. */
export function weightGradVariants(g: Geometry, facts: AdapterFacts): KernelVariant[] {
  const sum = forwardSum(g);
  const { SOURCES, TARGETS, HOLE_Y, HOLE_X, TARGET_STEP, SOURCE_STEP, FLIP, ...shared } = sumConstants(sum);
  const constants = { ...shared, INPUTS: SOURCES, OUTPUTS: TARGETS };
  const taps = g.kernel[0] * g.kernel[1];
  const weights = g.groups * sum.sources * sum.targets * taps;
  const outs = Math.min(4, sum.targets);
  const ins = Math.min(4, sum.sources);
  const tiles = g.groups * Math.ceil(sum.targets / outs) * Math.ceil(sum.sources / ins) * taps;
  const { slabs, length } = cut(g.batch * g.output[0], Math.ceil(2048 / tiles), 16);
  const inputs = [input(0), input(1)];
  return [
    slabbed(
      "tile",
      weights,
      slabs,
      {
        kernel: "conv2dWeightGrad/tile",
        source: specialize(weightTileSource, {
          ...constants,
          OUTS: outs,
          INS: ins,
          SLABS: slabs,
          SLAB_ROWS: length,
        }),
        inputs,
        workgroups: gridOf(Math.ceil((tiles * slabs) / 64), facts),
        ...cost(g),
      },
      facts,
    ),
    {
      name: "naive",
      dispatches: [
        {
          kernel: "conv2dWeightGrad/naive",
          source: specialize(weightNaiveSource, constants),
          bindings: [...inputs, output()],
          workgroups: gridOf(Math.ceil(weights / 64), facts),
          ...cost(g),
        },
      ],
    },
  ];
}

/** Shares `total` steps out to at most `wanted` slabs of at least `least` steps each. */
function cut(total: number, wanted: number, least: number): { slabs: number; length: number } {
  const length = Math.max(Math.min(least, total), Math.ceil(total / Math.max(1, wanted)));
  return { slabs: Math.ceil(total / length), length };
}
