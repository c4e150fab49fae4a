import { OptionError } from "../../core/errors.ts";
import { defineSchedule, type Feedback, option, type Schedule, type ScheduleFactory } from "./schedule.ts";

/** Options of `reduceOnPlateau`, with PyTorch's defaults. */
export interface PlateauOptions {
  readonly from: number;
  /** 0.1 */
  readonly factor?: number;
  /** Epochs without improvement that are borne: 10. */
  readonly patience?: number;
  /** By how much it must improve: 1e-4. */
  readonly threshold?: number;
  /** Whether the threshold is a share of the best ("rel", the default) or a difference ("abs"). */
  readonly thresholdMode?: "rel" | "abs";
  /** Epochs after a reduction that count for nothing: 0. */
  readonly cooldown?: number;
  /** The lowest rate: 0. */
  readonly least?: number;
  /** Whether the number should fall ("min", the default) or rise ("max"). */
  readonly mode?: "min" | "max";
  /** "loss", or the name of a metric: of the validation where fit has one, else of the training. */
  readonly watch?: string;
}

interface State {
  rate: number;
  best: number;
  bad: number;
  cooling: number;
}

/** A reduction smaller than this is none, as PyTorch's eps. */
const SMALLEST = 1e-8;

class Plateau implements Feedback {
  readonly watch: string;
  private state: State;

  constructor(private readonly options: Required<PlateauOptions>) {
    this.watch = options.watch;
    this.state = this.fresh();
  }

  get rate(): number {
    return this.state.rate;
  }

  observe(value: number): void {
    const { state } = this;
    const { factor, patience, cooldown, least } = this.options;
    if (this.isBetter(value)) {
      state.best = value;
      state.bad = 0;
    } else state.bad++;
    if (state.cooling > 0) {
      state.cooling--;
      state.bad = 0;
    }
    if (state.bad <= patience) return;
    const next = Math.max(state.rate * factor, least);
    if (state.rate - next > SMALLEST) state.rate = next;
    state.cooling = cooldown;
    state.bad = 0;
  }

  save(): string {
    const { best, ...rest } = this.state;
    return JSON.stringify({ ...rest, ...(Number.isFinite(best) && { best }) });
  }

  restore(saved: string): void {
    const { best } = this.fresh();
    let state: State | undefined;
    try {
      state = { best, ...JSON.parse(saved) };
    } catch {}
    if (
      !state ||
      ![state.rate, state.bad, state.cooling].every(Number.isFinite) ||
      typeof state.best !== "number"
    )
      throw new OptionError(`reduceOnPlateau: ${saved} is no state of it; use what save gave.`);
    this.state = state;
  }

  reset(): void {
    this.state = this.fresh();
  }

  private fresh(): State {
    const { from, mode } = this.options;
    return {
      rate: from,
      best: mode === "min" ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY,
      bad: 0,
      cooling: 0,
    };
  }

  private isBetter(value: number): boolean {
    const { mode, thresholdMode, threshold } = this.options;
    const { best } = this.state;
    const sign = mode === "min" ? -1 : 1;
    const wanted = thresholdMode === "rel" ? best * (1 + sign * threshold) : best + sign * threshold;
    return mode === "min" ? value < wanted : value > wanted;
  }
}

/**
 * η ← η·factor when a number of the run has not improved for more than `patience` epochs; as
 * torch.optim.lr_scheduler.ReduceLROnPlateau. A trainer tells it the number after each epoch, and checkpoints keep where it
 * stands; it belongs to one run. In a loop of one's own: `schedule.feedback[0].observe(loss)`.
 * @throws OptionError for options outside of their ranges.
 */
export const reduceOnPlateau: ScheduleFactory<PlateauOptions> = /*#__PURE__*/ defineSchedule(
  {
    name: "reduceOnPlateau",
    rate: "from",
    options: {
      from: /*#__PURE__*/ option("above 0"),
      factor: /*#__PURE__*/ option("factor", 0.1),
      patience: /*#__PURE__*/ option("whole", 10),
      threshold: /*#__PURE__*/ option("least 0", 1e-4),
      thresholdMode: /*#__PURE__*/ option(["rel", "abs"], "rel"),
      cooldown: /*#__PURE__*/ option("whole", 0),
      least: /*#__PURE__*/ option("least 0", 0),
      mode: /*#__PURE__*/ option(["min", "max"], "min"),
      watch: /*#__PURE__*/ option("word", "loss"),
    },
  },
  (options: Required<PlateauOptions>): Schedule => {
    const plateau = new Plateau(options);
    return Object.assign(() => plateau.rate, { feedback: [plateau] });
  },
);
