// What the training page holds out of the training images, to watch the training by.
import { expect, test } from "vitest";
import { lastTenth, withValidation } from "../../demo/training/data/parts.ts";
import { shapes } from "../../src/data/shapes.ts";

test("the last tenth of the training images is held out, and the test images stay untouched", () => {
  const split = shapes({ train: 59, test: 7 });
  const { train, validation, test: held } = withValidation(split);
  expect([train.count, validation.count, held.count]).toEqual([54, 5, 7]);
  expect(held).toBe(split.test);
  const size = 3 * 32 * 32;
  expect(train.images).toEqual(split.train.images.subarray(0, 54 * size));
  expect(validation.images).toEqual(split.train.images.subarray(54 * size));
  expect([...validation.labels]).toEqual([4, 5, 6, 7, 8]);
  expect(new Set([train.name, validation.name, held.name]).size).toBe(3);
});

test("too few images to hold some out are refused", () => {
  expect(() => lastTenth(shapes({ train: 9, test: 1 }).train, "held")).toThrow(
    /^9 images are too few to hold some out/,
  );
});
