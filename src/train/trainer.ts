import type { Executable } from "../backend/backend.ts";
import { checkNames, checkWhole } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import type { Variable } from "../core/op.ts";
import { isStream } from "../data/stream.ts";
import type { Program } from "../graph/program.ts";
import type { TensorFile } from "../interchange/safetensors.ts";
import { Model } from "../model/model.ts";
import type { OptimizerState } from "../optim/state.ts";
import type { Recipe } from "./cache.ts";
import { type Checkpoint, restoreCheckpoint, takeCheckpoint } from "./checkpoint.ts";
import type { AnyDataset } from "./data-sets.ts";
import { type EvaluationOptions, evaluateSet, evaluationBatch, renewStatistics } from "./evaluate.ts";
import { Fitting } from "./fitting.ts";
import {
  type EpochMetrics,
  type Evaluation,
  FIT_OPTIONS,
  type FitOptions,
  type Metrics,
  type NoMetrics,
  type TrainerOptions,
  type TrainingData,
} from "./options.ts";
import { isSplit, Session } from "./session.ts";
import { RING_ROWS, type StepParts } from "./step.ts";
import { batchSizeAt, batchSizes, checkSizes, DatasetSteps, type StepOptions } from "./steps.ts";
import type { Watch } from "./stopping.ts";

export type * from "./options.ts";

/** Trains a model: compiles its step once per batch size and replays it. */
export class Trainer<M extends Metrics = NoMetrics> {
  private readonly session: Session;
  private fitting = false;
  private restored = false;

  /** A network alone is made into a `ModelClass`. */
  constructor(options: TrainerOptions<M>, ModelClass: typeof Model = Model) {
    this.session = new Session(options as unknown as TrainerOptions, ModelClass);
  }

  /** What is trained. */
  get model(): Model<any, any> {
    return this.session.model;
  }

  /**
   * The optimizer's slots and statistics on the device.
   * @internal
   */
  get state(): OptimizerState {
    return this.session.state;
  }

  /**
   * Steps that the optimizer has taken of the model: of this trainer, over calls of fit and checkpoints, and of whoever
   * else trains the model with it.
   */
  get step(): number {
    return this.session.step;
  }

  /** Sets where the run stands: the next fit goes on from there, counting its epochs from step 0. */
  set step(step: number) {
    this.session.step = step;
    this.session.course = { base: 0 };
    this.session.stopping = undefined;
  }

  /** The step, from 0, at which the run through the present data began. */
  get base(): number {
    return this.session.course.base;
  }

  /** Begins anew: first parameters, fresh slots, step 0. */
  reset(): void {
    const { session } = this;
    session.checkAlive();
    session.model.tensors.initialize();
    session.state.initialize();
    session.model.batchesTracked = 0;
    for (const one of session.state.optimizer.feedback) one.reset();
    this.step = 0;
  }

