import { checkNames } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import type { Shape } from "../../core/shape.ts";
import { type Padding, type Pads, resolvePadding } from "../../ops/conv/conv2d.ts";
import * as f from "../../ops/f.ts";
import { type Initializer, torchDefault, zeros } from "../init.ts";
import type { Module, ParameterSpec } from "../module.ts";
import { type Pair, pair, positive } from "./options.ts";
import { asRow, checkAxes, fromRow } from "./space.ts";

/** Options of `conv2d`; stride, dilation and groups are 1, bias true and init PyTorch's unless given. */
export interface Conv2dOptions {
  readonly in: number;
  readonly out: number;
  readonly kernel: Pair;
  readonly stride?: Pair;
  /** A number, a pair, "same" (stride 1 only) or "valid" (none, the default). */
  readonly padding?: Padding;
  readonly dilation?: Pair;
  /** Output channel o sees the input channels of its own group alone; groups = in is a depthwise convolution. */
  readonly groups?: number;
  readonly bias?: boolean;
  readonly init?: Initializer;
}

/** Options of `conv1d`; stride, dilation and groups are 1, bias true and init PyTorch's unless given. */
export interface Conv1dOptions {
  readonly in: number;
  readonly out: number;
  readonly kernel: number;
  readonly stride?: number;
  /** A number, [before, after], "same" (stride 1 only) or "valid" (none, the default). */
  readonly padding?: "same" | "valid" | number | readonly [before: number, after: number];
  readonly dilation?: number;
  readonly groups?: number;
  readonly bias?: boolean;
  readonly init?: Initializer;
}

/** What the layers below share: channels, groups and initial values. */
export interface Channels {
  readonly in: number;
  readonly out: number;
  readonly groups?: number;
  readonly bias?: boolean;
  readonly init?: Initializer;
}

/** @throws OptionError */
export function checkChannels(layer: string, { in: from, out, groups = 1 }: Channels): void {
  positive(layer, { in: from, out, groups });
  if (from % groups !== 0 || out % groups !== 0)
    throw new OptionError(
      `${layer}: ${groups} groups divide neither ${from} inputs nor ${out} outputs evenly; choose a common divisor.`,
    );
}

/** Weight and bias as they begin, for a weight of which one output sees `fanIn` numbers as PyTorch counts them. */
export function convParameters(
  shape: Shape,
  fanIn: number,
  { out, bias, init }: Channels,
): Readonly<Record<string, ParameterSpec>> {
  const weight = { shape, init: init ?? torchDefault(fanIn) };
  return bias === false
    ? { weight }
    : { weight, bias: { shape: [out], init: init ? zeros : torchDefault(fanIn) } };
}

/** `conv2d(3 → 32, kernel 3×3, stride 2×2)`. */
export const convLabel = (
  layer: string,
  { in: from, out }: Channels,
  kernel: readonly number[],
  stride: readonly number[],
) =>
  `${layer}(${from} → ${out}, kernel ${kernel.join("×")}${stride.some((s) => s !== 1) ? `, stride ${stride.join("×")}` : ""})`;

const NAMES = ["in", "out", "kernel", "stride", "padding", "dilation", "groups", "bias", "init"];

/** Cross-correlation [N, in, H, W] → [N, out, H′, W′]; weight [out, in/groups, kh, kw], bias [out], as torch.nn.Conv2d. */
export function conv2d(options: Conv2dOptions): Module {
  checkNames("conv2d", options, NAMES);
  const kernel = pair(options.kernel);
  const stride = pair(options.stride ?? 1);
  const dilation = pair(options.dilation ?? 1);
  const { groups = 1 } = options;
  positive("conv2d", {
    kernel: Math.min(...kernel),
    stride: Math.min(...stride),
    dilation: Math.min(...dilation),
  });
  checkChannels("conv2d", options);
  const attrs = {
    stride,
    padding: resolvePadding(options.padding ?? "valid", kernel, stride, dilation),
    dilation,
    groups,
  };
  const share = options.in / groups;
  const module: Module = {
    label: convLabel("conv2d", options, kernel, stride),
    description: { layer: "conv2d", args: [options] },
    parameters: convParameters([options.out, share, ...kernel], share * kernel[0] * kernel[1], options),
    forward(x, context) {
      checkAxes("conv2d", x, ["batch", options.in, "height", "width"]);
      const y = f.conv2d(x, context.parameter(module, "weight"), attrs);
      if (options.bias === false) return y;
      return f.addBias(y, context.parameter(module, "bias"), { axis: 1 });
    },
  };
  return module;
}

