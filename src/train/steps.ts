import { Random } from "../core/rng.ts";
import type { StepBatches, Steps } from "../data/stream-steps.ts";
import { type AnyDataset, naturalOrder } from "./data-sets.ts";
import type { FitOptions, LastBatch } from "./options.ts";
import type { Session } from "./session.ts";

/** Shuffles draw from streams of their own, one an epoch. */
const SHUFFLE_STREAM = 0x2000_0000;

/** The sizes of batches that go through `count` images: whole ones and, perhaps, a smaller last. */
export function batchSizes(count: number, batchSize: number, lastBatch: LastBatch = "smaller"): number[] {
  const size = Math.min(batchSize, count);
  return count % size > 0 && lastBatch === "smaller" ? [size, count % size] : [size];
}

/**
 * How many examples of a data set of `count` were seen when `epoch` (from 0) is at `within`. Whole epochs are counted
 * modulo an even number, so that it stays below 2³².
 */
export const positionIn = (epoch: number, within: number, count: number): number =>
  (epoch % (2 * Math.floor(2 ** 31 / count))) * count + within;

/** Steps through a data set on the device, in a new order each epoch. */
export class DatasetSteps implements Steps {
  readonly perEpoch: number;
  private readonly usable: number;

  constructor(
    private readonly session: Session,
    private readonly data: AnyDataset,
    private readonly batchSize: number,
    private readonly options: FitOptions,
  ) {
    const { accumulate = 1, lastBatch } = options;
    const { count } = session.sets.use(data, true).data;
    this.usable = lastBatch === "drop" ? count - (count % batchSize) : count;
    this.perEpoch = Math.ceil(this.usable / (batchSize * accumulate));
  }

  async seek(done: number) {
    return { epoch: Math.floor(done / this.perEpoch), first: done % this.perEpoch };
  }

  async *epoch(epoch: number, first: number): AsyncGenerator<StepBatches> {
    const { session, batchSize, usable } = this;
    const { accumulate = 1, shuffle = true } = this.options;
    const { data, order } = session.sets.use(this.data, true);
    const random = new Random(session.seed, SHUFFLE_STREAM + session.course.base + epoch);
    session.backend.write(order, shuffle ? random.permutation(data.count) : naturalOrder(data.count));
    for (let i = first; i < this.perEpoch; i++) {
      const within = i * batchSize * accumulate;
      const sizes: number[] = [];
      for (let at = within; sizes.length < accumulate && at < usable; at += batchSize)
        sizes.push(Math.min(batchSize, usable - at));
      yield { sizes, position: positionIn(epoch, within, data.count) };
    }
  }

  ahead(): void {}

  async close(): Promise<void> {}
}
