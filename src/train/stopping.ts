import type { TensorFile } from "../interchange/safetensors.ts";

/** Where early stopping stands, in checkpoints. */
export interface StoppingState {
  /** What was asked for: another wish begins anew. */
  readonly wish: string;
  /** The best number so far, and the epoch that gave it, from 1; none before the first epoch. */
  readonly best: number | undefined;
  readonly epoch: number;
  /** Epochs since then. */
  readonly waited: number;
  readonly stopped: boolean;
}

/** What a run keeps for it: where it stands, and the network as it was in the best epoch. */
export interface Stopping {
  state: StoppingState;
  weights: TensorFile | undefined;
}
