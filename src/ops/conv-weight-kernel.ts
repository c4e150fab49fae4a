import gradientScalarSource from "../../shaders/conv-gradient-scalar.wgsl?raw";
import gradientVectorSource from "../../shaders/conv-gradient-vector.wgsl?raw";
import stretchScalarSource from "../../shaders/conv-stretch-scalar.wgsl?raw";
import stretchVectorSource from "../../shaders/conv-stretch-vector.wgsl?raw";
import directSource from "../../shaders/conv-weight-direct.wgsl?raw";
import naiveSource from "../../shaders/conv-weight-naive.wgsl?raw";
import operandsSource from "../../shaders/conv-weight-operands.wgsl?raw";
import subgroupSource from "../../shaders/conv-weight-subgroup.wgsl?raw";
import threadSource from "../../shaders/conv-weight-thread.wgsl?raw";
import { convCost, vectorStretches } from "./conv-kernel.ts";
import type { Geometry, Pair } from "./conv-shape.ts";
import { type AdapterFacts, gridOf, input, type KernelVariant, output, specialize } from "./kernel.ts";
import { compilesSlowly, evenTile, inOrder, knownSubgroups } from "./matmul-choice.ts";
import { slabbed, slabsFor } from "./matmul-slabs.ts";
import { type WorkgroupProduct, workgroupVariantsOf } from "./matmul-workgroup.ts";

/** All ways to compute the gradient in the weight, the best for this kind of adapter first; inputs are x and dy. */
export function weightGradVariants(g: Geometry, facts: AdapterFacts): KernelVariant[] {
  const taps = g.kernel[0] * g.kernel[1];
  // The register tile of a weight gradient is one body of a thousand lines, whatever its size.
  const few = taps <= MOST_SUMS && !compilesSlowly(facts);
  const slabBytes = (4 * g.outChannels * g.inChannels * taps) / g.groups;
  const shared = few && knownSubgroups(facts) && slabBytes * facts.subgroupMinSize <= MOST_SCRATCH;
  return inOrder(facts, {
    subgroup: shared ? [directVariant("subgroup", g, facts)] : [],
    tile: few ? [directVariant("tile", g, facts)] : [],
    workgroup: workgroupVariants(g, facts),
    naive: [naiveVariant(g, facts)],
  });
}

/** Sums that a lane holds in registers. */
const MOST_SUMS = 128;
/** Bytes that the slabs of a subgroup's lanes may take. */
const MOST_SCRATCH = 2 ** 25;

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
    source: specialize(naiveSource, constantsOf(g)),
    bindings: [input(0), input(1), output()],
    workgroups: gridOf(Math.ceil(weights / 64), facts),
    ...convCost(g),
  };
  return { name: "naive", dispatches: [dispatch] };
}

function workgroupVariants(g: Geometry, facts: AdapterFacts): KernelVariant[] {
  const { GROUPS, BATCH, ...constants } = constantsOf(g);
  const n = constants.INPUTS * g.kernel[0] * g.kernel[1];
  const product: WorkgroupProduct = {
    products: GROUPS,
    m: constants.OUTPUTS,
    n,
    k: BATCH * g.output[0] * g.output[1],
    aAlongK: true,
    bAlongK: true,
    slabs: true,
    operands: operandsSource,
    constants,
  };
  const work = { inputs: [input(0), input(1)], ...convCost(g) };
  return workgroupVariantsOf(product, "conv2dWeightGrad", g.outChannels * n, work, facts);
}

function directVariant(name: "subgroup" | "tile", g: Geometry, facts: AdapterFacts): KernelVariant {
  const constants = constantsOf(g);
  const { INPUTS, OUTPUTS } = constants;
  const taps = g.kernel[0] * g.kernel[1];
  const shared = name === "subgroup";
  const [outs, ins] = channelTile(g, shared, shared ? 100 : 60);
  const tiles = g.groups * Math.ceil(OUTPUTS / outs) * Math.ceil(INPUTS / ins);
  const lanes = shared ? facts.subgroupMinSize : 64;
  const pad: Pair = [g.padding[0][0], g.padding[1][0]];
  const vector = shared && vectorStretches({ ...g, pad }, lanes);
  const pixels = vector ? 4 : evenTile(g.output[1], 4);
  const strips = g.batch * Math.ceil(g.output[1] / pixels);
  // Strips are handed out one to a lane; threads on their own need many slabs to be busy, subgroups few.
  const { slabs, length } = shared
    ? slabsFor(Math.ceil(strips / lanes), tiles, 64, 4)
    : slabsFor(strips, tiles, 2048, 4);
  const text = [
    shared ? subgroupSource : threadSource,
    directSource,
    ...(vector ? [stretchVectorSource, gradientVectorSource] : [stretchScalarSource, gradientScalarSource]),
  ].join("\n");
  return slabbed(
    name,
    g.groups * INPUTS * OUTPUTS * taps,
    shared ? slabs * lanes : slabs,
    {
      kernel: `conv2dWeightGrad/${name}`,
      source: specialize(text, {
        ...constants,
        LANES: lanes,
        TAPS: taps,
        OUTS: outs,
        INS: ins,
        PIXELS: pixels,
        SPAN: (pixels - 1) * g.stride[1] + (g.kernel[1] - 1) * g.dilation[1] + 1,
        SLIDE: g.stride[0] === 1 && g.dilation[0] === 1,
        SHARES: slabs,
        WALKS: length,
      }),
      inputs: [input(0), input(1)],
      workgroups: gridOf(shared ? tiles * slabs : Math.ceil((tiles * slabs) / lanes), facts),
      ...convCost(g),
    },
    facts,
  );
}

/**
 * How many output and input channels a lane takes. An input costs a stretch that serves all taps, where stretches slide,
 * and an output a few elements; lanes that read together afford more sums in their registers.
 */
function channelTile(g: Geometry, shared: boolean, sums: number): [outs: number, ins: number] {
  const pairs = Math.max(1, Math.floor(sums / (g.kernel[0] * g.kernel[1])));
  const slides = g.kernel[0] === 1 || (g.stride[0] === 1 && g.dilation[0] === 1);
  const most = slides ? Math.floor(Math.sqrt(shared ? 2 * pairs : pairs)) : 1;
  const ins = evenTile(g.inChannels / g.groups, Math.min(4, most));
  return [evenTile(g.outChannels / g.groups, Math.max(1, Math.min(4, Math.floor(pairs / ins)))), ins];
}
