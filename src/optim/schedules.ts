import { OptionError } from "../core/errors.ts";

/** A hyperparameter over time: the value for `step` (from 0) of `total` steps. */
export type Schedule = (step: number, total: number) => number;
/** A number, or a schedule of it. */
export type Rate = number | Schedule;

/** The value of a rate at a step. */
export function rateAt(rate: Rate, step: number, total: number): number {
  return typeof rate === "number" ? rate : rate(step, total);
}

const progress = (step: number, total: number) => Math.min(1, step / Math.max(1, total - 1));

/** From `from` down to `to` along half a cosine. Loshchilov, Hutter, 2017, eq. 5 (one period). */
export const cosine =
  (options: { from: number; to?: number }): Schedule =>
  (step, total) => {
    const { from, to = 0 } = options;
    return to + ((from - to) * (1 + Math.cos(Math.PI * progress(step, total)))) / 2;
  };

/** From `from` to `to` along a line. */
export const linearDecay =
  (options: { from: number; to?: number }): Schedule =>
  (step, total) => {
    const { from, to = 0 } = options;
    return from + (to - from) * progress(step, total);
  };

/**
 * From `peak / start` up to `peak` during the first `warmup` share of the steps and down to `peak / start / final`,
 * along cosines. Smith, Topin, 2018; step for step PyTorch's OneCycleLR, whose defaults these are: `warmup` is its
 * pct_start, `start` its div_factor and `final` its final_div_factor.
 */
export function oneCycle(options: {
  peak: number;
  warmup?: number;
  start?: number;
  final?: number;
}): Schedule {
  const { peak, warmup = 0.3, start = 25, final = 1e4 } = options;
  if (!(warmup >= 0 && warmup < 1))
    throw new OptionError(`oneCycle: warmup is ${warmup}; use a share of the steps from 0 to below 1.`);
  const ease = (from: number, to: number, t: number) => to + ((from - to) * (1 + Math.cos(Math.PI * t))) / 2;
  return (step, total) => {
    const top = warmup * total - 1;
    return step < top
      ? ease(peak / start, peak, step / top)
      : ease(peak, peak / start / final, Math.min(1, (step - top) / (total - 1 - top)));
  };
}

/** Multiplied by `factor` after every `every` steps. */
export const stepDecay =
  (options: { from: number; factor: number; every: number }): Schedule =>
  (step) =>
    options.from * options.factor ** Math.floor(step / options.every);

/** Grows along a line over `steps`, then follows another schedule or constant. */
export const warmUp =
  (steps: number, then: Rate): Schedule =>
  (step, total) =>
    rateAt(then, step, total) * Math.min(1, (step + 1) / steps);

/**
 * A schedule that changes once an epoch of `stepsPerEpoch` steps: given the epoch (from 0) and their number, rounded up.
 * @throws OptionError for a number of steps that is not a whole one above 0.
 */
export function byEpoch(schedule: Schedule, stepsPerEpoch: number): Schedule {
  if (!(Number.isInteger(stepsPerEpoch) && stepsPerEpoch > 0))
    throw new OptionError(
      `byEpoch: stepsPerEpoch is ${stepsPerEpoch}; use a whole number above 0, the images divided by the batch size.`,
    );
  return (step, total) => schedule(Math.floor(step / stepsPerEpoch), Math.ceil(total / stepsPerEpoch));
}
