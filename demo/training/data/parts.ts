import { type ImageDataset, type Split, subset } from "../../../src/data/dataset.ts";
import { DataError } from "../engine.ts";

/** What a network learns from, what its training is watched by, and what it is tested on once, at the end. */
export interface Parts {
  readonly train: ImageDataset;
  readonly validation: ImageDataset;
  readonly test: ImageDataset;
}

/**
 * A set without its last tenth, and that tenth; they share its memory.
 * @throws DataError when a tenth of it is no image.
 */
export function lastTenth(set: ImageDataset, name: string): [rest: ImageDataset, held: ImageDataset] {
  const count = Math.floor(set.count / 10);
  if (count === 0)
    throw new DataError(`${set.count} images are too few to hold some out; give at least 10 to learn from.`);
  const rest = set.count - count;
  const [channels, height, width] = set.shape;
  const images = set.images.subarray(rest * channels * height * width);
  return [subset(set, rest), { ...set, name, count, images, labels: set.labels.subarray(rest) }];
}

/** Holds the last tenth of the training images out: nobody chooses by the images that the final figure is quoted for. */
export function withValidation({ train, test }: Split): Parts {
  const [rest, validation] = lastTenth(train, `${train.name}, held out`);
  return { train: rest, validation, test };
}
