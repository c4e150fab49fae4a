import { checkNames, checkWhole } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import type { Shape } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import type { Initializer } from "../init.ts";
import type { Module } from "../module.ts";
import { type Channels, checkChannels, convLabel, convParameters } from "./conv.ts";
import { type Pair, pair, positive } from "./options.ts";
import { asRow, checkAxes, fromRow } from "./space.ts";

/** Options of `convTranspose2d`; stride, dilation and groups are 1, the paddings 0, bias true, init PyTorch's unless given. */
export interface ConvTranspose2dOptions {
  readonly in: number;
  readonly out: number;
  readonly kernel: Pair;
  readonly stride?: Pair;
  /** Rows and columns that are cut from both sides of the result. */
  readonly padding?: Pair;
  /** Rows and columns added below and to the right, fewer than the stride or the dilation. */
  readonly outputPadding?: Pair;
  readonly dilation?: Pair;
  readonly groups?: number;
  readonly bias?: boolean;
  readonly init?: Initializer;
}

/** Options of `convTranspose1d`, as those of `convTranspose2d`. */
export interface ConvTranspose1dOptions {
  readonly in: number;
  readonly out: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly padding?: number;
  readonly outputPadding?: number;
  readonly dilation?: number;
  readonly groups?: number;
  readonly bias?: boolean;
  readonly init?: Initializer;
}

/** Height, then width. */
type Two = readonly [number, number];

/** Along each axis. */
interface Places {
  readonly kernel: Two;
  readonly stride: Two;
  readonly padding: Two;
  readonly outputPadding: Two;
  readonly dilation: Two;
}

const NAMES = [
  "in",
  "out",
  "kernel",
  "stride",
  "padding",
  "outputPadding",
  "dilation",
  "groups",
  "bias",
  "init",
];

function transposed(layer: string, axes: 1 | 2, options: Channels, places: Places): Module {
  checkNames(layer, options, NAMES);
  const { kernel, stride, padding, outputPadding, dilation } = places;
  for (const [name, amounts] of Object.entries({ kernel, stride, dilation }))
    positive(layer, { [name]: Math.min(...amounts) });
  checkChannels(layer, options);
  for (const [name, amounts] of Object.entries({ padding, outputPadding }))
    for (const amount of amounts) checkWhole(`${layer}: ${name}`, amount, 0);
  outputPadding.forEach((amount, axis) => {
    const limit = Math.max(stride[axis]!, dilation[axis]!);
    if (amount >= limit)
      throw new OptionError(
        `${layer}: outputPadding is ${amount}; use less than the stride or the dilation, ${limit}.`,
      );
  });
  const { groups = 1, bias } = options;
  const share = options.out / groups;
  const own: Shape = axes === 1 ? kernel.slice(1) : kernel;
  const attrs = { stride, padding, outputPadding, dilation, groups };
  const module: Module = {
    label: convLabel(layer, options, own, axes === 1 ? stride.slice(1) : stride),
    description: { layer, args: [options] },
    parameters: convParameters([options.in, share, ...own], share * kernel[0] * kernel[1], options),
    forward(x, context) {
      checkAxes(layer, x, ["batch", options.in, ...(axes === 1 ? ["length"] : ["height", "width"])]);
      const weight = f.reshape(context.parameter(module, "weight"), {
        shape: [options.in, share, ...kernel],
      });
      const y = f.convTranspose2d(axes === 1 ? asRow(x) : x, weight, attrs);
      const z = bias === false ? y : f.addBias(y, context.parameter(module, "bias"), { axis: 1 });
      return axes === 1 ? fromRow(z) : z;
    },
  };
  return module;
}

/**
 * The transpose of a convolution, which makes images larger: [N, in, H, W] → [N, out, H′, W′],
 * H′ = (H − 1)·stride − 2·padding + dilation·(kernel − 1) + outputPadding + 1; weight [in, out/groups, kh, kw], bias [out],
 * as torch.nn.ConvTranspose2d. Dumoulin, Visin, 2016, §4.
 */
export function convTranspose2d(options: ConvTranspose2dOptions): Module {
  const { kernel, stride = 1, padding = 0, outputPadding = 0, dilation = 1 } = options;
  return transposed("convTranspose2d", 2, options, {
    kernel: pair(kernel),
    stride: pair(stride),
    padding: pair(padding),
    outputPadding: pair(outputPadding),
    dilation: pair(dilation),
  });
}

/**
 * The transpose of a convolution of signals: [N, in, L] → [N, out, L′],
 * L′ = (L − 1)·stride − 2·padding + dilation·(kernel − 1) + outputPadding + 1; weight [in, out/groups, kernel], bias [out],
 * as torch.nn.ConvTranspose1d.
 */
export function convTranspose1d(options: ConvTranspose1dOptions): Module {
  const { kernel, stride = 1, padding = 0, outputPadding = 0, dilation = 1 } = options;
  return transposed("convTranspose1d", 1, options, {
    kernel: [1, kernel],
    stride: [1, stride],
    padding: [0, padding],
    outputPadding: [0, outputPadding],
    dilation: [1, dilation],
  });
}
