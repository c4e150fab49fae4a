// What the training page and its worker say to each other.
import type { LayerRow } from "../../src/nn/layer-list.ts";
import type { Look } from "../../src/train/probe.ts";

export type DataKind = "shapes" | "cifar10";
export type ScheduleName = "constant" | "linear" | "cosine" | "step" | "warmup" | "oneCycle";

/** Everything a run is made of. */
export interface Config {
  readonly data: DataKind;
  /** Name of the choice that `layers` came from, or "own". */
  readonly model: string;
  readonly layers: readonly string[];
  /** By its name in the engine's catalogue. */
  readonly optimizer: string;
  readonly schedule: ScheduleName;
  readonly rate: number;
  readonly momentum: number;
  readonly weightDecay: number;
  /** 0: gradients are not clipped. */
  readonly clipNorm: number;
  readonly labelSmoothing: number;
  /** Decay of the parameters' moving average; 0: none is kept. */
  readonly average: number;
  /** Activations and their gradients as f16. */
  readonly mixed: boolean;
  /** Mirrors every other image. */
  readonly flip: boolean;
  /** Moves images by up to so many pixels. */
  readonly shift: number;
  readonly batchSize: number;
  readonly epochs: number;
  readonly seed: number;
}

export type Phase = "preparing" | "paused" | "compiling" | "running" | "done" | "stopped";

export interface Status {
  readonly phase: Phase;
  readonly step: number;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  /** Kernels that are ready, of all that the step needs, while it compiles. */
  readonly compiled?: { readonly done: number; readonly total: number };
}

/** One step's metrics, as lists so that many of them travel and are stored cheaply. */
export interface Curves {
  step: number[];
  loss: number[];
  rate: number[];
  imagesPerSecond: number[];
  milliseconds: number[];
  hostMilliseconds: number[];
}

export interface ValidationCurve {
  step: number[];
  loss: number[];
  accuracy: number[];
}

export const noCurves = (): Curves => ({
  step: [],
  loss: [],
  rate: [],
  imagesPerSecond: [],
  milliseconds: [],
  hostMilliseconds: [],
});
export const noValidation = (): ValidationCurve => ({ step: [], loss: [], accuracy: [] });

export interface DataInfo {
  readonly kind: DataKind;
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  readonly shape: readonly [number, number, number];
  readonly classes: readonly string[];
  /** What is remarkable about it, in a sentence. */
  readonly note: string;
}

/** A held-out image and what the network makes of it. */
export interface Example {
  readonly index: number;
  readonly image: Uint8Array<ArrayBuffer>;
  readonly label: number;
  readonly predicted: number;
  readonly probabilities: readonly number[];
}

export interface Validation {
  readonly step: number;
  readonly count: number;
  readonly loss: number;
  readonly accuracy: number;
  /** Rows are the true classes, columns the predicted ones. */
  readonly confusion: readonly number[];
  /** Worst first: the true class has the least probability. */
  readonly worst: readonly Example[];
}

/** The final figure: what the network makes of all test images, which nothing before was chosen by. */
export type Tested = Pick<Validation, "step" | "count" | "loss" | "accuracy">;

/** All that was measured in a run. */
export interface RunHistory {
  readonly curves: Curves;
  readonly validation: ValidationCurve;
  /** Once the last epoch is done. */
  readonly test?: Tested | undefined;
}

/** Small pictures of numbers, [count, channels, height, width]. */
export interface Maps {
  readonly label: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface PictureAnswer {
  readonly step: number;
  readonly probabilities: readonly number[];
  readonly layers: readonly Maps[];
}

export interface Machine {
  readonly name: string;
  readonly backend: "webgpu" | "cpu";
  readonly software: boolean;
  /** Whether it computes with f16. */
  readonly f16: boolean;
  /** Whether it has a clock for dispatches. */
  readonly clock: boolean;
  /** Kernels that the verify page found wrong on it: none of them is used. */
  readonly excluded: readonly string[];
}

export interface Stats {
  readonly gpuBytes: number;
  /** Median of a few steps timed dispatch by dispatch, in milliseconds, where the adapter has a clock. */
  readonly gpuMilliseconds: number | undefined;
  /** Steps that mixed precision skipped, its loss scale being too large for them. */
  readonly skipped: number;
}

export interface Layers {
  readonly rows: readonly LayerRow[];
  readonly error?: { readonly index: number; readonly message: string };
}

/** A run as it is kept for comparison. */
export interface KeptRun {
  readonly id: string;
  readonly started: string;
  readonly config: Config;
  readonly curves: { readonly step: readonly number[]; readonly loss: readonly number[] };
  readonly validation: ValidationCurve;
  readonly test?: Tested | undefined;
}

export interface Events {
  status: Status;
  curves: Curves;
  validation: Validation;
  /** All of a run that goes on: after a resume, a load or a step back. */
  history: RunHistory;
  /** The last epoch is done. */
  tested: Tested;
  stats: Stats;
  look: Look;
  filters: Maps;
  picture: PictureAnswer;
  progress: { what: string; done: number; total: number };
  /** The step was not finite; `good` is the step of a checkpoint to go back to. */
  notFinite: { message: string; good: number | undefined };
  lost: { message: string };
  /** Something that failed beside training, which goes on. */
  problem: { message: string };
}
