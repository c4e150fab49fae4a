// A browser without WebGPU, and a device that is lost: the training page says what happened and goes on.
import { expect, test } from "vitest";
import { type DemoPage, openDemo } from "./demo.ts";

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

test("without WebGPU it says what to do, and trains on the CPU reference", { timeout: 240_000 }, async () => {
  const demo = await openDemo("index.html", { webgpu: false });
  try {
    await says(demo, "#no-webgpu", /WebGPU.*What to do here.*chrome:\/\/settings\/system/s);
    await demo.page.click("#use-cpu");
    await says(demo, "#status", /^Ready on CPU reference/);
    await demo.page.click("#network summary");
    await demo.page.selectOption("#model", "linear");
    await says(demo, "#network summary", /Linear/);
    await demo.page.click("#step");
    await says(demo, "#status", /^Paused at step 1 /);
    expect(demo.problems).toEqual([]);
  } finally {
    await demo.close();
  }
});

test("a lost device is opened again with the run as it was last saved", { timeout: 240_000 }, async () => {
  const demo = await openDemo("index.html", {
    prepare: (page) =>
      page.route("**/training/worker.ts*", async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, body: KEEP_DEVICE + (await response.text()) });
      }),
  });
  try {
    await says(demo, "#status", /^Ready on/);
    await demo.page.click("#network summary");
    await demo.page.selectOption("#model", "linear");
    await says(demo, "#network summary", /Linear/);
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
