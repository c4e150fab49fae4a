import type { Backend, CompileProgress, Executable } from "../backend/backend.ts";
import { DeviceError, NonFiniteError, OptionError } from "../core/errors.ts";
import type { Variable } from "../core/op.ts";
import { Random } from "../core/rng.ts";
import type { ResidentData } from "../data/resident.ts";
import { standalone } from "../graph/node.ts";
import type { Program } from "../graph/program.ts";
import type { TensorFile } from "../interchange/safetensors.ts";
import type { Loss } from "../nn/losses.ts";
import { STATUS } from "../ops/step/stats.ts";
import type { PlanOptions } from "../plan/plan.ts";
import { type Checkpoint, restoreCheckpoint, restoreModel, takeCheckpoint } from "./checkpoint.ts";
import { DataSets, naturalOrder } from "./data-sets.ts";
import { findNonFinite } from "./diagnose.ts";
import type {
  EpochMetrics,
  Evaluation,
  FitOptions,
  Precision,
  Progress,
  TrainerOptions,
  TrainingData,
  Weights,
} from "./options.ts";
import { Profiling } from "./profile.ts";
import { ModelState } from "./state.ts";
import { evaluationProgram, RING_ROWS, type StepParts, trainingProgram } from "./step.ts";
import { READ_INTERVAL, StepQueue } from "./step-queue.ts";

export type * from "./options.ts";

/** Shuffles draw from streams of their own, one an epoch. */
const SHUFFLE_STREAM = 0x2000_0000;
const EVALUATION_BATCH = 250;

/** The sizes of batches that go through `count` images: whole ones and, perhaps, a smaller last. */
function batchSizes(count: number, batchSize: number): number[] {
  const size = Math.min(batchSize, count);
  return count % size > 0 ? [size, count % size] : [size];
}

function checkBatch(train: ResidentData, batchSize: number): void {
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new OptionError(`The batch size is ${batchSize}; use a whole number of at least 1.`);
  if (batchSize > train.count)
    throw new OptionError(
      `A batch of ${batchSize} is larger than the training set of ${train.count}; use at most ${train.count}.`,
    );
}

/** Trains a network: compiles its step once per batch size and replays it. */
export class Trainer {
  readonly state: ModelState;
  /** Steps trained so far; it continues over calls of fit and checkpoints. */
  step = 0;
  private readonly backend: Backend;
  private readonly loss: Loss;
  private readonly precision: Precision;
  private planOptions: PlanOptions | undefined;
  private restored = false;
  /** A row for each of the last steps: loss, right predictions, gradient norm, status. */
  readonly ring = standalone("metrics ring", [RING_ROWS, 4]);
  private readonly executables = new Map<string, Promise<Executable>>();
  private readonly traced = new Map<string, Program>();
  private readonly sets: DataSets;
  private readonly constants: Variable[] = [];
  /** Over the current epoch. */
  private sums = { loss: 0, correct: 0, images: 0, skipped: 0 };
  private profiling: Profiling | undefined;
  /** Batches that the running statistics had seen at step 0. */
  private batchesBefore = 0;

  constructor(options: TrainerOptions) {
    this.backend = options.device;
    this.loss = options.loss;
    this.planOptions = options.plan;
    this.sets = new DataSets(options.device, options.normalization);
    this.precision = options.precision ?? "f32";
    const { facts } = options.device;
    if (this.precision === "mixed" && !facts.f16)
      throw new DeviceError(
        `Mixed precision needs shader-f16, which the adapter ${facts.name} does not offer; train in f32.`,
      );
    const seed = options.seed ?? 0;
    if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
      throw new OptionError(`The seed is ${seed}; use a whole number from 0 to 4294967295.`);
    this.state = new ModelState(options.device, options.model, options.optimizer, seed);
    this.state.initialize();
  }

  /**
   * Trains until `epochs` epochs are done since step 0, so that a resumed run ends where it would have ended.
   * Yields after each epoch.
   * @throws NonFiniteError when a step's loss or gradients are not finite: nothing of that step is applied.
   */
  async *fit(data: TrainingData, options: FitOptions): AsyncGenerator<EpochMetrics, void, void> {
    const train = this.sets.resident(data, true);
    const { epochs, batchSize } = options;
    checkBatch(train, batchSize);
    if (!Number.isInteger(epochs) || epochs < 0)
      throw new OptionError(`The number of epochs is ${epochs}; use a whole number of at least 0.`);
    const stepsPerEpoch = Math.ceil(train.count / batchSize);
    const total = stepsPerEpoch * epochs;
    if (this.state.parameters.length === 0)
      throw new OptionError(
        "The model has no parameters, so there is nothing to train; add a layer that has some.",
      );
    await this.prepare(train, batchSize, options.validation, options.onProgress);
    this.profiling = options.profile ? new Profiling(options.profile) : undefined;
    while (this.step < total) {
      const epoch = Math.floor(this.step / stepsPerEpoch);
      const metrics = await this.epoch(train, epoch, stepsPerEpoch, total, options);
      if (!metrics) return;
      const validation = options.validation ? await this.evaluate(options.validation, options) : undefined;
      yield validation ? { ...metrics, validation } : metrics;
      if (options.signal?.aborted) return;
    }
  }

