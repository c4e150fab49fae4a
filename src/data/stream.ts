import { DataError } from "../core/errors.ts";
import type { Types } from "../model/program.ts";
import type { Batch, BatchSource } from "./stream-reader.ts";
import { type StreamTraining, streamTraining } from "./stream-steps.ts";

export type { Batch, BatchSource };

/** Batches one after another, for data that does not fit on the device or comes into being as it is read. */
export interface Stream extends BatchSource {
  /**
   * How a trainer goes through it.
   * @internal
   */
  readonly training: StreamTraining;
}

/** Nothing more is asked where B is the batch that is wanted, else the batches that were. */
export type Fits<B, Wanted> = [B] extends [Wanted] ? unknown : Batches<Wanted> | (() => Batches<Wanted>);
/** What is read batch by batch. */
export type Batches<B> = Iterable<B> | AsyncIterable<B>;

/**
 * Batches of fixed shapes from any iterable, async iterable or generator function, the last of them perhaps with fewer
 * examples. A function or an array is read again for every epoch; a generator that was called is read on. Inputs of u8
 * are images [batch, channels, height, width], normalised as the model says.
 *
 * @example data.stream(readShards("shards/"), { input: u8(256, 3, 32, 32), target: i32(256) })
 */
export function stream<const In extends Types, const Target extends Types, B>(
  // Checked once the declared types are known: an array written in place would else be inferred without end.
  source: (Batches<B> | (() => Batches<B>)) & Fits<B, Batch<In, Target>>,
  options: { readonly input: In; readonly target: Target; readonly name?: string },
): Stream {
  const { input, target, name = "stream" } = options;
  const ofFunction = typeof source === "function";
  const first = ofFunction ? undefined : source;
  if (
    !ofFunction &&
    (typeof first !== "object" ||
      first === null ||
      !(Symbol.iterator in first || Symbol.asyncIterator in first))
  )
    throw new DataError(
      `${name}: the source is no iterable; pass an array, a generator or a function that gives one.`,
    );
  return {
    name,
    input,
    target,
    // An iterator, as a called generator is, has been read when it has been read.
    repeats: ofFunction || !("next" in source),
    open: () => iterate(ofFunction ? source() : source)[Symbol.asyncIterator]() as AsyncIterator<Batch>,
    training: streamTraining,
  };
}

async function* iterate<T>(source: Batches<T>): AsyncGenerator<T> {
  yield* source;
}

/** @throws DataError for batches that do not come from `stream`. */
export function isStream(data: unknown): data is Stream {
  if (typeof data !== "object" || data === null || !("open" in data)) return false;
  if ("training" in data) return true;
  throw new DataError(
    "The data can be opened, but is no stream; make it one with data.stream(source, { input, target }).",
  );
}
