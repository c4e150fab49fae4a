// Set-up of the browser tests: Chromium, and for the tests of pages the demo, built and served as it ships.
import { build, preview } from "vite";
import type { TestProject } from "vitest/node";
import { ensureBrowser } from "../../scripts/browser.mjs";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the built demo is served. */
    demo: string;
  }
}

export default async function setUp(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  // Once for both projects, and not at all where the first stage of `npm test` has done it.
  if (!process.env.DESCENT_BROWSER_CHECKED) console.log(await ensureBrowser());
  process.env.DESCENT_BROWSER_CHECKED = "1";
  if (project.name !== "page") return undefined;
  const configFile = "demo/vite.config.ts";
  await build({ configFile, logLevel: "error" });
  const server = await preview({ configFile, logLevel: "error", preview: { port: 0 } });
  project.provide("demo", server.resolvedUrls!.local[0]!);
  return () => server.close();
}
