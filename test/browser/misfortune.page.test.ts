// A browser without WebGPU, a lost device, a full disk, a hidden tab, a machine that slept: the training page says what happened and goes on.
import { expect, test } from "vitest";
import { type DemoPage, inWorker, openDemo } from "./demo.ts";

/** Lets the test reach the worker's device, to destroy it as a driver's reset does. */
const KEEP_DEVICE = `
{
  const open = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...options) {
    return (globalThis.device = await open.apply(this, options));
  };
}
`;

const says = ({ page }: DemoPage, id: string, wanted: RegExp) =>
  expect.poll(async () => (await page.textContent(id)) ?? "", { timeout: 60_000 }).toMatch(wanted);

/** The smallest network: what it learns is not what is tested. */
async function linear(demo: DemoPage): Promise<void> {
  await demo.page.click("#network summary");
  await demo.page.selectOption("#model", "linear");
  await says(demo, "#network summary", /Linear/);
}

test("without WebGPU it says what to do, and trains on the CPU reference", { timeout: 240_000 }, async () => {
  const demo = await openDemo("index.html", { webgpu: false });
  try {
    await says(demo, "#no-webgpu", /WebGPU.*What to do here.*chrome:\/\/settings\/system/s);
    await demo.page.click("#use-cpu");
    await says(demo, "#status", /^Ready on CPU reference/);
    await linear(demo);
    await demo.page.click("#step");
    await says(demo, "#status", /^Paused at step 1 /);
    // It has 16-bit floats, which the software adapter of these tests lacks.
    await demo.page.click("#group-precision summary");
    await demo.page.check("#mixed");
    await demo.page.click("#step");
    await says(demo, "#status", /^Paused at step 2 /);
    expect(demo.problems).toEqual([]);
  } finally {
    await demo.close();
  }
});

test("a lost device is opened again with the run as it was last saved", { timeout: 240_000 }, async () => {
  const demo = await openDemo("index.html", { prepare: inWorker("training/worker.ts", KEEP_DEVICE) });
  try {
    await says(demo, "#status", /^Ready on/);
    await linear(demo);
    await demo.page.click("#step");
    await says(demo, "#status", /^Paused at step 1 /);
    await demo.page
      .workers()[0]!
      .evaluate(() => (globalThis as unknown as { device: GPUDevice }).device.destroy());
    await says(demo, "#notices", /The GPU device was lost/);
    await demo.page.click("#notices button:has-text('Open it again')");
    await says(demo, "#status", /^Paused at step 1 /);
    await demo.page.click("#step");
    await says(demo, "#status", /^Paused at step 2 /);
    expect(demo.problems).toEqual([]);
  } finally {
    await demo.close();
  }
});

/** No write gets a byte onto the disk while `full` is set. */
const FULL_DISK = `
{
  const write = FileSystemSyncAccessHandle.prototype.write;
  globalThis.full = true;
  FileSystemSyncAccessHandle.prototype.write = function (...args) {
    return globalThis.full ? 0 : write.apply(this, args);
  };
}
`;

test("on a full disk it says that nothing is kept, trains on, and keeps again when there is room", {
  timeout: 240_000,
}, async () => {
  const demo = await openDemo("index.html", { prepare: inWorker("training/worker.ts", FULL_DISK) });
  const { page } = demo;
  try {
    await says(demo, "#status", /^Ready on/);
    await linear(demo);
    await page.click("#step");
    await says(demo, "#status", /^Paused at step 1 /);
    await says(demo, "#notices", /no room left to keep this run.*Save checkpoint/);
    // A download needs no room of the browser's.
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
    expect(download.suggestedFilename()).toMatch(/^descent-linear-step-000001\.tar$/);
    await page.workers()[0]!.evaluate(() => {
      (globalThis as unknown as { full: boolean }).full = false;
    });
    await page.click("#step");
    await says(demo, "#status", /^Paused at step 2 /);
    await page.reload();
    await says(demo, "#notices", /back where it stood, at step 2/);
    expect(demo.problems).toEqual([]);
  } finally {
    await demo.close();
  }
});

