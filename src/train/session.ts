import type { Backend, CompileProgress } from "../backend/backend.ts";
import { checkNames } from "../core/check.ts";
import { DescentError, DeviceError, OptionError } from "../core/errors.ts";
import { isStream, type Stream } from "../data/stream.ts";
import type { StreamReader } from "../data/stream-reader.ts";
import type { Steps } from "../data/stream-steps.ts";
import { isTally, type Metric } from "../metrics/metric.ts";
import { Model } from "../model/model.ts";
import { meansAmong, Tallies } from "../model/tallies.ts";
import type { AnyModule } from "../nn/module.ts";
import { holdState, leaveState } from "../optim/minimize.ts";
import type { OptimizerState } from "../optim/state.ts";
import type { PlanOptions } from "../plan/plan.ts";
import { ProgramCache, type Ready, type Recipe } from "./cache.ts";
import { type AnyDataset, DataSets } from "./data-sets.ts";
import {
  type FitOptions,
  type Metrics,
  type Precision,
  TRAINER_OPTIONS,
  type TrainerOptions,
  type TrainingData,
} from "./options.ts";
import { SplitStep } from "./split-step.ts";
import {
  evaluationProgram,
  gradientProgram,
  makeRings,
  RING_ROWS,
  type Rings,
  type StepParts,
  type StepProgram,
  statisticsProgram,
  trainingProgram,
  updateProgram,
} from "./step.ts";
import type { Stopping } from "./stopping.ts";
import { noSums, type Sums } from "./sums.ts";
import { checkTargets } from "./targets.ts";

/** The data that a run goes through, and in which steps: what they and its epochs are counted over. */
interface Through {
  readonly data: object;
  readonly accumulate: number;
  readonly steps: Steps;
}

/** A run: the step, from 0, at which it began, and its data, which is absent where a checkpoint has told of it. */
export interface Course {
  readonly base: number;
  readonly through?: Through;
}

/** Whether a step is gradients and an update apart. */
export const isSplit = ({ accumulate = 1, onGradients }: Pick<FitOptions, "accumulate" | "onGradients">) =>
  accumulate > 1 || onGradients !== undefined;

/** What a trainer holds: a model, an optimizer's state, data on the device, compiled programs, and where it stands. */
export class Session {
  readonly backend: Backend;
  readonly model: Model<any, any>;
  state: OptimizerState;
  readonly rings: Rings;
  /** Those that are means of their batches. */
  readonly metrics: Readonly<Record<string, Metric<any, any>>>;
  /** What the others have counted in the epoch so far, and in the evaluation that is under way. */
  readonly counted: Tallies;
  readonly evaluated: Tallies;
  readonly precision: Precision;
  readonly seed: number;
  readonly sets: DataSets;
  readonly programs: ProgramCache;
  splitStep: SplitStep;
  planOptions: PlanOptions | undefined;
  course: Course;
  /** The step at which this trainer left the optimizer, which others may use too. */
  private left: number;
  sums: Sums = noSums();
  /** Of a run that may end early. */
  stopping: Stopping | undefined;
  /** Whether the model was made here, and so is disposed of here. */
  private readonly ownsModel: boolean;
  private disposed = false;
  private evaluating: Promise<void> = Promise.resolve();
  /** Of a stream that cannot begin again: the next fit reads on. */
  private reader: { readonly stream: Stream; readonly reader: StreamReader } | undefined;

  constructor(
    private readonly options: TrainerOptions,
    ModelClass: typeof Model,
  ) {
    checkNames("new Trainer", options, TRAINER_OPTIONS);
    const { precision = "f32", metrics = {} } = options;
    if (typeof options.loss !== "function")
      throw new OptionError(
        "new Trainer: the loss is missing; give one, losses.crossEntropy() for instance.",
      );
    if (typeof options.optimizer !== "object" || options.optimizer === null)
      throw new OptionError(
        "new Trainer: the optimizer is missing; give one, optim.adamW({ lr: 1e-3 }) for instance.",
      );
    if (precision !== "f32" && precision !== "mixed")
      throw new OptionError(`The precision is ${JSON.stringify(precision)}; use "f32" or "mixed".`);
    this.ownsModel = !(options.model instanceof Model);
    this.model = modelOf(options, ModelClass);
    this.backend = this.model.device;
    this.model.normalization = options.normalization ?? this.model.normalization;
    this.planOptions = options.plan;
    this.precision = precision;
    checkMetrics(metrics);
    this.metrics = meansAmong(metrics);
    this.counted = new Tallies(this.backend, metrics);
    this.evaluated = new Tallies(this.backend, metrics);
    checkPenalties(options);
    this.rings = makeRings(this.metrics);
    const { facts } = this.backend;
    if (precision === "mixed" && !facts.f16)
      throw new DeviceError(
        `Mixed precision needs shader-f16, which the adapter ${facts.name} does not offer; train in f32.`,
      );
    this.seed = options.seed ?? this.model.seed;
    this.state = holdState(options.optimizer, this.model);
    this.left = this.step;
    this.course = { base: this.left };
    this.programs = new ProgramCache(this.backend, () => this.planOptions);
    this.sets = new DataSets(this.backend, this.model, (set) => this.programs.drop(set.data));
    this.splitStep = new SplitStep(this.backend, this.state, precision === "mixed");
  }

