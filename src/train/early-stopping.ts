import { checkNames, checkNumber, checkWhole } from "../core/check.ts";
import type { NumericArray } from "../core/dtype.ts";
import { CheckpointError, OptionError } from "../core/errors.ts";
import type { Variable } from "../core/op.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import { kindOf } from "../core/tree.ts";
import type { StoredTensor, TensorFile } from "../interchange/safetensors.ts";
import { stored } from "../model/files.ts";
import { AVERAGE } from "../optim/optimizer.ts";
import type { EarlyStopping, Observed, Stopped, Watch, Watched } from "./stopping.ts";

const NAMES = ["monitor", "patience", "minDelta", "mode", "target", "restoreBest"];
/** Better where they are less, and where they are more; of others one must say it. */
const KNOWN: Readonly<Record<string, "min" | "max">> = {
  loss: "min",
  penalty: "min",
  gradientNorm: "min",
  accuracy: "max",
};

/** Where it stands: told to checkpoints as text. */
interface State {
  /** What was asked for: another wish begins anew. */
  readonly wish: string;
  /** The best number so far, and the epoch that gave it, from 1; none before the first epoch. */
  readonly best?: number;
  readonly epoch: number;
  /** Epochs since then. */
  readonly waited: number;
  readonly stopped: boolean;
}

/** Options of `earlyStopping`. */
export interface EarlyStoppingOptions {
  /**
   * A number of each epoch: "loss", "accuracy", "gradientNorm", "penalty", a metric's name, or one of them of the validation
   * data, "validation.loss", which is the default where there are some; else "loss" is.
   */
  readonly monitor?: string;
  /** Epochs without improvement after which the run ends, from 1; 1 unless given. */
  readonly patience?: number;
  /** What an improvement must exceed, at least 0; 0 unless given. */
  readonly minDelta?: number;
  /** Whether less is better ("min") or more ("max"): to be said of metrics, known of the others. */
  readonly mode?: "min" | "max";
  /** A number at which the run ends, when it is reached or passed. */
  readonly target?: number;
  /** Whether the model ends with the weights, running statistics and average of its best epoch; true unless given. */
  readonly restoreBest?: boolean;
}

/** @throws OptionError for options outside their range. */
function checkOptions(given: EarlyStoppingOptions): void {
  const who = "earlyStopping";
  if (typeof given !== "object" || given === null)
    throw new OptionError(`${who}: the options are ${kindOf(given)}; give { patience: 3 } for instance.`);
  checkNames(who, given, NAMES);
  const { patience = 1, minDelta = 0, target, mode, restoreBest = true } = given;
  checkWhole(`${who}: patience`, patience, 1);
  checkNumber(`${who}: minDelta`, minDelta, [0]);
  if (target !== undefined) checkNumber(`${who}: target`, target);
  if (mode !== undefined && mode !== "min" && mode !== "max")
    throw new OptionError(`${who}: mode is ${JSON.stringify(mode)}; use "min" or "max".`);
  if (typeof restoreBest !== "boolean")
    throw new OptionError(`${who}: restoreBest is ${String(restoreBest)}; use true or false.`);
}

/**
 * Ends a run before its last epoch: after `patience` epochs in which a number got no better, or when it has reached a target.
 * What it has seen is in checkpoints, best weights included, so that a resumed run ends where it would have ended; a run that
 * it has ended stays ended. Prechelt, 1998, "Early stopping — but when?".
 * @throws OptionError for options outside their range, and in `fit` for a number that no epoch has.
 *
 * @example trainer.fit(train, { epochs, batchSize, validation, earlyStopping: earlyStopping({ patience: 3 }) })
 * @example earlyStopping({ monitor: "loss", minDelta: 1e-3 }) // on the loss's change
 * @example earlyStopping({ monitor: "gradientNorm", target: 1e-4, patience: 1000 }) // where the loss is flat
 */
export function earlyStopping(options: EarlyStoppingOptions = {}): EarlyStopping {
  checkOptions(options);
  return { watch: (run, metrics, validates) => new Watching(run, options, metrics, validates) };
}

/** A number's name among those of the validation or of the epoch. */
const bare = (monitor: string) => monitor.replace(/^validation\./, "");

class Watching implements Watch {
  private readonly options: Required<Omit<EarlyStoppingOptions, "target">> & { readonly target?: number };
  private state: State;

