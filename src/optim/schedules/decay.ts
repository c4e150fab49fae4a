import { OptionError } from "../../core/errors.ts";
import { defineSchedule, halfCosine, option, progress, type ScheduleFactory } from "./schedule.ts";

/** η(t) = from: the same value at every step; as an optimizer of torch.optim without a scheduler. */
export const constant: ScheduleFactory<{ from: number }> = /*#__PURE__*/ defineSchedule(
  { name: "constant", rate: "from", options: { from: /*#__PURE__*/ option("number") } },
  ({ from }: { from: number }) =>
    () =>
      from,
);

/** Options of `cosine` and `linearDecay`. */
export interface DecayOptions {
  readonly from: number;
  /** What is reached at the last step: 0. */
  readonly to?: number;
}

const between = () => ({ from: option("number"), to: option("number", 0) });

/**
 * From `from` down to `to` along half a cosine, to + (from − to)·(1 + cos(π·t/T))/2 with T = total − 1; as
 * torch.optim.lr_scheduler.CosineAnnealingLR(T_max=T, eta_min=to). Loshchilov, Hutter, 2017, eq. 5 (one period).
 */
export const cosine: ScheduleFactory<DecayOptions> = /*#__PURE__*/ defineSchedule(
  { name: "cosine", rate: "from", options: /*#__PURE__*/ between() },
  ({ from, to }: Required<DecayOptions>) =>
    (step, total) =>
      to + (from - to) * halfCosine(progress(step, total)),
);

/** From `from` to `to` along a line, from + (to − from)·t/T with T = total − 1; as torch.optim.lr_scheduler.LinearLR(1, to/from, T). */
export const linearDecay: ScheduleFactory<DecayOptions> = /*#__PURE__*/ defineSchedule(
  { name: "linearDecay", rate: "from", options: /*#__PURE__*/ between() },
  ({ from, to }: Required<DecayOptions>) =>
    (step, total) =>
      from + (to - from) * progress(step, total),
);

/** Options of `polynomial`. */
export interface PolynomialOptions extends DecayOptions {
  /** 1: a line. */
  readonly power?: number;
  /** The steps until `to` is reached; all but one of the run's unless given. */
  readonly steps?: number;
}

/**
 * to + (from − to)·(1 − min(t, T)/T)^power, T = steps or total − 1; as torch.optim.lr_scheduler.PolynomialLR(total_iters=T,
 * power). Chen et al., 2017, "DeepLab", §4.3.1 ("poly").
 */
export const polynomial: ScheduleFactory<PolynomialOptions> = /*#__PURE__*/ defineSchedule(
  {
    name: "polynomial",
    rate: "from",
    options: {
      from: /*#__PURE__*/ option("number"),
      to: /*#__PURE__*/ option("number", 0),
      power: /*#__PURE__*/ option("above 0", 1),
      steps: /*#__PURE__*/ option("count", undefined),
    },
  },
  ({ from, to, power, steps }: Required<DecayOptions> & { power: number; steps?: number }) =>
    (step, total) =>
      to + (from - to) * (1 - progress(step, steps === undefined ? total : steps + 1)) ** power,
);

/** Options of `stepDecay`. */
export interface StepDecayOptions {
  readonly from: number;
  readonly factor: number;
  readonly every: number;
}

/** Multiplied by `factor` after every `every` steps, from·factor^⌊t/every⌋; as torch.optim.lr_scheduler.StepLR. */
export const stepDecay: ScheduleFactory<StepDecayOptions> = /*#__PURE__*/ defineSchedule(
  {
    name: "stepDecay",
    rate: "from",
    epochs: true,
    options: {
      from: /*#__PURE__*/ option("number"),
      factor: /*#__PURE__*/ option("least 0"),
      every: /*#__PURE__*/ option("count"),
    },
  },
  ({ from, factor, every }: StepDecayOptions) =>
    (step) =>
      from * factor ** Math.floor(step / every),
);

