import type { Backend } from "../backend/backend.ts";
import { checkWhole } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import { isTensor, type Tensor } from "../core/op.ts";
import { sameShape, sizeOf, type TensorType } from "../core/shape.ts";
import { kindOf, leavesOf, mapTree, type Tree } from "../core/tree.ts";
import type { Loss } from "../losses/index.ts";
import type { Measure, MeasureValue, Metric } from "../metrics/index.ts";
import * as f from "../ops/everyday.ts";
import { runnerOf } from "./compile.ts";
import { isNDArray } from "./inputs.ts";
import type { Runner } from "./runner.ts";
import { meansAmong, Tallies } from "./tallies.ts";
import type { TraceContext } from "./tracing.ts";

/** Examples that a model is evaluated on: arrays of the host's, images of bytes, or what is on the device already. */
export type Examples = HostExamples | ImageExamples | DeviceExamples;

/** Inputs and targets, examples along the first axis of each of their arrays: `data.arrays`. */
export interface HostExamples {
  readonly name: string;
  readonly count: number;
  readonly x: Tree<NDArray>;
  readonly y: Tree<NDArray>;
}

/** Images [channels, height, width] of bytes with class numbers: `data.cifar10`. */
export interface ImageExamples {
  readonly name: string;
  readonly count: number;
  readonly shape: readonly number[];
  readonly images: Uint8Array;
  readonly labels: ArrayLike<number>;
}

/** Examples on the device, from which the graph gathers batches by index. */
export interface DeviceExamples {
  readonly name: string;
  readonly count: number;
  batch(indices: Tensor): { x: unknown; y: unknown };
}

/** Metrics beside the loss, by name. */
export type MetricRecord = Readonly<Record<string, Measure>>;

/** Means over all examples. */
export type Means<M extends MetricRecord = MetricRecord> = {
  readonly loss: number;
  /** The share of labels that were predicted right; absent where targets are not labels. */
  readonly accuracy?: number;
} & { readonly [Name in keyof M]: MeasureValue<M[Name]> };

