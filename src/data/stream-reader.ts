import { copied, type Feeds } from "../backend/backend.ts";
import { DataError, ShapeError } from "../core/errors.ts";
import type { TensorType } from "../core/shape.ts";
import { leavesBeside, leavesOf, mapTree } from "../core/tree.ts";
import { type HostInputs, inputsOf } from "../model/inputs.ts";
import { isType, type Types } from "../model/program.ts";

/** Inputs and targets of one step, from the host. */
export interface Batch<In extends Types = Types, Target extends Types = Types> {
  readonly input: HostInputs<In>;
  readonly target: HostInputs<Target>;
}

/** Where batches come from, and what they are. */
export interface BatchSource {
  readonly name: string;
  readonly input: Types;
  readonly target: Types;
  /** Begins to read, from the start where the source can begin again. */
  open(): AsyncIterator<Batch>;
  /** Whether it can be read more than once. */
  readonly repeats: boolean;
}

/** A batch as the host feeds it to a program. */
export interface StreamBatch {
  readonly count: number;
  readonly feeds: Feeds;
}

/** Declared types with another number of examples. */
function resized(types: Types, count: number): Types {
  return mapTree(types, isType, ({ shape, dtype }) => ({
    shape: [count, ...shape.slice(1)],
    dtype,
  })) as Types;
}

/** What batches of `count` examples of a stream are. */
export const batchTypes = ({ input, target }: BatchSource, count: number) => ({
  input: resized(input, count),
  target: resized(target, count),
});

/** The number of examples of a stream's batches. */
export function exampleCount({ name, input, target }: BatchSource): number {
  const counts = leavesOf({ input, target }, isType).map(({ leaf }) => leaf.shape[0]);
  if (counts[0] === undefined || counts.some((count) => count !== counts[0]))
    throw new ShapeError(
      `${name}: its inputs and targets have not one number of examples along the first axis.`,
    );
  return counts[0];
}

/** How many examples an input of a batch holds. */
function countOf(value: unknown, type: TensorType): number {
  if (typeof value === "object" && value !== null && "shape" in value)
    return (value as { shape: readonly number[] }).shape[0] ?? 0;
  const per = type.shape.slice(1).reduce((a, b) => a * b, 1);
  if (ArrayBuffer.isView(value)) return (value as unknown as { length: number }).length / Math.max(1, per);
  return Array.isArray(value) ? value.length : 0;
}

/** A batch with its last row again and again up to `most` rows. */
const filled = ({ count, feeds }: StreamBatch, most: number): Feeds =>
  Object.fromEntries(
    Object.entries(feeds).map(([key, data]) => {
      const row = data.length / count;
      const all = new (data.constructor as new (size: number) => typeof data)(most * row);
      all.set(data);
      for (let k = count; k < most; k++) all.copyWithin(k * row, (count - 1) * row, count * row);
      return [key, all];
    }),
  );

/** How a batch is asked for: as a copy, or filled up to the declared number of rows. */
interface Asked {
  readonly copy: boolean;
  readonly fill: boolean;
}

/** Reads a stream one batch ahead of the step that is under way. */
export class StreamReader {
  private iterator: AsyncIterator<Batch> | undefined;
  private pending: Promise<IteratorResult<Batch>> | undefined;
  /** Whether the source is at work on a batch. */
  private busy = false;
  private read = 0;

  constructor(private readonly stream: BatchSource) {}

  /**
   * The next batch; nothing at the end of the stream, which then begins again where it can. Unless it is a `copy` its
   * arrays are the source's, to be used before it is asked for another.
   */
  async next({ copy, fill }: Asked): Promise<StreamBatch | undefined> {
    const pending = this.pending ?? this.pull();
    this.pending = undefined;
    const { value, done } = await pending;
    if (done) {
      this.iterator = undefined;
      this.read = 0;
      return undefined;
    }
    this.read++;
    const batch = this.take(value);
    const most = exampleCount(this.stream);
    if (fill && batch.count < most) return { ...batch, feeds: filled(batch, most) };
    return copy ? { ...batch, feeds: copied(batch.feeds) } : batch;
  }

  /** Begins to read the next batch, once the arrays of the last one are used: meanwhile its step runs. */
  ahead(): void {
    if (this.pending || !this.iterator) return;
    this.pending = this.pull();
    // What goes wrong is told when the batch is asked for.
    this.pending.catch(() => {});
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

  /** Checks a batch. */
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
    return { count, feeds };
  }

  /** Ends the source, unless it is at work on a batch, which may take for ever. */
  async close(): Promise<void> {
    const { iterator } = this;
    this.iterator = undefined;
    this.pending = undefined;
    const ended = Promise.resolve(iterator?.return?.()).catch(() => {});
    if (!this.busy) await ended;
  }
}
