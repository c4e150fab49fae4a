import { show } from "../../core/attributes.ts";
import { checkWhole } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import { kindOf } from "../../core/tree.ts";
import type { AnyModule } from "../module.ts";

/** A number for both, or one for each. */
export type Pair = number | readonly [height: number, width: number];

/**
 * One for each direction.
 * @throws OptionError for what is neither a number nor two.
 */
export function pair(x: Pair): readonly [number, number] {
  if (typeof x === "number") return [x, x];
  if (Array.isArray(x) && x.length === 2) return x as unknown as readonly [number, number];
  throw new OptionError(`A kernel, stride or size is ${show(x)}; use a number, or two for height and width.`);
}

/** @throws OptionError for a number that is no whole one above 0. */
export function positive(layer: string, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) checkWhole(`${layer}: ${name}`, value, 1);
}

/** @throws OptionError for what is no probability below 1. */
export function probability(layer: string, p: number, name = "p"): void {
  if (!(p >= 0 && p < 1))
    throw new OptionError(`${layer}: ${name} is ${String(p)}; use a probability of at least 0 and below 1.`);
}

/** @throws OptionError for what is no layer or network. */
export function checkModule(layer: string, what: string, module: unknown): asserts module is AnyModule {
  if (typeof module !== "object" || module === null || !("forward" in module))
    throw new OptionError(`${layer}: ${what} is ${kindOf(module)}; give a layer or a network.`);
}
