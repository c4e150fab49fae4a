import { CheckpointError, NonFiniteError } from "../core/errors.ts";
import type { Variable } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import type { StoredTensor, TensorFile } from "../interchange/safetensors.ts";
import { checkFit, compareFile, stored } from "../model/files.ts";
import { isNormalization } from "../model/host-inputs.ts";
import type { Model } from "../model/model.ts";
import { AVERAGE, type Optimizer } from "../optim/optimizer.ts";
import { FRESH_SCALER, type LossScaler, type OptimizerState } from "../optim/state.ts";
import type { Session } from "./session.ts";
import type { Sums } from "./sums.ts";

/** A run as files: the network, the optimizer's state and where the run stands. */
export interface Checkpoint {
  /** Parameters and running statistics under PyTorch's names: `load_state_dict(strict=True)` takes it. */
  readonly model: TensorFile;
  /** Slots as `<parameter>.<slot>`, and the progress. */
  readonly optimizer: TensorFile;
  /** The model with the moving average of its parameters, where one is kept: for use elsewhere, PyTorch for instance. */
  readonly average?: TensorFile;
  /** The weights of the best epoch so far, where early stopping may put them back. */
  readonly best?: TensorFile;
}

const VERSION = "1";

/**
 * Reads a network and its optimizer state back from the device, and says where the run stands. `choices` are the kernels
 * by op and shapes: the same give the same bits. `extra` is what else the run wants to keep.
 * @throws NonFiniteError when the network holds numbers that are not finite: it must not replace a good checkpoint.
 */
export async function takeCheckpoint(
  session: Session,
  choices: Readonly<Record<string, string>>,
  extra: Readonly<Record<string, string>>,
): Promise<Checkpoint> {
  const { model, state, backend, course, precision, seed, sums, stopping } = session;
  const step = String(session.step);
  const { normalization } = model;
  const counted = await session.counted.counts();
  const metadata = {
    ...extra,
    ...(normalization && { normalization: JSON.stringify(normalization) }),
    format: "pt",
    descent: VERSION,
    optimizer: kindOf(state.optimizer),
    step,
    ...(course.base > 0 && { base: String(course.base) }),
    seed: String(seed),
    batchesTracked: String(model.batchesTracked),
    // Sums over the epoch so far, so that its means come out the same after a resume.
    epoch: JSON.stringify(sums),
    ...(stopping && { stopping: stopping.text }),
    ...(Object.keys(counted).length > 0 && { counted: JSON.stringify(counted) }),
    precision,
    ...(precision === "mixed" && { scaler: JSON.stringify(await state.lossScaler()) }),
    choices: JSON.stringify(choices),
    ...(state.optimizer.feedback.length > 0 && {
      schedules: JSON.stringify(state.optimizer.feedback.map((one) => one.save())),
    }),
  };
  const file = await model.file({ ...extra, step });
  for (const [name, { data }] of file.tensors) {
    const at = data instanceof Float32Array ? data.findIndex((x) => !Number.isFinite(x)) : -1;
    if (at >= 0)
      throw new NonFiniteError(
        `After step ${step} element ${at} of ${name} is not finite; lower the learning rate, clip the gradients or check the data.`,
      );
  }
  const slots = new Map<string, StoredTensor>();
  for (const slot of slotsOf(model, state))
    slots.set(slot.name, stored({ ...slot, data: await backend.read(slot) }));
  const averaged = [...state.averages.keys()].map(
    ({ name }) => [name, slots.get(`${name}.${AVERAGE}`)!] as const,
  );
  return {
    model: file,
    optimizer: { tensors: slots, metadata },
    ...(stopping?.best && { best: stopping.best }),
    ...(averaged.length > 0 && { average: { ...file, tensors: new Map([...file.tensors, ...averaged]) } }),
  };
}

/** An optimizer's slots of all parameters that it trains, as `<parameter>.<slot>`. */
const slotsOf = (model: Model<any, any>, state: OptimizerState): Variable[] =>
  model.parameters.flatMap((variable) =>
    [...state.slotsOf(variable)].map(([slot, place]) => ({ ...place, name: `${variable.name}.${slot}` })),
  );

/** What an optimizer's state is called in checkpoints: its update rule, and whether it keeps an average. */
const kindOf = ({ op, slots, rest }: Optimizer): string => {
  const name = rest ? `${op.name} and ${rest.op.name}` : op.name;
  return slots.includes(AVERAGE) ? `${name} with an average` : name;
};

/**
 * Writes a whole checkpoint into a trainer's network and optimizer, sets where the run stands, and returns what else the
 * run kept.
 */
