// A run to its last epoch and beyond, and back to nothing: linear on the largest batches, three steps an epoch.
import { expect, test } from "vitest";
import { openDemo } from "./demo.ts";

test("a run is tested once, at its end, goes on by an epoch, and is gone after a reset", {
  timeout: 400_000,
}, async () => {
  const { page, problems, close } = await openDemo("index.html");
  const text = async (id: string) => (await page.textContent(id)) ?? "";
  const says = (id: string, wanted: RegExp) =>
    expect.poll(() => text(id), { timeout: 90_000, interval: 100 }).toMatch(wanted);
  const set = async (id: string, value: number) => {
    await page.fill(id, String(value));
    await page.dispatchEvent(id, "change");
  };
  try {
    await says("#status", /^Ready on/);
    expect(await text("#data-about")).toMatch(
      /^4,500 images to learn from, 500 held out .* 1,000 to test it on once/,
    );
    await page.click("#network summary");
    await page.selectOption("#model", "linear");
    await says("#network summary", /Linear/);
    await set("#batch", 2048);
    await set("#epochs", 4);
    await page.click("#step");
    await says("#status", /^Paused at step 1 of 12,/);
    // While it trains, it is watched by images that were held out from the training set.
    await says("#confusion caption", /^500 held-out images after step 1$/);
    expect(await page.isHidden("#tested")).toBe(true);
    await page.click("#toggle");
    await says("#status", /^Done: step 12 of 12,/);
    await says("#tested", /^Test accuracy \d+\.\d %, loss \d\.\d+, on 1,000 images/);
    await says("#confusion caption", /^500 held-out images after step 12$/);
    const first = await text("#tested");
    await says("#runs tbody", /12\d\.\d{3}\d+\.\d %\d+\.\d %/); // steps, loss, best held-out, test

    // At the end there is nothing to go on with but one more epoch.
    expect(await text("#toggle")).toBe("One more epoch");
    expect(await page.isDisabled("#step")).toBe(true);
    await page.click("#toggle");
    await says("#status", /^Done: step 15 of 15,/);
    expect(await page.inputValue("#epochs")).toBe("5");
    await expect.poll(() => text("#tested")).not.toBe(first);
    const figure = await text("#tested");

    // The next visit finds it at its end.
    await page.reload();
    await says("#status", /^Done: step 15 of 15,/);
    expect(await text("#tested")).toBe(figure);
    expect(await text("#toggle")).toBe("One more epoch");

    // A reset while it trains: what was under way is not kept after it.
    await set("#epochs", 1000);
    await says("#status", /^(Paused|Done).* of 3000,/);
    await page.click("#toggle");
    await says("#status", /^Training: step/);
    await page.click("#reset");
    await says("#status", /^Ready on/);
    expect(await page.isHidden("#tested")).toBe(true);
    await page.reload();
    await says("#status", /^Ready on/);
    expect(await text("#notices")).not.toMatch(/back where it stood/);
    expect(problems).toEqual([]);
  } finally {
    await close();
  }
});
