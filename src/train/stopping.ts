import type { Backend } from "../backend/backend.ts";
import type { TensorFile } from "../interchange/safetensors.ts";
import type { Model } from "../model/model.ts";
import type { OptimizerState } from "../optim/state.ts";

/** How a run with early stopping has ended. */
export interface Stopped {
  /** It got no better ("patience"), it reached its target, or there were no more epochs. */
  readonly reason: "patience" | "target" | "epochs";
  readonly monitor: string;
  /** The best number, and the epoch that gave it. */
  readonly best: number;
  readonly epoch: number;
  /** Whether that epoch's weights were put back. */
  readonly restored: boolean;
}

/** What a run keeps for it, as in checkpoints: where it stands, and the network as it was in the best epoch. */
export interface Stopping {
  readonly text: string;
  readonly best: TensorFile | undefined;
}

/** The run that it watches. */
export interface Watched {
  readonly model: Model<any, any>;
  readonly state: OptimizerState;
  readonly backend: Backend;
  stopping: Stopping | undefined;
}

/** What an epoch measured. */
export interface Observed {
  readonly epoch: number;
  readonly validation?: object;
}

/** One run's early stopping. */
export interface Watch {
  /** Whether it has ended the run already. */
  readonly ended: boolean;
  /** After an epoch, the `last` of the run perhaps: what ended the run, if anything did. */
  observe(epoch: Observed, last: boolean): Promise<Stopped | undefined>;
}

/** When a run ends before its last epoch: what `earlyStopping` gives. */
export interface EarlyStopping {
  /** @internal */
  watch(run: Watched, metrics: readonly string[], validates: boolean): Watch;
}
