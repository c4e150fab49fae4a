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

/**
 * Checks that a data set has as many pixels and labels as its `count` and `shape` say, and no label without a class.
 *
 * @throws DataError that names the counts, or the label.
 */
export function checkDataset({ name, count, shape, images, labels, classes }: ImageDataset): void {
  const [channels, height, width] = shape;
  if (labels.length !== count)
    throw new DataError(
      `${name} has ${count} images and ${labels.length} labels: give each image one label.`,
    );
  if (images.length !== count * channels * height * width)
    throw new DataError(
      `${name} has ${images.length} bytes of pixels, ${count} images of ${shape.join(" × ")} are ` +
        `${count * channels * height * width}: give all of them, or the right count and shape.`,
    );
  const wrong = labels.findIndex((label) => label >= classes.length);
  if (wrong >= 0)
    throw new DataError(
      `${name} has the label ${labels[wrong]} at image ${wrong}, labels are 0 to ${classes.length - 1}: name a class for each.`,
    );
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
 * @throws DataError when the data set holds no pixel, or not as much as it says.
 */
export function channelStatistics(dataset: ImageDataset): ChannelStatistics {
  checkDataset(dataset);
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
        const value = dataset.images[i] ?? 0;
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
  return part(dataset, 0, Math.min(count, dataset.count));
}

/**
 * Divides a data set into its first nine tenths and its last tenth, which is at least one image, sharing its memory.
 *
 * @throws DataError when there is only one image.
 */
export function holdOut(dataset: ImageDataset): { kept: ImageDataset; held: ImageDataset } {
  if (dataset.count < 2)
    throw new DataError(
      `${dataset.name} has ${dataset.count} ${dataset.count === 1 ? "image" : "images"}: ` +
        "at least two are needed to train on some and validate on others.",
    );
  const held = Math.max(1, Math.floor(dataset.count / 10));
  const kept = dataset.count - held;
  return {
    kept: part(dataset, 0, kept),
    held: { ...part(dataset, kept, held), name: `${dataset.name}, held out` },
  };
}

function part(dataset: ImageDataset, from: number, count: number): ImageDataset {
  checkDataset(dataset);
  const [channels, height, width] = dataset.shape;
  const size = channels * height * width;
  return {
    ...dataset,
    count,
    images: dataset.images.subarray(from * size, (from + count) * size),
    labels: dataset.labels.subarray(from, from + count),
  };
}
