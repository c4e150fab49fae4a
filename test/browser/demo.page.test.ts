import { expect, test } from "vitest";
import { openDemo } from "./demo.ts";

test("the demo's page finds the GPU, trains, stops and can start again", async () => {
  const { page, problems, close } = await openDemo("index.html");
  try {
    expect(await page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true);
    const status = page.locator("#status");
    const says = (text: RegExp) =>
      expect.poll(() => status.textContent(), { timeout: 100_000 }).toMatch(text);
    await says(/^Ready on .+\.$/);
    await page.click("#start");
    await says(/step \d+: loss [\d.]+, \d+ images\/s/);
    await page.click("#start");
    await expect.poll(() => page.textContent("#start"), { timeout: 60_000 }).toBe("Start");
    // A setting that cannot work is told in a sentence, and the page goes on.
    await page.fill("#epochs", "1.5");
    await page.click("#start");
    await says(/number of epochs is 1.5; use a whole number/);
    expect(problems).toEqual([]);
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
  } finally {
    await close();
  }
});
