import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";
import { probability } from "./options.ts";

/**
 * Zeroes each element with probability p in training and scales the others by 1/(1 − p). The mask comes from a counter
 * (seed, layer, step, element) and is made again in the backward pass. Any shape; as torch.nn.Dropout. Srivastava et al.,
 * 2014, §4.
 */
export function dropout(p = 0.5): Module {
  probability("dropout", p);
  const module: Module = {
    label: `dropout(${p})`,
    description: { layer: "dropout", args: [p] },
    forward: (x, context) =>
      context.training && p > 0 ? f.dropout(x, context.counters, { p, layer: context.nextLayer() }) : x,
  };
  return module;
}
