import type { Backend } from "../backend/backend.ts";
import type { Tensor } from "../core/op.ts";
import type { Update } from "../graph/program.ts";

/**
 * A number beside the loss: a mean over the batch, from the network's output and the targets. With a mask (bool, or f32
 * weights) it is the mean over what the mask keeps, as a loss is; NaN where it keeps nothing.
 */
export type Metric<Output = Tensor, Target = Tensor> = (
  output: Output,
  target: Target,
  mask?: Tensor,
) => Tensor;

/** What `tally` makes a metric of. */
export interface TallyDefinition<Value = number> {
  readonly name: string;
  /** What is counted in a batch: f32 of one shape for all of them; nothing of what a mask leaves out. */
  statistics(output: any, target: any, mask?: Tensor): Tensor;
  /** Two counts as one, the first of which is 0 at first; their sum unless given. */
  merge?(before: Tensor, batch: Tensor): Tensor;
  /** The metric, from all that was counted, in the order of its elements. */
  value(counted: readonly number[]): Value;
}

/**
 * A metric that is no mean of its batches: what it counts is added up on the device, over an epoch or an evaluation, and it
 * is computed from that in the end. In float32, so counts are exact below 2²⁴.
 */
export interface Tally<Value = number> extends TallyDefinition<Value> {
  /** @internal */
  counter(backend: Backend, what: string): Counter<Value>;
}

/**
 * What one tally has counted on a device.
 * @internal
 */
export interface Counter<Value = unknown> {
  /** Within a trace: what adds a batch. */
  update(output: unknown, target: unknown, mask?: Tensor): Update;
  /** Goes on from counts, from nothing without any. */
  recount(numbers?: readonly number[]): void;
  counts(): Promise<readonly number[] | undefined>;
  /** Nothing where nothing was counted. */
  value(): Promise<Value | undefined>;
  release(): void;
}

/** What is measured beside the loss. */
export type Measure = Metric<any, any> | Tally<any>;

/** What a metric gives in the end. */
export type MeasureValue<M> = M extends Tally<infer Value> ? Value : number;

export const isTally = (x: unknown): x is Tally<any> => typeof x === "object" && x !== null && "counter" in x;
