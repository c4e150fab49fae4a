// Opens a page of the demo, or of another folder, in Chromium, served by Vite as `npm run demo` does, and records what goes wrong in it.
import { chromium as browsers, type Page } from "playwright-core";
import { createServer } from "vite";
import { chromium } from "./chromium.ts";

export interface DemoPage {
  page: Page;
  /** Exceptions, console errors and failed requests since the page was opened. */
  problems: string[];
  close(): Promise<void>;
}

/**
 * @param path of the page within the folder, with its query: `"index.html"`, `"selftest.html?op=relu"`
 * @param options.folder whose Vite configuration serves the page
 * @param options.webgpu false for a browser without it
 * @param options.prepare called before the page is opened
 */
export async function openDemo(
  path = "index.html",
  options: {
    readonly folder?: string;
    readonly webgpu?: boolean;
    readonly prepare?: (page: Page) => Promise<unknown>;
  } = {},
): Promise<DemoPage> {
  const server = await createServer({
    configFile: `${options.folder ?? "demo"}/vite.config.ts`,
    server: { port: 0, hmr: false },
    logLevel: "error",
  });
  await server.listen();
  const args = options.webgpu === false ? ["--disable-gpu"] : chromium.args;
  const browser = await browsers.launch({ ...chromium, args, headless: true });
  const close = async () => {
    await browser.close();
    await server.close();
  };
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(90_000); // a software adapter on a busy machine
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(`exception: ${error.message}`));
    page.on("response", (response) => {
      const { pathname } = new URL(response.url());
      if (response.status() >= 400 && pathname !== "/favicon.ico")
        problems.push(`${response.status()}: ${pathname}`);
    });
    page.on("console", (message) => {
      const isReportedAbove = message.text().startsWith("Failed to load resource");
      if (message.type() === "error" && !isReportedAbove) problems.push(`console: ${message.text()}`);
    });
    await options.prepare?.(page);
    await page.goto(new URL(path, server.resolvedUrls!.local[0]).href);
    return { page, problems, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Puts a script before the code of a page's worker, for `prepare`: a test's way to count what it asks of the browser, or
 * to make the browser fail.
 * @param worker its path within the demo: `"training/worker.ts"`
 */
export const inWorker =
  (worker: string, script: string) =>
  (page: Page): Promise<unknown> =>
    page.route(`**/${worker}*`, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: `${script}\n${await response.text()}` });
    });
