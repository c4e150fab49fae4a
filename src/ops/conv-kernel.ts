import directSource from "../../shaders/conv-direct.wgsl?raw";
import directSubgroupSource from "../../shaders/conv-direct-subgroup.wgsl?raw";
import directThreadSource from "../../shaders/conv-direct-thread.wgsl?raw";
import naiveSource from "../../shaders/conv-naive.wgsl?raw";
import storeScalarSource from "../../shaders/conv-store-scalar.wgsl?raw";
import storeVectorSource from "../../shaders/conv-store-vector.wgsl?raw";
import stretchScalarSource from "../../shaders/conv-stretch-scalar.wgsl?raw";
import stretchVectorSource from "../../shaders/conv-stretch-vector.wgsl?raw";
import type { Geometry } from "./conv-shape.ts";
import { type ConvSum, sumConstants } from "./conv-sum.ts";
import {
  type AdapterFacts,
  type Dispatch,
  gridOf,
  input,
  type KernelVariant,
  output,
  specialize,
} from "./kernel.ts";

const product = (numbers: readonly number[]) => numbers.reduce((a, b) => a * b, 1);

/** Floating-point operations and bytes of a convolution: the same for its three products. */
export function convCost(g: Geometry): { flops: number; bytes: number } {
  const weights = (g.outChannels * g.inChannels * product(g.kernel)) / g.groups;
  const pixels = g.batch * product(g.output);
  const values = g.batch * g.inChannels * product(g.input);
  return { flops: 2 * weights * pixels, bytes: 4 * (weights + values + pixels * g.outChannels) };
}

/** Subgroups of one known size: WGSL cannot ask for a size, and kernels must know how many lanes share their work. */
export const knownSubgroups = (facts: AdapterFacts) =>
  facts.subgroups && facts.subgroupMinSize === facts.subgroupMaxSize && facts.subgroupMinSize >= 4;

/**
 * All ways to compute the forward pass or the gradient in the input, the best for this kind of adapter first; a dispatch
 * for each sum. Bindings: source, weight, result.
 */
export function convVariants(
  name: string,
  g: Geometry,
  sums: readonly ConvSum[],
  facts: AdapterFacts,
): KernelVariant[] {
  const kinds: [string, (sum: ConvSum, facts: AdapterFacts) => Pick<Dispatch, "source" | "workgroups">][] = [
    ["tile", directThread],
    ["naive", naive],
  ];
  if (knownSubgroups(facts)) kinds.unshift(["subgroup", directSubgroup]);
  const { flops, bytes } = convCost(g);
  return kinds.map(([kind, make]) => ({
    name: kind,
    dispatches: sums.map((sum) => ({
      kernel: `${name}/${kind}`,
      ...make(sum, facts),
      bindings: [input(0), input(1), output()],
      flops: flops / sums.length,
      bytes: bytes / sums.length,
    })),
  }));
}

function naive(sum: ConvSum, facts: AdapterFacts) {
  const threads = sum.batch * sum.groups * sum.targets * product(sum.output);
  return {
    source: specialize(naiveSource, sumConstants(sum)),
    workgroups: gridOf(Math.ceil(threads / 64), facts),
  };
}

/** Evenly filled tiles of at most `limit`: 10 rows in tiles of at most 8 are two of 5. */
export const evenTile = (size: number, limit: number) => Math.ceil(size / Math.ceil(size / limit));

interface Tile {
  readonly channels: number;
  readonly rows: number;
  readonly pixels: number;
}

function directConstants(sum: ConvSum, tile: Tile) {
  const [, stride] = sum.stride;
  const [, dilation] = sum.dilation;
  return {
    ...sumConstants(sum),
    CHANNELS: tile.channels,
    ROWS: tile.rows,
    PIXELS: tile.pixels,
    SPAN: (tile.pixels - 1) * stride + (sum.kernel[1] - 1) * dilation + 1,
    SLIDE: sum.stride[0] === 1 && sum.dilation[0] === 1,
  };
}

const places = (sum: ConvSum, { rows, pixels }: Tile) =>
  sum.batch * Math.ceil(sum.output[0] / rows) * Math.ceil(sum.output[1] / pixels);

function directThread(sum: ConvSum, facts: AdapterFacts) {
  const tile = {
    channels: evenTile(sum.targets, Math.max(1, Math.floor(12 / sum.kernel[1]))),
    rows: Math.min(2, sum.output[0]),
    pixels: evenTile(sum.output[1], 8),
  };
  const constants = {
    ...directConstants(sum, tile),
    LANES: 64,
    FILTERS: tile.channels * sum.kernel[1],
  };
  const threads = sum.groups * Math.ceil(sum.targets / tile.channels) * places(sum, tile);
  return {
    source: specialize(
      [directThreadSource, directSource, stretchScalarSource, storeScalarSource].join("\n"),
      constants,
    ),
    workgroups: gridOf(Math.ceil(threads / 64), facts),
  };
}

function directSubgroup(sum: ConvSum, facts: AdapterFacts) {
  const lanes = facts.subgroupMinSize;
  const vector = sum.every[1] === 1 && vectorStretches(sum, lanes);
  const tile = {
    channels: evenTile(sum.targets, Math.max(1, Math.min(16, Math.floor(48 / sum.kernel[1])))),
    rows: Math.min(2, sum.output[0]),
    pixels: vector ? 4 : evenTile(sum.output[1], 4),
  };
  const constants = {
    ...directConstants(sum, tile),
    LANES: lanes,
    FILTERS: Math.ceil((tile.channels * sum.kernel[1]) / lanes),
  };
  const parts = vector ? [stretchVectorSource, storeVectorSource] : [stretchScalarSource, storeScalarSource];
  const tiles = sum.groups * Math.ceil(sum.targets / tile.channels);
  return {
    source: specialize([directSubgroupSource, directSource, ...parts].join("\n"), constants),
    workgroups: gridOf(tiles * Math.ceil(places(sum, tile) / lanes), facts),
  };
}

/** Whether conv-stretch-vector.wgsl can read the rows of a sum, or of a weight gradient. */
export function vectorStretches(
  sum: Pick<ConvSum, "input" | "output" | "kernel" | "stride" | "pad" | "dilation">,
  lanes: number,
): boolean {
  const [width, stride, dilation] = [sum.input[1], sum.stride[1], sum.dilation[1]];
  const before = sum.pad[1];
  const after = sum.kernel[1] - 1 - before;
  return (
    width === sum.output[1] &&
    width % 4 === 0 &&
    lanes % (width / 4) === 0 &&
    stride === 1 &&
    dilation === 1 &&
    before >= 0 &&
    before <= 4 &&
    after <= 4
  );
}
