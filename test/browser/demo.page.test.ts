import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { openDemo } from "./demo.ts";

test.runIf(existsSync("demo/index.html"))("the demo's first page loads without an error", async () => {
  const { page, problems, close } = await openDemo("index.html");
  try {
    expect(await page.title()).not.toBe("");
    expect(await page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true);
    expect(problems).toEqual([]);
  } finally {
    await close();
  }
});