  /** Steps trained so far; it continues over calls of fit and checkpoints, and is the optimizer's own count. */
  get step(): number {
    return this.state.steps;
  }

  set step(step: number) {
    this.state.steps = step;
    this.left = step;
  }

  /** @throws OptionError when somebody else took steps with the optimizer while a run of fit was under way. */
  checkAlone(): void {
    if (this.step !== this.left)
      throw new OptionError(
        `The optimizer took ${this.step - this.left} steps of somebody else's in the middle of fit, which then knows not where it stands; take them before or after, then fit again.`,
      );
  }

  /** Follows what the model has frozen since, at once; then what was compiled for it before is freed. */
  followFrozen(): Promise<void> {
    if (this.state.isOfNow()) return Promise.resolve();
    const next = holdState(this.options.optimizer, this.model);
    leaveState(this.state);
    this.state = next;
    this.splitStep.release();
    this.splitStep = new SplitStep(this.backend, next, this.precision === "mixed");
    return this.programs.clear();
  }

  /** Goes on with the run through the same data in the same steps, if nobody else took steps since, or begins another. */
  begin(through: Through): void {
    const { base, through: before } = this.course;
    const layout = ({ steps }: Through) => steps.layout(this.step - base);
    const same =
      this.step === this.left &&
      (!before ||
        (before.data === through.data &&
          before.accumulate === through.accumulate &&
          layout(before) === layout(through)));
    this.left = this.step;
    // The network may have been given other numbers since it was made.
    if (this.step === 0) this.state.copyParameters();
    this.course = { base: same ? base : this.step, through };
    if (!same) this.stopping = undefined;
  }

  readerOf(stream: Stream): StreamReader {
    if (stream.repeats) return stream.training.reader(stream);
    if (this.reader?.stream !== stream) {
      void this.reader?.reader.close();
      this.reader = { stream, reader: stream.training.reader(stream) };
    }
    return this.reader.reader;
  }

  /** The names of all metrics. */
  get measured(): string[] {
    return Object.keys(this.options.metrics ?? {});
  }

  /** Whether the optimizer keeps an average of the parameters. */
  get averaged(): boolean {
    return this.state.averages.size > 0;
  }

  checkAlive(): void {
    if (this.disposed) throw new DescentError("The trainer was disposed of; make a new one.");
  }

  private get common(): Omit<StepParts, "source"> {
    const { model, state, metrics, precision } = this;
    const { loss, penalties, reportedLoss } = this.options;
    const total = reportedLoss === "total";
    return { model, state, lossOf: loss, metrics, precision, penalties, total, tallies: this.counted };
  }

  /** What programs over a data set are made of. */
  parts(data: AnyDataset, batchSize: number, training = false): StepParts {
    this.checkAlive();
    return { ...this.common, source: { ...this.sets.use(data, training), batchSize } };
  }

  private partsOf(data: TrainingData, batchSize: number, masked = false): StepParts {
    if (!isStream(data)) return { ...this.parts(data, batchSize, true), masked };
    this.checkAlive();
    const source = data.training.source(data, batchSize, this.model.normalization);
    return { ...this.common, source, masked };
  }

  /** Programs are kept by the data that they are for; `training` says whether it is what the network is trained on. */
  private recipe(data: TrainingData, name: string, make: () => StepProgram, training = true): Recipe {
    this.checkAlive();
    const checked = () => {
      const program = make();
      checkTargets(data, program.targets);
      return program;
    };
    return {
      owner: isStream(data) ? data : this.sets.use(data, training).data,
      name,
      make: checked,
    };
  }

  /** A step on `size` examples, or on as many rows of which a mask says whether they are examples. */
  training(data: TrainingData, size: number, masked = false): Recipe {
    const make = () => trainingProgram(this.partsOf(data, size, masked), this.rings);
    return this.recipe(data, `train ${size} ${masked}`, make);
  }

  /** Adds a batch's share to a step's gradients, or begins them. */
  gradient(data: TrainingData, size: number, first: boolean, masked = false): Recipe {
    return this.recipe(data, `gradients ${size} ${first} ${masked}`, () =>
      gradientProgram(this.partsOf(data, size, masked), this.rings, this.splitStep, first),
    );
  }