/**
 * Cross-correlation [N, in, L] → [N, out, L′], L′ = ⌊(L + padding − dilation·(kernel − 1) − 1)/stride⌋ + 1; weight
 * [out, in/groups, kernel], bias [out], as torch.nn.Conv1d.
 */
export function conv1d(options: Conv1dOptions): Module {
  checkNames("conv1d", options, NAMES);
  const { kernel, stride = 1, dilation = 1, groups = 1, padding = "valid" } = options;
  positive("conv1d", { kernel, stride, dilation });
  checkChannels("conv1d", options);
  const along: Padding =
    typeof padding === "string"
      ? padding
      : ([0, padding as number | readonly [number, number]] as unknown as Pads);
  const attrs = {
    stride: [1, stride] as const,
    padding: resolvePadding(along, [1, kernel], [1, stride], [1, dilation], "conv1d"),
    dilation: [1, dilation] as const,
    groups,
  };
  const share = options.in / groups;
  const module: Module = {
    label: convLabel("conv1d", options, [kernel], [stride]),
    description: { layer: "conv1d", args: [options] },
    parameters: convParameters([options.out, share, kernel], share * kernel, options),
    forward(x, context) {
      checkAxes("conv1d", x, ["batch", options.in, "length"]);
      const weight = f.reshape(context.parameter(module, "weight"), {
        shape: [options.out, share, 1, kernel],
      });
      const y = f.conv2d(asRow(x), weight, attrs);
      if (options.bias === false) return fromRow(y);
      return fromRow(f.addBias(y, context.parameter(module, "bias"), { axis: 1 }));
    },
  };
  return module;
}

/** Options of `separableConv2d`: those of `conv2d` but groups, and outputs of the first part for each input, 1 unless given. */
export interface SeparableConv2dOptions extends Omit<Conv2dOptions, "groups"> {
  readonly depthMultiplier?: number;
}

/**
 * A convolution of each channel by itself, then one of 1×1 over all of them: [N, in, H, W] → [N, out, H′, W′]. Its parts are
 * `depthwise` (weight [in·depthMultiplier, 1, kh, kw], no bias) and `pointwise` (weight [out, in·depthMultiplier, 1, 1],
 * bias [out]), as torch.nn.Conv2d with groups = in and one after it. Chollet, 2017, "Xception", §3.
 */
export function separableConv2d(options: SeparableConv2dOptions): Module {
  const own = NAMES.filter((name) => name !== "groups");
  checkNames("separableConv2d", options, [...own, "depthMultiplier"]);
  const { depthMultiplier = 1, out, bias = true, ...rest } = options;
  positive("separableConv2d", { in: options.in, out, depthMultiplier });
  const between = options.in * depthMultiplier;
  const depthwise = conv2d({ ...rest, out: between, groups: options.in, bias: false });
  const pointwise = conv2d({
    in: between,
    out,
    kernel: 1,
    bias,
    ...(options.init && { init: options.init }),
  });
  return {
    label: convLabel("separableConv2d", options, pair(options.kernel), pair(options.stride ?? 1)),
    description: { layer: "separableConv2d", args: [options], whole: true },
    children: { depthwise, pointwise },
    forward: (x, context) => context.run(pointwise, context.run(depthwise, x)),
  };
}
