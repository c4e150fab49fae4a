import { checkNames } from "../../core/check.ts";
import { type Initializer, torchDefault, zeros } from "../init.ts";
import type { Module } from "../module.ts";
import { affine } from "./affine.ts";
import { positive } from "./options.ts";

/** Options of `linear`; bias is true and init PyTorch's unless given. */
export interface LinearOptions {
  readonly in: number;
  readonly out: number;
  readonly bias?: boolean;
  readonly init?: Initializer;
}

/** y = x Wᵀ + b along the last axis: [..., in] → [..., out]; weight [out, in], bias [out], as torch.nn.Linear. */
export function linear(options: LinearOptions): Module {
  checkNames("linear", options, ["in", "out", "bias", "init"]);
  positive("linear", { in: options.in, out: options.out });
  const weight = { shape: [options.out, options.in], init: options.init ?? torchDefault(options.in) };
  const bias = { shape: [options.out], init: options.init ? zeros : torchDefault(options.in) };
  const module: Module = {
    label: `linear(${options.in} → ${options.out})`,
    description: { layer: "linear", args: [options] },
    parameters: options.bias === false ? { weight } : { weight, bias },
    forward: (x, context) =>
      affine(
        "linear",
        x,
        context.parameter(module, "weight"),
        options.bias === false ? undefined : context.parameter(module, "bias"),
      ),
  };
  return module;
}