/** Options of `multiStep`. */
export interface MultiStepOptions {
  readonly from: number;
  readonly milestones: readonly number[];
  /** 0.1 by default. */
  readonly factor?: number;
}

/** Multiplied by `factor` at each milestone, from·factor^#{m ≤ t}; as torch.optim.lr_scheduler.MultiStepLR. */
export const multiStep: ScheduleFactory<MultiStepOptions> = /*#__PURE__*/ defineSchedule(
  {
    name: "multiStep",
    rate: "from",
    epochs: true,
    options: {
      from: /*#__PURE__*/ option("number"),
      milestones: /*#__PURE__*/ option("milestones"),
      factor: /*#__PURE__*/ option("least 0", 0.1),
    },
  },
  ({ from, milestones, factor }: Required<MultiStepOptions>) =>
    (step) =>
      from * factor ** milestones.filter((milestone) => milestone <= step).length,
);

/** Options of `exponential`: gamma or decay. */
export interface ExponentialOptions {
  readonly from: number;
  /** γ of from·γ^t. */
  readonly gamma?: number;
  /** k of from·e^(−k·t). */
  readonly decay?: number;
}

/**
 * from·γ^t, or from·e^(−k·t) which is the same with γ = e^(−k); as torch.optim.lr_scheduler.ExponentialLR.
 * @throws OptionError unless one of gamma and decay is given.
 */
export const exponential: ScheduleFactory<ExponentialOptions> = /*#__PURE__*/ defineSchedule(
  {
    name: "exponential",
    rate: "from",
    epochs: true,
    options: {
      from: /*#__PURE__*/ option("number"),
      gamma: /*#__PURE__*/ option("above 0", undefined),
      decay: /*#__PURE__*/ option("least 0", undefined),
    },
  },
  ({ from, gamma, decay }: ExponentialOptions) => {
    if ((gamma === undefined) === (decay === undefined))
      throw new OptionError(
        `exponential: gamma is ${gamma} and decay ${decay}; give one of them, gamma: 0.95 or decay: 0.05.`,
      );
    return (step) => from * (gamma === undefined ? Math.exp(-decay! * step) : gamma ** step);
  },
);

/** Options of `inverseTime`. */
export interface InverseTimeOptions {
  readonly from: number;
  readonly decay: number;
}

/**
 * from/(1 + k·t), k being `decay`; as torch.optim.lr_scheduler.LambdaLR(lambda t: 1 / (1 + k * t)), and what Adagrad's lr_decay
 * does. Robbins, Monro, 1951, eq. 27 (1/t).
 */
export const inverseTime: ScheduleFactory<InverseTimeOptions> = /*#__PURE__*/ defineSchedule(
  {
    name: "inverseTime",
    rate: "from",
    epochs: true,
    options: { from: /*#__PURE__*/ option("number"), decay: /*#__PURE__*/ option("least 0") },
  },
  ({ from, decay }: InverseTimeOptions) =>
    (step) =>
      from / (1 + decay * step),
);

/** Options of `inverseSquareRoot`. */
export interface InverseSquareRootOptions {
  /** The highest rate, reached after the warm-up. */
  readonly from: number;
  /** Steps w of warm-up along a line: 1, none. */
  readonly warmUp?: number;
}

/**
 * from·min(n/w, √(w/n)) at the step numbered n = t + 1, w being `warmUp`; without warm-up from/√n, the lectures' α₀·c/√epoch
 * with from = α₀·c. Vaswani et al., 2017, eq. 3, with from = 1/√(d·w).
 */
export const inverseSquareRoot: ScheduleFactory<InverseSquareRootOptions> = /*#__PURE__*/ defineSchedule(
  {
    name: "inverseSquareRoot",
    rate: "from",
    options: { from: /*#__PURE__*/ option("number"), warmUp: /*#__PURE__*/ option("count", 1) },
  },
  ({ from, warmUp }: Required<InverseSquareRootOptions>) =>
    (step) =>
      from * Math.min((step + 1) / warmUp, Math.sqrt(warmUp / (step + 1))),
);
