import depthwiseSource from "../../../shaders/conv/depthwise.wgsl?raw";
import rowScalarSource from "../../../shaders/conv/row-scalar.part.wgsl?raw";
import rowVectorSource from "../../../shaders/conv/row-vector.part.wgsl?raw";
import stretchHaloSource from "../../../shaders/conv/stretch-halo.part.wgsl?raw";
import stretchScalarSource from "../../../shaders/conv/stretch-scalar.part.wgsl?raw";
import {
  type AdapterFacts,
  gridOf,
  input,
  type KernelVariant,
  output,
  specialize,
} from "../../core/kernel.ts";
import { compilesSlowly, evenTile } from "../product/tiles.ts";
import { convCost } from "./kernel.ts";
import type { Geometry } from "./shape.ts";

/** Output channels of one input channel; with more of them, kernels that share what they load are better. */
const MOST_TARGETS = 4;
/** Multiplications of a row of a strip, and elements of input that a lane holds: what compiles soon and fits registers. */
const MOST_PRODUCTS = 200;
const MOST_HELD = 128;
const LANES = 64;
/** Fewer turns in a walk would mostly read what the walk above has read too. */
const LEAST_TURNS = 4;
/** Lanes that keep an adapter busy. */
const lanesWanted = (facts: AdapterFacts) => (facts.software ? 2 ** 10 : 2 ** 17);

/** Whether every group has one input channel and few output channels. */
export const isDepthwise = (g: Geometry) =>
  g.groups > 1 && g.inChannels === g.groups && g.outChannels <= MOST_TARGETS * g.groups;

/** How a result's rows (or columns) meet the rows that are read: see shaders/conv/depthwise.wgsl. */
function axisOf(g: Geometry, axis: 0 | 1, gradient: boolean) {
  const reach = (g.kernel[axis] - 1) * g.dilation[axis];
  const [before] = g.padding[axis];
  const padding = gradient ? reach - before : before;
  const [stride, every] = gradient ? [1, g.stride[axis]] : [g.stride[axis], 1];
  const pad = Math.ceil(padding / every);
  const shift = pad * every - padding;
  /** How many rows of input `count` rows of the result see. */
  const seen = (count: number) => Math.floor(((count - 1) * stride + reach + shift) / every) + 1;
  return { stride, every, pad, shift, seen };
}

/**
 * How many columns of the result a lane works on, and of how many vectors of input they are made, if strips are made of
 * whole vectors and those tile the rows. Two vectors are worth their halo; on a GPU, with one, neighbouring lanes read
 * neighbouring vectors.
 */
export function stripOf(
  g: Geometry,
  gradient: boolean,
  facts: AdapterFacts,
): { pixels: number; quads?: number } {
  const { stride, every } = axisOf(g, 1, gradient);
  const [from, to] = gradient ? [g.output[1], g.input[1]] : [g.input[1], g.output[1]];
  const widest = facts.software && g.kernel[0] * g.kernel[1] * 8 <= MOST_PRODUCTS ? 8 : 4;
  const least = 4 * every;
  for (const pixels of [widest / stride, least]) {
    const quads = (pixels * stride) / least;
    const tiles = pixels >= least && to % pixels === 0 && Number.isInteger(quads);
    if (tiles && from * every === to * stride) return { pixels, quads };
  }
  return {
    pixels: every * evenTile(Math.ceil(to / every), Math.max(1, Math.floor(widest / stride / every))),
  };
}

/** Kernels for the forward pass or the gradient in the input of a depthwise convolution; none for other convolutions. */
export function depthwiseVariants(
  name: "conv2d" | "conv2dInputGrad",
  g: Geometry,
  facts: AdapterFacts,
): KernelVariant[] {
  if (!isDepthwise(g)) return [];
  const gradient = name === "conv2dInputGrad";
  const multiplier = g.outChannels / g.groups;
  const [sources, targets] = gradient ? [multiplier, 1] : [1, multiplier];
  const [from, to] = gradient ? [g.output, g.input] : [g.input, g.output];
  const [down, along] = [axisOf(g, 0, gradient), axisOf(g, 1, gradient)];
  const taps = g.kernel[0] * g.kernel[1];
  const { pixels, quads } = stripOf(g, gradient, facts);
  const depth = down.seen(down.every);
  const span = along.seen(pixels);
  const products = (sources * taps * pixels) / along.every;
  if (products > MOST_PRODUCTS || sources * depth * span > MOST_HELD || compilesSlowly(facts)) return [];
  const strips = g.batch * g.groups * targets * Math.ceil(to[1] / pixels);
  const allTurns = Math.ceil(to[0] / down.every);
  const turns = evenTile(
    allTurns,
    Math.max(LEAST_TURNS, Math.ceil((allTurns * strips) / lanesWanted(facts))),
  );
  const text = [
    depthwiseSource,
    ...(quads ? [stretchHaloSource, rowVectorSource] : [stretchScalarSource, rowScalarSource]),
  ].join("\n");
  const source = specialize(text, {
    LANES,
    BATCH: g.batch,
    GROUPS: g.groups,
    SOURCES: sources,
    TARGETS: targets,
    HEIGHT: from[0],
    WIDTH: from[1],
    OUT_HEIGHT: to[0],
    OUT_WIDTH: to[1],
    KERNEL_HEIGHT: g.kernel[0],
    KERNEL_WIDTH: g.kernel[1],
    TAPS: taps,
    STRIDE_Y: down.stride,
    STRIDE_X: along.stride,
    EVERY_Y: down.every,
    EVERY_X: along.every,
    DILATION_Y: g.dilation[0],
    DILATION_X: g.dilation[1],
    PAD_Y: down.pad,
    PAD_X: along.pad,
    SHIFT_Y: down.shift,
    SHIFT_X: along.shift,
    FLIPPED: gradient,
    PIXELS: pixels,
    SPAN: span,
    DEPTH: depth,
    KEPT: Math.max(0, depth - down.stride),
    TURNS: turns,
    ...(quads && { QUADS: quads }),
  });
  const dispatch = {
    kernel: `${name}/depthwise`,
    source,
    bindings: [
      input(0, "x", { width: quads ? 4 : 1, slots: sources }),
      input(1, "w"),
      output(0, "y", { width: quads ? 4 : 1 }),
    ],
    workgroups: gridOf(Math.ceil((strips * Math.ceil(allTurns / turns)) / LANES), facts),
    ...convCost(g),
  };
  return [{ name: "depthwise", dispatches: [dispatch] }];
}
