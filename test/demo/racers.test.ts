// The optimizers page races every optimizer that the engine exports, each by the engine's own step.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { LANDSCAPES, type LandscapeKey } from "../../demo/optimizers/landscapes.ts";
import { ROW } from "../../demo/optimizers/path.ts";
import { Runner } from "../../demo/optimizers/race.ts";
import { type Racer, racersOf, rateFor } from "../../demo/optimizers/racers.ts";
import { OPTIMIZER_TEXTS } from "../../demo/shell/optimizer-texts.ts";
import { optimizerFacts } from "../../demo/shell/optimizers.ts";
import { cpuBackend, optim } from "../../src/index.ts";

const racers = racersOf(optimizerFacts());

/** The rows (x, y, cost, status) of a race with the numbers of the page. */
async function race(
  { key, numbers }: Racer,
  landscape: LandscapeKey,
  steps: number,
  own: Readonly<Record<string, number>> = {},
): Promise<number[][]> {
  const backend = cpuBackend();
  const { rates, start } = LANDSCAPES[landscape];
  const usual = Object.fromEntries(numbers.map(({ name, value }) => [name, value]));
  const settings = { lr: rateFor(key, rates), rateDecay: 0, ...usual, ...own };
  const runner = new Runner(backend, key, landscape, settings, start);
  const rows = await runner.advance(steps);
  await runner.dispose();
  backend.dispose();
  return Array.from({ length: rows.length / ROW }, (_, i) => [...rows.subarray(i * ROW, (i + 1) * ROW)]);
}

const racer = (key: string) => racers.find((one) => one.key === key)!;

describe("the racers", () => {
  test("are all that the engine exports, under all their names", () => {
    const exported = Object.values(optim).filter((value) => "ops" in value && "record" in value);
    expect(exported.length).toBeGreaterThan(10);
    const names = exported.flatMap(({ record }) => [record.name, ...Object.keys(record.presets ?? {})]);
    expect(racers.map(({ key }) => key).sort()).toEqual(names.sort());
  });

  test("have a text each, and no text is of nobody", () =>
    expect(Object.keys(OPTIMIZER_TEXTS).sort()).toEqual(racers.map(({ key }) => key).sort()));

  test("have the numbers that their records name, and none that is off", () => {
    const names = (key: string) => racer(key).numbers.map(({ name }) => name);
    expect(names("sgd")).toEqual(["weightDecay"]);
    expect(names("nesterov")).toEqual(["momentum", "weightDecay"]);
    expect(names("adam")).toEqual(["betas1", "betas2", "weightDecay"]);
    expect(names("nadam")).toEqual(["betas1", "betas2", "momentumDecay", "weightDecay"]);
    expect(names("muon")).toEqual(["momentum", "weightDecay"]);
  });

  test.each(racers)("$label gets far down the bowl and the ravine", async (one) => {
    for (const landscape of ["bowl", "ravine"] as const) {
      const rows = await race(one, landscape, 250);
      expect(rows).toHaveLength(250);
      const costs = rows.map(([, , cost]) => cost!);
      expect(Math.min(...costs)).toBeLessThan(0.05 * costs[0]!);
      expect(costs.at(-1)).toBeLessThan(0.1 * costs[0]!);
    }
  });
});

describe("a point is a tensor of its own", () => {
  const lengths = (rows: readonly number[][], start: readonly number[]) =>
    rows.map(([x, y], i) => {
      const [px, py] = i === 0 ? start : rows[i - 1]!;
      return Math.hypot(x! - px!, y! - py!);
    });

  test("LAMB steps by a share of the point's distance from the origin", async () => {
    const { start } = LANDSCAPES.ravine;
    const rows = await race(racer("lamb"), "ravine", 20, { lr: 0.05 });
    lengths(rows, start).forEach((length, i) => {
      const [x, y] = i === 0 ? start : rows[i - 1]!;
      expect(length / Math.hypot(x!, y!)).toBeCloseTo(0.05, 4);
    });
  });

  test("Muon's steps are equally long, whatever the slope, and follow the momentum", async () => {
    const { start } = LANDSCAPES.ravine;
    const rows = await race(racer("muon"), "ravine", 20, { lr: 0.1, momentum: 0.5 });
    for (const length of lengths(rows, start)) expect(length).toBeCloseTo(0.0697, 3);
    // The first momentum is the gradient (x, 50·y).
    const [dx, dy] = [rows[0]![0]! - start[0], rows[0]![1]! - start[1]];
    expect(dy / dx).toBeCloseTo((50 * start[1]) / start[0], 2);
  });
});

test.each(["light", "dark"])("the racers' colours differ, and are seen on their paper, %s", (theme) => {
  const css = readFileSync("demo/shell/tokens.css", "utf8");
  const block = css.split(/\n}/)[theme === "light" ? 0 : 1]!;
  const linear = (hex: string) =>
    [1, 3, 5]
      .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)) as [number, number, number];
  const value = (token: string) => linear(new RegExp(`--${token}: (#[0-9a-f]{6})`).exec(block)![1]!);
  const luminance = ([r, g, b]: readonly [number, number, number]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;
  /** Björn Ottosson, 2020, "A perceptual color space for image processing". */
  const lab = ([r, g, b]: readonly [number, number, number]) => {
    const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
    return [
      0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
      1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
      0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
    ];
  };
  expect(new Set(racers.map(({ color }) => color)).size).toBe(racers.length);
  racers.forEach(({ color, label }, i) => {
    const own = value(color);
    for (const paper of ["paper", "surface"]) {
      const [high, low] = [luminance(own), luminance(value(paper))].sort((a, b) => b - a);
      expect((high! + 0.05) / (low! + 0.05), `${label} on ${paper}`).toBeGreaterThan(3);
    }
    for (const other of racers.slice(0, i)) {
      const [a, b] = [lab(own), lab(value(other.color))];
      expect(Math.hypot(...a.map((x, k) => x - b[k]!)), `${label}, ${other.label}`).toBeGreaterThan(0.1);
    }
  });
});
