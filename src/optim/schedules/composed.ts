import { checkNumber, checkWhole } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import {
  composed,
  defineSchedule,
  option,
  progress,
  type Rate,
  rateAt,
  type Schedule,
  type ScheduleFactory,
} from "./schedule.ts";

/**
 * Grows along a line over `steps`, then follows another schedule or constant: then(t)·min(1, (t + 1)/steps). Goyal et al.,
 * 2017, §2.2.
 * @throws OptionError for steps that are no number above 0.
 */
export function warmUp(steps: number, then: Rate): Schedule {
  checkNumber("warmUp: steps", steps, "above 0");
  return composed((step, total) => rateAt(then, step, total) * Math.min(1, (step + 1) / steps), then);
}

/**
 * s(⌊t/stepsPerEpoch⌋): a schedule that changes once an epoch, given the epoch (from 0) and their number, rounded up. As
 * PyTorch's schedulers whose step() is called once an epoch, torch.optim.lr_scheduler.StepLR for instance.
 * @throws OptionError for a number of steps that is not a whole one above 0.
 */
export function byEpoch(schedule: Schedule, stepsPerEpoch: number): Schedule {
  checkWhole("byEpoch: stepsPerEpoch", stepsPerEpoch, 1);
  return composed(
    (step, total) => schedule(Math.floor(step / stepsPerEpoch), Math.ceil(total / stepsPerEpoch)),
    schedule,
  );
}

/** Options of `piecewise`. */
export interface PiecewiseOptions {
  /** [place, value], places rising. */
  readonly points: readonly (readonly [place: number, value: number])[];
  /** What the places are: steps from 0, or shares of the run from 0 to 1. "step" by default. */
  readonly unit?: "step" | "share";
}

/**
 * Along lines from point to point, the first value before the first and the last after the last; as numpy.interp(t, places,
 * values), of the step t or of t/(total − 1).
 */
export const piecewise: ScheduleFactory<PiecewiseOptions> = /*#__PURE__*/ defineSchedule(
  {
    name: "piecewise",
    rate: "points",
    options: {
      points: /*#__PURE__*/ option("points"),
      unit: /*#__PURE__*/ option(["step", "share"], "step"),
    },
  },
  ({ points, unit }: Required<PiecewiseOptions>): Schedule => {
    if (unit === "share" && points.at(-1)![0] > 1)
      throw new OptionError(`piecewise: the last place is ${points.at(-1)![0]}; use shares from 0 to 1.`);
    return (step, total) => {
      const at = unit === "step" ? step : progress(step, total);
      const next = points.findIndex(([place]) => place > at);
      if (next === 0) return points[0]![1];
      if (next < 0) return points.at(-1)![1];
      const [[x0, y0], [x1, y1]] = [points[next - 1]!, points[next]!];
      return y0 + ((y1 - y0) * (at - x0)) / (x1 - x0);
    };
  },
);

/**
 * The learning rate for a batch k times as large: lr·k. Goyal et al., 2017, §2.1.
 * @throws OptionError for batches that are no numbers above 0.
 */
export const linearScaling = (lr: number, batch: number, base: number): number =>
  lr * ratio("linearScaling", batch, base);

/**
 * The learning rate for a batch k times as large that keeps the variance of a step: lr·√k. Krizhevsky, 2014, §5; Hoffer, Hubara,
 * Soudry, 2017, §4.
 * @throws OptionError for batches that are no numbers above 0.
 */
export const squareRootScaling = (lr: number, batch: number, base: number): number =>
  lr * Math.sqrt(ratio("squareRootScaling", batch, base));

function ratio(who: string, batch: number, base: number): number {
  checkNumber(`${who}: batch`, batch, "above 0");
  checkNumber(`${who}: base`, base, "above 0");
  return batch / base;
}
