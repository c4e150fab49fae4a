// npm run screenshots [-- PAGE ...]
//
// Builds the demo, opens its pages in Chromium in both themes and writes docs/images/PAGE[-phone]-THEME.png: what the
// README and the docs show. PAGE is training, initialisation, optimizers or verify; all of them by default.
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium as browsers } from "playwright-core";
import { build, preview } from "vite";
import { chromium } from "../test/browser/chromium.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const images = join(root, "docs/images");
const LARGEST = 200_000;
const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
const MINUTES = 60_000;

/** What is done on a page before its picture is taken. */
const pages = {
  training: { path: "index.html", prepare: train, phone: true },
  initialisation: { path: "initialisation.html", prepare: startIfPossible },
  optimizers: { path: "optimizers.html", prepare: startIfPossible },
  verify: { path: "verify.html?ops=relu,add,sum,softmax,maxPool2d", prepare: verify },
};

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !(name in pages));
if (unknown) {
  console.error(`There is no page "${unknown}"; choose from ${Object.keys(pages).join(", ")}.`);
  process.exit(2);
}

mkdirSync(images, { recursive: true });
const configFile = join(root, "demo/vite.config.ts");
await build({ configFile, logLevel: "warn" });
const server = await preview({ configFile, logLevel: "error", preview: { port: 0 } });
const browser = await browsers.launch({ ...chromium, headless: true });
try {
  for (const [name, { path, prepare, phone }] of Object.entries(pages)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    // Pages follow the theme while they run: one run serves all pictures.
    const context = await browser.newContext({ viewport: DESKTOP, reducedMotion: "reduce", colorScheme: "light" });
    const page = await context.newPage();
    page.on("pageerror", (error) => console.error(`${name}: ${error.message}`));
    await page.goto(new URL(path, server.resolvedUrls.local[0]).href);
    await prepare(page);
    for (const [suffix, viewport] of phone ? [["", DESKTOP], ["-phone", PHONE]] : [["", DESKTOP]]) {
      await page.setViewportSize(viewport);
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        await page.waitForTimeout(500); // canvases are drawn in the frames after
        await take(page, `${name}${suffix}-${colorScheme}`);
      }
    }
    await context.close();
  }
} finally {
  await browser.close();
  await server.close();
}

async function take(page, name) {
  const path = join(images, `${name}.png`);
  await page.screenshot({ path });
  const { size } = statSync(path);
  if (size > LARGEST) throw new Error(`${path} has ${size} bytes, more than ${LARGEST}.`);
  console.log(`docs/images/${name}.png  ${Math.round(size / 1000)} kB`);
}

/** Presses the page's button to start, where it has one. */
async function startIfPossible(page) {
  const start = page.locator("#start:enabled");
  await start.waitFor({ timeout: 20_000 }).then(() => start.click()).catch(() => {});
  await page.waitForTimeout(15_000);
}

async function train(page) {
  const start = page.locator("#start:enabled");
  await start.waitFor({ timeout: MINUTES });
  await start.click();
  await page
    .waitForFunction(() => Number(/\d+/.exec(document.querySelector("#step")?.textContent ?? "0")?.[0]) >= 60, undefined, {
      timeout: 5 * MINUTES,
    })
    .catch(() => console.error("training: 60 steps were not reached in five minutes"));
  await page.locator("#pause:enabled").click({ timeout: MINUTES });
  await page.locator("#start:enabled").waitFor({ timeout: MINUTES });
}

async function verify(page) {
  await page.locator("#start:enabled").click({ timeout: MINUTES });
  await page.waitForSelector("#summary.right, #summary.wrong", { timeout: 5 * MINUTES });
}
