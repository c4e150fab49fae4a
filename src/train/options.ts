import type { Backend } from "../backend/backend.ts";
import type { NDArray } from "../core/ndarray.ts";
import type { Stream } from "../data/stream.ts";
import type { Loss } from "../losses/index.ts";
import type { Measure, MeasureValue, Tally } from "../metrics/index.ts";
import type { Model, Normalization } from "../model/model.ts";
import type { AnyModule } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { Penalty } from "../optim/penalties.ts";
import type { Rate } from "../optim/schedules.ts";
import type { Plan, PlanOptions } from "../plan/plan.ts";
import type { AnyDataset } from "./data-sets.ts";
import type { Timeline } from "./profile.ts";
import type { Precision } from "./step.ts";
import type { EarlyStopping, Stopped } from "./stopping.ts";

export type { Precision };

/** Metrics beside the loss, by name. */
export type Metrics = Readonly<Record<string, Measure>>;
/** No metrics beside the loss. */
export type NoMetrics = Readonly<Record<never, never>>;

/** What a trainer trains, and by what. */
export interface TrainerOptions<M extends Metrics = NoMetrics> {
  /** What is trained; a network alone is made into a model on `device`, with `seed` and `normalization`. */
  readonly model: Model<any, any> | AnyModule;
  readonly device?: Backend;
  readonly loss: Loss<any, any>;
  readonly optimizer: Optimizer;
  /**
   * What to measure on the device beside the loss, under names that the numbers of a step do not have already: means over
   * the batch in each step, epoch and validation, and tallies, which count over batches, in each epoch and validation.
   */
  readonly metrics?: M;
  /** Terms that are minimised beside the loss, `penalties.l2(5e-4)` for instance; layers may add others. */
  readonly penalties?: readonly Penalty[];
  /** Whether the `loss` of steps, epochs and evaluations includes the penalties; "data", without them, unless given. */
  readonly reportedLoss?: ReportedLoss;
  /** Decides initial parameters, shuffles and dropout: the model's seed unless given. */
  readonly seed?: number;
  /**
   * "mixed" keeps activations and their gradients as f16 and computes and updates in f32, with a loss scale that adapts
   * itself; it needs an adapter with shader-f16. "f32" by default.
   */
  readonly precision?: Precision;
  /** Kernel fusion and choices; the same choices give the same bits. */
  readonly plan?: PlanOptions;
  /** How images are normalised; by default with the mean and deviation of the training set's channels. */
  readonly normalization?: Normalization;
}

/**
 * What is reported as `loss`: the loss function's value ("data"), or what is minimised, which is that and all `penalty` terms
 * ("total").
 */
export type ReportedLoss = "data" | "total";

/** What a trainer may be told, by name. */
export const TRAINER_OPTIONS: readonly (keyof TrainerOptions)[] = [
  "model",
  "device",
  "loss",
  "optimizer",
  "metrics",
  "penalties",
  "reportedLoss",
  "seed",
  "precision",
  "plan",
  "normalization",
];

/** Images or arrays of the host's, which the trainer uploads once, data that is on the device already, or a stream. */
export type TrainingData = AnyDataset | Stream;

/** How long, in which batches and with which looks at it `fit` trains. */
export interface FitOptions<M extends Metrics = NoMetrics> {
  readonly epochs: number;
  /**
   * Needed for data sets; the batches of a stream have the sizes that they have. A schedule is asked for each epoch, counted from
   * 0, and rounded, so that batches grow instead of the rate falling, each size compiled once: `optim.stepDecay({ from: 64, factor: 2,
   * every: 10 })`, or (epoch) => …. A run that goes on has to be given one that says the same of the epochs that are done.
   * Validation has batches of 250 then. Smith et al., 2018.
   */
  readonly batchSize?: Rate;
  /**
   * How many steps of a stream make up an epoch; until the stream ends unless given. Schedules that depend on the number
   * of steps need it.
   */
  readonly stepsPerEpoch?: number;
  readonly validation?: AnyDataset;
  /** What becomes of a last batch with fewer examples than the others; "smaller" by default. */
  readonly lastBatch?: LastBatch;
  /**
   * How many batches one update takes the mean of: as one batch that many times as large, for networks without batch
   * norm, in the memory of one. 1 by default.
   */
  readonly accumulate?: number;
  /** Awaited between the gradients of each step and its update, to look at them or to change them. */
  readonly onGradients?: (gradients: Gradients) => void | Promise<void>;
  /** Goes through a data set in a new order each epoch; true by default. A stream has the order that it has. */
  readonly shuffle?: boolean;
  /** Called with every finished step, some steps late: metrics are read in groups. */
  readonly onStep?: (step: StepMetrics<M>) => void;
  /** Called while validation runs, first with 0 done. */
  readonly onValidation?: (done: number, total: number) => void;
  /** Called while kernels are compiled, before the first step; software drivers take seconds. */
  readonly onProgress?: (progress: Progress) => void;
  /**
   * Awaited each time metrics were read, with no step in flight: the place to look at the network while it trains. What
   * it takes does not count into the rate.
   */
  readonly between?: () => void | Promise<void>;
  /** Ends the run when a number gets no better, and goes back to the best weights: `earlyStopping({ patience: 3 })`. */
  readonly earlyStopping?: EarlyStopping;
  /** Times some steps dispatch by dispatch, which changes nothing but the time they take; not with `accumulate` or `onGradients`. */
  readonly profile?: ProfileOptions;
  /** Stops after the step in flight; what is trained so far stays. */
  readonly signal?: StopSignal;
}

