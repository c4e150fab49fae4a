import { describe, expect, it } from "vitest";
import { DataError, OptionError } from "../../src/core/errors.ts";
import {
  channelStatistics,
  checkDataset,
  holdOut,
  type ImageDataset,
  subset,
} from "../../src/data/dataset.ts";

function dataset(count: number, shape: [number, number, number], images: number[]): ImageDataset {
  return {
    name: "few",
    count,
    shape,
    images: Uint8Array.from(images),
    labels: new Uint8Array(count),
    classes: ["a"],
  };
}

describe("channelStatistics", () => {
  it("takes each channel over all images", () => {
    const { mean, std } = channelStatistics(dataset(2, [2, 1, 2], [0, 255, 10, 10, 0, 255, 30, 30]));
    expect(mean).toEqual([0.5, 20 / 255]);
    expect(std).toEqual([0.5, 10 / 255]);
  });

  it("gives a constant channel the standard deviation 1", () => {
    expect(channelStatistics(dataset(1, [1, 1, 3], [9, 9, 9])).std).toEqual([1]);
  });

  it("keeps a spread that is tiny beside the mean", () => {
    const images = new Array(100_000).fill(255);
    images[0] = 254;
    const p = 1 / images.length;
    const { std } = channelStatistics(dataset(1, [1, 1, images.length], images));
    expect(std[0]).toBeCloseTo(Math.sqrt(p * (1 - p)) / 255, 15);
  });

  it("rejects a data set without images", () => {
    expect(() => channelStatistics(dataset(0, [1, 2, 2], []))).toThrow(DataError);
  });
});

describe("subset", () => {
  const whole = dataset(3, [1, 1, 2], [1, 2, 3, 4, 5, 6]);

  it("takes the first images", () => {
    const two = subset(whole, 2);
    expect(two.count).toBe(2);
    expect([...two.images]).toEqual([1, 2, 3, 4]);
    expect(two.labels.length).toBe(2);
  });

  it("is the whole when it asks for more", () => {
    expect(subset(whole, 9)).toEqual(whole);
  });

  it.each([0, -1, 1.5, Number.NaN])("rejects %s", (count) => {
    expect(() => subset(whole, count)).toThrow(OptionError);
  });
});

describe("holdOut", () => {
  const of = (count: number) => ({
    ...dataset(
      count,
      [1, 1, 2],
      Array.from({ length: 2 * count }, (_, i) => i),
    ),
    labels: Uint8Array.from({ length: count }, (_, i) => i),
    classes: Array.from({ length: count }, (_, i) => `class ${i}`),
  });

  it("takes the last tenth, whole images with their labels, and every image once", () => {
    const { kept, held } = holdOut(of(25));
    expect([kept.count, held.count]).toEqual([23, 2]);
    expect([...held.images]).toEqual([46, 47, 48, 49]);
    expect([...held.labels]).toEqual([23, 24]);
    expect([...kept.labels]).toEqual(Array.from({ length: 23 }, (_, i) => i));
    expect(kept.images.length).toBe(46);
    expect(held.name).toBe("few, held out");
  });

  it.each([2, 9, 10, 19])("holds one out of %s", (count) => {
    expect(holdOut(of(count)).held.count).toBe(1);
  });

  it("needs two", () => {
    expect(() => holdOut(of(1))).toThrow("few has 1 image: at least two are needed");
  });
});

describe("a data set that does not hold what it says", () => {
  const whole = dataset(3, [1, 1, 2], [1, 2, 3, 4, 5, 6]);
  const cases: [name: string, wrong: ImageDataset, sentence: string][] = [
    [
      "fewer labels",
      { ...whole, labels: new Uint8Array(2) },
      "few has 3 images and 2 labels: give each image one label.",
    ],
    ["more labels", { ...whole, labels: new Uint8Array(4) }, "few has 3 images and 4 labels"],
    [
      "fewer pixels",
      { ...whole, images: new Uint8Array(5) },
      "few has 5 bytes of pixels, 3 images of 1 × 1 × 2 are 6: give all of them, or the right count and shape.",
    ],
    ["more pixels", { ...whole, images: new Uint8Array(8) }, "few has 8 bytes of pixels"],
    [
      "a label without a class",
      { ...whole, labels: Uint8Array.of(0, 1, 0) },
      "few has the label 1 at image 1, labels are 0 to 0: name a class for each.",
    ],
  ];
  it.each(cases)("%s", (_, wrong, sentence) => {
    for (const use of [checkDataset, channelStatistics, holdOut, (set: ImageDataset) => subset(set, 1)]) {
      expect(() => use(wrong)).toThrow(sentence);
      expect(() => use(wrong)).toThrow(DataError);
    }
  });
});
