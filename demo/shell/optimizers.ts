// The engine's optimizers for the workers of pages: what there is, as plain data, and each with numbers that change as it runs.
import { catalogue } from "../../src/optim/catalogue.ts";
import type { CommonOptions, Minimizer, Rate } from "../../src/optim/index.ts";

/** A hyperparameter that can be set while an optimizer runs: a number of the step's row, so nothing is compiled again. */
export interface HyperNumber {
  /** As in the options; "betas2" is the second of `betas`. */
  readonly name: string;
  readonly value: number;
  /** From 0 to below 1. */
  readonly share: boolean;
}

/** What a record says of an optimizer. */
export interface OptimizerFacts {
  readonly name: string;
  /** A learning rate to begin with, for networks. */
  readonly rate: number;
  readonly numbers: readonly HyperNumber[];
}

/** The rate is the page's own, and what keeps roots from 0 nobody sets. */
const LEFT_OUT = ["lr", "eps"];

const entryOf = (name: string) => {
  const entry = catalogue.get(name);
  if (!entry) throw new Error(`There is no optimizer "${name}"; use ${[...catalogue.keys()].join(", ")}.`);
  return entry;
};

/** Its hyperparameters that are numbers. One that is 0 is off, and would be another rule if it were on; weight decay would not. */
function settable(name: string): [key: string, standard: number | readonly number[]][] {
  const { make, preset } = entryOf(name);
  const { hyper, fixed = [] } = make.record;
  const { weightDecay = 0, ...own } = { ...hyper, ...preset };
  const isSet = (value: unknown) => Array.isArray(value) || (typeof value === "number" && value !== 0);
  const shown = Object.entries(own).filter(
    ([key, value]) => isSet(value) && !LEFT_OUT.includes(key) && !fixed.includes(key),
  );
  return [...shown, ["weightDecay", weightDecay]] as [string, number | readonly number[]][];
}

const nameOf = (key: string, i: number) => `${key}${i + 1}`;

/** All that the engine has. */
export const optimizerFacts = (): OptimizerFacts[] =>
  [...catalogue].map(([name, { make, rate }]) => ({
    name,
    rate,
    numbers: settable(name).flatMap(([key, standard]) => {
      const share = make.record.shares?.includes(key) ?? false;
      return typeof standard === "number"
        ? [{ name: key, value: standard, share }]
        : standard.map((value, i) => ({ name: nameOf(key, i), value, share }));
    }),
  }));

/**
 * An optimizer whose numbers are asked for anew at every step, so that they can change while a compiled step is replayed;
 * where nothing is answered they are the record's.
 */
export function liveOptimizer(
  name: string,
  common: CommonOptions & { readonly lr: Rate },
  now: (hyper: string) => number | undefined,
): Minimizer {
  const { make, preset } = entryOf(name);
  const live = settable(name).map(([key, standard]) => [
    key,
    typeof standard === "number"
      ? () => now(key) ?? standard
      : standard.map((value, i) => () => now(nameOf(key, i)) ?? value),
  ]);
  return make({ ...common, ...preset, ...Object.fromEntries(live) });
}
