import { DataError, OptionError } from "../core/errors.ts";

/** Labelled images as bytes, in the layout that the GPU and PyTorch use. */
export interface ImageDataset {
  name: string;
  count: number;
  shape: readonly [channels: number, height: number, width: number];
  /** `count × channels × height × width` (NCHW), 0..255. */
  images: Uint8Array;
  /** One class number per image, an index into `classes`. */
  labels: Uint8Array;
  classes: readonly string[];
}

/** A data set with its held-out part. */
export interface Split {
  train: ImageDataset;
  test: ImageDataset;
}

/** Mean and standard deviation of each channel, in units of 0..1. */
export interface ChannelStatistics {
  mean: number[];
  std: number[];
}

/**
 * Mean and population standard deviation of each channel over all images, in units of 0..1.
 *
 * Sums are exact integers, so the result depends on neither order nor machine. A constant channel gets the
 * standard deviation 1, so that dividing by it is safe.
 *
 * @throws DataError when the data set holds no pixel.
 */
export function channelStatistics(dataset: ImageDataset): ChannelStatistics {
  const [channels, height, width] = dataset.shape;
  const plane = height * width;
  const pixels = dataset.count * plane;
  if (pixels === 0) {
    throw new DataError(`${dataset.name} holds no images: channel statistics need at least one.`);
  }
  const mean: number[] = [];
  const std: number[] = [];
  for (let channel = 0; channel < channels; channel++) {
    // Bytes squared add up exactly in a float64 to 1.3e11 pixels; CIFAR-10 has 5e7 per channel.
    let sum = 0;
    let squares = 0;
    for (let image = 0; image < dataset.count; image++) {
      const start = (image * channels + channel) * plane;
      for (let i = start; i < start + plane; i++) {
        const value = dataset.images[i];
        sum += value;
        squares += value * value;
      }
    }
    // n·Σx² − (Σx)² passes 2^53, and as a difference it must not round.
    const spread = Number(BigInt(pixels) * BigInt(squares) - BigInt(sum) * BigInt(sum));
    mean.push(sum / pixels / 255);
    std.push(spread === 0 ? 1 : Math.sqrt(spread) / pixels / 255);
  }
  return { mean, std };
}

/**
 * The first `count` images of a data set, sharing its memory; all of them when it has fewer.
 *
 * @throws OptionError when `count` is not a whole number from 1.
 */
export function subset(dataset: ImageDataset, count: number): ImageDataset {
  if (!Number.isInteger(count) || count < 1) {
    throw new OptionError(`A subset of ${count} images cannot be taken: give a whole number from 1.`);
  }
  const kept = Math.min(count, dataset.count);
  const [channels, height, width] = dataset.shape;
  return {
    ...dataset,
    count: kept,
    images: dataset.images.subarray(0, kept * channels * height * width),
    labels: dataset.labels.subarray(0, kept),
  };
}
