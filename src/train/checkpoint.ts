import { CheckpointError, NonFiniteError } from "../core/errors.ts";
import type { Variable } from "../core/op.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import type { StoredTensor, TensorFile } from "../interchange/safetensors.ts";
import { countersOf } from "../model/files.ts";
import type { Model } from "../model/model.ts";
import { AVERAGE, type Optimizer } from "../optim/optimizer.ts";
import { FRESH_SCALER, type LossScaler, type OptimizerState } from "../optim/state.ts";
import type { Session } from "./session.ts";
import type { Precision } from "./step.ts";

/** Where a run stands besides its tensors; strings in the checkpoint's `__metadata__`. */
export interface Progress {
  readonly step: number;
  /** The step at which the run began. */
  readonly base: number;
  readonly seed: number;
  /** Batches that the running statistics have seen: PyTorch's num_batches_tracked. */
  readonly batchesTracked: number;
  /** Sums over the epoch so far, so that its means come out the same after a resume. */
  readonly epoch: {
    readonly loss: number;
    readonly correct: number;
    readonly images: number;
    readonly skipped: number;
    readonly own: readonly number[];
  };
  readonly precision: Precision;
  /** Where the loss scale of mixed precision stands. */
  readonly scaler: LossScaler;
  /** Kernel variant by op and shapes; the same choices give the same bits. */
  readonly choices: Readonly<Record<string, string>>;
  /** What else the run wants to keep: normalisation, model name, … */
  readonly extra: Readonly<Record<string, string>>;
}

/** A run as files: the network, the optimizer's state and where the run stands. */
export interface Checkpoint {
  /** Parameters and running statistics under PyTorch's names: `load_state_dict(strict=True)` takes it. */
  readonly model: TensorFile;
  /** Slots as `<parameter>.<slot>`, and the progress. */
  readonly optimizer: TensorFile;
  /** The model with the moving average of its parameters, where one is kept: for use elsewhere, PyTorch for instance. */
  readonly average?: TensorFile;
}

const VERSION = "1";

/**
 * Reads a network and its optimizer state back from the device.
 * @throws NonFiniteError when the network holds numbers that are not finite: it must not replace a good checkpoint.
 */
export async function takeCheckpoint(
  trained: Model<any, any>,
  state: OptimizerState,
  progress: Progress,
): Promise<Checkpoint> {
  const { tensors, device } = trained;
  const fetch = async (variable: Variable): Promise<StoredTensor> => ({
    dtype: "F32",
    shape: variable.shape,
    data: (await device.read(variable)) as Float32Array<ArrayBuffer>,
  });
  const model = new Map<string, StoredTensor>();
  for (const variable of tensors.all) {
    const tensor = await fetch(variable);
    const at = (tensor.data as Float32Array).findIndex((x) => !Number.isFinite(x));
    if (at >= 0)
      throw new NonFiniteError(
        `After step ${progress.step} element ${at} of ${variable.name} is not finite; lower the learning rate, clip the gradients or check the data.`,
      );
    model.set(variable.name, tensor);
  }
  for (const name of countersOf(tensors))
    model.set(name, { dtype: "I64", shape: [], data: BigInt64Array.of(BigInt(progress.batchesTracked)) });
  const slots = new Map<string, StoredTensor>();
  for (const slot of slotsOf(trained, state)) slots.set(slot.name, await fetch(slot));
  const { normalization } = trained;
  const extra = normalization
    ? { ...progress.extra, normalization: JSON.stringify(normalization) }
    : progress.extra;
  const metadata = {
    ...extra,
    format: "pt",
    descent: VERSION,
    optimizer: kindOf(state.optimizer),
    step: String(progress.step),
    ...(progress.base > 0 && { base: String(progress.base) }),
    seed: String(progress.seed),
    batchesTracked: String(progress.batchesTracked),
    epoch: JSON.stringify(progress.epoch),
    precision: progress.precision,
    ...(progress.precision === "mixed" && { scaler: JSON.stringify(progress.scaler) }),
    choices: JSON.stringify(progress.choices),
  };
  const averaged = [...state.averages.keys()].map(
    ({ name }) => [name, slots.get(`${name}.${AVERAGE}`)!] as const,
  );
  const modelMetadata = { ...trained.description(), ...extra, format: "pt", step: String(progress.step) };
  return {
    model: { tensors: model, metadata: modelMetadata },
    optimizer: { tensors: slots, metadata },
    ...(averaged.length > 0
      ? { average: { tensors: new Map([...model, ...averaged]), metadata: modelMetadata } }
      : {}),
  };
}

/** An optimizer's slots of all parameters that it trains, as `<parameter>.<slot>`. */
const slotsOf = (model: Model<any, any>, state: OptimizerState): Variable[] =>
  model.parameters.flatMap((variable) =>
    [...state.slotsOf(variable)].map(([slot, place]) => ({ ...place, name: `${variable.name}.${slot}` })),
  );

/** What an optimizer's state is called in checkpoints: its update rule, and whether it keeps an average. */
const kindOf = ({ op, slots }: Optimizer) =>
  slots.includes(AVERAGE) ? `${op.name} with an average` : op.name;

