import directSource from "../../../shaders/conv/direct.part.wgsl?raw";
import directSubgroupSource from "../../../shaders/conv/direct-subgroup.wgsl?raw";
import directThreadSource from "../../../shaders/conv/direct-thread.wgsl?raw";
import momentsSource from "../../../shaders/conv/moments.part.wgsl?raw";
import naiveSource from "../../../shaders/conv/naive.wgsl?raw";
import noMomentsSource from "../../../shaders/conv/no-moments.part.wgsl?raw";
import operandsSource from "../../../shaders/conv/operands.part.wgsl?raw";
import storeScalarSource from "../../../shaders/conv/store-scalar.part.wgsl?raw";
import storeVectorSource from "../../../shaders/conv/store-vector.part.wgsl?raw";
import stretchScalarSource from "../../../shaders/conv/stretch-scalar.part.wgsl?raw";
import stretchVectorSource from "../../../shaders/conv/stretch-vector.part.wgsl?raw";
import {
  type AdapterFacts,
  type Dispatch,
  type Elements,
  gridOf,
  input,
  type KernelVariant,
  moments,
  output,
} from "../../core/kernel.ts";
import { measured } from "../measured.ts";
import { compilesSlowly, evenTile, inOrder, knownSubgroups, tileBudget } from "../product/tiles.ts";
import { distinct, workgroupProduct, workgroupTiles } from "../product/workgroup.ts";
import type { Geometry } from "./shape.ts";
import { type ConvSum, specializeSum, sumConstants, sumText } from "./sum.ts";

const product = (numbers: readonly number[]) => numbers.reduce((a, b) => a * b, 1);

/** Floating-point operations and bytes of a convolution: the same for its three products. */
export function convCost(g: Geometry): { flops: number; bytes: number } {
  const weights = (g.outChannels * g.inChannels * product(g.kernel)) / g.groups;
  const pixels = g.batch * product(g.output);
  const values = g.batch * g.inChannels * product(g.input);
  return { flops: 2 * weights * pixels, bytes: 4 * (weights + values + pixels * g.outChannels) };
}

/**
 * All ways to compute the forward pass or the gradient in the input, the best for this kind of adapter first; a dispatch
 * for each sum. Bindings: source, weight, result.
 */
export function convVariants(
  name: string,
  g: Geometry,
  sums: readonly ConvSum[],
  facts: AdapterFacts,
  wantMoments = false,
): KernelVariant[] {
  // On llvmpipe a pass over the result costs no more than its moments do here, and compiling them takes 0.3 s a kernel.
  const leave = wantMoments && !facts.software;
  const makers = inOrder<Maker>(facts, {
    subgroup: knownSubgroups(facts) ? [["subgroup", directSubgroup]] : [],
    tile: compilesSlowly(facts) ? [] : [["tile", directThread]],
    workgroup: workgroupTiles(facts).map(([kind, largest]) => [
      kind,
      (sum) => implicitProduct(sum, facts, largest, leave),
    ]),
    // Late, so that it is nobody's default.
    naive: [...(measured.winogradKernels?.(facts) ?? []), ["naive", naive]],
  });
  const { flops, bytes } = convCost(g);
  const variants = makers.flatMap(([kind, make]) => {
    // Pixels that no tap reaches only need their zeros.
    const parts = sums.map((sum): Part | null => (sum.sources === 0 ? naive : make)(sum, facts, leave));
    if (parts.includes(null)) return [];
    const slabs = parts[0]?.moments;
    const magnified = parts.find((part) => part?.magnified)?.magnified;
    const dispatches = parts.map((part) => ({
      kernel: `${name}/${kind}`,
      source: part!.source,
      workgroups: part!.workgroups,
      stores: part!.stores,
      bindings: [
        input(0, "x", { width: part!.width, slots: part!.slots }),
        input(1, "w"),
        output(0, "y", { width: part!.stored }),
        ...(slabs ? [moments("read_write")] : []),
      ],
      flops: part!.flops ?? flops / sums.length,
      bytes: bytes / sums.length,
    }));
    return [{ name: kind, dispatches, ...(slabs && { moments: slabs }), ...(magnified && { magnified }) }];
  });
  return distinct(variants);
}

/** A kind of kernel and how it computes a sum; null where the adapter's limits are too low. */
type Maker = [kind: string, make: (sum: ConvSum, facts: AdapterFacts, wantMoments: boolean) => Part | null];

/**
 * A dispatch's shader, grid and stores, how it loads x, elements of one store of y, its operations if they are not the
 * sum's own, how many slabs of moments it leaves if it was asked to, and what its algorithm adds up.
 */
interface Part
  extends Pick<Dispatch, "source" | "workgroups" | "stores" | "flops">,
    Pick<Elements, "width" | "slots">,
    Pick<KernelVariant, "moments" | "magnified"> {
  readonly stored?: number;
}

function naive(sum: ConvSum, facts: AdapterFacts): Part {
  const threads = sum.batch * sum.groups * sum.targets * product(sum.output);
  return {
    source: specializeSum(sum, [naiveSource]),
    workgroups: gridOf(Math.ceil(threads / 64), facts),
  };
}

function implicitProduct(sum: ConvSum, facts: AdapterFacts, largest: number, wantMoments: boolean) {
  const operands = {
    products: sum.groups,
    m: sum.targets,
    n: sum.batch * product(sum.output),
    k: sum.sources * product(sum.kernel),
    aAlongK: true,
    bAlongK: false,
    slabs: false,
    moments: wantMoments,
    operands: sumText(operandsSource),
    constants: sumConstants(sum),
  };
  return workgroupProduct(operands, facts, largest);
}

