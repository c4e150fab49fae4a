import { inOrder, type OptimizerText, textOf } from "../shell/optimizer-texts.ts";
import type { HyperNumber, OptimizerFacts } from "../shell/optimizers.ts";

/** What is set of an optimizer while it runs, by the names of its numbers, and those that all have. */
export interface Settings extends Readonly<Record<string, number>> {
  readonly lr: number;
  /** The share by which the learning rate shrinks with every step. */
  readonly rateDecay: number;
}

/** An optimizer of the engine as the page shows it. */
export interface Racer extends OptimizerText {
  /** Its name in the engine's catalogue. */
  readonly key: string;
  /** What is peculiar when all that it trains is a point. */
  readonly note: string | undefined;
  /** Its place among all, which its colour and its mark come from. */
  readonly place: number;
  /** A token of the theme. */
  readonly color: string;
  readonly first: boolean;
  readonly numbers: readonly HyperNumber[];
}

/** Those that run at first, and for which each landscape has rates. */
export const FIRST_KEYS = ["sgd", "momentum", "nesterov", "adam", "adamW"] as const;
export type Rates = Readonly<Record<(typeof FIRST_KEYS)[number], number>>;

/** So many colours the theme has. */
const COLORS = 16;

/** By what Adam's rate is multiplied for the others; by nothing where none stands here. */
const FACTORS: Readonly<Record<string, number>> = {
  adagrad: 4,
  rmsProp: 0.2,
  adadelta: 100,
  lion: 0.2,
  lamb: 0.3,
};

const NOTES: Readonly<Record<string, string>> = {
  radam:
    "Its first five steps are momentum's, not divided by √v̂: a steep slope throws it far before it begins to scale them.",
  lamb: "The point is a tensor: each step is η times its distance from (0, 0), however steep the slope, and so it rests only there unless η shrinks.",
  muon: "The point is a matrix of one row, and its momentum, made orthogonal, is always 0.7 long: every step is 0.7·η, however steep the slope, and it circles a minimum unless η shrinks.",
};

export const racersOf = (facts: readonly OptimizerFacts[]): Racer[] =>
  inOrder(facts).map(({ name, numbers }, place) => ({
    ...textOf(name),
    key: name,
    note: NOTES[name],
    place,
    color: `series-${1 + (place % COLORS)}`,
    first: FIRST_KEYS.some((key) => key === name),
    numbers,
  }));

/** A landscape's rate for a racer. */
export const rateFor = (key: string, rates: Rates): number =>
  (rates as Readonly<Record<string, number>>)[key] ??
  Number((rates.adam * (FACTORS[key] ?? 1)).toPrecision(6));
