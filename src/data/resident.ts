import type { Backend } from "../backend/backend.ts";
import { DataError } from "../core/errors.ts";
import type { Tensor, Variable } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import { read, standalone } from "../graph/node.ts";
import type { Normalization } from "../model/model.ts";
import { gatherImages } from "../ops/data/gather-images.ts";
import { gather } from "../ops/layout/gather.ts";
import { checkDataset, type ImageDataset } from "./dataset.ts";

/** A data set kept on the device, from which the graph gathers batches by index. */
export interface ResidentData<X = any, Y = any> {
  readonly name: string;
  readonly count: number;
  /** Inputs and targets of the images whose indices (u32) are given. */
  batch(indices: Tensor): { x: X; y: Y };
  /** Frees the device memory. */
  release(): void;
}

/**
 * Uploads images as packed bytes, in as many chunks as the adapter's binding limit asks for; batches are gathered and
 * normalised on the device.
 */
export function residentImages(
  backend: Backend,
  dataset: ImageDataset,
  normalization: Normalization,
): ResidentData<Tensor, Tensor> {
  checkDataset(dataset);
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
