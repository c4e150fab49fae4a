import type { Feeds } from "../backend/backend.ts";
import { Random } from "../core/rng.ts";
import type { Stream } from "../data/stream.ts";
import { exampleCount } from "./batches.ts";
import { type AnyDataset, naturalOrder } from "./data-sets.ts";
import type { FitOptions } from "./options.ts";
import type { Session } from "./session.ts";
import { endedEarly, type StreamReader } from "./stream-reader.ts";

/** Shuffles draw from streams of their own, one an epoch. */
const SHUFFLE_STREAM = 0x2000_0000;

/** The batches of one step, of which an update takes the mean. */
export interface StepBatches {
  readonly sizes: readonly number[];
  /** Where the first batch begins in the epoch's order. */
  readonly position: number;
  /** What the host feeds each batch with, where it comes from a stream. */
  readonly given?: readonly Feeds[];
}

/** Where the steps of a run come from, epoch by epoch. */
export interface Steps {
  /** Steps of a whole epoch; not known before its end for a stream that is read to its end. */
  readonly perEpoch: number | undefined;
  /** Goes to where a run stands after `done` steps: the epoch, from 0, and how many steps of it are done. */
  seek(done: number): Promise<{ readonly epoch: number; readonly first: number }>;
  /** The steps of an epoch from its step `first` on. */
  epoch(epoch: number, first: number): AsyncIterable<StepBatches>;
  close(): Promise<void>;
}

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
    const { accumulate = 1, dropLast = false } = options;
    const { count } = session.sets.use(data, true).data;
    this.usable = dropLast ? count - (count % batchSize) : count;
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
      const position = i * batchSize * accumulate;
      const sizes: number[] = [];
      for (let at = position; sizes.length < accumulate && at < usable; at += batchSize)
        sizes.push(Math.min(batchSize, usable - at));
      yield { sizes, position };
    }
  }

  async close(): Promise<void> {}
}

/** Steps through a stream: so many an epoch, or to its end. */
export class StreamSteps implements Steps {
  perEpoch: number | undefined;
  private readonly most: number;
  /** Whether the last step was the last of its pass, though the pass has not been said to have ended. */
  private ended = false;
  /** A step that was read to see whether there is one. */
  private held: StepBatches | undefined;

  constructor(
    private readonly stream: Stream,
    private readonly reader: StreamReader,
    private readonly options: FitOptions,
  ) {
    this.perEpoch = options.stepsPerEpoch;
    this.most = exampleCount(stream);
  }

  /** A stream that begins again is gone through up to there; another one stands where it was left. */
  async seek(done: number) {
    const { stepsPerEpoch } = this.options;
    if (stepsPerEpoch !== undefined) {
      for (let k = 0; k < done && this.stream.repeats; k++) await this.further(k, stepsPerEpoch);
      return { epoch: Math.floor(done / stepsPerEpoch), first: done % stepsPerEpoch };
    }
    if (done === 0) return { epoch: 0, first: 0 };
    let [epoch, first] = this.stream.repeats ? [0, 0] : [0, done];
    const passEnded = () => {
      if (first === 0) throw endedEarly(this.stream, 0);
      this.perEpoch = first;
      [epoch, first] = [epoch + 1, 0];
    };
    for (let k = 0; k < done && this.stream.repeats; k++) {
      while (!(await this.next())) passEnded();
      first++;
    }
    this.held = await this.next();
    if (!this.held) passEnded();
    return { epoch, first };
  }

  async *epoch(_: number, first: number): AsyncGenerator<StepBatches> {
    const { stepsPerEpoch } = this.options;
    if (stepsPerEpoch !== undefined) {
      for (let k = first; k < stepsPerEpoch; k++) yield await this.further(k, stepsPerEpoch);
      return;
    }
    let steps = first;
    for (let step = await this.next(); step; step = await this.next()) {
      steps++;
      yield step;
    }
    if (steps === 0) throw endedEarly(this.stream, 0);
    this.perEpoch = steps;
  }

  /** The next step, of the next pass where one has ended. */
  private async further(done: number, stepsPerEpoch: number): Promise<StepBatches> {
    const step = (await this.next()) ?? (this.stream.repeats ? await this.next() : undefined);
    if (!step) throw endedEarly(this.stream, done % stepsPerEpoch, stepsPerEpoch);
    return step;
  }

  /** The next step of this pass; nothing at its end. */
  private async next(): Promise<StepBatches | undefined> {
    const { accumulate = 1, dropLast = false } = this.options;
    const { held } = this;
    this.held = undefined;
    if (held) return held;
    const sizes: number[] = [];
    const given: Feeds[] = [];
    while (!this.ended && sizes.length < accumulate) {
      const batch = await this.reader.next();
      if (!batch) this.ended = true;
      else if (!dropLast || batch.count === this.most) {
        sizes.push(batch.count);
        given.push(batch.feeds);
      }
    }
    if (sizes.length > 0) return { sizes, position: 0, given };
    this.ended = false;
    return undefined;
  }

  /** Ends a stream that can begin again; another one is read on by the next fit. */
  async close(): Promise<void> {
    if (this.stream.repeats) await this.reader.close();
  }
}
