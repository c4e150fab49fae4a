import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/core/errors.ts";
import { SHAPE_CLASSES, shapes } from "../../src/data/shapes.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const image = (images: Uint8Array, i: number) => images.subarray(i * 3072, (i + 1) * 3072);

describe("shapes", () => {
  it("makes 5,000 and 1,000 images, as many of each of ten classes", () => {
    const { train, test } = shapes();
    expect(SHAPE_CLASSES.length).toBe(10);
    for (const [part, count] of [[train, 5000] as const, [test, 1000] as const]) {
      expect(part.count).toBe(count);
      expect(part.shape).toEqual([3, 32, 32]);
      expect(part.images.length).toBe(count * 3072);
      const counts = new Array(10).fill(0);
      for (const label of part.labels) counts[label]++;
      expect(counts).toEqual(new Array(10).fill(count / 10));
    }
  });

  it("makes the same bytes on every machine", () => {
    const { train, test } = shapes({ train: 100, test: 50 });
    expect(sha256(train.images)).toBe("e5d4ce78b529544a6aa7181f5e041977beb904649e789ded34847f817429efad");
    expect(sha256(test.images)).toBe("c8a20025ea85831cc14762f2943ab50411115eb323e8ddaa3e4abb0ce95b401d");
  });

  it("makes an image from the seed, the part and its place alone", () => {
    const few = shapes({ train: 20, test: 10, seed: 3 });
    const more = shapes({ train: 40, test: 20, seed: 3 });
    expect(more.train.images.subarray(0, 20 * 3072)).toEqual(few.train.images);
    expect(more.test.images.subarray(0, 10 * 3072)).toEqual(few.test.images);
  });

  it("repeats no image within a part, across parts or across seeds", () => {
    const seen = new Set<string>();
    let made = 0;
    for (const seed of [0, 1, 2 ** 32 - 1]) {
      const { train, test } = shapes({ train: 300, test: 300, seed });
      for (const part of [train, test]) {
        for (let i = 0; i < part.count; i++, made++) seen.add(sha256(image(part.images, i)));
      }
    }
    expect(seen.size).toBe(made);
  });

  it("tells the class by neither mean brightness nor mean colour", () => {
    const { train } = shapes();
    for (let channel = 0; channel < 3; channel++) {
      const sums = new Array(10).fill(0);
      for (let i = 0; i < train.count; i++) {
        const start = (i * 3 + channel) * 1024;
        for (let p = start; p < start + 1024; p++) sums[train.labels[i] ?? 0] += train.images[p];
      }
      const means = sums.map((sum) => sum / (500 * 1024));
      // One image's mean spreads by about 60, the mean of 500 by about 2.7.
      expect(Math.max(...means) - Math.min(...means)).toBeLessThan(20);
    }
  });

  it.each([
    [{ train: 0 }, "train = 0"],
    [{ test: 1.5 }, "test = 1.5"],
    [{ seed: -1 }, "seed = -1"],
    [{ seed: 2 ** 32 }, "seed = 4294967296"],
  ])("rejects %o", (options, value) => {
    expect(() => shapes(options)).toThrow(OptionError);
    expect(() => shapes(options)).toThrow(value);
  });
});
