// The training page as a visitor uses it: Chromium on its software adapter, so the networks are small.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "tar";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as optim from "../../src/optim/index.ts";
import { cifar10Folder } from "../support/cifar10.ts";
import { type DemoPage, inWorker, openDemo } from "./demo.ts";

const SAMPLE = cifar10Folder();

/** Counts what is compiled. */
const COUNT_PIPELINES = `
{
  const compile = GPUDevice.prototype.createComputePipelineAsync;
  globalThis.pipelines = 0;
  GPUDevice.prototype.createComputePipelineAsync = function (...args) {
    globalThis.pipelines++;
    return compile.apply(this, args);
  };
}
`;

let demo: DemoPage;
const pipelines = () =>
  demo.page.workers()[0]!.evaluate(() => (globalThis as unknown as { pipelines: number }).pipelines);
const text = async (id: string) => (await demo.page.textContent(id)) ?? "";
const says = (id: string, wanted: RegExp, timeout = 90_000) =>
  expect.poll(() => text(id), { timeout, interval: 200 }).toMatch(wanted);
const stepOf = async () => Number(/step (\d+)/.exec(await text("#status"))?.[1] ?? Number.NaN);
/** The step, once the status names one: while a new network is made ready it does not. */
const stepNow = async () => {
  let step = Number.NaN;
  await expect
    .poll(async () => (step = await stepOf()), { timeout: 60_000, interval: 50 })
    .toBeGreaterThanOrEqual(0);
  return step;
};
/** The smoothed training loss, as the legend has it. */
const lossOf = async () => Number(await demo.page.textContent(".legend >> nth=0 >> li >> nth=0 >> output"));
const set = async (id: string, value: string) => {
  await demo.page.fill(id, value);
  await demo.page.dispatchEvent(id, "change");
};
/** Waits until training has gone so far, and pauses. */
const pauseAfter = async (step: number) => {
  await expect.poll(stepOf, { timeout: 100_000, interval: 100 }).toBeGreaterThanOrEqual(step);
  await demo.page.click("#toggle");
  await says("#status", /^Paused at step/);
};
const notice = (wanted: RegExp) => says("#notices", wanted);

