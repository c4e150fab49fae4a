import type { Backend } from "../backend/backend.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { Normalization, ResidentData } from "../data/resident.ts";
import type { Loss } from "../nn/losses.ts";
import type { Module } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizers.ts";
import type { Plan, PlanOptions } from "../plan/plan.ts";
import type { Timeline } from "./profile.ts";
import type { Precision } from "./step.ts";

export type { Precision };

export interface TrainerOptions {
  readonly device: Backend;
  readonly model: Module;
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  /** Decides initial parameters, shuffles and dropout. */
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

/** Images, which the trainer uploads once, or data that is on the device already. */
export type TrainingData = ImageDataset | ResidentData;

export interface FitOptions {
  readonly epochs: number;
  readonly batchSize: number;
  readonly validation?: TrainingData;
  /** Goes through the data in a new order each epoch; true by default. */
  readonly shuffle?: boolean;
  /** Called with every finished step, some steps late: metrics are read in groups. */
  readonly onStep?: (step: StepMetrics) => void;
  /** Called while validation runs, first with 0 done. */
  readonly onValidation?: (done: number, total: number) => void;
  /** Called while kernels are compiled, before the first step; software drivers take seconds. */
  readonly onProgress?: (progress: Progress) => void;
  /**
   * Awaited each time metrics were read, with no step in flight: the place to look at the network while it trains. What
   * it takes does not count into the rate.
   */
  readonly between?: () => void | Promise<void>;
  /** Times some steps dispatch by dispatch, which changes nothing but the time they take. */
  readonly profile?: ProfileOptions;
  /** Stops after the step in flight; what is trained so far stays. */
  readonly signal?: AbortSignal;
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

export interface ProfileOptions {
  /** How many steps to time. */
  readonly steps: number;
  readonly onProfile: (plan: Plan, timelines: readonly Timeline[]) => void;
}

export interface StepMetrics {
  /** Steps done, counted from 1 over all epochs. */
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  /** Share of the batch that was predicted right. */
  readonly accuracy: number;
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

export interface EpochMetrics {
  readonly step: number;
  readonly epoch: number;
  /** Means over the images of the epoch, each measured as it was trained on. */
  readonly loss: number;
  readonly accuracy: number;
  /** How many steps were skipped, see StepMetrics. */
  readonly skipped: number;
  readonly imagesPerSecond: number;
  /** Of the parameters' moving average where the optimizer keeps one. */
  readonly validation?: Evaluation;
}

export interface Evaluation {
  readonly loss: number;
  readonly accuracy: number;
}
