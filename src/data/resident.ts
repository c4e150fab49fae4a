import type { Backend } from "../backend/backend.ts";
import { DataError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import type { Tensor, Variable } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import { read, standalone } from "../graph/node.ts";
import { gatherImages } from "../ops/data/batch.ts";
import { gather } from "../ops/layout/gather.ts";
import type { ImageDataset } from "./dataset.ts";

/** A data set kept on the device, from which the graph gathers batches by index. */
export interface ResidentData {
  readonly name: string;
  readonly count: number;
  /** Inputs and targets of the images whose indices (u32) are given. */
  batch(indices: Tensor): { x: Tensor; y: Tensor };
  /** Frees the device memory. */
  release(): void;
}

export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/**
 * Uploads images as packed bytes, in as many chunks as the adapter's binding limit asks for; batches are gathered and
 * normalised on the device.
 */
export function residentImages(
  backend: Backend,
  dataset: ImageDataset,
  normalization: Normalization,
): ResidentData {
  if (dataset.count === 0) throw new DataError(`${dataset.name}: has no images; give it at least one.`);
  const size = sizeOf(dataset.shape);
  // Chunks begin at whole words, so that they can be copied as they are.
  const perChunk = Math.min(dataset.count, Math.floor(backend.facts.maxBindingBytes / size));
  const chunks: Variable[] = [];
  for (let from = 0; from < dataset.count; from += perChunk) {
    const count = Math.min(perChunk, dataset.count - from);
    const chunk = standalone(`${dataset.name} images ${from}`, [count, ...dataset.shape], "u8");
    backend.write(chunk, dataset.images.subarray(from * size, (from + count) * size));
    chunks.push(chunk);
  }
  const channels = dataset.shape[0];
  const labels = standalone(`${dataset.name} labels`, [dataset.count], "i32");
  const mean = standalone(`${dataset.name} mean`, [channels]);
  const deviation = standalone(`${dataset.name} deviation`, [channels]);
  backend.write(labels, Int32Array.from(dataset.labels));
  backend.write(mean, Float32Array.from(normalization.mean));
  backend.write(deviation, Float32Array.from(normalization.std));
  return {
    name: dataset.name,
    count: dataset.count,
    batch: (indices) => ({
      x: gatherImages(indices, read(mean), read(deviation), chunks.map(read), {
        shape: dataset.shape,
        perChunk,
      }),
      y: gather(read(labels), indices),
    }),
    release: () => {
      for (const variable of [...chunks, labels, mean, deviation]) backend.release(variable.arena);
    },
  };
}

/** Uploads arrays: inputs [n, …] in f32 and targets [n, …] in f32 or i32. */
export function residentArrays(backend: Backend, name: string, x: NDArray, y: NDArray): ResidentData {
  const count = x.shape[0] ?? 0;
  if (count === 0 || y.shape[0] !== count)
    throw new DataError(
      `${name}: ${count} inputs and ${y.shape[0] ?? 0} targets; give as many of one as of the other, at least one.`,
    );
  const inputs = standalone(`${name} inputs`, x.shape, x.dtype);
  const targets = standalone(`${name} targets`, y.shape, y.dtype);
  backend.write(inputs, x.data);
  backend.write(targets, y.data);
  return {
    name,
    count,
    batch: (indices) => ({ x: gather(read(inputs), indices), y: gather(read(targets), indices) }),
    release: () => {
      backend.release(inputs.arena);
      backend.release(targets.arena);
    },
  };
}