/** Checks that a file holds exactly the tensors that are wanted, and says which one differs. */
function match(
  file: TensorFile,
  wanted: readonly Variable[],
  ignored: ReadonlySet<string>,
  name: string,
): void {
  for (const variable of wanted) {
    const stored = file.tensors.get(variable.name);
    if (!stored)
      throw new CheckpointError(
        `${name} has no tensor "${variable.name}" ${showShape(variable.shape)}; it belongs to another model, choose the one that it was saved from.`,
      );
    if (stored.dtype !== "F32" || !sameShape(stored.shape, variable.shape))
      throw new CheckpointError(
        `${name}: "${variable.name}" is ${stored.dtype} ${showShape(stored.shape)}, the model's is F32 ${showShape(variable.shape)}; it belongs to another model, choose the one that it was saved from.`,
      );
  }
  const names = new Set(wanted.map((v) => v.name));
  const strange = [...file.tensors.keys()].find((key) => !names.has(key) && !ignored.has(key));
  if (strange)
    throw new CheckpointError(
      `${name} has a tensor "${strange}" that the model does not have; it belongs to another model, choose the one that it was saved from.`,
    );
}

/** Writes a whole checkpoint into a trainer's network and optimizer, and returns where the run stood. */
export function restoreCheckpoint(
  { model, state, precision, seed, backend }: Session,
  checkpoint: Checkpoint,
  name: string,
): Progress {
  const { metadata } = checkpoint.optimizer;
  const where = `${name}/optimizer.safetensors`;
  if (metadata.descent !== VERSION)
    throw new CheckpointError(
      `${where} was not written by this version of Descent (format ${metadata.descent ?? "none"}, this reads ${VERSION}).`,
    );
  if (metadata.optimizer !== kindOf(state.optimizer))
    throw new CheckpointError(
      `${where} holds the state of ${metadata.optimizer}, the run uses ${kindOf(state.optimizer)}; choose the same optimizer.`,
    );
  const slots = slotsOf(model, state);
  match(checkpoint.optimizer, slots, new Set(), where);
  const progress = readProgress(metadata, where);
  if (progress.seed !== seed)
    throw new CheckpointError(
      `${name} was trained with seed ${progress.seed}, this run has ${seed}; use the same seed.`,
    );
  if (progress.precision !== precision)
    throw new CheckpointError(
      `${name} was trained in ${progress.precision} precision, this run is in ${precision}; use the same precision.`,
    );
  const { step = String(progress.step) } = checkpoint.model.metadata;
  if (step !== String(progress.step))
    throw new CheckpointError(
      `${name}/model.safetensors is of step ${step} and ${where} of step ${progress.step}; use files that were saved together.`,
    );
  const labels = readLabels(checkpoint.model, `${name}/model.safetensors`);
  model.restore(checkpoint.model, { name: `${name}/model.safetensors` });
  model.labels ??= labels;
  for (const slot of slots) {
    const { data } = checkpoint.optimizer.tensors.get(slot.name)!;
    if (sizeOf(slot.shape) > 0) backend.write(slot, data as Float32Array<ArrayBuffer>);
  }
  state.resetStats(progress.scaler);
  return progress;
}

function readLabels({ metadata }: TensorFile, where: string): readonly string[] | undefined {
  if (metadata.labels === undefined) return undefined;
  try {
    const labels: unknown = JSON.parse(metadata.labels);
    if (Array.isArray(labels) && labels.every((label) => typeof label === "string")) return labels;
  } catch {}
  throw new CheckpointError(
    `${where}: its labels are not a list of names (${metadata.labels.slice(0, 40)}); use an older checkpoint.`,
  );
}

const isNumberTable = (value: unknown, keys: readonly string[]): boolean =>
  typeof value === "object" &&
  value !== null &&
  keys.every((key) => Number.isFinite((value as Record<string, unknown>)[key]));

function readProgress(metadata: Readonly<Record<string, string>>, where: string): Progress {
  const {
    step,
    base = "0",
    seed,
    batchesTracked,
    epoch,
    precision = "f32",
    scaler = JSON.stringify(FRESH_SCALER),
    choices,
    optimizer: _,
    descent: __,
    format: ___,
    ...extra
  } = metadata;
  try {
    const { skipped = 0, own = [], ...sums } = JSON.parse(epoch!);
    const progress: Progress = {
      step: Number(step),
      base: Number(base),
      seed: Number(seed),
      batchesTracked: Number(batchesTracked),
      epoch: { ...sums, skipped, own },
      precision: precision as Precision,
      scaler: JSON.parse(scaler),
      choices: JSON.parse(choices!),
      extra,
    };
    const counts = [progress.step, progress.base, progress.seed, progress.batchesTracked];
    if (!counts.every((n) => Number.isSafeInteger(n) && n >= 0)) throw new Error();
    if (!isNumberTable(progress.epoch, ["loss", "correct", "images", "skipped"])) throw new Error();
    if (!isNumberTable(progress.scaler, ["scale", "good", "skipped"])) throw new Error();
    if (Object.values(progress.choices).some((choice) => typeof choice !== "string")) throw new Error();
    if (extra.normalization) {
      const { mean, std } = JSON.parse(extra.normalization);
      if (![...mean, ...std].every(Number.isFinite)) throw new Error();
    }
    return progress;
  } catch {
    throw new CheckpointError(
      `${where} does not say where the run stood (step, seed, sums of the epoch, kernels, normalisation); use an older checkpoint.`,
    );
  }
}
