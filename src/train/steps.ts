import { checkWhole } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import { Random } from "../core/rng.ts";
import type { StepBatches, Steps } from "../data/stream-steps.ts";
import type { Rate, Schedule } from "../optim/schedules.ts";
import { type AnyDataset, naturalOrder } from "./data-sets.ts";
import type { FitOptions, LastBatch } from "./options.ts";
import type { Session } from "./session.ts";

/** Shuffles draw from streams of their own, one an epoch. */
const SHUFFLE_STREAM = 0x2000_0000;

/** The examples of a whole batch of an epoch, from 0. */
export const batchSizeAt = (batchSize: Rate, epoch: number, epochs: number): number =>
  typeof batchSize === "number" ? batchSize : Math.round(batchSize(epoch, epochs));

/** @throws OptionError for batches in which a data set of `count` examples cannot be gone through. */
export function checkSizes(batchSize: unknown, epochs: number, count: number): asserts batchSize is Rate {
  const check = (size: unknown, where: string) => {
    checkWhole(`The batch size${where}`, size, 1);
    if (size > count)
      throw new OptionError(
        `A batch of ${size}${where} is larger than the training set of ${count}; use at most ${count}.`,
      );
  };
  if (typeof batchSize !== "function") return check(batchSize, "");
  const schedule = batchSize as Schedule;
  if (schedule.feedback)
    throw new OptionError("The batch size cannot go by what is measured; use a schedule of the epochs.");
  for (let epoch = 0; epoch < epochs; epoch++)
    check(batchSizeAt(schedule, epoch, epochs), ` of epoch ${epoch + 1}`);
}

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

/** How steps go through a data set. */
export type StepOptions = Pick<FitOptions, "epochs" | "accumulate" | "lastBatch" | "shuffle"> &
  Required<Pick<FitOptions, "batchSize">>;

/** Steps through a data set on the device, in a new order each epoch. */
export class DatasetSteps implements Steps {
  readonly accumulate: number;
  private readonly count: number;

  constructor(
    private readonly session: Session,
    private readonly data: AnyDataset,
    private readonly options: StepOptions,
  ) {
    this.accumulate = options.accumulate ?? 1;
    this.count = session.sets.use(data, true).data.count;
  }

  /** The examples of a whole batch of an epoch, from 0. */
  sizeIn(epoch: number): number {
    const { batchSize, epochs } = this.options;
    // Nobody has checked those after the last.
    return Math.max(1, Math.min(batchSizeAt(batchSize, epoch, epochs), this.count));
  }

  stepsIn(epoch: number): number {
    return Math.ceil(this.usable(epoch) / (this.sizeIn(epoch) * this.accumulate));
  }

  /** Steps of the first epochs. */
  stepsOf(epochs: number): number {
    if (typeof this.options.batchSize === "number") return epochs * this.stepsIn(0);
    let steps = 0;
    for (let epoch = 0; epoch < epochs; epoch++) steps += this.stepsIn(epoch);
    return steps;
  }

  /** Where a run stands after `done` steps: the epoch, from 0, and how many steps of it are done. */
  place(done: number): { readonly epoch: number; readonly first: number } {
    let [epoch, first] = [0, done];
    for (let steps = this.stepsIn(0); first >= steps; steps = this.stepsIn(epoch)) {
      first -= steps;
      epoch++;
    }
    return { epoch, first };
  }

  layout(done: number): string {
    const { epoch, first } = this.place(done);
    return [epoch, first, this.sizeIn(epoch), this.stepsIn(epoch)].join();
  }

  async seek(done: number) {
    return this.place(done);
  }

  /** The batches of a step, counted in its epoch. */
  batches(epoch: number, step: number): StepBatches {
    const [whole, usable] = [this.sizeIn(epoch), this.usable(epoch)];
    const within = step * whole * this.accumulate;
    const sizes: number[] = [];
    for (let at = within; sizes.length < this.accumulate && at < usable; at += whole)
      sizes.push(Math.min(whole, usable - at));
    return { whole, sizes, position: positionIn(epoch, within, this.count) };
  }

  async *epoch(epoch: number, first: number): AsyncGenerator<StepBatches> {
    const { session } = this;
    const { data, order } = session.sets.use(this.data, true);
    const random = new Random(session.seed, SHUFFLE_STREAM + session.course.base + epoch);
    const { shuffle = true } = this.options;
    session.backend.write(order, shuffle ? random.permutation(data.count) : naturalOrder(data.count));
    for (let step = first; step < this.stepsIn(epoch); step++) yield this.batches(epoch, step);
  }

  ahead(): void {}

  async close(): Promise<void> {}

  private usable(epoch: number): number {
    return this.options.lastBatch === "drop" ? this.count - (this.count % this.sizeIn(epoch)) : this.count;
  }
}