interface Tile {
  readonly channels: number;
  readonly rows: number;
  readonly pixels: number;
}

function directConstants(sum: ConvSum, tile: Tile, facts: AdapterFacts) {
  const [, stride] = sum.stride;
  const [, dilation] = sum.dilation;
  const stored = Math.min(tile.channels, 2);
  return {
    CHANNELS: tile.channels,
    ROWS: tile.rows,
    PIXELS: tile.pixels,
    STORED: stored,
    MOVED: (tile.channels - stored) * tile.rows * tile.pixels,
    SPAN: (tile.pixels - 1) * stride + (sum.kernel[1] - 1) * dilation + 1,
    SLIDE: sum.stride[0] === 1 && sum.dilation[0] === 1,
    // A software driver compiles for long what it unrolls.
    WHOLE_STEPS: !facts.software,
  };
}

const places = (sum: ConvSum, { rows, pixels }: Tile) =>
  sum.batch * Math.ceil(sum.output[0] / rows) * Math.ceil(sum.output[1] / pixels);

function directThread(sum: ConvSum, facts: AdapterFacts) {
  const pixels = evenTile(sum.output[1], 8);
  const tile = {
    channels: evenTile(
      sum.targets,
      tileBudget(facts, Math.max(1, Math.min(6, Math.floor(12 / sum.kernel[1])))),
    ),
    rows: Math.min(tileBudget(facts, pixels > 4 ? 2 : 4), sum.output[0]),
    pixels,
  };
  const constants = {
    ...directConstants(sum, tile, facts),
    LANES: 64,
    FILTERS: tile.channels * sum.kernel[1],
  };
  const threads = sum.groups * Math.ceil(sum.targets / tile.channels) * places(sum, tile);
  return {
    source: specializeSum(
      sum,
      [directThreadSource, directSource, stretchScalarSource, storeScalarSource, noMomentsSource],
      constants,
    ),
    workgroups: gridOf(Math.ceil(threads / 64), facts),
    stores: pixels,
    slots: 1,
  };
}

/** Channels of a lane: as many as share a load, as long as a driver compiles the body soon. */
function mostChannels({ kernel: [height, width] }: ConvSum, facts: AdapterFacts) {
  // A GPU has too few registers for 32.
  const most = height * width === 1 && facts.software ? 32 : 16;
  return Math.max(1, Math.min(most, Math.floor(48 / width)));
}

/** What it costs a software driver that a lane loads its weights and shares them, in pixels' products. */
const WEIGHTS = 4;

/**
 * Rows and pixels of a lane where it loads pixels one by one, at most so many: those that cost least with what they compute
 * beyond the image, and of equals the longest rows.
 */
function closestPixels([height, width]: readonly [number, number], most: number): Omit<Tile, "channels"> {
  const cost = (rows: number, pixels: number) =>
    Math.ceil(height / rows) * Math.ceil(width / pixels) * (rows * pixels + WEIGHTS);
  let best = { rows: 1, pixels: 1 };
  for (let rows = 1; rows <= Math.min(3, height); rows++)
    for (let pixels = 1; pixels <= Math.min(width, Math.floor(most / rows)); pixels++) {
      const difference = cost(rows, pixels) - cost(best.rows, best.pixels);
      if (difference < 0 || (difference === 0 && pixels > best.pixels)) best = { rows, pixels };
    }
  return best;
}

function directSubgroup(sum: ConvSum, facts: AdapterFacts, wantMoments: boolean): Part {
  const lanes = facts.subgroupMinSize;
  const vector = sum.every[1] === 1 && vectorStretches(sum, lanes);
  const channels = evenTile(sum.targets, tileBudget(facts, mostChannels(sum, facts)));
  const tile = {
    channels,
    // On llvmpipe [64, 256, 7, 7] takes three quarters and [64, 256, 3, 3] two thirds of the time with tiles that fit.
    ...(!vector && facts.software && !compilesSlowly(facts)
      ? closestPixels(sum.output, channels > 16 ? 8 : 10)
      : {
          rows: Math.min(tileBudget(facts, 2), sum.output[0]),
          pixels: vector ? 4 : evenTile(sum.output[1], 4),
        }),
  };
  const constants = {
    ...directConstants(sum, tile, facts),
    LANES: lanes,
    FILTERS: Math.ceil((tile.channels * sum.kernel[1]) / lanes),
    MOMENTS: wantMoments,
  };
  const slabs = Math.ceil(places(sum, tile) / lanes);
  const parts = [
    ...(vector ? [stretchVectorSource, storeVectorSource] : [stretchScalarSource, storeScalarSource]),
    wantMoments ? momentsSource : noMomentsSource,
  ];
  const tiles = sum.groups * Math.ceil(sum.targets / tile.channels);
  return {
    source: specializeSum(sum, [directSubgroupSource, directSource, ...parts], {
      ...constants,
      ...(wantMoments && { SLABS: slabs }),
    }),
    workgroups: gridOf(tiles * slabs, facts),
    slots: 1,
    ...(vector ? { width: 4, stored: 4 } : { stores: tile.pixels }),
    ...(wantMoments && { moments: slabs }),
  };
}

/** Whether shaders/conv/stretch-vector.part.wgsl can read the rows of a sum, or of a weight gradient. */
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
