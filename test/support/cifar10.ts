// Images in CIFAR-10's binary layout: five files of 1,000 to learn from and one held out.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll } from "vitest";
import type { ImageDataset, Split } from "../../src/data/dataset.ts";
import { shapes } from "../../src/data/shapes.ts";

const PER_FILE = 1000;

/** What the generated files hold. */
export const generated = (): Split => shapes({ train: 5 * PER_FILE, test: PER_FILE });

/** Records from `first` on: a label and 3,072 pixels each. */
export function fileOf({ images, labels }: ImageDataset, first: number, count = PER_FILE): Uint8Array {
  const bytes = new Uint8Array(count * 3073);
  for (let i = 0; i < count; i++) {
    bytes[i * 3073] = labels[first + i]!;
    bytes.set(images.subarray((first + i) * 3072, (first + i + 1) * 3072), i * 3073 + 1);
  }
  return bytes;
}

/** Writes the generated files into a folder. */
export function writeGenerated(folder: string): void {
  const { train, test } = generated();
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < 5; i++)
    writeFileSync(join(folder, `data_batch_${i + 1}.bin`), fileOf(train, i * PER_FILE));
  writeFileSync(join(folder, "test_batch.bin"), fileOf(test, 0));
}

/** A folder with such files until the tests of this file end: real ones where DESCENT_CIFAR10 names a folder, else generated. */
export function cifar10Folder(): string {
  if (process.env.DESCENT_CIFAR10) return resolve(process.env.DESCENT_CIFAR10);
  const folder = mkdtempSync(join(tmpdir(), "descent-cifar10-"));
  writeGenerated(folder);
  afterAll(() => rmSync(folder, { recursive: true }));
  return folder;
}
