// Opens a page of the demo as it is built, or of another folder as Vite serves it, in Chromium, and records what goes wrong in it.
import { type Browser, chromium as browsers, type Page } from "playwright-core";
import { createServer } from "vite";
import { inject } from "vitest";
import { chromium } from "../../scripts/browser.mjs";

export interface DemoPage {
  page: Page;
  /** Exceptions, console errors and failed requests since the page was opened. */
  problems: string[];
  close(): Promise<void>;
}

let shared: Promise<Browser> | undefined;

/** The browser of all tests of this process, which it ends with; each page has a context, and so storage, of its own. */
async function sharedBrowser(): Promise<Browser> {
  if (!(await shared)?.isConnected()) shared = browsers.launch({ ...chromium, headless: true });
  return shared!;
}

/** Serves a folder by its own Vite configuration, for as long as a page of it is open. */
async function serve(folder: string): Promise<{ url: string; close(): Promise<void> }> {
  const server = await createServer({
    configFile: `${folder}/vite.config.ts`,
    server: { port: 0, hmr: false },
    logLevel: "error",
  });
  await server.listen();
  return { url: server.resolvedUrls!.local[0]!, close: () => server.close() };
}

/**
 * @param path of the page within the folder, with its query: `"index.html"`, `"verify.html?ops=relu"`
 * @param options.folder whose Vite configuration serves the page; by default the built demo is
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
  const server = options.folder
    ? await serve(options.folder)
    : { url: inject("demo"), close: async () => {} };
  const own = options.webgpu === false;
  const browser = own
    ? await browsers.launch({ ...chromium, args: ["--disable-gpu"], headless: true })
    : await sharedBrowser();
  const context = await browser.newContext();
  const close = async () => {
    await context.close();
    if (own) await browser.close();
    await server.close();
  };
  try {
    const page = await context.newPage();
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
    await page.goto(new URL(path, server.url).href);
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
    page.route(new RegExp(`/${worker.replace("/", "-").replace(/\.ts$/, "")}-[^/]*\\.js$`), async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: `${script}\n${await response.text()}` });
    });
