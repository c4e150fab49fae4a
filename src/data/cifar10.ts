import { DataError } from "../core/errors.ts";
import type { ImageDataset } from "./dataset.ts";

/** The archive that its authors publish, its MD5 sum, and the folder inside it. */
export const CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";
export const CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530";
export const CIFAR10_FOLDER = "cifar-10-batches-bin";

/** Class names in the order of the labels. */
export const CIFAR10_CLASSES = [
  "airplane",
  "automobile",
  "bird",
  "cat",
  "deer",
  "dog",
  "frog",
  "horse",
  "ship",
  "truck",
] as const;

const SHAPE = [3, 32, 32] as const;
const IMAGE_BYTES = 3 * 32 * 32;
/** One label byte, then the red, green and blue planes row by row. */
const RECORD_BYTES = 1 + IMAGE_BYTES;

/** A file of records with the name that errors call it by. */
export interface NamedBytes {
  name: string;
  bytes: Uint8Array;
}

/**
 * Reads CIFAR-10 records in the official binary layout from one or several files, in the order given.
 *
 * A file may hold any whole number of records from 1. The layout is that of "CIFAR-10 binary version" on
 * https://www.cs.toronto.edu/~kriz/cifar.html: records of 3,073 bytes, a label then 3 × 32 × 32 pixels.
 *
 * @param name the name of the data set
 * @throws DataError for no file, an empty file, a size that is not a whole number of records, a label above 9.
 */
export function parseCifar10(files: readonly NamedBytes[], name = "cifar10"): ImageDataset {
  if (files.length === 0) throw new DataError(`${name} needs at least one file of CIFAR-10 records.`);
  const count = files.reduce((sum, file) => sum + countRecords(file), 0);
  const images = new Uint8Array(count * IMAGE_BYTES);
  const labels = new Uint8Array(count);
  let at = 0;
  for (const file of files) {
    for (let start = 0; start < file.bytes.length; start += RECORD_BYTES, at++) {
      const label = file.bytes[start] ?? 0;
      if (label >= CIFAR10_CLASSES.length) {
        throw new DataError(
          `${file.name} has the label ${label} in record ${start / RECORD_BYTES}, labels are 0 to 9: ` +
            "the file is damaged or is not the binary version of CIFAR-10.",
        );
      }
      labels[at] = label;
      images.set(file.bytes.subarray(start + 1, start + RECORD_BYTES), at * IMAGE_BYTES);
    }
  }
  return { name, count, shape: SHAPE, images, labels, classes: CIFAR10_CLASSES };
}

function countRecords({ name, bytes }: NamedBytes): number {
  if (bytes.length === 0) {
    throw new DataError(`${name} is empty: CIFAR-10 records of ${RECORD_BYTES} bytes are expected.`);
  }
  const left = bytes.length % RECORD_BYTES;
  if (left !== 0) {
    const whole = (bytes.length - left) / RECORD_BYTES;
    throw new DataError(
      `${name} has ${bytes.length} bytes, which is ${whole} records of ${RECORD_BYTES} bytes and ${left} left over ` +
        `(a full CIFAR-10 file has ${10_000 * RECORD_BYTES}): it is truncated or damaged, fetch it again.`,
    );
  }
  return bytes.length / RECORD_BYTES;
}
