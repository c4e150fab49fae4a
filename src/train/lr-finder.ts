import { checkNames, checkWhole } from "../core/check.ts";
import type { NumericArray } from "../core/dtype.ts";
import { NonFiniteError, OptionError } from "../core/errors.ts";
import type { Variable } from "../core/op.ts";
import { isStream } from "../data/stream.ts";
import { Model } from "../model/model.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { Schedule } from "../optim/schedules.ts";
import type { TrainerOptions, TrainingData } from "./options.ts";
import { Trainer } from "./trainer.ts";

/** How `lrFinder` looks for a learning rate. */
export interface LrFinderOptions {
  readonly data: TrainingData;
  /** Needed for data sets. */
  readonly batchSize?: number;
  /** The first rate: 1e-6. */
  readonly from?: number;
  /** The last rate: 10. */
  readonly to?: number;
  /** Steps from the first to the last: 100. */
  readonly steps?: number;
  /** The share of the old mean in the smoothed loss: 0.9. */
  readonly smoothing?: number;
  /** It ends where the smoothed loss is so many times its lowest: 4. */
  readonly stop?: number;
}

/** A step of `lrFinder`. */
export interface LrPoint {
  readonly rate: number;
  readonly loss: number;
  /** The losses' moving average, corrected for its beginning. */
  readonly smoothed: number;
}

/** What `lrFinder` found. */
export interface LrRange {
  readonly points: readonly LrPoint[];
  /** The rate at which the smoothed loss falls fastest over the logarithm of the rate; nothing where it never falls. */
  readonly suggestion: number | undefined;
  /** The rate with the lowest smoothed loss: too high to train with. */
  readonly lowest: number;
}

const OPTIONS = ["data", "batchSize", "from", "to", "steps", "smoothing", "stop"];

/**
 * Looks for a learning rate: trains with rates from·(to/from)^(t/(steps − 1)) that rise exponentially until the loss grows, then
 * puts the network back as it was. `optimizer` makes the one to train with from a schedule: (lr) => optim.adamW({ lr }).
 * Smith, 2015, "Cyclical learning rates", §3.3.
 *
 * @example
 * const { suggestion } = await lrFinder(
 *   { model, loss: losses.crossEntropy(), optimizer: (lr) => optim.adamW({ lr }) }, { data: train, batchSize: 64 });
 *
 * @throws OptionError for options outside of their ranges.
 */
export async function lrFinder(
  trainer: Omit<TrainerOptions, "optimizer"> & { readonly optimizer: (lr: Schedule) => Optimizer },
  options: LrFinderOptions,
): Promise<LrRange> {
  checkNames("lrFinder", options, OPTIONS);
  const { data, batchSize, from = 1e-6, to = 10, steps = 100, smoothing = 0.9, stop = 4 } = options;
  if (!(from > 0 && Number.isFinite(to) && to > from))
    throw new OptionError(
      `lrFinder: from is ${String(from)} and to ${String(to)}; use rates above 0, the second larger.`,
    );
  checkWhole("lrFinder: steps", steps, 2);
  if (!(smoothing >= 0 && smoothing < 1))
    throw new OptionError(`lrFinder: smoothing is ${String(smoothing)}; use a number from 0 to below 1.`);
  if (!(stop > 1)) throw new OptionError(`lrFinder: stop is ${String(stop)}; use a number above 1.`);
  const rateOf = (step: number) => from * (to / from) ** (step / (steps - 1));
  const trained = new Trainer({ ...trainer, optimizer: trainer.optimizer(rateOf) });
  const back = trainer.model instanceof Model ? await keep(trainer.model) : undefined;
  const points: LrPoint[] = [];
  const signal = { aborted: false };
  let [mean, least] = [0, Number.POSITIVE_INFINITY];
  try {
    const fitting = trained.fit(data, {
      epochs: steps,
      ...(batchSize !== undefined && { batchSize }),
      ...(isStream(data) && { stepsPerEpoch: steps }),
      signal,
      onStep: ({ step, loss }) => {
        if (signal.aborted || step - trained.base > steps) return;
        const t = step - trained.base - 1;
        mean = smoothing * mean + (1 - smoothing) * loss;
        const smoothed = mean / (1 - smoothing ** (t + 1));
        points.push({ rate: rateOf(t), loss, smoothed });
        least = Math.min(least, smoothed);
        signal.aborted = t + 1 >= steps || smoothed > stop * least;
      },
    });
    for await (const _ of fitting) if (signal.aborted) break;
  } catch (error) {
    // Rates that are too high end so.
    if (!(error instanceof NonFiniteError) || points.length === 0) throw error;
  } finally {
    back?.();
    await trained.dispose();
  }
  const low = points.reduce((a, b) => (b.smoothed < a.smoothed ? b : a));
  return { points, suggestion: steepest(points.slice(0, points.indexOf(low) + 1)), lowest: low.rate };
}

/** Keeps what a network is made of: gives what puts it back. */
async function keep(model: Model<any, any>): Promise<() => void> {
  const values: [Variable, NumericArray][] = [];
  for (const variable of model.tensors.all) values.push([variable, await model.device.read(variable)]);
  const { batchesTracked } = model;
  return () => {
    for (const [variable, data] of values) model.device.write(variable, data);
    model.batchesTracked = batchesTracked;
  };
}

/** Points on either side by which a slope is told. */
const REACH = 2;

/** The rate at which the smoothed loss falls fastest over the logarithm of the rate. */
function steepest(points: readonly LrPoint[]): number | undefined {
  let [best, rate] = [0, undefined as number | undefined];
  points.forEach((point, i) => {
    const [a, b] = [points[Math.max(0, i - REACH)]!, points[Math.min(points.length - 1, i + REACH)]!];
    const slope = a === b ? 0 : (b.smoothed - a.smoothed) / Math.log(b.rate / a.rate);
    if (slope < best) [best, rate] = [slope, point.rate];
  });
  return rate;
}
