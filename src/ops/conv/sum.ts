import sumSource from "../../../shaders/conv/sum.part.wgsl?raw";
import { type Constants, specialize } from "../../core/kernel.ts";
import type { Geometry, Pair } from "./shape.ts";

/**
 * The sum that the forward pass and the gradient in the input share: for every target channel and pixel, over source
 * channels and taps. shaders/conv/sum.part.wgsl spells it out.
 */
export interface ConvSum {
  readonly batch: number;
  readonly groups: number;
  /** Channels of one group. */
  readonly sources: number;
  readonly targets: number;
  readonly input: Pair;
  /** Rows and columns that the sum computes. */
  readonly output: Pair;
  readonly kernel: Pair;
  readonly stride: Pair;
  /** Zeros before the input's first row and column; negative where it is cut. */
  readonly pad: Pair;
  readonly dilation: Pair;
  /** From one group's, target's and source's weights to the next one's, in elements. */
  readonly steps: readonly [group: number, target: number, source: number];
  /** Where the first tap lies within a kernel, and how far apart taps are. */
  readonly taps: readonly [first: number, y: number, x: number];
  /** Height and width of the whole result, of which the sum computes every so-manieth row and column. */
  readonly full: Pair;
  readonly first: Pair;
  readonly every: Pair;
}

const pair = (make: (axis: 0 | 1) => number): Pair => [make(0), make(1)];

export function forwardSum(g: Geometry): ConvSum {
  const sources = g.inChannels / g.groups;
  const targets = g.outChannels / g.groups;
  const taps = g.kernel[0] * g.kernel[1];
  return {
    batch: g.batch,
    groups: g.groups,
    sources,
    targets,
    input: g.input,
    output: g.output,
    kernel: g.kernel,
    stride: g.stride,
    pad: pair((axis) => g.padding[axis][0]),
    dilation: g.dilation,
    steps: [targets * sources * taps, sources * taps, taps],
    taps: [0, g.kernel[1], 1],
    full: g.output,
    first: [0, 0],
    every: [1, 1],
  };
}

/** One remainder of the input's rows (or columns) by the stride: which taps reach it, and how. */
interface Phase {
  readonly first: number;
  readonly count: number;
  /** The last tap, the distance to the one before, and how many there are. */
  readonly tap: number;
  readonly tapStep: number;
  readonly taps: number;
  readonly pad: number;
  readonly dilation: number;
}

/**
 * Output o and tap k meet input h where o·stride = h + padding − k·dilation. For inputs h = first + stride·i that holds
 * for every tapStep-th tap, and consecutive ones meet outputs `dilation` apart.
 */
function phases(g: Geometry, axis: 0 | 1): Phase[] {
  const stride = g.stride[axis];
  const divisor = greatestDivisor(stride, g.dilation[axis]);
  const tapStep = stride / divisor;
  const dilation = g.dilation[axis] / divisor;
  const result: Phase[] = [];
  for (let first = 0; first < Math.min(stride, g.input[axis]); first++) {
    const shift = (k: number) => first + g.padding[axis][0] - k * g.dilation[axis];
    let lowest = 0;
    while (lowest < tapStep && shift(lowest) % stride !== 0) lowest++;
    const taps = lowest === tapStep ? 0 : Math.max(0, Math.ceil((g.kernel[axis] - lowest) / tapStep));
    result.push({
      first,
      count: Math.ceil((g.input[axis] - first) / stride),
      tap: lowest + (taps - 1) * tapStep,
      tapStep,
      taps,
      pad: (taps - 1) * dilation - shift(lowest) / stride,
      dilation,
    });
  }
  return result;
}

const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b));

/** The gradient in the input: one sum for each pair of remainders, just one where the stride is 1. */
export function inputGradSums(g: Geometry): ConvSum[] {
  const forward = forwardSum(g);
  const [groupStep, targetStep, sourceStep] = forward.steps;
  return phases(g, 0).flatMap((y) =>
    phases(g, 1).map((x): ConvSum => {
      const none = y.taps === 0 || x.taps === 0;
      return {
        ...forward,
        sources: none ? 0 : forward.targets,
        targets: forward.sources,
        input: g.output,
        output: [y.count, x.count],
        kernel: none ? [1, 1] : [y.taps, x.taps],
        stride: [1, 1],
        pad: none ? [0, 0] : [y.pad, x.pad],
        dilation: [y.dilation, x.dilation],
        steps: [groupStep, sourceStep, targetStep],
        taps: none ? [0, 0, 0] : [y.tap * g.kernel[1] + x.tap, -y.tapStep * g.kernel[1], -x.tapStep],
        full: g.input,
        first: [y.first, x.first],
        every: g.stride,
      };
    }),
  );
}

/** A shader over the sum: sum.part.wgsl and the parts that complete it, specialised. */
export const specializeSum = (sum: ConvSum, parts: readonly string[], constants: Constants = {}): string =>
  specialize(sumText(...parts), { ...sumConstants(sum), ...constants });

export const sumText = (...parts: readonly string[]) => [...parts, sumSource].join("\n");

export function sumConstants(sum: ConvSum) {
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
    GROUP_STEP: sum.steps[0],
    TARGET_STEP: sum.steps[1],
    SOURCE_STEP: sum.steps[2],
    FIRST_TAP: sum.taps[0],
    TAP_Y: sum.taps[1],
    TAP_X: sum.taps[2],
    FULL_HEIGHT: sum.full[0],
    FULL_WIDTH: sum.full[1],
    FIRST_Y: sum.first[0],
    FIRST_X: sum.first[1],
    EVERY_Y: sum.every[0],
    EVERY_X: sum.every[1],
  };
}
