import { OptionError, ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import { type Padding, resolvePadding } from "../../ops/conv/conv2d.ts";
import * as f from "../../ops/f.ts";
import { type Initializer, torchDefault, zeros } from "../init.ts";
import type { Module } from "../module.ts";
import { type Pair, pair, positive } from "./options.ts";

/** Options of `conv2d`; stride, dilation and groups are 1, bias true and init PyTorch's unless given. */
export interface Conv2dOptions {
  readonly in: number;
  readonly out: number;
  readonly kernel: Pair;
  readonly stride?: Pair;
  /** A number, a pair, "same" (stride 1 only) or "valid" (none, the default). */
  readonly padding?: Padding;
  readonly dilation?: Pair;
  readonly groups?: number;
  readonly bias?: boolean;
  readonly init?: Initializer;
}

/** Cross-correlation [N, in, H, W] → [N, out, H′, W′]; weight [out, in/groups, kh, kw], bias [out], as torch.nn.Conv2d. */
export function conv2d(options: Conv2dOptions): Module {
  const kernel = pair(options.kernel);
  const stride = pair(options.stride ?? 1);
  const dilation = pair(options.dilation ?? 1);
  const groups = options.groups ?? 1;
  positive("conv2d", {
    in: options.in,
    out: options.out,
    kernel: Math.min(...kernel),
    stride: Math.min(...stride),
    dilation: Math.min(...dilation),
    groups,
  });
  if (options.in % groups !== 0 || options.out % groups !== 0)
    throw new OptionError(
      `conv2d: ${groups} groups divide neither ${options.in} inputs nor ${options.out} outputs evenly; choose a common divisor.`,
    );
  const attrs = {
    stride,
    padding: resolvePadding(options.padding ?? "valid", kernel, stride, dilation),
    dilation,
    groups,
  };
  const fanIn = (options.in / groups) * kernel[0] * kernel[1];
  const weight = {
    shape: [options.out, options.in / groups, ...kernel],
    init: options.init ?? torchDefault(fanIn),
  };
  const bias = { shape: [options.out], init: options.init ? zeros : torchDefault(fanIn) };
  const module: Module = {
    label: `conv2d(${options.in} → ${options.out}, kernel ${kernel.join("×")}${stride.some((s) => s !== 1) ? `, stride ${stride.join("×")}` : ""})`,
    description: { layer: "conv2d", args: [options] },
    parameters: options.bias === false ? { weight } : { weight, bias },
    forward(x, context) {
      if (x.shape.length !== 4 || x.shape[1] !== options.in)
        throw new ShapeError(
          `conv2d: takes [batch, ${options.in}, height, width], got ${showShape(x.shape)}; change "in" or the layer before.`,
        );
      const y = f.conv2d(x, context.parameter(module, "weight"), attrs);
      if (options.bias === false) return y;
      return f.addBias(y, context.parameter(module, "bias"), { axis: 1 });
    },
  };
  return module;
}
