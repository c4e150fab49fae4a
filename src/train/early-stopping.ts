import { checkNames, checkWhole } from "../core/check.ts";
import type { NumericArray } from "../core/dtype.ts";
import { CheckpointError, OptionError } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import type { StoredTensor, TensorFile } from "../interchange/safetensors.ts";
import { stored } from "../model/files.ts";
import { AVERAGE } from "../optim/optimizer.ts";
import type { EarlyStopping, Stopped } from "./options.ts";
import type { Session } from "./session.ts";
import type { Stopping, StoppingState } from "./stopping.ts";

const NAMES = ["monitor", "patience", "minDelta", "mode", "target", "restoreBest"];
/** Better where they are less, and where they are more; of others one must say it. */
const KNOWN: Readonly<Record<string, "min" | "max">> = {
  loss: "min",
  penalty: "min",
  gradientNorm: "min",
  accuracy: "max",
};

/** Ends a run when a number gets no better, or good enough. */
export class Watch {
  private readonly options: Required<Omit<EarlyStopping, "target">> & { readonly target?: number };

  /** @throws OptionError for options outside their range, and a number that no epoch has. */
  constructor(
    private readonly session: Session,
    given: EarlyStopping,
    metrics: readonly string[],
    validates: boolean,
  ) {
    const who = "earlyStopping";
    if (typeof given !== "object" || given === null)
      throw new OptionError(`${who} is ${String(given)}; give options, { patience: 3 } for instance.`);
    checkNames(who, given, NAMES);
    const { monitor = validates ? "validation.loss" : "loss", patience = 1, minDelta = 0 } = given;
    const { target, restoreBest = true } = given;
    const name = monitor.replace(/^validation\./, "");
    const own = ["loss", "accuracy", "penalty", ...metrics];
    const known = [...own, "gradientNorm", ...(validates ? own.map((one) => `validation.${one}`) : [])];
    if (!known.includes(monitor))
      throw new OptionError(
        `${who}: there is no number "${monitor}"${monitor !== name && !validates ? " without validation" : ""}; use ${known.join(", ")}.`,
      );
    const { mode = metrics.includes(name) ? undefined : KNOWN[name] } = given;
    if (mode !== "min" && mode !== "max")
      throw new OptionError(
        `${who}: mode is ${JSON.stringify(mode)}; say whether "${monitor}" is better where it is less ("min") or more ("max").`,
      );
    checkWhole(`${who}: patience`, patience, 1);
    if (!(Number.isFinite(minDelta) && minDelta >= 0))
      throw new OptionError(`${who}: minDelta is ${String(minDelta)}; use a number of at least 0.`);
    if (target !== undefined && !Number.isFinite(target))
      throw new OptionError(`${who}: target is ${String(target)}; use a finite number.`);
    if (typeof restoreBest !== "boolean")
      throw new OptionError(`${who}: restoreBest is ${String(restoreBest)}; use true or false.`);
    this.options = { monitor, patience, minDelta, mode, target, restoreBest };
    const wish = JSON.stringify(this.options);
    if (session.stopping?.state.wish !== wish)
      session.stopping = {
        state: { wish, best: undefined, epoch: 0, waited: 0, stopped: false },
        weights: undefined,
      };
  }

  private get stopping(): Stopping {
    return this.session.stopping!;
  }

  /** Whether it has ended this run already. */
  get ended(): boolean {
    return this.stopping.state.stopped;
  }

  /**
   * After an epoch, the `last` of the run perhaps: what ended the run, if anything did. The best epoch's weights are then in
   * the model, where they are wanted.
   * @throws OptionError when the epoch does not have the number.
   */
  async observe(epoch: { readonly epoch: number }, last: boolean): Promise<Stopped | undefined> {
    const { monitor, patience, minDelta, mode, target, restoreBest } = this.options;
    const value = monitor.split(".").reduce<any>((part, key) => part?.[key], epoch);
    if (typeof value !== "number" || Number.isNaN(value))
      throw new OptionError(
        `earlyStopping: "${monitor}" is ${typeof value === "number" || value === undefined ? value : "no number"} after epoch ${epoch.epoch}; use a number that each epoch has.`,
      );
    const { state } = this.stopping;
    const gain =
      state.best === undefined ? undefined : mode === "min" ? state.best - value : value - state.best;
    const better = gain === undefined || gain > minDelta;
    const next: StoppingState = better
      ? { ...state, best: value, epoch: epoch.epoch, waited: 0 }
      : { ...state, waited: state.waited + 1 };
    if (better && restoreBest) this.stopping.weights = await weightsOf(this.session);
    const reached = target !== undefined && (mode === "min" ? value <= target : value >= target);
    const reason = reached ? "target" : next.waited >= patience ? "patience" : undefined;
    this.stopping.state = { ...next, stopped: reason !== undefined };
    if (!reason && !last) return undefined;
    const restored = restoreBest && next.epoch !== epoch.epoch;
    if (restored) putBack(this.session, this.stopping.weights!);
    if (reason) this.stopping.weights = undefined;
    return { reason: reason ?? "epochs", monitor, best: next.best!, epoch: next.epoch, restored };
  }
}

const averageOf = (name: string) => `${name}.${AVERAGE}`;

/** Everything that a model computes with, and the average of its parameters. */
async function weightsOf({ model, state, backend }: Session): Promise<TensorFile> {
  const tensors = new Map<string, StoredTensor>();
  for (const variable of model.tensors.all)
    tensors.set(variable.name, stored({ ...variable, data: await backend.read(variable) }));
  for (const [{ name, shape }, average] of state.averages)
    tensors.set(averageOf(name), stored({ name, shape, data: await backend.read(average) } as never));
  return { tensors, metadata: { format: "pt", batchesTracked: String(model.batchesTracked) } };
}

function putBack({ model, state, backend }: Session, { tensors, metadata }: TensorFile): void {
  const write = (name: string, to: Parameters<typeof backend.write>[0]) => {
    if (sizeOf(to.shape) > 0) backend.write(to, tensors.get(name)!.data as NumericArray);
  };
  for (const variable of model.tensors.all) write(variable.name, variable);
  for (const [{ name }, average] of state.averages) write(averageOf(name), average);
  model.batchesTracked = Number(metadata.batchesTracked);
}

/** @throws CheckpointError for weights of another model, or none where some should be. */
export function checkWeights({ model, state }: Session, weights: TensorFile, where: string): void {
  const wanted = [
    ...model.tensors.all.map(({ name, shape }) => [name, shape] as const),
    ...[...state.averages.keys()].map(({ name, shape }) => [averageOf(name), shape] as const),
  ];
  for (const [name, shape] of wanted)
    if (weights.tensors.get(name)?.shape.join() !== shape.join())
      throw new CheckpointError(
        `${where} has no tensor "${name}" [${shape.join(", ")}]; it belongs to another model, choose the one that it was saved from.`,
      );
}