  constructor(
    private readonly run: Watched,
    given: EarlyStoppingOptions,
    metrics: readonly string[],
    validates: boolean,
  ) {
    const { monitor = validates ? "validation.loss" : "loss", patience = 1, minDelta = 0 } = given;
    const { target, restoreBest = true } = given;
    const name = bare(monitor);
    const own = ["loss", "accuracy", "penalty", ...metrics];
    const known = [...own, "gradientNorm", ...(validates ? own.map((one) => `validation.${one}`) : [])];
    if (!known.includes(monitor))
      throw new OptionError(
        `earlyStopping: there is no number "${monitor}"${monitor !== name && !validates ? " without validation" : ""}; use ${known.join(", ")}.`,
      );
    const { mode = metrics.includes(name) ? undefined : KNOWN[name] } = given;
    if (!mode)
      throw new OptionError(
        `earlyStopping: mode is ${mode}; say whether "${monitor}" is better where it is less ("min") or more ("max").`,
      );
    this.options = { monitor, patience, minDelta, mode, target, restoreBest };
    const wish = JSON.stringify(this.options);
    const before = run.stopping && readState(run.stopping.text);
    if (before?.wish === wish) {
      this.state = before;
      if (restoreBest && before.best !== undefined && !before.stopped) checkWeights(run);
    } else {
      this.state = { wish, epoch: 0, waited: 0, stopped: false };
      run.stopping = { text: JSON.stringify(this.state), best: undefined };
    }
  }

  get ended(): boolean {
    return this.state.stopped;
  }

  /** @throws OptionError when the epoch does not have the number. */
  async observe(epoch: Observed, last: boolean): Promise<Stopped | undefined> {
    const { run, state } = this;
    const { monitor, patience, minDelta, mode, target, restoreBest } = this.options;
    const name = bare(monitor);
    const value = ((name === monitor ? epoch : epoch.validation) as Readonly<Record<string, unknown>>)?.[
      name
    ];
    if (typeof value !== "number" || Number.isNaN(value))
      throw new OptionError(
        `earlyStopping: "${monitor}" is ${typeof value === "number" || value === undefined ? value : "no number"} after epoch ${epoch.epoch}; use a number that each epoch has.`,
      );
    const gain =
      state.best === undefined ? undefined : mode === "min" ? state.best - value : value - state.best;
    const better = gain === undefined || gain > minDelta;
    const next = better
      ? { ...state, best: value, epoch: epoch.epoch, waited: 0 }
      : { ...state, waited: state.waited + 1 };
    const best = better && restoreBest ? await weightsOf(run) : run.stopping?.best;
    const reached = target !== undefined && (mode === "min" ? value <= target : value >= target);
    const reason = reached ? "target" : next.waited >= patience ? "patience" : undefined;
    this.state = { ...next, stopped: reason !== undefined };
    run.stopping = { text: JSON.stringify(this.state), best: reason ? undefined : best };
    if (!reason && !last) return undefined;
    const restored = restoreBest && next.epoch !== epoch.epoch;
    if (restored) putBack(run, best!);
    return { reason: reason ?? "epochs", monitor, best: next.best!, epoch: next.epoch, restored };
  }
}

/** @throws CheckpointError for what does not say where it stood. */
function readState(text: string): State {
  try {
    const state = JSON.parse(text) as State;
    const { wish, best, epoch, waited, stopped } = state;
    const whole = [epoch, waited].every((n) => Number.isSafeInteger(n) && n >= 0);
    const known = best === undefined || Number.isFinite(best);
    if (typeof wish === "string" && whole && known && typeof stopped === "boolean") return state;
  } catch {}
  throw new CheckpointError(
    "earlyStopping: the checkpoint does not say where it stood; use an older one, or fit without it.",
  );
}

const averageOf = (name: string) => `${name}.${AVERAGE}`;

/** Everything that a model computes with, and the average of its parameters. */
async function weightsOf({ model, state, backend }: Watched): Promise<TensorFile> {
  const tensors = new Map<string, StoredTensor>();
  for (const variable of model.tensors.all)
    tensors.set(variable.name, stored({ ...variable, data: await backend.read(variable) }));
  for (const [{ name, shape }, average] of state.averages)
    tensors.set(averageOf(name), stored({ shape, dtype: average.dtype, data: await backend.read(average) }));
  return { tensors, metadata: { format: "pt", batchesTracked: String(model.batchesTracked) } };
}

/** The average of what was frozen then is what it was. */
const averageIn = ({ tensors }: TensorFile, name: string) =>
  tensors.get(averageOf(name)) ?? tensors.get(name);

function putBack({ model, state, backend }: Watched, best: TensorFile): void {
  const write = (to: Variable, kept: StoredTensor | undefined) => {
    if (sizeOf(to.shape) > 0) backend.write(to, kept!.data as NumericArray);
  };
  for (const variable of model.tensors.all) write(variable, best.tensors.get(variable.name));
  for (const [{ name }, average] of state.averages) write(average, averageIn(best, name));
  model.batchesTracked = Number(best.metadata.batchesTracked);
}

/** @throws CheckpointError for weights of another model, or none. */
function checkWeights({ model, state, stopping }: Watched): void {
  const best = stopping?.best;
  const check = ({ shape }: Variable, name: string, kept: StoredTensor | undefined) => {
    if (!kept || !sameShape(kept.shape, shape))
      throw new CheckpointError(
        `earlyStopping: the best weights of the checkpoint have no "${name}" ${showShape(shape)}; use a checkpoint that is whole, best.safetensors included.`,
      );
  };
  for (const variable of model.tensors.all) check(variable, variable.name, best?.tensors.get(variable.name));
  for (const variable of state.averages.keys())
    check(variable, averageOf(variable.name), best && averageIn(best, variable.name));
}
