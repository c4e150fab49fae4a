import { ShapeError } from "../../core/errors.ts";
import { showShape, sizeOf } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import { type Initializer, torchDefault, zeros } from "../init.ts";
import type { Module } from "../module.ts";
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
  positive("linear", { in: options.in, out: options.out });
  const weight = { shape: [options.out, options.in], init: options.init ?? torchDefault(options.in) };
  const bias = { shape: [options.out], init: options.init ? zeros : torchDefault(options.in) };
  const module: Module = {
    label: `linear(${options.in} → ${options.out})`,
    description: { layer: "linear", args: [options] },
    parameters: options.bias === false ? { weight } : { weight, bias },
    forward(x, context) {
      if (x.shape.at(-1) !== options.in)
        throw new ShapeError(
          `linear: takes [..., ${options.in}], got ${showShape(x.shape)}; flatten it or change "in".`,
        );
      const outer = x.shape.slice(0, -1);
      const rows = outer.length === 1 ? x : f.reshape(x, { shape: [sizeOf(outer), options.in] });
      const product = f.matmul(rows, context.parameter(module, "weight"), { transposeB: true });
      const y =
        options.bias === false ? product : f.addBias(product, context.parameter(module, "bias"), { axis: 1 });
      return outer.length === 1 ? y : f.reshape(y, { shape: [...outer, options.out] });
    },
  };
  return module;
}
