import naiveSource from "../../shaders/conv-weight-naive.wgsl?raw";
import tileSource from "../../shaders/conv-weight-tile.wgsl?raw";
import { convCost } from "./conv-kernel.ts";
import type { Geometry } from "./conv-shape.ts";
import { type AdapterFacts, gridOf, input, type KernelVariant, output, specialize } from "./kernel.ts";
import { slabbed, slabsFor } from "./matmul-slabs.ts";

/** All ways to compute the gradient in the weight; inputs are x and dy. */
export function weightGradVariants(g: Geometry, facts: AdapterFacts): KernelVariant[] {
  const inputs = g.inChannels / g.groups;
  const outputs = g.outChannels / g.groups;
  const constants = {
    BATCH: g.batch,
    GROUPS: g.groups,
    INPUTS: inputs,
    OUTPUTS: outputs,
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
  const taps = g.kernel[0] * g.kernel[1];
  const weights = g.groups * inputs * outputs * taps;
  const outs = Math.min(4, outputs);
  const ins = Math.min(4, inputs);
  const tiles = g.groups * Math.ceil(outputs / outs) * Math.ceil(inputs / ins) * taps;
  const { slabs, length } = slabsFor(g.batch * g.output[0], tiles, 2048, 16);
  const operands = [input(0), input(1)];
  return [
    slabbed(
      "tile",
      weights,
      slabs,
      {
        kernel: "conv2dWeightGrad/tile",
        source: specialize(tileSource, {
          ...constants,
          OUTS: outs,
          INS: ins,
          SLABS: slabs,
          SLAB_ROWS: length,
        }),
        inputs: operands,
        workgroups: gridOf(Math.ceil((tiles * slabs) / 64), facts),
        ...convCost(g),
      },
      facts,
    ),
    {
      name: "naive",
      dispatches: [
        {
          kernel: "conv2dWeightGrad/naive",
          source: specialize(naiveSource, constants),
          bindings: [...operands, output()],
          workgroups: gridOf(Math.ceil(weights / 64), facts),
          ...convCost(g),
        },
      ],
    },
  ];
}