  /** Compiles the steps that a data set and batch size need, ahead of time. */
  async prepare(
    data: TrainingData,
    batchSize: number,
    validation?: TrainingData,
    onProgress?: (progress: Progress) => void,
  ): Promise<void> {
    const train = this.sets.resident(data, true);
    const held = validation && this.sets.resident(validation);
    const parts: (readonly [done: number, total: number])[] = [];
    /** Progress of one program among all. */
    const part = (): CompileProgress => {
      const at = parts.push([0, 0]) - 1;
      return (done, total) => {
        parts[at] = [done, total];
        const sum = (k: 0 | 1) => parts.reduce((n, counts) => n + counts[k], 0);
        onProgress?.({ stage: "compile", done: sum(0), total: sum(1) });
      };
    };
    await Promise.all([
      ...batchSizes(train.count, batchSize).map((size) => this.trainingStep(train, size, part())),
      ...(held
        ? batchSizes(held.count, batchSize).map((size) =>
            this.evaluationStep(held, size, this.averaged, part()),
          )
        : []),
    ]);
  }

  /** The graphs that training, and validation, will compile: what the tuner measures kernels for. */
  programs(data: TrainingData, batchSize: number, validation?: TrainingData): Program[] {
    const train = this.sets.resident(data, true);
    checkBatch(train, batchSize);
    const held = validation && this.sets.resident(validation);
    return [
      ...batchSizes(train.count, batchSize).map((size) => this.trainingProgram(train, size)),
      ...(held ? batchSizes(held.count, batchSize).map((size) => this.evaluationProgram(held, size)) : []),
    ];
  }

  /**
   * Takes kernel choices, the tuner's for instance, for everything that is not compiled yet. A run that went on from a
   * checkpoint keeps the choices in it, and so its bits: these are then ignored.
   */
  choose(choices: ReadonlyMap<string, string>): void {
    if (this.restored) return;
    this.planOptions = {
      ...this.planOptions,
      choices: new Map([...choices, ...(this.planOptions?.choices ?? [])]),
    };
  }

  /** The compiled step: its plan can be printed. */
  trainingStep(set: TrainingData, batchSize: number, onProgress?: CompileProgress): Promise<Executable> {
    const data = this.sets.resident(set, true);
    const key = `train ${this.sets.numberOf(data)} ${batchSize}`;
    return this.executable(key, () => this.trainingProgram(data, batchSize), onProgress);
  }

  /** Compiles a program over this network with the run's kernel choices. */
  compile(program: Program): Promise<Executable> {
    return this.backend.compile(program, this.planOptions);
  }

  private trainingProgram(data: ResidentData, batchSize: number): Program {
    const constants = (size: number, entries: readonly { offset: number; size: number; value: number }[]) => {
      const table = new Float32Array(size);
      for (const entry of entries) table.fill(entry.value, entry.offset, entry.offset + entry.size);
      const variable = standalone("batch norm constants", [size]);
      this.backend.write(variable, table);
      this.constants.push(variable);
      return variable;
    };
    return this.program(`train ${this.sets.numberOf(data)} ${batchSize}`, () =>
      trainingProgram(this.parts(data, batchSize), this.ring, constants),
    );
  }

  /** Whether the optimizer keeps an average of the parameters. */
  private get averaged(): boolean {
    return this.state.averages.size > 0;
  }

  private evaluationProgram(data: ResidentData, batchSize: number, averaged = this.averaged): Program {
    return this.program(`evaluate ${this.sets.numberOf(data)} ${batchSize} ${averaged}`, () =>
      evaluationProgram({ ...this.parts(data, batchSize), averaged }, this.ring),
    );
  }