test("two tabs keep a run each, and neither loses it to the other", { timeout: 240_000 }, async () => {
  const demo = await openDemo("index.html");
  const { page } = demo;
  const stepOnce = async (tab: DemoPage, step: number) => {
    await tab.page.click("#step");
    await says(tab, "#status", new RegExp(`^Paused at step ${step} `));
  };
  try {
    await says(demo, "#status", /^Ready on/);
    await linear(demo);
    await stepOnce(demo, 1);
    const [opened] = await Promise.all([
      page.context().waitForEvent("page"),
      page.evaluate(() => void window.open(location.href, "_blank", "noopener")),
    ]);
    const other = { ...demo, page: opened };
    await says(other, "#notices", /open in another tab, too/);
    await says(other, "#status", /^Ready on/);
    await linear(other);
    await stepOnce(other, 1);
    await stepOnce(other, 2);
    await page.reload();
    await says(demo, "#notices", /back where it stood, at step 1\./);
    await opened.reload();
    await says(other, "#notices", /back where it stood, at step 2\./);
    await opened.close();
    expect(demo.problems).toEqual([]);
  } finally {
    await demo.close();
  }
});

test("what goes wrong is seen wherever the page is scrolled to", { timeout: 240_000 }, async () => {
  const demo = await openDemo("index.html");
  const { page } = demo;
  const toTheEnd = () =>
    page.evaluate(() => scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" }));
  /** So many pixels of the page's last line lie under the notices when it is scrolled to its end. */
  const covered = async () => {
    await toTheEnd();
    const [footer, notices] = await Promise.all(
      [".colophon", "#notices"].map((name) => page.locator(name).boundingBox()),
    );
    return footer!.y + footer!.height - notices!.y;
  };
  try {
    await says(demo, "#status", /^Ready on/);
    for (const size of [
      { width: 1280, height: 800 },
      { width: 390, height: 844 },
    ]) {
      await page.setViewportSize(size);
      await toTheEnd();
      await page.setInputFiles("#picture-file", {
        name: "words.png",
        mimeType: "image/png",
        buffer: Buffer.from("words"),
      });
      await says(demo, "#notices", /words\.png is not a picture/);
      const button = page.locator("#notices button").first();
      const seen = await button.evaluate((element) => {
        const { left, top, width, height } = element.getBoundingClientRect();
        return document.elementFromPoint(left + width / 2, top + height / 2) === element;
      });
      expect(seen).toBe(true);
      // It hides nothing for good: the page ends above it.
      await expect.poll(covered).toBeLessThanOrEqual(1);
      await button.click();
      await expect.poll(() => page.locator(".notice").count()).toBe(0);
    }
    expect(demo.problems).toEqual([]);
  } finally {
    await demo.close();
  }
});

test("a hidden tab trains on and says so, and a machine that slept says so", {
  timeout: 240_000,
}, async () => {
  const demo = await openDemo("index.html", {
    prepare: (page) =>
      page.addInitScript(() => {
        const now = Date.now.bind(Date);
        let ahead = 0;
        let seen = "visible";
        Date.now = () => now() + ahead;
        Object.defineProperty(document, "visibilityState", { get: () => seen });
        Object.assign(globalThis, {
          jump(milliseconds: number, state: string) {
            ahead += milliseconds;
            if (state === seen) return;
            seen = state;
            document.dispatchEvent(new Event("visibilitychange"));
          },
        });
      }),
  });
  const { page } = demo;
  const jump = (milliseconds: number, state = "visible") =>
    page.evaluate(([ms, to]) => (globalThis as any).jump(ms, to), [milliseconds, state] as const);
  const step = async () => Number(/step (\d+)/.exec((await page.textContent("#status")) ?? "")?.[1] ?? 0);
  const goesOn = async () => {
    const before = await step();
    await expect.poll(step, { timeout: 60_000 }).toBeGreaterThan(before);
  };
  try {
    await says(demo, "#status", /^Ready on/);
    await linear(demo);
    await page.click("#toggle");
    await says(demo, "#status", /^Training: step/);
    await jump(0, "hidden");
    await goesOn();
    await jump(90_000);
    await says(demo, "#notices", /hidden for \d+ seconds; training went on in it, \d+ steps further/);
    await jump(600_000);
    await says(demo, "#notices", /slept for about 10 minutes; training goes on from step \d+/);
    await goesOn();
    expect(demo.problems).toEqual([]);
  } finally {
    await demo.close();
  }
});
