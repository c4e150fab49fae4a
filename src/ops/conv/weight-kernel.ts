import gradientScalarSource from "../../../shaders/conv/gradient-scalar.part.wgsl?raw";
import gradientVectorSource from "../../../shaders/conv/gradient-vector.part.wgsl?raw";
import stretchHaloSource from "../../../shaders/conv/stretch-halo.part.wgsl?raw";
import stretchScalarSource from "../../../shaders/conv/stretch-scalar.part.wgsl?raw";
import stretchVectorSource from "../../../shaders/conv/stretch-vector.part.wgsl?raw";
import channelsSource from "../../../shaders/conv/weight-channels.wgsl?raw";
import directSource from "../../../shaders/conv/weight-direct.part.wgsl?raw";
import gatheredSource from "../../../shaders/conv/weight-gathered.wgsl?raw";
import naiveSource from "../../../shaders/conv/weight-naive.wgsl?raw";
import operandsSource from "../../../shaders/conv/weight-operands.part.wgsl?raw";
import ownSource from "../../../shaders/conv/weight-own.part.wgsl?raw";
import pairsSource from "../../../shaders/conv/weight-pairs.part.wgsl?raw";
import sharedSource from "../../../shaders/conv/weight-shared.part.wgsl?raw";
import stripsSource from "../../../shaders/conv/weight-strips.wgsl?raw";
import sumSource from "../../../shaders/conv/weight-sum.part.wgsl?raw";
import threadSource from "../../../shaders/conv/weight-thread.wgsl?raw";
import {
  type AdapterFacts,
  type Binding,
  type Constants,
  type Elements,
  gridOf,
  input,
  type KernelVariant,
  output,
  specialize,
} from "../../core/kernel.ts";
import { slabbed, slabsFor } from "../product/slabs.ts";
import { compilesSlowly, evenTile, inOrder, knownSubgroups } from "../product/tiles.ts";
import { type WorkgroupProduct, workgroupVariantsOf } from "../product/workgroup.ts";
import { isDepthwise, stripOf } from "./depthwise.ts";
import { convCost, vectorStretches } from "./kernel.ts";
import type { Geometry, Pair } from "./shape.ts";

/** All ways to compute the gradient in the weight, the best for this kind of adapter first; inputs are x and dy. */
export function weightGradVariants(g: Geometry, facts: AdapterFacts): KernelVariant[] {
  const taps = g.kernel[0] * g.kernel[1];
  // The register tile of a weight gradient is one body of a thousand lines, whatever its size.
  const few = taps <= MOST_SUMS && !compilesSlowly(facts);
  const fits = isDepthwise(g) && 4 * GATHERED * taps <= facts.maxWorkgroupBytes;
  return inOrder(facts, {
    subgroup: few && knownSubgroups(facts) ? [direct("subgroup", g, facts, subgroupForm(g, facts))] : [],
    tile: few ? [direct("tile", g, facts, threadForm(g))] : [],
    workgroup: [
      ...(few && fits ? [direct("depthwise", g, facts, gatheredForm(g, facts))] : []),
      ...workgroupVariants(g, facts),
    ],
    naive: [naiveVariant(g, facts)],
  });
}

/** Sums that a lane holds in registers. */
const MOST_SUMS = 128;
/** Lanes that add up their sums through workgroup memory. */
const GATHERED = 64;
/** Workgroups that keep an adapter busy: few for a processor's cores, where another slab would cost a second pass. */
const workgroupsWanted = (facts: AdapterFacts) => (facts.software ? 8 : 264);

/** A shader over the sum that the weight gradient is: weight-sum.part.wgsl and the parts that complete it, specialised. */
const specializeSum = (g: Geometry, parts: readonly string[], constants: Constants = {}): string =>
  specialize([...parts, sumSource].join("\n"), { ...constantsOf(g), ...constants });

/** How x is loaded, and of how many elements a load of dy is. */
const bindingsOf = (x?: Elements, width = 1): Binding[] => [
  input(0, "x", x),
  input(1, "dy", { width }),
  output(0, "dw"),
];

function constantsOf(g: Geometry) {
  return {
    BATCH: g.batch,
    GROUPS: g.groups,
    INPUTS: g.inChannels / g.groups,
    OUTPUTS: g.outChannels / g.groups,
    HEIGHT: g.input[0],
    WIDTH: g.input[1],
    OUT_HEIGHT: g.output[0],
    OUT_WIDTH: g.output[1],
    KERNEL_HEIGHT: g.kernel[0],
    KERNEL_WIDTH: g.kernel[1],
    STRIDE_Y: g.stride[0],
    STRIDE_X: g.stride[1],
    PAD_Y: g.padding[0][0],
    PAD_X: g.padding[1][0],
    DILATION_Y: g.dilation[0],
    DILATION_X: g.dilation[1],
  };
}