  /** To be asked for after the gradients, which say what running statistics there are. */
  update(data: TrainingData): Recipe {
    return this.recipe(data, "update", () =>
      updateProgram(this.partsOf(data, 1), this.rings, this.splitStep),
    );
  }

  evaluation(data: AnyDataset, size: number, averaged = this.averaged): Recipe {
    const trace = () =>
      evaluationProgram({ ...this.parts(data, size), averaged, tallies: this.evaluated }, this.rings);
    return this.recipe(data, `evaluate ${size} ${averaged}`, trace, false);
  }

  statistics(data: AnyDataset, size: number, averaged: boolean): Recipe {
    const trace = () => statisticsProgram({ ...this.parts(data, size, true), averaged });
    return this.recipe(data, `statistics ${size} ${averaged}`, trace);
  }

  /** A program as it runs, compiled at its first use. */
  ready(recipe: Recipe, onProgress?: CompileProgress): Promise<Ready> {
    return this.programs.get(recipe, onProgress);
  }

  /** What the step numbered `step` (from 0) of `total` is fed; its batch begins at `position`, see positionIn. */
  feeds(step: number, position: number, total: number, row = step) {
    return { ...this.counters(step, position, row), ...this.state.hyper(step, total) };
  }

  counters(step: number, position: number, row = step) {
    return { counters: Uint32Array.of(step, this.seed, position, row % RING_ROWS) };
  }

  /** Tells schedules that go by measurements what an epoch, or its validation, measured. */
  tell(measured: object): void {
    for (const one of this.state.optimizer.feedback) {
      const value = (measured as Readonly<Record<string, unknown>>)[one.watch];
      if (typeof value !== "number")
        throw new OptionError(
          `A schedule of the optimizer watches "${one.watch}", which the run does not measure; watch "loss", or give the trainer a metric of that name.`,
        );
      one.observe(value);
    }
  }

  /** Evaluations, one after another: they write into one ring. */
  inTurn<T>(evaluate: () => Promise<T>): Promise<T> {
    const done = this.evaluating.then(evaluate);
    const settled = () => {};
    this.evaluating = done.then(settled, settled);
    return done;
  }

  /** Drops what was compiled with other kernel choices and uploaded with another normalisation. */
  async forget(): Promise<void> {
    // Both at once: what is compiled and uploaded from now on stays.
    await Promise.all([this.programs.clear(), this.sets.forget()]);
  }

  /** Frees everything but a model that was given. */
  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    await this.reader?.reader.close();
    await this.forget();
    for (const variable of [this.rings.main, this.rings.metrics, this.rings.penalty])
      if (variable) this.backend.release(variable.arena);
    this.splitStep.release();
    this.counted.release();
    this.evaluated.release();
    leaveState(this.state);
    if (this.ownsModel) await this.model.dispose();
  }
}

/** Names of the numbers that stand beside the metrics; accuracy may be measured in another way. */
const TAKEN =
  "loss penalty step epoch gradientNorm skipped learningRate imagesPerSecond milliseconds hostMilliseconds validation stopped".split(
    " ",
  );

function checkMetrics(metrics: Metrics): void {
  for (const [name, metric] of Object.entries(metrics)) {
    if (TAKEN.includes(name))
      throw new OptionError(
        `new Trainer: a metric is called "${name}", which is taken; give it another name.`,
      );
    if (typeof metric !== "function" && !isTally(metric))
      throw new OptionError(
        `new Trainer: the metric "${name}" is no function; give one of the output and the target, metrics.accuracy() for instance.`,
      );
  }
}

function checkPenalties({ penalties = [], reportedLoss = "data" }: TrainerOptions): void {
  if (!Array.isArray(penalties) || penalties.some((one) => typeof one !== "function"))
    throw new OptionError(
      "new Trainer: the penalties are no list of them; give [penalties.l2(1e-4)] for instance.",
    );
  if (reportedLoss !== "data" && reportedLoss !== "total")
    throw new OptionError(
      `new Trainer: reportedLoss is ${JSON.stringify(reportedLoss)}; use "data" or "total".`,
    );
}

function modelOf(
  { model, device, seed, normalization }: TrainerOptions,
  ModelClass: typeof Model,
): Model<any, any> {
  if (model instanceof Model) {
    if (device !== undefined && device !== model.device)
      throw new OptionError("new Trainer: the model is on another device; leave `device` out.");
    return model;
  }
  if (!device)
    throw new OptionError(
      "new Trainer: a network alone needs a device; give `device`, or new Model(device, network) as the model.",
    );
  return new ModelClass(device, model as AnyModule, { seed, normalization });
}