/** What to measure of a data set, and in which batches. */
export interface EvaluateOptions<M extends MetricRecord = Readonly<Record<never, never>>> {
  readonly loss: Loss<any, any>;
  /** What to measure on the device beside the loss: means over the batch, and tallies over all of them. */
  readonly metrics?: M;
  /** 250 unless given. */
  readonly batchSize?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** How many labels an example has: targets i32 [N, ...] beside logits [N, ..., C]; 0 where targets are not labels. */
export const labelsOf = (output: unknown, target: unknown): number =>
  isTensor(target) &&
  isTensor(output) &&
  target.dtype === "i32" &&
  target.shape.length > 0 &&
  sameShape(target.shape, output.shape.slice(0, -1))
    ? sizeOf(target.shape.slice(1))
    : 0;

/** How many labels the first maxima of the logits are at. */
export const rightOf = (output: unknown, target: unknown): Tensor =>
  (output as Tensor)
    .argmax({ axis: -1 })
    .equal(target as Tensor)
    .cast({ dtype: "f32" })
    .sum();

/** What one batch measured: means over it, and how many of its examples were predicted right, by shares of their labels. */
export interface BatchNumbers {
  readonly loss: number;
  /** NaN where targets are not labels. */
  readonly right: number;
  /** Of the metrics, in their order. */
  readonly own: readonly number[];
}

/** The numbers of a batch in a row of tensors: the loss, the metrics, and how many labels were predicted right. */
function measured(
  output: unknown,
  target: unknown,
  loss: Loss<any, any>,
  metrics: Readonly<Record<string, Metric<any, any>>>,
): Tensor {
  const [y, wanted] = [output, target] as [Tensor, Tensor];
  const all: (readonly [name: string, value: Tensor])[] = [
    ["loss", loss(y, wanted)],
    ...Object.entries(metrics).map(([name, metric]) => [name, metric(y, wanted)] as const),
  ];
  if (labelsOf(output, target) > 0) all.push(["accuracy", rightOf(output, target)]);
  for (const [name, value] of all)
    if (!isTensor(value) || value.shape.length !== 0)
      throw new OptionError(
        `evaluate: "${name}" is ${isTensor(value) ? `of the shape [${value.shape.join(", ")}]` : kindOf(value)}; give a scalar, a mean over the batch for instance.`,
      );
  return f.concat(
    all.map(([, value]) => value.reshape({ shape: [1] })),
    { axis: 0 },
  );
}

/** So many batches, or what is done in so many milliseconds, are under way before their numbers are read. */
const GROUP = { batches: 8, milliseconds: 250 };

/** How a set is gone through: `start` begins a batch, `collect` gives the numbers of those begun since the last time. */
export interface EvaluationRun {
  readonly count: number;
  readonly batchSize: number;
  readonly metrics: readonly string[];
  start(from: number, images: number): Promise<void>;
  collect(): Promise<readonly BatchNumbers[]>;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Means over all examples, each once. */
export async function meansOf(run: EvaluationRun): Promise<Means> {
  const { count, metrics, onProgress } = run;
  const size = Math.min(run.batchSize, count);
  const own = metrics.map(() => 0);
  let [loss, right] = [0, 0];
  let open: number[] = [];
  let last = performance.now();
  onProgress?.(0, count);
  for (let from = 0; from < count; from += size) {
    const images = Math.min(size, count - from);
    await run.start(from, images);
    open.push(images);
    const due = open.length === GROUP.batches || performance.now() - last > GROUP.milliseconds;
    if (!due && from + size < count) continue;
    (await run.collect()).forEach((numbers, i) => {
      loss += numbers.loss * open[i]!;
      right += numbers.right;
      numbers.own.forEach((value, k) => {
        own[k]! += value * open[i]!;
      });
    });
    open = [];
    onProgress?.(from + images, count);
    last = performance.now();
  }
  const named = metrics.map((name, i) => [name, own[i]! / count] as const);
  return {
    loss: loss / count,
    ...(Number.isNaN(right) ? {} : { accuracy: right / count }),
    ...Object.fromEntries(named),
  };
}

/** Where batches come from: what a run is fed with, and what the graph makes of it. */
export interface Batches {
  readonly count: number;
  /** Types of the inputs of a run over so many examples. */
  readonly types: (images: number) => Tree<TensorType>;
  readonly given: (from: number, images: number) => unknown;
  readonly batch: (inputs: any) => { x: unknown; y: unknown };
}

/** @throws OptionError for what is no data set, or one whose arrays have not equally many examples. */
export function batchesOf(data: Examples, prepare: (x: unknown) => unknown): Batches {
  if (typeof data !== "object" || data === null || !("count" in data) || data instanceof Promise)
    throw new OptionError(
      `evaluate: the data is ${kindOf(data)}; give a data set, data.arrays({ x, y }) for instance.`,
    );
  const { count } = data;
  if (!(count >= 1)) throw new OptionError(`evaluate: ${data.name} has no examples; give at least one.`);
  if ("batch" in data)
    return {
      count,
      types: (images) => ({ indices: { shape: [images], dtype: "u32" } }),
      given: (from, images) => ({ indices: Uint32Array.from({ length: images }, (_, i) => from + i) }),
      batch: ({ indices }) => data.batch(indices),
    };
  const { x, y } = "images" in data ? imagesOf(data) : data;
  for (const { path, leaf } of leavesOf({ x, y }, isNDArray))
    if (leaf.shape[0] !== count)
      throw new OptionError(
        `evaluate: ${path} of ${data.name} has ${leaf.shape[0] ?? 0} examples, and the set ${count}; give as many of each.`,
      );
  const slice = (from: number, images: number) => ({
    x: prepare(rows(x, from, images)),
    y: rows(y, from, images),
  });
  const typed = slice(0, 1);
  return {
    count,
    types: (images) =>
      mapTree(typed, isNDArray, ({ shape, dtype }) => ({
        shape: [images, ...shape.slice(1)],
        dtype,
      })) as Tree<TensorType>,
    given: slice,
    batch: (inputs) => inputs,
  };
}

function imagesOf({ count, shape, images, labels }: ImageExamples): Pick<HostExamples, "x" | "y"> {
  return {
    x: { shape: [count, ...shape], dtype: "u8", data: images },
    y: { shape: [count], dtype: "i32", data: Int32Array.from(labels) },
  };
}

const rows = (tree: unknown, from: number, images: number): unknown =>
  mapTree(tree, isNDArray, ({ shape, dtype, data }): NDArray => {
    const per = sizeOf(shape.slice(1));
    return {
      shape: [images, ...shape.slice(1)],
      dtype,
      data: data.subarray(from * per, (from + images) * per),
    };
  });

/** Means over all examples of what a network in its inference form gives. */
export async function evaluateExamples<M extends MetricRecord>(
  device: Backend,
  forward: (x: unknown, t: TraceContext) => unknown,
  batches: Batches,
  options: EvaluateOptions<M>,
): Promise<Means<M>> {
  const { loss, metrics = {}, batchSize = 250, onProgress } = options ?? {};
  if (typeof loss !== "function")
    throw new OptionError("evaluate: the loss is missing; give one, losses.mse() for instance.");
  checkWhole("evaluate: the batch size", batchSize, 1);
  const own = meansAmong(metrics);
  const counted = new Tallies(device, metrics);
  const runners = new Map<number, Runner>();
  let labels = 0;
  const make = (images: number) =>
    runnerOf(
      device,
      batches.types(images),
      (inputs, t) => {
        const { x, y } = batches.batch(inputs);
        const output = forward(x, t);
        labels = labelsOf(output, y);
        const outputs = measured(output, y, loss, own);
        return { outputs, updates: counted.updates(output, y, undefined) };
      },
      { name: "evaluate", training: false },
    );
  const names = Object.keys(own);
  let open: Promise<unknown>[] = [];
  const numbers = ({ data }: NDArray): BatchNumbers => ({
    loss: data[0]!,
    right: (data[1 + names.length] ?? Number.NaN) / labels,
    own: Array.from(data.subarray(1, 1 + names.length)),
  });
  try {
    const means = await meansOf({
      count: batches.count,
      batchSize,
      metrics: names,
      onProgress,
      start: async (from, images) => {
        const runner = runners.get(images) ?? make(images);
        runners.set(images, runner);
        await runner.ready();
        open.push(runner.read(batches.given(from, images)));
      },
      collect: async () => {
        const rows = await Promise.all(open);
        open = [];
        return rows.map((row) => numbers(row as NDArray));
      },
    });
    return { ...means, ...(await counted.values()) } as Means<M>;
  } finally {
    await Promise.allSettled(open);
    for (const runner of runners.values()) await runner.dispose();
    counted.release();
  }
}