  /**
   * Trains until `epochs` epochs of this data are done, so that a run that was stopped, or resumed from a checkpoint, ends
   * where it would have ended. Other data, or another batch size, begins a new run. Yields after each epoch.
   * @throws NonFiniteError when a step's loss or gradients are not finite: nothing of that step is applied.
   * @throws OptionError when there is nothing left to do, or another fit of this trainer goes on.
   */
  fit(
    data: TrainingData,
    options: FitOptions<M> & { readonly validation: AnyDataset },
  ): AsyncGenerator<EpochMetrics<M> & { readonly validation: Evaluation<M> }, void, void>;
  fit(data: TrainingData, options: FitOptions<M>): AsyncGenerator<EpochMetrics<M>, void, void>;
  async *fit(data: TrainingData, options: FitOptions<M>): AsyncGenerator<any, void, void> {
    const { session } = this;
    session.checkAlive();
    if (this.fitting)
      throw new OptionError(
        "This trainer is training already; wait for that fit to end, or use another trainer.",
      );
    this.checkFit(data, options);
    const sets = [data, options.validation].filter(
      (set): set is AnyDataset => set !== undefined && !isStream(set),
    );
    const { batchSize, onValidation } = options;
    const evaluated = { onValidation, ...(typeof batchSize === "number" && { batchSize }) };
    let fitting: Fitting | undefined;
    this.fitting = true;
    session.sets.pin(sets);
    try {
      await session.followFrozen();
      fitting = new Fitting(session, data, options as FitOptions);
      let { epoch, first } = await fitting.seek();
      const watch = this.watch(options);
      if (watch?.ended) return;
      let compiled: number | undefined;
      for (; epoch < options.epochs; epoch++) {
        // Between two epochs parameters may have been frozen, or unfrozen.
        await session.followFrozen();
        if (!isStream(data)) {
          const size = batchSizeAt(options.batchSize!, epoch, options.epochs);
          if (size !== compiled) await this.compileAll(data, size, options as FitOptions);
          compiled = size;
        }
        const metrics = (await fitting.epoch(epoch, first)) as EpochMetrics<M> | undefined;
        first = 0;
        if (!metrics) return;
        const validation = options.validation
          ? await evaluateSet(session, options.validation, evaluated)
          : undefined;
        session.tell(validation ?? metrics);
        const whole = validation ? { ...metrics, validation } : metrics;
        const stopped = await watch?.observe(whole, epoch + 1 === options.epochs);
        yield stopped ? { ...whole, stopped } : whole;
        if (watch?.ended) return;
        if (options.signal?.aborted) return;
      }
    } finally {
      this.fitting = false;
      await fitting?.close();
      await session.sets.unpin(sets);
    }
  }

  private watch({ earlyStopping, validation }: FitOptions<M>): Watch | undefined {
    const { session } = this;
    if (earlyStopping === undefined) return undefined;
    if (typeof earlyStopping?.watch !== "function")
      throw new OptionError(
        "earlyStopping is no early stopping; give earlyStopping({ patience: 3 }) for instance.",
      );
    return earlyStopping.watch(session, session.measured, validation !== undefined);
  }

  private checkFit(data: TrainingData, options: FitOptions<M>): void {
    checkNames("fit", options, FIT_OPTIONS);
    const { epochs, batchSize, accumulate = 1, lastBatch = "smaller" } = options;
    checkWhole("The number of epochs", epochs, 0);
    // Each batch of a step has a row of the ring, and so has the step.
    checkWhole("The number of batches to accumulate", accumulate, 1, RING_ROWS - 1);
    if (!["smaller", "masked", "drop"].includes(lastBatch))
      throw new OptionError(`lastBatch is ${JSON.stringify(lastBatch)}; use "smaller", "masked" or "drop".`);
    if (this.model.parameters.length === 0)
      throw new OptionError(
        "The model has no parameters, so there is nothing to train; add a layer that has some.",
      );
    if (isStream(options.validation))
      throw new OptionError(
        `The validation data ${options.validation.name} is a stream; use a data set, data.arrays({ x, y }) for instance.`,
      );
    if (options.profile && isSplit(options as FitOptions))
      throw new OptionError(
        "A profile times steps of one program, and accumulate and onGradients divide a step; leave out one of them.",
      );
    if (isStream(data)) {
      data.training.check(data, options);
      return;
    }
    if (options.stepsPerEpoch !== undefined)
      throw new OptionError(
        `stepsPerEpoch is ${options.stepsPerEpoch}, and an epoch of ${data.name} is all of it, for it is no stream; leave it out.`,
      );
    checkSizes(batchSize, epochs, this.session.sets.use(data, true).data.count);
  }

  /** Compiles the steps that `fit` needs for a data set, batch size and options, ahead of time. */
  async prepare(
    data: AnyDataset,
    batchSize: number,
    validation?: AnyDataset,
    options: Pick<FitOptions, "lastBatch" | "accumulate" | "onGradients" | "onProgress"> = {},
  ): Promise<void> {
    this.session.checkAlive();
    const sets = validation ? [data, validation] : [data];
    await this.session.sets.during(sets, () =>
      this.compileAll(data, batchSize, { ...options, epochs: 0, validation }),
    );
  }

