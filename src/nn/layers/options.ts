import { show } from "../../core/attributes.ts";
import { checkWhole } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";

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
