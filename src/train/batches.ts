import { DataError, ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import { leavesOf, mapTree } from "../core/tree.ts";
import type { Stream } from "../data/stream.ts";
import type { Model } from "../model/model.ts";
import { dataTensor, hostArray, isType, type Types } from "../model/program.ts";
import { gatherImages } from "../ops/data/batch.ts";
import type { Source } from "./step.ts";

/** The sizes of batches that go through `count` images: whole ones and, perhaps, a smaller last. */
export function batchSizes(count: number, batchSize: number, dropLast = false): number[] {
  const size = Math.min(batchSize, count);
  return count % size > 0 && !dropLast ? [size, count % size] : [size];
}

export const isStream = (data: unknown): data is Stream =>
  typeof data === "object" && data !== null && "open" in data;

/** Declared types with another number of examples. */
function resized(types: Types, count: number): Types {
  return mapTree(types, isType, ({ shape, dtype }) => ({
    shape: [count, ...shape.slice(1)],
    dtype,
  })) as Types;
}

/** The number of examples of a stream's batches. */
export function exampleCount({ name, input, target }: Stream): number {
  const counts = leavesOf({ input, target }, isType).map(({ leaf }) => leaf.shape[0]);
  if (counts[0] === undefined || counts.some((count) => count !== counts[0]))
    throw new ShapeError(
      `${name}: its inputs and targets have not one number of examples along the first axis.`,
    );
  return counts[0];
}

/** What batches of `count` examples of a stream are. */
export const batchTypes = ({ input, target }: Stream, count: number) => ({
  input: resized(input, count),
  target: resized(target, count),
});

/** Where batches of `count` examples of a stream come from, for programs. */
export function streamSource(stream: Stream, count: number, model: Model<any, any>): Source {
  return {
    types: batchTypes(stream, count),
    batchSize: count,
    batch: (tensors: { input: unknown; target: unknown }) => ({
      x: mapTree(tensors.input, isTensorLike, (x, path) => (x.dtype === "u8" ? imagesOf(x, model, path) : x)),
      y: tensors.target,
    }),
  };
}

const isTensorLike = (x: unknown): x is Tensor => typeof x === "object" && x !== null && "node" in x;

/** Bytes of images, normalised as the model says. */
function imagesOf(x: Tensor, { normalization }: Model<any, any>, path: string): Tensor {
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