  private evaluationStep(
    data: ResidentData,
    batchSize: number,
    averaged: boolean,
    onProgress?: CompileProgress,
  ): Promise<Executable> {
    const key = `evaluate ${this.sets.numberOf(data)} ${batchSize} ${averaged}`;
    return this.executable(key, () => this.evaluationProgram(data, batchSize, averaged), onProgress);
  }

  private program(key: string, trace: () => Program): Program {
    const program = this.traced.get(key) ?? trace();
    this.traced.set(key, program);
    return program;
  }

  private executable(key: string, make: () => Program, onProgress?: CompileProgress): Promise<Executable> {
    let executable = this.executables.get(key);
    if (!executable) {
      executable = this.backend.compile(make(), this.planOptions, onProgress);
      this.executables.set(key, executable);
      this.traced.delete(key);
    }
    return executable;
  }

  /** What programs over this network are made of: see probe.ts for some that look at it. */
  parts(set: TrainingData, batchSize: number): StepParts {
    const { state, loss: lossOf, precision } = this;
    const data = this.sets.resident(set);
    return { state, data, order: this.sets.order(data), lossOf, batchSize, precision };
  }

  /** The rest of an epoch; nothing when it was stopped. */
  private async epoch(
    train: ResidentData,
    epoch: number,
    stepsPerEpoch: number,
    total: number,
    options: FitOptions,
  ): Promise<EpochMetrics | undefined> {
    const { batchSize, signal } = options;
    const random = new Random(this.state.seed, SHUFFLE_STREAM + epoch);
    const order = options.shuffle === false ? naturalOrder(train.count) : random.permutation(train.count);
    this.backend.write(this.sets.order(train), order);
    const first = this.step - epoch * stepsPerEpoch;
    if (first === 0) this.sums = { loss: 0, correct: 0, images: 0, skipped: 0 };
    const { sums } = this;
    let seen = 0;
    const began = performance.now();
    const queue = new StepQueue(this.backend, this.ring, async (steps, pace) => {
      for (const { step, images, metrics } of steps) {
        const [loss, correct, gradientNorm, status] = metrics;
        if (status === STATUS.halted) await this.explain(train, step, images, batchSize, stepsPerEpoch);
        const skipped = status === STATUS.skipped;
        sums.loss += loss * images;
        sums.correct += correct;
        sums.images += images;
        if (skipped) sums.skipped++;
        seen += images;
        this.step = step + 1;
        options.onStep?.({
          step: this.step,
          epoch: epoch + 1,
          loss,
          accuracy: correct / images,
          gradientNorm,
          skipped,
          learningRate: this.state.optimizer.rate(step, total),
          ...pace,
        });
      }
      await options.between?.();
    });
    for (let i = first; i < stepsPerEpoch && !signal?.aborted; i++) {
      const step = epoch * stepsPerEpoch + i;
      const images = Math.min(batchSize, train.count - i * batchSize);
      const executable = await this.trainingStep(train, images);
      // Whole batches only, and not the first steps, which compile: their times belong together.
      const profiling = images === batchSize && i - first >= 2 ? this.profiling : undefined;
      await queue.push({ step, images }, executable, this.feeds(step, i * batchSize, total), profiling);
    }
    await queue.finish();
    if (sums.images === 0 || (signal?.aborted && this.step < (epoch + 1) * stepsPerEpoch)) return undefined;
    return {
      step: this.step,
      epoch: epoch + 1,
      loss: sums.loss / sums.images,
      accuracy: sums.correct / sums.images,
      skipped: sums.skipped,
      imagesPerSecond: (seen / (performance.now() - began)) * 1000,
    };
  }

  /** What the step numbered `step` (from 0) of `total` is fed; its batch begins at `position` of the order. */
  feeds(step: number, position: number, total: number) {
    return {
      counters: Uint32Array.of(step, this.state.seed, position, step % RING_ROWS),
      hyper: this.state.optimizer.hyper(step, total),
    };
  }

  /** A step was not finite and nothing of it was applied: replays it to say where. */
  private async explain(
    train: ResidentData,
    step: number,
    images: number,
    batchSize: number,
    stepsPerEpoch: number,
  ): Promise<never> {
    const position = (step % stepsPerEpoch) * batchSize;
    const where = await findNonFinite(
      this.backend,
      this.parts(train, images),
      this.feeds(step, position, step + 1).counters,
      this.planOptions,
    );
    this.state.resetStats(await this.state.lossScaler());
    this.step = step;
    throw new NonFiniteError(
      `Step ${step + 1} is not finite: ${where}. Nothing of it was applied; lower the learning rate, clip the gradients or check the data.`,
    );
  }

