import { describe, expect, it } from "vitest";
import { DataError, OptionError } from "../../src/core/errors.ts";
import { channelStatistics, type ImageDataset, subset } from "../../src/data/dataset.ts";

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
