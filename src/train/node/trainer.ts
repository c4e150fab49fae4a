import type { Metrics, NoMetrics, TrainerOptions } from "../options.ts";
import { Trainer } from "../trainer.ts";
import { lockCheckpoints, newestCheckpoint, saveCheckpoint } from "./checkpoint-files.ts";
import type { Lock } from "./lock.ts";
import { NodeModel } from "./model.ts";

/** A trainer that keeps its checkpoints on disk. */
export class NodeTrainer<M extends Metrics = NoMetrics> extends Trainer<M> {
  private readonly locks = new Map<string, Lock>();

  constructor(options: TrainerOptions<M>) {
    super(options, NodeModel);
  }

  override get model(): NodeModel<any, any> {
    return super.model as NodeModel<any, any>;
  }

  /**
   * Saves a checkpoint into `directory` as `step-000120/`, and removes all but the newest `keep`. Returns its path.
   * From the first one on until `dispose` no other process can save there.
   * @throws FileError when the disk does not take it or another process saves there, NonFiniteError when the network
   * holds no finite numbers.
   */
  async save(directory: string, keep = 3): Promise<string> {
    if (!this.locks.has(directory)) this.locks.set(directory, await lockCheckpoints(directory, this.step));
    return saveCheckpoint(directory, this.step, await this.checkpoint(), keep);
  }

  /** Goes back to the newest checkpoint in `directory`. */
  async resume(directory: string): Promise<void> {
    const { path, checkpoint } = await newestCheckpoint(directory);
    this.restore(checkpoint, path);
  }

  override async dispose(): Promise<void> {
    for (const lock of this.locks.values()) lock.release();
    this.locks.clear();
    await super.dispose();
  }
}
