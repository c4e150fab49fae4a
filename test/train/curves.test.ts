import { describe, expect, test } from "vitest";
import { curvesSvg, type MetricsLine, movingMean } from "../../src/train/curves.ts";

/** Metrics of a run: `perEpoch` steps an epoch. */
function run(steps: number, perEpoch: number, loss = (step: number) => 2.3 / step): MetricsLine[] {
  return Array.from({ length: steps }, (_, i) => i + 1).flatMap((step): MetricsLine[] => {
    const epoch = Math.ceil(step / perEpoch);
    const line = { step, epoch, loss: loss(step), accuracy: step / steps, imagesPerSecond: 100 };
    return step % perEpoch === 0 ? [line, { ...line, valLoss: loss(step), valAccuracy: 0.875 }] : [line];
  });
}

const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;

describe("curvesSvg", () => {
  test("draws loss and accuracy of training and validation", () => {
    const svg = curvesSvg("cnn on shapes", run(40, 10));
    expect(count(svg, /<polyline class="line training steps"/g)).toBe(2);
    expect(count(svg, /<polyline class="line training"/g)).toBe(2);
    expect(count(svg, /<polyline class="line validation"/g)).toBe(2);
    expect(count(svg, /<circle/g)).toBe(2 * 4);
    expect(svg).toContain(">87.5 %</text>");
  });

  test("is readable on light and dark pages", () => {
    expect(curvesSvg("a", run(4, 2))).toContain("@media(prefers-color-scheme:dark)");
  });

  test("is well-formed whatever the title", () => {
    expect(curvesSvg('<a> & "b"', run(4, 2))).toContain(">&#60;a&#62; &#38; &#34;b&#34;</text>");
  });

  test.each([
    ["nothing yet", []],
    ["one step", run(1, 10)],
    ["one epoch of one step", run(1, 1)],
    ["an exploding loss", run(50, 10, (step) => 10 ** step)],
    ["losses that JSON has as null", run(6, 3, () => null as unknown as number)],
    ["a loss of zero", run(6, 3, () => 0)],
  ])("has finite coordinates within the picture for %s", (_, metrics) => {
    const svg = curvesSvg("a", metrics);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    for (const [, x, y] of svg.matchAll(/([-\d.]+),([-\d.]+)[ "]/g)) {
      expect(Number(x)).toBeGreaterThanOrEqual(0);
      expect(Number(x)).toBeLessThanOrEqual(720);
      expect(Number(y)).toBeGreaterThanOrEqual(0);
    }
  });

  test("stays small for a long run", () => {
    expect(curvesSvg("a", run(200_000, 1000)).length).toBeLessThan(60_000);
  });
});

test("movingMean takes the neighbours on both sides", () => {
  const points = [1, 2, 3, 4, 50].map((y, x) => [x, y] as const);
  expect(movingMean(points, 1)).toEqual(points);
  expect(movingMean(points, 3)).toEqual([
    [0, 1.5],
    [1, 2],
    [2, 3],
    [3, 19],
    [4, 27],
  ]);
});