/** What `fit` may be told, by name. */
export const FIT_OPTIONS: readonly (keyof FitOptions)[] = [
  "epochs",
  "batchSize",
  "stepsPerEpoch",
  "validation",
  "lastBatch",
  "accumulate",
  "shuffle",
  "onGradients",
  "onStep",
  "onValidation",
  "onProgress",
  "between",
  "earlyStopping",
  "profile",
  "signal",
];

/**
 * A last batch with fewer examples than the others is trained on as it is, by a program of its own ("smaller"), is left out
 * ("drop", PyTorch's drop_last), or is filled up with rows that count for nothing, so that one program serves all batches
 * ("masked"). The loss and the metrics then get a third argument that they have to use, f32 weights of the target's rank,
 * [N, 1, …] ([N] beside several targets): 1 for examples, 0 for padding. Batch norm would see the padding and is refused.
 */
export type LastBatch = "smaller" | "masked" | "drop";

/** What an AbortController's signal says. */
export interface StopSignal {
  readonly aborted: boolean;
}

/**
 * The parameters to evaluate: the latest, or their moving average, which is what is chosen by default where the optimizer
 * keeps one. Running statistics are the latest in either case, as in PyTorch's AveragedModel.
 */
export type Weights = "current" | "average";

/** How far something that takes long has come: kernels that are ready, of all that the run needs. */
export interface Progress {
  readonly stage: "compile";
  readonly done: number;
  readonly total: number;
}

/** Which steps are timed dispatch by dispatch. */
export interface ProfileOptions {
  /** How many steps to time. */
  readonly steps: number;
  readonly onProfile: (plan: Plan, timelines: readonly Timeline[]) => void;
}

/** A step's gradients between the two halves of it, without the loss scale of mixed precision. */
export interface Gradients {
  /** The step that they are for, from 1. */
  readonly step: number;
  readonly names: readonly string[];
  /** @throws OptionError for a name that is not among `names`. */
  read(name: string): Promise<NDArray>;
  write(name: string, values: ArrayLike<number>): void;
}

/** What the metrics beside the loss give. */
export type Measured<M extends Metrics> = { readonly [Name in keyof M]: MeasureValue<M[Name]> };
/** Those that are means of a batch, as numbers. */
export type MeasuredStep<M extends Metrics> = {
  readonly [Name in keyof M as M[Name] extends Tally<any> ? never : Name]: number;
};

/** What a step measured, own metrics included. */
export type StepMetrics<M extends Metrics = NoMetrics> = StepNumbers & MeasuredStep<M>;
/** What an epoch measured, own metrics included. */
export type EpochMetrics<M extends Metrics = NoMetrics> = EpochNumbers<M> & Measured<M>;
/** Means over a data set, own metrics included. */
export type Evaluation<M extends Metrics = NoMetrics> = EvaluationNumbers & Measured<M>;

/** What every step measures. */
export interface StepNumbers {
  /** Steps done, counted from 1 over all epochs. */
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  /** What penalties add to what is minimised, where there are any; `reportedLoss` says whether `loss` includes it. */
  readonly penalty?: number;
  /** Share of the labels of the batch that were predicted right; absent where targets are not labels. */
  readonly accuracy?: number;
  /** Not finite where the step was skipped. */
  readonly gradientNorm: number;
  /** Its gradients overflowed under the loss scale of mixed precision, so nothing of it was applied. */
  readonly skipped: boolean;
  readonly learningRate: number;
  readonly imagesPerSecond: number;
  /** From one step to the next, without what onStep and `between` take, and the host's part in it: encoding and submitting. */
  readonly milliseconds: number;
  readonly hostMilliseconds: number;
}

/** What every epoch measures. */
export interface EpochNumbers<M extends Metrics> {
  readonly step: number;
  readonly epoch: number;
  /** Means over the images of the epoch, each measured as it was trained on. */
  readonly loss: number;
  readonly penalty?: number;
  readonly accuracy?: number;
  /** The mean over the steps that were not skipped. */
  readonly gradientNorm: number;
  /** How many steps were skipped, see StepMetrics. */
  readonly skipped: number;
  readonly imagesPerSecond: number;
  /** Of the parameters' moving average where the optimizer keeps one. */
  readonly validation?: Evaluation<M>;
  /** In the last epoch of a run with early stopping: what ended it. The numbers beside it are of before the best weights were put back. */
  readonly stopped?: Stopped;
}

/** What every evaluation measures: means over a data set. */
export interface EvaluationNumbers {
  readonly loss: number;
  /** What penalties add, where there are any. */
  readonly penalty?: number;
  /** Absent where targets are not labels. */
  readonly accuracy?: number;
}
