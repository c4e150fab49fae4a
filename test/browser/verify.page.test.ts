// The verify page as a visitor uses it, on Chromium's software adapter: a few ops of the suite.
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterEach, describe, expect, test } from "vitest";
import { type DemoPage, inWorker, openDemo } from "./demo.ts";

let demo: DemoPage | undefined;
afterEach(async () => {
  const problems = demo?.problems;
  await demo?.close();
  demo = undefined;
  expect(problems).toEqual([]);
});

const open = async (query: string, prepare?: (page: Page) => Promise<unknown>): Promise<Page> => {
  demo = await openDemo(`verify.html${query}`, prepare ? { prepare } : {});
  return demo.page;
};
const summary = (page: Page, wanted: RegExp) =>
  expect.poll(() => page.textContent("#summary"), { timeout: 100_000, interval: 200 }).toMatch(wanted);
const visible = (page: Page) => page.locator("#kernels tr[data-op]:visible");

/** Shaders of the page's workers pass through `edit`, the text of a function of their source. */
const seedFault = (edit: string) =>
  inWorker(
    "verify/worker.ts",
    `{
      const make = GPUDevice.prototype.createShaderModule;
      GPUDevice.prototype.createShaderModule = function (d) { return make.call(this, { ...d, code: (${edit})(d.code) }); };
    }`,
  );

describe("the verify page", () => {
  test("runs the suite, shows a row for each kernel, filters them and gives a report", async () => {
    const page = await open("?ops=relu,sum");
    await summary(page, /^Ready to check the kernels of relu, sum on .+\.$/);
    await page.click("#start");
    await summary(page, /^\d+ checks of \d+ kernels: all right on this GPU\.$/);
    const kernels = await visible(page).count();
    expect(await page.textContent("#summary")).toContain(`of ${kernels} kernels`);
    expect(await page.locator("#progress").evaluate((bar: HTMLProgressElement) => bar.position)).toBe(1);
    const row = page.locator('#kernels tr[data-op="relu"]').first();
    expect(await row.textContent()).toMatch(/relu elementwise\d+f32.+right$/);
    await row.locator("button").click();
    expect(await page.locator("#kernels .cases li:visible").count()).toBeGreaterThan(2);

    await page.fill("#filter-op", "rel");
    await expect.poll(() => visible(page).count()).toBeLessThan(kernels);
    await page.selectOption("#filter-verdict", "wrong");
    await expect.poll(() => visible(page).count()).toBe(0);

    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
    const report = JSON.parse(readFileSync(await download.path(), "utf8"));
    expect(report).toMatchObject({ failed: 0, excluded: [], adapter: { name: expect.any(String) } });
    expect(report.passed).toBe(report.kernels.length);
    expect(report.limits.maxStorageBufferBindingSize).toBeGreaterThan(0);
  });

  test("is paused, goes on and is stopped", async () => {
    const page = await open("?ops=softmax,conv2d");
    await summary(page, /^Ready/);
    await page.click("#start");
    await expect.poll(() => visible(page).count(), { timeout: 60_000 }).toBeGreaterThan(0);
    await page.click("#pause");
    await expect.poll(() => page.textContent("#pause")).toBe("Resume");
    await page.waitForTimeout(4000); // the check in flight ends, a slow convolution perhaps
    const held = await page.textContent("#count");
    await page.waitForTimeout(1000);
    expect(await page.textContent("#count")).toBe(held);
    await page.click("#pause");
    await expect.poll(() => page.textContent("#count"), { timeout: 60_000 }).not.toBe(held);
    await page.click("#stop");
    await summary(page, /^Stopped after \d+ of \d+ checks\. .*all right on this GPU\.$/);
  });

  test("names a kernel that fails and what is used instead, and remembers it", async () => {
    // A workgroup of sum stores what one of its threads found.
    const page = await open(
      "?ops=sum",
      seedFault('(code) => code.replace(/(SLABS, *\\w+\\[)0\\]\\)/, "$11])")'),
    );
    await summary(page, /^Ready/);
    await page.click("#start");
    await summary(page, /^\d+ checks of \d+ kernels: \d+ wrong, in sum \(/);
    await page.selectOption("#filter-verdict", "wrong");
    expect(await visible(page).count()).toBeGreaterThan(0);
    expect(await page.textContent("#kernels .instead")).toMatch(
      /^(Training here uses another kernel of sum instead: |No kernel of sum computes right here: training with it is refused)/,
    );
    await page.reload();
    await expect
      .poll(() => page.textContent("#notices"), { timeout: 60_000 })
      .toMatch(/^Found wrong on this GPU before, and not used since: sum /);
    await page.goto(new URL("index.html", page.url()).href);
    await expect
      .poll(() => page.textContent("#excluded"), { timeout: 60_000 })
      .toMatch(/^Not used here, because the Verify page found (it|them) wrong on this GPU: sum /);
  });

  test("without WebGPU says what to do in this browser", async () => {
    const remove = 'Object.defineProperty(WorkerNavigator.prototype, "gpu", { value: undefined });';
    const page = await open("", inWorker("verify/worker.ts", remove));
    await page.waitForSelector("#no-webgpu");
    expect(await page.textContent("#no-webgpu")).toMatch(
      /WebGPU is not available here.*What to do here.*graphics acceleration/s,
    );
    await page.click("#use-cpu");
    await page.waitForURL(/index\.html/);
  });
});