  private async compileAll(data: AnyDataset, batchSize: number, options: FitOptions): Promise<void> {
    const recipes = this.recipes(data, batchSize, options);
    const parts = recipes.map(() => [0, 0] as readonly [done: number, total: number]);
    const sum = (k: 0 | 1) => parts.reduce((n, counts) => n + counts[k], 0);
    const compile = (recipe: Recipe, i: number) =>
      this.session.ready(recipe, (done, total) => {
        parts[i] = [done, total];
        options.onProgress?.({ stage: "compile", done: sum(0), total: sum(1) });
      });
    await Promise.all(recipes.map(compile));
  }

  /** All programs that a fit runs. */
  private recipes(data: AnyDataset, batchSize: number, options: FitOptions): Recipe[] {
    const { session } = this;
    const { validation, lastBatch, accumulate = 1 } = options;
    const sizes = batchSizes(session.sets.use(data, true).data.count, batchSize, lastBatch);
    const masked = lastBatch === "masked";
    const training = isSplit(options)
      ? [
          ...sizes.map((size) => session.gradient(data, size, true, masked)),
          ...(accumulate > 1 ? sizes.map((size) => session.gradient(data, size, false, masked)) : []),
          session.update(data),
        ]
      : sizes.map((size) => session.training(data, size, masked));
    const held = validation ? session.sets.use(validation).data.count : 0;
    const own = typeof options.batchSize === "function" ? undefined : batchSize;
    const evaluated = held > 0 ? batchSizes(held, evaluationBatch(held, own)) : [];
    return [...training, ...evaluated.map((size) => session.evaluation(validation!, size))];
  }

  /** The graphs that training, and validation, will compile: what the tuner measures kernels for. */
  programs(
    data: AnyDataset,
    batchSize: number,
    validation?: AnyDataset,
    options: Pick<FitOptions, "lastBatch" | "accumulate" | "onGradients"> = {},
  ): Program[] {
    const { session } = this;
    session.checkAlive();
    this.checkFit(data, { ...options, epochs: 0, batchSize } as FitOptions<M>);
    const recipes = this.recipes(data, batchSize, { ...options, epochs: 0, validation });
    return recipes.map((recipe) => session.programs.traced(recipe).program);
  }

  /**
   * Takes kernel choices, the tuner's for instance, for everything that is not compiled yet. A run that went on from a
   * checkpoint keeps the choices in it, and so its bits: these are then ignored.
   */
  choose(choices: ReadonlyMap<string, string>): void {
    if (this.restored) return;
    const { session } = this;
    session.planOptions = {
      ...session.planOptions,
      choices: new Map([...choices, ...(session.planOptions?.choices ?? [])]),
    };
  }

  /** The compiled step: its plan can be printed. */
  async trainingStep(data: AnyDataset, batchSize: number): Promise<Executable> {
    const { session } = this;
    return (await session.ready(session.training(data, batchSize))).executable;
  }

  /**
   * Compiles a program over this network with the run's kernel choices.
   * @internal
   */
  compile(program: Program): Promise<Executable> {
    this.session.checkAlive();
    return this.session.backend.compile(program, this.session.planOptions);
  }

  /**
   * What programs over this network are made of: see probe.ts for some that look at it.
   * @internal
   */
  parts(set: AnyDataset, batchSize: number): StepParts {
    return this.session.parts(set, batchSize);
  }

  /**
   * Keeps a set on the device while some work with it goes on.
   * @internal
   */
  during<T>(set: AnyDataset, work: () => Promise<T>): Promise<T> {
    this.session.checkAlive();
    return this.session.sets.during([set], work);
  }

