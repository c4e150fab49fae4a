import { CIFAR10_CLASSES } from "../../src/data/cifar10.ts";

/** Records in CIFAR-10's layout: labels count up from `first`, pixels follow from the record and position. */
export function records(count: number, first = 0): Uint8Array {
  const bytes = new Uint8Array(count * 3073);
  for (let record = 0; record < count; record++) {
    bytes[record * 3073] = (first + record) % CIFAR10_CLASSES.length;
    for (let i = 0; i < 3072; i++) bytes[record * 3073 + 1 + i] = (7 * (first + record) + i) & 255;
  }
  return bytes;
}
