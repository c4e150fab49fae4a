// The page stays smooth while it trains: the one timed test, because what it times is the promise itself.
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { openDemo } from "./demo.ts";

const RUNS = 3;
/** Start-up is over when so many steps are done; what is watched then. */
const WARM_STEPS = 30;
const WATCHED_MS = 6000;
const LIMIT_MS = 50;

interface Frames {
  /** Milliseconds of the page's own scripts in each long animation frame. */
  readonly own: number[];
  start: number;
}

/** Records long animation frames from the start. */
function watch(): void {
  const frames: Frames = { own: [], start: Number.POSITIVE_INFINITY };
  (globalThis as any).longFrames = frames;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as any[]) {
      if (entry.startTime < frames.start) continue;
      const own = entry.scripts.filter((script: any) => script.sourceURL.startsWith(location.origin));
      frames.own.push(own.reduce((sum: number, script: any) => sum + script.duration, 0));
    }
  }).observe({ type: "long-animation-frame", buffered: true });
}

async function framesOfRun(page: Page): Promise<number[]> {
  const says = (wanted: RegExp) =>
    expect.poll(() => page.textContent("#status"), { timeout: 100_000, interval: 200 }).toMatch(wanted);
  const step = async () => Number(/step (\d+)/.exec((await page.textContent("#status")) ?? "")?.[1] ?? 0);
  await says(/^Ready on/);
  await page.click("#network summary");
  await page.selectOption("#model", "mlp");
  await page.fill("#batch", "32");
  await page.dispatchEvent("#batch", "change");
  await page.click("#toggle");
  await expect.poll(step, { timeout: 200_000, interval: 200 }).toBeGreaterThanOrEqual(WARM_STEPS);
  const before = await step();
  await page.evaluate(() => {
    (globalThis as any).longFrames.start = performance.now();
  });
  await page.waitForTimeout(WATCHED_MS);
  const own = await page.evaluate(() => (globalThis as any).longFrames.own as number[]);
  await expect.poll(step, { timeout: 60_000, interval: 200 }).toBeGreaterThan(before); // it did train
  return own;
}

test("after start-up no frame spends more than 50 ms in the page's scripts, in at least one of three runs", {
  timeout: 900_000,
}, async () => {
  const worst: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const demo = await openDemo("index.html", {
      prepare: async (page) => void (await page.addInitScript(watch)),
    });
    try {
      const own = await framesOfRun(demo.page);
      worst.push(Math.max(0, ...own));
      console.log(
        `run ${run + 1}: ${own.length} long frames, own scripts at most ${worst[run]!.toFixed(1)} ms in one`,
      );
      expect(demo.problems).toEqual([]);
    } finally {
      await demo.close();
    }
    if (worst[run]! <= LIMIT_MS) break;
  }
  expect(Math.min(...worst)).toBeLessThanOrEqual(LIMIT_MS);
});
