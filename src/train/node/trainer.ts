import { Trainer } from "../trainer.ts";
import { newestCheckpoint, saveCheckpoint } from "./checkpoint-files.ts";

/** A trainer that keeps its checkpoints on disk. */
export class NodeTrainer extends Trainer {
  /**
   * Saves a checkpoint into `directory` as `step-000120/`, and removes all but the newest `keep`. Returns its path.
   * @throws FileError when the disk does not take it, NonFiniteError when the network holds no finite numbers.
   */
  async save(directory: string, keep = 3): Promise<string> {
    return saveCheckpoint(directory, this.step, await this.checkpoint(), keep);
  }

  /** Goes back to the newest checkpoint in `directory`. */
  async resume(directory: string): Promise<void> {
    const { path, checkpoint } = await newestCheckpoint(directory);
    this.restore(checkpoint, path);
  }
}