describe("the training page", () => {
  beforeAll(async () => {
    demo = await openDemo("index.html", { prepare: inWorker("training/worker.ts", COUNT_PIPELINES) });
  }, 120_000);
  afterAll(async () => {
    expect(demo.problems).toEqual([]);
    await demo.close();
  }, 60_000);

  test("is cross-origin isolated and describes its network before it trains", async () => {
    await says("#status", /^Ready on/);
    expect(await demo.page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true);
    await demo.page.click("#network summary");
    expect(await text("#network summary")).toMatch(/Small CNN.* 15 layers .* parameters .* operations/);
    await demo.page.selectOption("#model", "mlp");
    await says("#network summary", /MLP/);
    expect(await demo.page.locator("table.layers tbody tr").count()).toBe(6);
  });

  test("a layer that does not fit is told at that layer", async () => {
    const line = (n: number) => demo.page.locator("table.layers tbody tr input").nth(n);
    await line(1).fill("conv2d 8");
    await line(1).dispatchEvent("change");
    await says("table.layers tbody tr:nth-child(2) .wrong", /move it before flatten/);
    // Nothing else is trained in its stead.
    for (const start of ["#toggle", "#step"]) {
      await demo.page.click(start);
      await notice(/Layer 2, "conv2d 8", does not fit: .*move it before flatten.* Nothing is trained until/);
      await demo.page.click("#notices >> text=Dismiss");
    }
    expect(await text("#status")).toMatch(/^Ready on/);
    await line(1).fill("linear 24");
    await line(1).dispatchEvent("change");
    await expect.poll(() => demo.page.locator("table.layers .wrong").count()).toBe(0);
    await line(3).fill("linear 16");
    await line(3).dispatchEvent("change");
    await says("#network summary", /Your own layers/);
  });

  test("trains, pauses, goes one step, changes the learning rate and goes on", {
    timeout: 240_000,
  }, async () => {
    const { page } = demo;
    await page.selectOption("#schedule", "constant");
    await set("#rate", "0.002");
    await set("#batch", "32");
    await page.click("#step");
    await says("#status", /^Paused at step 1 /);
    const first = await lossOf();
    await page.click("#toggle");
    // Numbers change while training runs.
    await expect.poll(stepOf, { timeout: 100_000, interval: 100 }).toBeGreaterThanOrEqual(20);
    await set("#rate", "0.001");
    await page.click("#group-regularisation summary");
    await set("#decay", "0.01");
    await pauseAfter(50);
    expect(await lossOf()).toBeLessThan(first);
    const paused = await stepNow();
    await set("#rate", "0.0005");
    // Numbers reach the GPU with the next step: nothing is compiled for them.
    const before = await pipelines();
    await set("#decay", "0.02");
    await set("#clip", "1");
    await page.click("#step");
    await says("#status", new RegExp(`^Paused at step ${paused + 1} `));
    await expect
      .poll(() => page.getAttribute(".plot >> nth=1", "aria-label"), { timeout: 10_000 })
      .toMatch(/learning rate 5\.0e-4|learning rate 0\.0005/);
    // What a visitor sees of the network is there.
    expect(await page.locator("#confusion tbody tr").count()).toBe(10);
    expect(await page.locator("#sheet button").count()).toBe(24);
    expect(await page.locator("#filters canvas").count()).toBe(24);
    expect(await page.locator("#layer-histograms tbody tr").count()).toBe(5);
    expect(await text("#inside-verdict")).toMatch(/Before step \d+: /);
    expect(await text("#reading-accuracy")).toMatch(/\d %/);
    expect(await text("#reading-memory")).toMatch(/MB/);
    expect(await pipelines()).toBe(before);
  });

  test("takes augmentation, another optimizer and a moving average while it trains, with the keyboard alone", {
    timeout: 240_000,
  }, async () => {
    const { page } = demo;
    const from = await stepNow();
    await page.keyboard.press("Control+Enter");
    await says("#status", /^Training: step/);
    await page.click("#group-augmentation summary");
    await page.check("#flip");
    await set("#shift", "2");
    await expect.poll(stepOf, { timeout: 100_000 }).toBeGreaterThanOrEqual(from + 5);
    await set("#average", "0.9");
    await page.selectOption("#optimizer", "nesterov");
    await set("#momentum", "0.8");
    const changed = await stepNow();
    await expect.poll(stepOf, { timeout: 100_000 }).toBeGreaterThanOrEqual(changed + 5);
    await page.keyboard.press("Control+Enter");
    await says("#status", /^Paused at step/);
    const paused = await stepNow();
    await page.keyboard.press("Control+Shift+Enter");
    await says("#status", new RegExp(`^Paused at step ${paused + 1} `));
    await says("#summary", new RegExp(`^Paused at step ${paused + 1} .*Training loss \\d`));
    expect(Number(await text("#reading-loss"))).toBeLessThan(10);
    // As it was, for the tests that follow.
    await page.uncheck("#flip");
    await set("#shift", "0");
    await set("#average", "0");
    await page.selectOption("#optimizer", "adamW");
    await page.click("#step");
    await says("#status", new RegExp(`^Paused at step ${paused + 2} `));
  });

  test("offers every optimizer that the engine exports, in groups, with a rate and a momentum that suit it", async () => {
    const { page } = demo;
    const records = Object.values(optim).flatMap((value) => ("ops" in value ? [value.record] : []));
    const names = records.flatMap(({ name, presets = {} }) => [name, ...Object.keys(presets)]);
    const offered = await page.$$eval("#optimizer optgroup option", (all) =>
      all.map((option) => (option as HTMLOptionElement).value),
    );
    expect(offered.sort()).toEqual(names.sort());
    expect(await page.locator("#optimizer optgroup").count()).toBe(4);
    for (const { name, rate, hyper } of records) {
      await page.selectOption("#optimizer", name);
      expect(Number(await page.inputValue("#rate")), name).toBe(rate);
      // A momentum that is 0 unless it is given is another optimizer's.
      expect(await page.isVisible("#momentum"), name).toBe(Boolean(hyper.momentum));
      expect(await text("#optimizer-say"), name).toMatch(/p ← p|as Adam|←/);
    }
    await page.selectOption("#optimizer", "adamW");
  });

  test("goes on with Muon and LAMB in the middle of a run, after a reload too", {
    timeout: 240_000,
  }, async () => {
    const { page } = demo;
    const from = await stepNow();
    await page.selectOption("#optimizer", "muon");
    expect(await page.inputValue("#momentum")).toBe("0.95");
    await page.click("#step");
    await says("#status", new RegExp(`^Paused at step ${from + 1} `));
    await page.reload();
    await notice(new RegExp(`back where it stood, at step ${from + 1}`));
    await says("#status", new RegExp(`^Paused at step ${from + 1} `));
    expect(await page.inputValue("#optimizer")).toBe("muon");
    expect(await page.inputValue("#rate")).toBe("0.02");
    await page.click("#step");
    await says("#status", new RegExp(`^Paused at step ${from + 2} `));
    await page.selectOption("#optimizer", "lamb");
    expect(await page.isVisible("#momentum")).toBe(false);
    await page.click("#step");
    await says("#status", new RegExp(`^Paused at step ${from + 3} `));
    expect(await lossOf()).toBeLessThan(10);
    // As it was, for the tests that follow.
    await page.selectOption("#optimizer", "adamW");
    await page.click("#step");
    await says("#status", new RegExp(`^Paused at step ${from + 4} `));
  });

  test("tells the five most likely classes of a picture, and refuses what is none", async () => {
    const { page } = demo;
    const png = Buffer.from(
      await page.evaluate(() => {
        const canvas = document.createElement("canvas");
        canvas.width = 300;
        canvas.height = 200;
        const context = canvas.getContext("2d")!;
        context.fillStyle = "red";
        context.fillRect(60, 40, 150, 120);
        return canvas.toDataURL("image/png").split(",")[1]!;
      }),
      "base64",
    );
    await page.setInputFiles("#picture-file", { name: "red.png", mimeType: "image/png", buffer: png });
    await expect.poll(() => page.locator("#top-classes li").count(), { timeout: 60_000 }).toBe(5);
    expect(await page.locator("#layer-maps canvas").count()).toBe(5);
    // Pasted, the same picture has the same answer.
    const answer = await text("#top-classes");
    await page.click("text=A held-out image");
    await expect.poll(() => text("#top-classes")).not.toBe(answer);
    await page.evaluate(
      (bytes) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], "red.png", { type: "image/png" }));
        dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
      },
      [...png],
    );
    await expect.poll(() => text("#top-classes"), { timeout: 60_000 }).toBe(answer);
    await page.setInputFiles("#picture-file", {
      name: "words.png",
      mimeType: "image/png",
      buffer: Buffer.from("words"),
    });
    await notice(/words\.png is not a picture that this browser can read/);
  });

  test("saves a checkpoint, loads it after a reset, and refuses a file that is none", {
    timeout: 120_000,
  }, async () => {
    const { page } = demo;
    const before = await stepNow();
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
    expect(download.suggestedFilename()).toBe(`descent-own-step-${String(before).padStart(6, "0")}.tar`);
    const saved = readFileSync(await download.path());
    await page.click("#reset");
    await says("#status", /^Ready on/);
    await says("#runs", /own/);
    // The earlier run's curves lie over the present ones, and go again.
    await page.check("#runs input");
    await expect.poll(() => text(".legend >> nth=0")).toMatch(/own, adamW [\d.]+, \d\d:\d\d: loss/);
    await page.uncheck("#runs input");
    await expect.poll(() => text(".legend >> nth=0")).not.toMatch(/own, adamW/);
    await page.setInputFiles("#load", {
      name: "broken.tar",
      mimeType: "application/x-tar",
      buffer: saved.subarray(0, 5000),
    });
    await notice(/broken\.tar ends in the middle/);
    await page.setInputFiles("#load", {
      name: "words.tar",
      mimeType: "application/x-tar",
      buffer: Buffer.from("words"),
    });
    await notice(/words\.tar is not a tar archive/);
    await page.setInputFiles("#load", { name: "run.tar", mimeType: "application/x-tar", buffer: saved });
    await says("#status", new RegExp(`^Paused at step ${before} `));
    await page.click("#step");
    await says("#status", new RegExp(`^Paused at step ${before + 1} `));
  });

  test("goes on where it stood after the page was closed", { timeout: 120_000 }, async () => {
    const before = await stepNow();
    await demo.page.reload();
    await notice(new RegExp(`back where it stood, at step ${before}`));
    await says("#status", new RegExp(`^Paused at step ${before} `));
  });

  test("an exploding learning rate is told with its step and layer, and is no end", {
    timeout: 240_000,
  }, async () => {
    const { page } = demo;
    const before = await stepNow();
    await page.selectOption("#optimizer", "sgd");
    await set("#rate", "1e30");
    await page.click("#toggle");
    await notice(/Step \d+ is not finite: .*layer/);
    await says("#status", /^Stopped at step/);
    await page.click(`#notices button:has-text('Go back to step ${before} with a tenth')`);
    expect(await page.inputValue("#optimizer")).toBe("sgd");
    await expect.poll(() => page.inputValue("#optimizer"), { timeout: 60_000 }).toBe("adamW");
    await set("#rate", "0.001");
  });

  test("takes CIFAR-10 files, and says what is wrong with others", { timeout: 240_000 }, async () => {
    const { page } = demo;
    const whole = readFileSync(`${SAMPLE}/data_batch_1.bin`);
    const file = (name: string, buffer: Buffer) => ({ name, mimeType: "application/octet-stream", buffer });
    await page.setInputFiles("#data-files", [file("data_batch_1.bin", whole.subarray(0, 10_000))]);
    await notice(/data_batch_1\.bin has 10000 bytes.*truncated/);
    await page.setInputFiles("#data-files", [file("holiday.jpg", whole.subarray(0, 100))]);
    await notice(/holiday\.jpg is no CIFAR-10 file/);
    await page.setInputFiles("#data-files", [file("cifar.tar.gz", Buffer.from([0x1f, 0x8b, 1, 2, 3]))]);
    await notice(/cifar\.tar\.gz is damaged/);
    // The archive as it is downloaded, with what else is in it.
    const folder = mkdtempSync(join(tmpdir(), "descent-"));
    try {
      const inner = join(folder, "cifar-10-batches-bin");
      mkdirSync(inner);
      for (const name of ["data_batch_1.bin", "test_batch.bin"])
        cpSync(`${SAMPLE}/${name}`, join(inner, name));
      writeFileSync(join(inner, "readme.html"), "<p>about</p>");
      const archive = join(folder, "cifar-10-binary.tar.gz");
      await create({ gzip: true, cwd: folder, file: archive }, ["cifar-10-batches-bin"]);
      await page.setInputFiles("#data-files", archive);
      await says("#data-about", /^900 images to learn from, 100 held out .* 1,000 to test it on once/);
    } finally {
      rmSync(folder, { recursive: true });
    }
    // Dropped anywhere on the page.
    const transfer = await page.evaluateHandle(() => new DataTransfer());
    for (const name of ["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"])
      await transfer.evaluate(
        async (data, { name, base64 }) => {
          const bytes = await (await fetch(`data:application/octet-stream;base64,${base64}`)).arrayBuffer();
          data.items.add(new File([bytes], name));
        },
        { name, base64: readFileSync(`${SAMPLE}/${name}`).toString("base64") },
      );
    await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
    await says("#data-about", /^1,800 images to learn from, 200 held out .* 1,000 to test it on once/);
    await page.click("#step");
    await says("#status", /^Paused at step 1 /);
    // The next visit needs no file.
    await page.reload();
    await says("#data-about", /^1,800 images to learn from/);
  });
});
