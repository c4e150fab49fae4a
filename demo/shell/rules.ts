// The rules of thumb that pages judge a network's layers by, and their sentences: no page has rules of its own.
import type { Distribution } from "../../src/train/distribution.ts";
import { percent, short } from "./numbers.ts";

/** So large a share of dead units is too many: a layer then works with less than half of itself. */
export const MANY_DEAD = 0.5;

/** Something to be read beside a layer, in red where it is an alarm. */
export interface Note {
  readonly text: string;
  readonly alarm: boolean;
}

/** Units that are 0 for everything that was looked at: how many, and whether they are too many. */
export const deadUnits = (silent: number): Note => ({
  text: silent > 0 ? `${percent(silent)} of units dead` : "",
  alarm: silent > MANY_DEAD,
});

/** Numbers that are not finite, how many of them; any is an alarm. */
export const notFiniteNote = (share: number): Note => ({
  text: share > 0 ? `${percent(share)} not finite` : "",
  alarm: share > 0,
});

export type Part = "activations" | "gradients";

type Spread = Pick<Distribution, "std" | "notFinite">;

/** How the spread of something changes from layer to layer, in a sentence. */
export function verdictOn(part: Part, layers: readonly Spread[]): string {
  const name = part === "activations" ? "Activations" : "Gradients";
  // Activations flow forwards, gradients back.
  const flow = layers.map(({ std, notFinite }, i) => ({ std, notFinite, layer: i + 1 }));
  if (part === "gradients") flow.reverse();
  const broken = flow.filter(({ notFinite }) => notFinite > 0);
  if (broken.length > 0) {
    const where =
      broken.length === flow.length
        ? "every hidden layer"
        : `${broken.length} of ${flow.length} hidden layers`;
    return `${name} are not finite in ${where}, first in layer ${broken[0]!.layer}: they grew beyond what a 32-bit float holds, and nothing can be learned from them.`;
  }
  const way =
    part === "activations"
      ? "from the first to the last hidden layer"
      : "from the last hidden layer back to the first";
  const from = flow[0]?.std ?? 0;
  const to = flow.at(-1)?.std ?? 0;
  if (flow.every(({ std }) => std === 0)) return `${name} are zero in every layer.`;
  if (to === 0) return `${name} vanish: ${way} nothing is left.`;
  if (from === 0) return `${name} have no spread in hidden layer ${flow[0]!.layer}, where they come from.`;
  const factor = to / from;
  const verb = factor < 0.05 ? "vanish" : factor > 20 ? "explode" : "keep their size";
  return `${name} ${verb}: ${way} their spread changes by a factor of ${short(factor)}.`;
}
