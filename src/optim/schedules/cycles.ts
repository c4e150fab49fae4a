import { OptionError } from "../../core/errors.ts";
import { defineSchedule, halfCosine, option, type Schedule, type ScheduleFactory } from "./schedule.ts";

/** Options of `oneCycle`, with PyTorch's defaults. */
export interface OneCycleOptions {
  readonly peak: number;
  /** The share of the steps that go up: 0.3, PyTorch's pct_start. */
  readonly warmup?: number;
  /** It begins at peak/start: 25, PyTorch's div_factor. */
  readonly start?: number;
  /** It ends at peak/start/final: 1e4, PyTorch's final_div_factor. */
  readonly final?: number;
}

/**
 * From `peak / start` up to `peak` during the first `warmup` share of the steps and down to `peak / start / final`,
 * along cosines; as torch.optim.lr_scheduler.OneCycleLR. Smith, Topin, 2018.
 */
export const oneCycle: ScheduleFactory<OneCycleOptions> = /*#__PURE__*/ defineSchedule(
  {
    name: "oneCycle",
    rate: "peak",
    options: {
      peak: /*#__PURE__*/ option("number"),
      warmup: /*#__PURE__*/ option("share", 0.3),
      start: /*#__PURE__*/ option("above 0", 25),
      final: /*#__PURE__*/ option("above 0", 1e4),
    },
  },
  ({ peak, warmup, start, final }: Required<OneCycleOptions>) => {
    const ease = (from: number, to: number, t: number) => to + (from - to) * halfCosine(t);
    return (step, total) => {
      const top = warmup * total - 1;
      return step < top
        ? ease(peak / start, peak, step / top)
        : ease(peak, peak / start / final, Math.min(1, (step - top) / (total - 1 - top)));
    };
  },
);

/** Options of `cosineRestarts`. */
export interface CosineRestartsOptions {
  readonly from: number;
  /** What each period ends at: 0. */
  readonly to?: number;
  /** Steps T₀ of the first period. */
  readonly first: number;
  /** Each period is so many times as long as the one before: 1. */
  readonly multiply?: number;
}

/**
 * to + (from − to)·(1 + cos(π·c/Tᵢ))/2 at step c of the period i, Tᵢ₊₁ = multiply·Tᵢ; as
 * torch.optim.lr_scheduler.CosineAnnealingWarmRestarts. Loshchilov, Hutter, 2017, eq. 5.
 */
export const cosineRestarts: ScheduleFactory<CosineRestartsOptions> = /*#__PURE__*/ defineSchedule(
  {
    name: "cosineRestarts",
    rate: "from",
    epochs: true,
    options: {
      from: /*#__PURE__*/ option("number"),
      to: /*#__PURE__*/ option("number", 0),
      first: /*#__PURE__*/ option("count"),
      multiply: /*#__PURE__*/ option("count", 1),
    },
  },
  ({ from, to, first, multiply }: Required<CosineRestartsOptions>) =>
    (step) => {
      let [begin, length] = [0, first];
      if (multiply === 1) begin = Math.floor(step / first) * first;
      else
        while (step >= begin + length) {
          begin += length;
          length *= multiply;
        }
      return to + (from - to) * halfCosine((step - begin) / length);
    },
);

/** Options of `triangular`. */
export interface TriangularOptions {
  /** The lowest rate. */
  readonly from: number;
  readonly peak: number;
  /** Steps from the lowest rate to the peak. */
  readonly up: number;
  /** Steps back, as many as up unless given. */
  readonly down?: number;
  /** How peaks shrink: not, by half each cycle ("triangular2"), or by γ^t ("exp_range"). */
  readonly mode?: "triangular" | "triangular2" | "exp_range";
  /** γ of "exp_range": 1. */
  readonly gamma?: number;
}

/**
 * from + (peak − from)·height(t)·shrunk(t): height goes up and down from 0 to 1 along lines, again and again; shrunk is 1, 2^−cycle or γ^t; as torch.optim.lr_scheduler.CyclicLR. Smith, 2015,
 * "Cyclical learning rates", §3.2.
 * @throws OptionError for a peak below `from`.
 */
export const triangular: ScheduleFactory<TriangularOptions> = /*#__PURE__*/ defineSchedule(
  {
    name: "triangular",
    rate: "peak",
    options: {
      from: /*#__PURE__*/ option("number"),
      peak: /*#__PURE__*/ option("number"),
      up: /*#__PURE__*/ option("count"),
      down: /*#__PURE__*/ option("count", undefined),
      mode: /*#__PURE__*/ option(["triangular", "triangular2", "exp_range"], "triangular"),
      gamma: /*#__PURE__*/ option("above 0", 1),
    },
  },
  ({
    from,
    peak,
    up,
    down = up,
    mode,
    gamma,
  }: Required<Omit<TriangularOptions, "down">> & { down?: number }): Schedule => {
    if (peak < from)
      throw new OptionError(`triangular: peak is ${peak} and from ${from}; use a peak of at least from.`);
    return (step) => {
      const length = up + down;
      const cycle = Math.floor(step / length);
      const at = step - cycle * length;
      const height = at <= up ? at / up : (length - at) / down;
      const shrunk = mode === "triangular2" ? 0.5 ** cycle : mode === "exp_range" ? gamma ** step : 1;
      return from + (peak - from) * height * shrunk;
    };
  },
);
