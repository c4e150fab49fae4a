import { expect, test } from "vitest";
import { OptionError } from "../../src/core/errors.ts";
import { biasVariance } from "../../src/train/bias-variance.ts";

test.each([
  [0.01, 0.11, "high variance"],
  [0.15, 0.1, "high bias"],
  [0.15, 0.3, "high bias and high variance"],
  [0.005, 0.01, "neither"],
] as const)("errors of %f in training and %f held out: %s", (train, validation, verdict) => {
  expect(biasVariance({ train, validation }).verdict).toBe(verdict);
});

test("with people's error the avoidable bias is what is above it", () => {
  const found = biasVariance({ human: 0.01, train: 0.05, validation: 0.08 });
  expect(found.bias).toBeCloseTo(0.04, 12);
  expect(found.variance).toBeCloseTo(0.03, 12);
  expect(biasVariance({ human: 0.01, train: 0.05, validation: 0.08, high: 0.035 }).verdict).toBe("high bias");
});

test("errors are shares", () => {
  expect(() => biasVariance({ train: 5, validation: 8 })).toThrow(
    new OptionError("biasVariance: train is 5; use a share from 0 to 1."),
  );
  expect(() => biasVariance({ train: 0.1, validation: 0.2, humans: 0 } as never)).toThrow(
    /there is no option "humans"/,
  );
});