function naiveVariant(g: Geometry, facts: AdapterFacts): KernelVariant {
  const weights = (g.outChannels * g.inChannels * g.kernel[0] * g.kernel[1]) / g.groups;
  const dispatch = {
    kernel: "conv2dWeightGrad/naive",
    source: specializeSum(g, [naiveSource]),
    bindings: bindingsOf(),
    workgroups: gridOf(Math.ceil(weights / 64), facts),
    ...convCost(g),
  };
  return { name: "naive", dispatches: [dispatch] };
}

function workgroupVariants(g: Geometry, facts: AdapterFacts): KernelVariant[] {
  const constants = constantsOf(g);
  const n = constants.INPUTS * g.kernel[0] * g.kernel[1];
  const product: WorkgroupProduct = {
    products: g.groups,
    m: constants.OUTPUTS,
    n,
    k: g.batch * g.output[0] * g.output[1],
    aAlongK: true,
    bAlongK: true,
    slabs: true,
    operands: `${operandsSource}\n${sumSource}`,
    constants,
  };
  const work = { bindings: bindingsOf(), ...convCost(g) };
  return workgroupVariantsOf(product, "conv2dWeightGrad", g.outChannels * n, work, facts);
}

/** How the lanes of weight-direct.part.wgsl share its work. */
interface Form {
  readonly entry: string;
  readonly stretch: string;
  readonly gradient: string;
  readonly lanes: number;
  /** Output and input channels of a lane. */
  readonly tile: readonly [outs: number, ins: number];
  readonly pixels: number;
  /** Workgroups (threads, where each works on its own) that one share of the strips takes, and how many are wanted. */
  readonly tiles: number;
  readonly wanted: number;
  /** Strips that are walked down at a time, and how many there are. */
  readonly strips: number;
  /** The fewest strips that are worth a slab, 4 by default. */
  readonly least?: number;
  readonly threads: boolean;
}

function direct(
  name: "subgroup" | "tile" | "depthwise",
  g: Geometry,
  facts: AdapterFacts,
  form: Form,
): KernelVariant {
  const { lanes, pixels, tiles } = form;
  const [outs, ins] = form.tile;
  const taps = g.kernel[0] * g.kernel[1];
  const span = (pixels - 1) * g.stride[1] + (g.kernel[1] - 1) * g.dilation[1] + 1;
  const { slabs, length } = slabsFor(form.strips, tiles, form.wanted, form.least ?? 4);
  const strips = form.entry === stripsSource;
  const shared = form.stretch === sharedSource;
  const reads = Math.ceil((ins * span) / lanes);
  const parts = [
    form.entry,
    directSource,
    ...(shared ? [] : [ownSource]),
    form.stretch,
    form.gradient,
    ...(strips ? [] : [pairsSource]),
  ];
  return slabbed(
    name,
    (g.outChannels * g.inChannels * taps) / g.groups,
    slabs,
    {
      kernel: `conv2dWeightGrad/${name}`,
      source: specializeSum(g, parts, {
        LANES: lanes,
        TAPS: taps,
        OUTS: outs,
        INS: ins,
        PIXELS: pixels,
        SPAN: span,
        KEPT: g.dilation[0] === 1 ? Math.max(0, g.kernel[0] - g.stride[0]) : 0,
        ...(strips ? { CHUNKS: Math.ceil((outs * ins * taps) / lanes) } : { MOVED: (outs * ins - 1) * taps }),
        ...(shared && { READS: reads }),
        ...(form.gradient === gradientVectorSource && { VECTORS: pixels / 4 }),
        ...(form.stretch === stretchHaloSource && { QUADS: (pixels * g.stride[1]) / 4 }),
        SHARES: slabs,
        WALKS: length,
      }),
      bindings: bindingsOf(
        {
          width: form.stretch === stretchHaloSource || form.stretch === stretchVectorSource ? 4 : 1,
          slots: shared ? reads : ins,
        },
        form.gradient === gradientVectorSource ? 4 : 1,
      ),
      workgroups: gridOf(Math.ceil((tiles * slabs) / (form.threads ? lanes : 1)), facts),
      ...convCost(g),
    },
    facts,
  );
}