  /**
   * Where the next step of a run through a data set stands: its batch, the first if it has several, and its feeds.
   * @internal
   */
  next(data: AnyDataset, options: StepOptions) {
    const { session, step } = this;
    const asked = new DatasetSteps(session, data, options);
    const { through, base } = session.course;
    const present =
      through?.data === data && through.steps instanceof DatasetSteps ? through.steps : undefined;
    const stands = present?.place(step - base).epoch;
    const known = present && present.sizeIn(stands!) === asked.sizeIn(stands!) ? present : undefined;
    // Other data would begin another run.
    const first = known || !through ? base : step;
    const steps = known ?? asked;
    const place = steps.place(step - first);
    const { sizes, position } = steps.batches(place.epoch, place.first);
    return {
      images: sizes[0]!,
      feeds: {
        ...session.feeds(step, position, Math.max(step + 1, first + steps.stepsOf(options.epochs))),
        ...session.counters(step * steps.accumulate, position),
      },
    };
  }

  /**
   * What the step numbered `step` (from 0) of `total` is fed; its batch begins at `position` of the order.
   * @internal
   */
  feeds(step: number, position: number, total: number) {
    return this.session.feeds(step, position, total);
  }

  /**
   * Mean loss and metrics over every image once, with running statistics and without dropout, of `weights`.
   * @throws OptionError when the average is asked for and the optimizer keeps none.
   */
  async evaluate(set: AnyDataset, options: EvaluationOptions = {}): Promise<Evaluation<M>> {
    checkNames("evaluate", options, ["batchSize", "weights", "onValidation"]);
    return (await evaluateSet(this.session, set, options)) as Evaluation<M>;
  }

  /**
   * Makes the running statistics of batch norms anew, each the mean over the batches of a data set in training form; of the
   * average of the weights where one is kept, whose activations they then are those of: after `swa`. As
   * torch.optim.swa_utils.update_bn. Izmailov et al., 2018, §3.2.
   * @throws OptionError when the average is asked for and the optimizer keeps none.
   */
  async renewStatistics(
    set: AnyDataset,
    options: Pick<EvaluationOptions, "batchSize" | "weights"> = {},
  ): Promise<void> {
    checkNames("renewStatistics", options, ["batchSize", "weights"]);
    return renewStatistics(this.session, set, options);
  }

  /** The network, the optimizer's state and where the run stands. `extra` strings go into the metadata. */
  async checkpoint(extra: Readonly<Record<string, string>> = {}): Promise<Checkpoint> {
    const { session } = this;
    session.checkAlive();
    const choices: Record<string, string> = { ...Object.fromEntries(session.planOptions?.choices ?? []) };
    if (session.backend.name === "webgpu")
      for (const { plan } of await session.programs.executables())
        for (const [key, variant] of plan.choices) choices[key] = variant;
    return takeCheckpoint(session, choices, extra);
  }

  /**
   * Goes back to a checkpoint: parameters, slots, running statistics, step, seed and kernel choices. `name` is what
   * messages call it.
   * @throws CheckpointError when it belongs to another model or optimizer; nothing has changed then.
   */
  restore(checkpoint: Checkpoint, name: string): Readonly<Record<string, string>> {
    const { session } = this;
    session.checkAlive();
    void session.followFrozen();
    const extra = restoreCheckpoint(session, checkpoint, name);
    this.restored = true;
    this.forget();
    return extra;
  }

  /** Starts from a model file, PyTorch's or Descent's; the optimizer's state stays as it is, at first zero. */
  initializeFrom(file: TensorFile, name: string): void {
    const { session } = this;
    session.checkAlive();
    session.model.restore(file, { name });
    session.state.copyParameters();
    this.forget();
  }

  /** Drops what was compiled with other kernel choices and uploaded with another normalisation. */
  private forget(): void {
    // What it frees is in nobody's use any more; a failure to compile was told to who asked.
    void this.session.forget().catch(() => {});
  }

  /** Frees the optimizer's state, the compiled steps and the images it uploaded, and the model if it made it. */
  async dispose(): Promise<void> {
    await this.session.dispose();
  }

  /**
   * The ring of the last steps' numbers.
   * @internal
   */
  get ring(): Variable {
    return this.session.rings.main;
  }
}
