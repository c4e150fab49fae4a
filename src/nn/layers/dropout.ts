import { OptionError } from "../../core/errors.ts";
import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";

/**
 * Zeroes each element with probability p in training and scales the others by 1/(1 − p). The mask comes from a counter
 * (seed, layer, step, element) and is made again in the backward pass. Srivastava et al., 2014.
 */
export function dropout(p = 0.5): Module {
  if (!(p >= 0 && p < 1))
    throw new OptionError(`dropout: p is ${p}; use a probability of at least 0 and below 1.`);
  const module: Module = {
    label: `dropout(${p})`,
    description: { layer: "dropout", args: [p] },
    forward: (x, context) =>
      context.training && p > 0 ? f.dropout(x, context.counters, { p, layer: context.nextLayer() }) : x,
  };
  return module;
}
