import type { Feeds } from "../backend/backend.ts";
import { DataError, type DescentError } from "../core/errors.ts";
import type { TensorType } from "../core/shape.ts";
import { leavesBeside } from "../core/tree.ts";
import type { Batch, Stream } from "../data/stream.ts";
import { inputsOf } from "../model/compile.ts";
import { isType } from "../model/program.ts";
import { batchTypes, exampleCount } from "./batches.ts";

/** A batch as the host feeds it to a program. */
export interface StreamBatch {
  readonly count: number;
  readonly feeds: Feeds;
}

/** How many examples an input of a batch holds. */
function countOf(value: unknown, type: TensorType): number {
  if (typeof value === "object" && value !== null && "shape" in value)
    return (value as { shape: readonly number[] }).shape[0] ?? 0;
  const per = type.shape.slice(1).reduce((a, b) => a * b, 1);
  if (ArrayBuffer.isView(value)) return (value as unknown as { length: number }).length / Math.max(1, per);
  return Array.isArray(value) ? value.length : 0;
}

/** Reads a stream one batch ahead of the step that is under way. */
export class StreamReader {
  private iterator: AsyncIterator<Batch> | undefined;
  private ahead: Promise<IteratorResult<Batch>> | undefined;
  /** Whether the source is at work on a batch. */
  private busy = false;
  private read = 0;

  constructor(private readonly stream: Stream) {}

  /** The next batch; nothing at the end of the stream, which then begins again where it can. */
  async next(): Promise<StreamBatch | undefined> {
    const pending = this.ahead ?? this.pull();
    this.ahead = undefined;
    const { value, done } = await pending;
    if (done) {
      this.iterator = undefined;
      this.read = 0;
      return undefined;
    }
    this.read++;
    const batch = this.take(value);
    // Meanwhile the step runs. What goes wrong is told when the batch is asked for.
    this.ahead = this.pull();
    this.ahead.catch(() => {});
    return batch;
  }

  private async pull(): Promise<IteratorResult<Batch>> {
    this.busy = true;
    try {
      this.iterator ??= this.stream.open();
      return await this.iterator.next();
    } catch (error) {
      this.iterator = undefined;
      const reason = error instanceof Error ? error.message : String(error);
      throw new DataError(
        `${this.stream.name}: batch ${this.read + 1} could not be read (${reason}); mend the source, then fit again.`,
        { cause: error },
      );
    } finally {
      this.busy = false;
    }
  }

  /** Checks a batch and copies it, because the source may use its arrays again for the next one. */
  private take(batch: unknown): StreamBatch {
    const { name, input, target } = this.stream;
    const what = `${name}, batch ${this.read}`;
    if (typeof batch !== "object" || batch === null || !("input" in batch) || !("target" in batch))
      throw new DataError(`${what}: is no { input, target }; give both, in the declared shapes.`);
    const given = { input: batch.input, target: batch.target };
    const counts = leavesBeside({ input, target }, isType, given, what).map(({ path, leaf, value }) => ({
      path,
      value,
      count: countOf(value, leaf),
    }));
    const { path, count } = counts[0]!;
    const most = exampleCount(this.stream);
    if (!Number.isInteger(count) || count < 1 || count > most)
      throw new DataError(
        `${what}: has ${count} examples in ${path}; batches were declared with ${most}, so give 1 to ${most}.`,
      );
    const other = counts.find(({ value, count: own }) => value !== undefined && own !== count);
    if (other)
      throw new DataError(
        `${what}: has ${count} examples in ${path} and ${other.count} in ${other.path}; give as many of each, in the declared shapes.`,
      );
    const { feeds, resident } = inputsOf(what, batchTypes(this.stream, count), given);
    const [onDevice] = Object.keys(resident);
    if (onDevice !== undefined)
      throw new DataError(`${what}: ${onDevice} is a tensor on the device; give its numbers.`);
    return {
      count,
      feeds: Object.fromEntries(Object.entries(feeds).map(([key, data]) => [key, data.slice()])),
    };
  }

  /** Ends the source, unless it is at work on a batch, which may take for ever. */
  async close(): Promise<void> {
    const { iterator } = this;
    this.iterator = undefined;
    this.ahead = undefined;
    const ended = Promise.resolve(iterator?.return?.()).catch(() => {});
    if (!this.busy) await ended;
  }
}

/** @throws DescentError when a stream has no batch at all, or none any more. */
export function endedEarly({ name, repeats }: Stream, steps: number, wanted?: number): DescentError {
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
