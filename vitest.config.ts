// Five projects, run in this order by `npm test`: architecture, node, browser and page, package.
import { fileURLToPath } from "node:url";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { chromium } from "./scripts/browser.mjs";

/** Files that compile shaders for minutes begin first, so that all workers end at about the same time. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) =>
      /\/test\/(parity\/|faults\.|plan\/inline\.)/.test(moduleId);
    return [...new Set(sorted.map(({ project }) => project))].flatMap((project) => {
      const own = sorted.filter((file) => file.project === project);
      return [...own.filter(isLong), ...own.filter((file) => !isLong(file))];
    });
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: { name: "architecture", include: ["test/architecture.test.ts"] },
      },
      {
        // On the WebGPU adapter that Dawn finds: start it with `node scripts/run.mjs vitest --project node`.
        resolve: { alias: { "descent-gpu": fileURLToPath(new URL("src/node.ts", import.meta.url)) } },
        test: {
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: ["test/architecture.test.ts", "test/package.test.ts", "test/browser/**"],
          globalSetup: ["test/support/adapter.ts", "test/support/build.ts"],
          pool: "forks",
          isolate: false, // test files share a process, and so its device and its compiled pipelines
          maxWorkers: 2,
          testTimeout: 180_000, // a software driver compiles shaders at their first run, for seconds each on a busy machine
        },
      },
      {
        test: {
          name: "browser",
          include: ["test/browser/**/*.browser.test.ts"],
          globalSetup: "test/browser/set-up.ts",
          testTimeout: 60_000,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({ launchOptions: chromium }),
            instances: [{ browser: "chromium" }],
          },
        },
      },
      {
        // Node drives a page as a person would: the demo as it is built.
        test: {
          name: "page",
          include: ["test/browser/**/*.page.test.ts"],
          globalSetup: "test/browser/set-up.ts",
          isolate: false, // test files share a process, and so its browser
          maxWorkers: 1,
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "package",
          include: ["test/package.test.ts"],
          globalSetup: "test/support/build.ts",
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
