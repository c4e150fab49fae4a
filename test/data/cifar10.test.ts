import { describe, expect, it } from "vitest";
import { DataError } from "../../src/core/errors.ts";
import { CIFAR10_CLASSES, parseCifar10 } from "../../src/data/cifar10.ts";
import { records } from "./support.ts";

const file = (bytes: Uint8Array, name = "data_batch_1.bin") => ({ name, bytes });

describe("parseCifar10", () => {
  it("reads labels and planes of several files in order", () => {
    const parsed = parseCifar10([file(records(3)), file(records(2, 8))], "five");
    expect(parsed.name).toBe("five");
    expect(parsed.count).toBe(5);
    expect(parsed.shape).toEqual([3, 32, 32]);
    expect(parsed.classes).toBe(CIFAR10_CLASSES);
    expect([...parsed.labels]).toEqual([0, 1, 2, 8, 9]);
    expect(parsed.images.length).toBe(5 * 3072);
    expect([...parsed.images.subarray(4 * 3072, 4 * 3072 + 3)]).toEqual([63, 64, 65]);
  });

  it("gives back the bytes it was given", () => {
    const bytes = records(4);
    const { images, labels } = parseCifar10([file(bytes)]);
    const again = new Uint8Array(bytes.length);
    for (let i = 0; i < 4; i++) {
      again.set(labels.subarray(i, i + 1), i * 3073);
      again.set(images.subarray(i * 3072, (i + 1) * 3072), i * 3073 + 1);
    }
    expect(again).toEqual(bytes);
  });

  it("keeps no view of the file", () => {
    const bytes = records(1);
    const { images } = parseCifar10([file(bytes)]);
    bytes.fill(0);
    expect(images[5]).toBe(5);
  });

  it.each([
    [
      "a truncated file",
      [file(records(2).subarray(0, 6000))],
      /data_batch_1\.bin has 6000 bytes.*2927 left over/,
    ],
    ["an empty file", [file(new Uint8Array())], /data_batch_1\.bin is empty/],
    ["no file", [], /at least one file/],
    ["a fault in the second file", [file(records(1)), file(records(1).subarray(1), "b.bin")], /^b\.bin/],
  ])("rejects %s", (_, files, message) => {
    expect(() => parseCifar10(files)).toThrow(DataError);
    expect(() => parseCifar10(files)).toThrow(message);
  });

  it("names the record of a label above 9", () => {
    const bytes = records(3);
    bytes[2 * 3073] = 10;
    expect(() => parseCifar10([file(bytes)])).toThrow(/data_batch_1\.bin has the label 10 in record 2/);
  });
});
