import { checkWhole } from "../../core/check.ts";

/** A number for both, or one for each. */
export type Pair = number | readonly [height: number, width: number];

/** One for each direction. */
export const pair = (x: Pair): readonly [number, number] => (typeof x === "number" ? [x, x] : x);

/** @throws OptionError for a number that is no whole one above 0. */
export function positive(layer: string, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) checkWhole(`${layer}: ${name}`, value, 1);
}