export function restoreCheckpoint(
  session: Session,
  checkpoint: Checkpoint,
  name: string,
): Readonly<Record<string, string>> {
  const { model, state, precision, seed, backend } = session;
  const { metadata } = checkpoint.optimizer;
  const where = `${name}/optimizer.safetensors`;
  const modelFile = `${name}/model.safetensors`;
  if (metadata.descent !== VERSION)
    throw new CheckpointError(
      `${where} was not written by this version of Descent (format ${metadata.descent ?? "none"}, this reads ${VERSION}).`,
    );
  if (metadata.optimizer !== kindOf(state.optimizer))
    throw new CheckpointError(
      `${where} holds the state of ${metadata.optimizer}, the run uses ${kindOf(state.optimizer)}; choose the same optimizer.`,
    );
  const slots = slotsOf(model, state);
  const wanted = { all: slots, counting: [] };
  checkFit(wanted, compareFile(wanted, checkpoint.optimizer), checkpoint.optimizer, where, "");
  const progress = readProgress(metadata, where);
  if (progress.seed !== seed)
    throw new CheckpointError(
      `${name} was trained with seed ${progress.seed}, this run has ${seed}; use the same seed.`,
    );
  if (progress.precision !== precision)
    throw new CheckpointError(
      `${name} was trained in ${progress.precision} precision, this run is in ${precision}; use the same precision.`,
    );
  const { feedback } = state.optimizer;
  if (progress.schedules.length !== feedback.length)
    throw new CheckpointError(
      `${where} holds the state of ${progress.schedules.length} schedules that go by measurements, the run has ${feedback.length}; use the same schedules.`,
    );
  const { step = String(progress.step) } = checkpoint.model.metadata;
  if (step !== String(progress.step))
    throw new CheckpointError(
      `${modelFile} is of step ${step} and ${where} of step ${progress.step}; use files that were saved together.`,
    );
  model.restore(checkpoint.model, { name: modelFile });
  for (const slot of slots) {
    const { data } = checkpoint.optimizer.tensors.get(slot.name)!;
    if (sizeOf(slot.shape) > 0) backend.write(slot, data as Float32Array<ArrayBuffer>);
  }
  state.resetStats(progress.scaler);
  feedback.forEach((one, i) => {
    one.restore(progress.schedules[i]!);
  });
  session.step = progress.step;
  session.course = { base: progress.base };
  session.sums = progress.sums;
  session.counted.recount(progress.counted);
  const { stopping } = progress;
  session.stopping = stopping === undefined ? undefined : { text: stopping, best: checkpoint.best };
  session.planOptions = { ...session.planOptions, choices: new Map(Object.entries(progress.choices)) };
  model.batchesTracked = progress.batchesTracked;
  return progress.extra;
}

/** Where a run stood besides its tensors; nothing of it is believed unseen. */
function readProgress(metadata: Readonly<Record<string, string>>, where: string) {
  const {
    step,
    base = "0",
    seed,
    batchesTracked,
    epoch,
    counted = "{}",
    stopping,
    precision = "f32",
    scaler = JSON.stringify(FRESH_SCALER),
    choices,
    schedules = "[]",
    optimizer: _,
    descent: __,
    format: ___,
    ...extra
  } = metadata;
  const whole = (text: string | undefined): number => {
    const n = Number(text);
    if (!Number.isSafeInteger(n) || n < 0) throw new Error();
    return n;
  };
  const numbers = <T>(table: T, keys: readonly (keyof T)[]): T => {
    if (!keys.every((key) => Number.isFinite(table[key]))) throw new Error();
    return table;
  };
  try {
    const { normalization } = extra;
    if (normalization && !isNormalization(JSON.parse(normalization))) throw new Error();
    const { skipped = 0, norms = 0, normed = 0, own = [], penalty, ...sums } = JSON.parse(epoch!);
    const counts: Readonly<Record<string, readonly number[]>> = JSON.parse(counted);
    if (Object.values(counts).some((list) => !Array.isArray(list) || !list.every(Number.isFinite)))
      throw new Error();
    const kernels: Readonly<Record<string, string>> = JSON.parse(choices!);
    if (Object.values(kernels).some((choice) => typeof choice !== "string")) throw new Error();
    const saved: readonly string[] = JSON.parse(schedules);
    if (!Array.isArray(saved) || saved.some((one) => typeof one !== "string")) throw new Error();
    return {
      schedules: saved,
      step: whole(step),
      base: whole(base),
      seed: whole(seed),
      batchesTracked: whole(batchesTracked),
      sums: numbers<Sums>(
        {
          ...sums,
          skipped,
          norms,
          normed,
          own: [...own],
          ...(penalty !== undefined && { penalty: Number(penalty) }),
        },
        ["loss", "correct", "images", "skipped", "norms", "normed"],
      ),
      counted: counts,
      stopping,
      precision,
      scaler: numbers<LossScaler>(JSON.parse(scaler), ["scale", "good", "skipped"]),
      choices: kernels,
      extra,
    };
  } catch {
    throw new CheckpointError(
      `${where} does not say where the run stood (step, seed, sums of the epoch, kernels, normalisation); use an older checkpoint.`,
    );
  }
}
