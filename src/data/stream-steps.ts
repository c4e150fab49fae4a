import type { Feeds } from "../backend/backend.ts";
import { checkWhole } from "../core/check.ts";
import { DataError, type DescentError, OptionError } from "../core/errors.ts";
import { dataTensor, isTensor, type Tensor } from "../core/op.ts";
import { mapTree } from "../core/tree.ts";
import { hostArray, type Types } from "../model/program.ts";
import { gatherImages } from "../ops/data/gather-images.ts";
import { type BatchSource, batchTypes, exampleCount, StreamReader } from "./stream-reader.ts";

/** The batches of one step, of which an update takes the mean. */
export interface StepBatches {
  /** The examples of a whole batch. */
  readonly whole: number;
  readonly sizes: readonly number[];
  /** Where the first batch begins in the epoch's order. */
  readonly position: number;
  /** What the host feeds each batch with, where it comes from a stream; to be used before `Steps.ahead`. */
  readonly given?: readonly Feeds[];
}

/** Where the steps of a run come from, epoch by epoch. */
export interface Steps {
  /** Steps of a whole epoch; not known before its end for a stream that is read to its end. */
  stepsIn(epoch: number): number | undefined;
  /** What steps after `done` of them depend on: a run goes on in steps of which this says the same. */
  layout(done: number): string;
  /** Goes to where a run stands after `done` steps: the epoch, from 0, and how many steps of it are done. */
  seek(done: number): Promise<{ readonly epoch: number; readonly first: number }>;
  /** The steps of an epoch from its step `first` on. */
  epoch(epoch: number, first: number): AsyncIterable<StepBatches>;
  /** What a step was given is used: the next one may be read while it runs. */
  ahead(): void;
  close(): Promise<void>;
}

/** What `fit` is told about a stream's steps. */
interface StepOptions {
  readonly batchSize?: unknown;
  readonly stepsPerEpoch?: number;
  readonly shuffle?: boolean;
  readonly accumulate?: number;
  readonly lastBatch?: "smaller" | "masked" | "drop";
}

/** Steps through a stream: so many an epoch, or to its end. */
class StreamSteps implements Steps {
  private perEpoch: number | undefined;
  private readonly most: number;
  /** Whether the last step was the last of its pass, though the pass has not been said to have ended. */
  private ended = false;
  /** A step that was read to see whether there is one. */
  private held: StepBatches | undefined;

  constructor(
    private readonly stream: BatchSource,
    private readonly reader: StreamReader,
    private readonly options: StepOptions,
  ) {
    this.perEpoch = options.stepsPerEpoch;
    this.most = exampleCount(stream);
  }

  stepsIn(): number | undefined {
    return this.perEpoch;
  }

  layout(): string {
    return String(this.options.stepsPerEpoch);
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
    const { accumulate = 1, lastBatch } = this.options;
    const how = { copy: accumulate > 1, fill: lastBatch === "masked" };
    const { held } = this;
    this.held = undefined;
    if (held) return held;
    const sizes: number[] = [];
    const given: Feeds[] = [];
    while (!this.ended && sizes.length < accumulate) {
      const batch = await this.reader.next(how);
      if (!batch) this.ended = true;
      else if (lastBatch !== "drop" || batch.count === this.most) {
        sizes.push(batch.count);
        given.push(batch.feeds);
      }
    }
    if (sizes.length > 0) return { whole: this.most, sizes, position: 0, given };
    this.ended = false;
    return undefined;
  }

  ahead(): void {
    this.reader.ahead();
  }

  /** Ends a stream that can begin again; another one is read on by the next fit. */
  async close(): Promise<void> {
    if (this.stream.repeats) await this.reader.close();
  }
}

/** @throws DescentError when a stream has no batch at all, or none any more. */
function endedEarly({ name, repeats }: BatchSource, steps: number, wanted?: number): DescentError {
  if (wanted === undefined)
    return new DataError(
      repeats
        ? `${name} holds no batches; give it at least one.`
        : `${name} holds no more batches; pass a function that begins it again, or fewer epochs.`,
    );
  return new DataError(
    `${name} ended after ${steps} steps of an epoch of ${wanted}; ask for fewer, or pass a function that begins it again.`,
  );
}

/** How images of bytes become numbers. */
interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Bytes of images, normalised as the model says. */
function imagesOf(x: Tensor, normalization: Normalization | undefined, path: string): Tensor {
  const [count, ...shape] = x.shape as [number, ...number[]];
  if (!normalization || shape.length !== 3 || shape[0] !== normalization.mean.length)
    throw new DataError(
      `${path === "" ? "The input" : path} of the stream is u8[${x.shape.join(", ")}]: images of bytes need [batch, channels, height, width] and a model with a normalization of as many channels.`,
    );
  const row = (values: readonly number[]) => dataTensor(hostArray(values));
  const indices = dataTensor(
    hostArray(
      Uint32Array.from({ length: count }, (_, i) => i),
      { dtype: "u32" },
    ),
  );
  return gatherImages(indices, row(normalization.mean), row(normalization.std), [x], {
    shape,
    perChunk: count,
  });
}

/** What a trainer needs of streams. Each stream brings it along, so that programs without streams do not carry it. */
export const streamTraining = {
  /** Whether what `fit` was told fits the stream. */
  check(stream: BatchSource, { batchSize, stepsPerEpoch, shuffle }: StepOptions): void {
    const { name } = stream;
    const count = exampleCount(stream);
    if (stepsPerEpoch !== undefined) checkWhole("The number of steps per epoch", stepsPerEpoch, 1);
    if (batchSize !== undefined && batchSize !== count)
      throw new OptionError(
        `The batch size is ${typeof batchSize === "function" ? "a schedule" : batchSize}, and the batches of ${name} have ${count}; leave it out, or make the stream's batches that large.`,
      );
    if (shuffle)
      throw new OptionError(
        `${name} is a stream, which fit cannot shuffle; shuffle it where it is made, and leave shuffle out.`,
      );
  },
  /** Where programs have batches of `count` examples from: inputs of these types. */
  source: (stream: BatchSource, count: number, normalization: Normalization | undefined) => ({
    types: batchTypes(stream, count) as Types,
    batchSize: count,
    batch: (tensors: { input: unknown; target: unknown }) => ({
      x: mapTree(tensors.input, isTensor, (x, path) =>
        x.dtype === "u8" ? imagesOf(x, normalization, path) : x,
      ),
      y: tensors.target,
    }),
  }),
  reader: (stream: BatchSource) => new StreamReader(stream),
  steps: (stream: BatchSource, reader: StreamReader, options: StepOptions): Steps =>
    new StreamSteps(stream, reader, options),
};
export type StreamTraining = typeof streamTraining;