  /**
   * Mean loss and accuracy over every image once, with running statistics and without dropout, of `weights`.
   * @throws OptionError when the average is asked for and the optimizer keeps none.
   */
  async evaluate(
    set: TrainingData,
    options: Pick<FitOptions, "onValidation"> & {
      readonly batchSize?: number;
      readonly weights?: Weights;
    } = {},
  ): Promise<Evaluation> {
    const { weights } = options;
    if (weights === "average" && !this.averaged)
      throw new OptionError(
        'There is no average to evaluate; give the optimizer one, for example adamW({ lr: 0.001, ema: { decay: 0.999 } }), or use weights "current".',
      );
    const averaged = this.averaged && weights !== "current";
    const data = this.sets.resident(set);
    const size = Math.min(options.batchSize ?? EVALUATION_BATCH, data.count);
    const batches = Math.ceil(data.count / size);
    let loss = 0;
    let correct = 0;
    let read = 0;
    let last = performance.now();
    options.onValidation?.(0, data.count);
    const collect = async (done: number) => {
      const ring = await this.backend.read(this.ring);
      for (; read < done; read++) {
        const at = (read % RING_ROWS) * 4;
        loss += ring[at]! * Math.min(size, data.count - read * size);
        correct += ring[at + 1]!;
      }
      options.onValidation?.(Math.min(data.count, done * size), data.count);
      last = performance.now();
    };
    for (let batch = 0; batch < batches; batch++) {
      const count = Math.min(size, data.count - batch * size);
      const executable = await this.evaluationStep(data, count, averaged);
      executable.run({ counters: Uint32Array.of(0, 0, batch * size, batch % RING_ROWS) });
      const due = (batch + 1) % 8 === 0 || performance.now() - last > READ_INTERVAL;
      if (due || batch === batches - 1) await collect(batch + 1);
    }
    return { loss: loss / data.count, accuracy: correct / data.count };
  }

  /** The network, the optimizer's state and where the run stands. `extra` strings go into the metadata. */
  async checkpoint(extra: Readonly<Record<string, string>> = {}): Promise<Checkpoint> {
    const choices: Record<string, string> = { ...Object.fromEntries(this.planOptions?.choices ?? []) };
    const compiled = this.backend.name === "webgpu" ? this.executables.values() : [];
    for (const executable of compiled)
      for (const [key, variant] of (await executable).plan.choices) choices[key] = variant;
    return takeCheckpoint(this.state, {
      step: this.step,
      seed: this.state.seed,
      batchesTracked: this.batchesBefore + this.step,
      precision: this.precision,
      scaler: await this.state.lossScaler(),
      epoch: this.sums,
      choices,
      extra: this.sets.normalization
        ? { ...extra, normalization: JSON.stringify(this.sets.normalization) }
        : extra,
    });
  }

  /**
   * Goes back to a checkpoint: parameters, slots, running statistics, step, seed and kernel choices. `name` is what
   * messages call it.
   * @throws CheckpointError when it belongs to another model or optimizer; nothing has changed then.
   */
  restore(checkpoint: Checkpoint, name: string): Readonly<Record<string, string>> {
    const progress = restoreCheckpoint(this.state, checkpoint, this.precision, name);
    this.step = progress.step;
    this.batchesBefore = progress.batchesTracked - progress.step;
    this.sums = { ...progress.epoch };
    this.planOptions = { ...this.planOptions, choices: new Map(Object.entries(progress.choices)) };
    this.restored = true;
    const { normalization } = progress.extra;
    if (normalization) this.sets.normalization = JSON.parse(normalization);
    this.forget();
    return progress.extra;
  }

  /** Starts from a model file, PyTorch's or Descent's; the optimizer's state stays as it is, at first zero. */
  initializeFrom(file: TensorFile, name: string): void {
    this.batchesBefore = restoreModel(this.state, file, name);
    const { normalization } = file.metadata;
    if (normalization) this.sets.normalization = JSON.parse(normalization);
    this.forget();
  }

  /** Drops what was compiled with other kernel choices and uploaded with another normalisation. */
  private forget(): void {
    for (const executable of this.executables.values()) void executable.then((e) => e.dispose());
    this.executables.clear();
    this.traced.clear();
    this.sets.forget();
  }

  /** Frees the network, its optimizer state, its compiled steps and the images it uploaded. */
  async dispose(): Promise<void> {
    for (const executable of this.executables.values()) (await executable).dispose();
    this.executables.clear();
    for (const variable of [...this.constants, this.ring]) this.backend.release(variable.arena);
    this.sets.release();
    this.state.release();
  }
}