/** Threads on their own need many slabs to be busy. */
function threadForm(g: Geometry): Form {
  const pixels = evenTile(g.output[1], 4);
  const tile = channelTile(g, false, 60);
  return {
    entry: threadSource,
    stretch: stretchScalarSource,
    gradient: gradientScalarSource,
    lanes: 64,
    tile,
    pixels,
    tiles: tilesOf(g, tile),
    wanted: 2048,
    strips: g.batch * Math.ceil(g.output[1] / pixels),
    threads: true,
  };
}

/**
 * With enough output channels, each lane has its own and the inputs are read together; with few, the lanes share the
 * channels and each has its own strip.
 */
function subgroupForm(g: Geometry, facts: AdapterFacts): Form {
  const lanes = facts.subgroupMinSize;
  const wanted = workgroupsWanted(facts);
  if (isDepthwise(g)) return { ...depthwiseForm(g, facts, lanes), entry: stripsSource };
  const [inputs, outputs] = [g.inChannels / g.groups, g.outChannels / g.groups];
  const pixels = evenTile(g.output[1], 4);
  const strips = g.batch * Math.ceil(g.output[1] / pixels);
  const fours = g.output[1] % 4 === 0;
  if (outputs >= 2 * lanes && inputs >= 4) {
    const taps = g.kernel[0] * g.kernel[1];
    const ins = evenTile(inputs, Math.max(1, Math.min(16, Math.floor(80 / (2 * taps)))));
    const outs = evenTile(Math.ceil(outputs / lanes), taps === 1 ? 4 : 2);
    return {
      entry: channelsSource,
      stretch: sharedSource,
      gradient: fours ? gradientVectorSource : gradientScalarSource,
      lanes,
      tile: [outs, ins],
      pixels,
      tiles: g.groups * Math.ceil(outputs / (outs * lanes)) * Math.ceil(inputs / ins),
      wanted,
      strips,
      threads: false,
    };
  }
  const pad: Pair = [g.padding[0][0], g.padding[1][0]];
  const vector = vectorStretches({ ...g, pad }, lanes);
  const tile = channelTile(g, true, 100);
  return {
    entry: stripsSource,
    stretch: vector ? stretchVectorSource : stretchScalarSource,
    gradient: fours ? gradientVectorSource : gradientScalarSource,
    lanes,
    tile,
    pixels,
    tiles: tilesOf(g, tile),
    wanted,
    strips: Math.ceil(strips / lanes),
    threads: false,
  };
}

/** Lanes whose inputs and outputs are of one channel each have little to share but the halo of a strip. */
function depthwiseForm(g: Geometry, facts: AdapterFacts, lanes: number): Omit<Form, "entry"> {
  const { pixels, quads } = stripOf(g, false, facts);
  const tile = channelTile(g, true, 100);
  return {
    stretch: quads ? stretchHaloSource : stretchScalarSource,
    gradient: quads ? gradientVectorSource : gradientScalarSource,
    lanes,
    tile,
    pixels,
    tiles: tilesOf(g, tile),
    wanted: workgroupsWanted(facts),
    strips: Math.ceil((g.batch * Math.ceil(g.output[1] / pixels)) / lanes),
    threads: false,
  };
}

const gatheredForm = (g: Geometry, facts: AdapterFacts): Form => ({
  ...depthwiseForm(g, facts, GATHERED),
  entry: gatheredSource,
  least: 1,
});

const tilesOf = (g: Geometry, [outs, ins]: readonly [number, number]) =>
  g.groups * Math.ceil(g.outChannels / g.groups / outs) * Math.ceil(g.inChannels / g.groups / ins);

/**
 * How many output and input channels a lane takes that works on its own strip. An input costs a stretch that serves all
 * taps, where stretches slide, and an output a few elements; lanes that read together afford more sums in their registers.
 */
function channelTile(g: Geometry, shared: boolean, sums: number): [outs: number, ins: number] {
  const pairs = Math.max(1, Math.floor(sums / (g.kernel[0] * g.kernel[1])));
  const slides = g.kernel[0] === 1 || (g.stride[0] === 1 && g.dilation[0] === 1);
  const most = slides ? Math.floor(Math.sqrt(shared ? 2 * pairs : pairs)) : 1;
  const ins = evenTile(g.inChannels / g.groups, Math.min(4, most));
  return [evenTile(g.outChannels / g.groups, Math.max(1, Math.min(4, Math.floor(pairs / ins)))), ins];
}
