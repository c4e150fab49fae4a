// npm run screenshots [-- PAGE ...]
//
// Builds the demo, opens its pages in Chromium in both themes and writes docs/images/PAGE[-phone]-THEME.png: what the
// README and the docs show. PAGE is training, initialisation, optimizers or verify; all of them by default.
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium as browsers } from "playwright-core";
import { build, preview } from "vite";
import { chromium, ensureBrowser } from "./browser.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const images = join(root, "docs/images");
const LARGEST = 200_000;
const DESKTOP = { width: 1280, height: 1040 };
const PHONE = { width: 390, height: 844 };
const MINUTES = 60_000;

/** What is done on a page before its picture is taken; `phone` is what a phone's begins with and how it gets there. */
const pages = {
  training: { path: "index.html", prepare: train, phone: { top: ".transport", prepare: comeBack } },
  initialisation: { path: "initialisation.html", prepare: play },
  optimizers: { path: "optimizers.html", prepare: play },
  verify: { path: "verify.html?ops=relu,add,sum,softmax,maxPool2d", prepare: verify },
};

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !(name in pages));
if (unknown) {
  console.error(`There is no page "${unknown}"; choose from ${Object.keys(pages).join(", ")}.`);
  process.exit(2);
}

await ensureBrowser();
mkdirSync(images, { recursive: true });
const configFile = join(root, "demo/vite.config.ts");
await build({ configFile, logLevel: "warn" });
const server = await preview({ configFile, logLevel: "error", preview: { port: 0 } });
const browser = await browsers.launch({ ...chromium, headless: true });
try {
  for (const [name, { path, prepare, phone }] of Object.entries(pages)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    // Pages follow the theme while they run: one run serves all pictures.
    const context = await browser.newContext({
      viewport: DESKTOP,
      reducedMotion: "reduce",
      colorScheme: "light",
    });
    const page = await context.newPage();
    page.on("pageerror", (error) => console.error(`${name}: ${error.message}`));
    await page.goto(new URL(path, server.resolvedUrls.local[0]).href);
    await prepare(page);
    await takeBoth(page, name, "body");
    if (phone) {
      await page.setViewportSize(PHONE);
      await phone.prepare(page);
      await takeBoth(page, `${name}-phone`, phone.top);
    }
    await context.close();
  }
} finally {
  await browser.close();
  await server.close();
}

/** Pictures in both themes, from the top of an element on. */
async function takeBoth(page, name, top) {
  await page.mouse.move(0, 0); // nothing is pointed at
  await page.locator(top).evaluate((element) => element.scrollIntoView({ behavior: "instant" }));
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(500); // canvases are drawn in the frames after
    await take(page, `${name}-${colorScheme}`);
  }
}

async function take(page, name) {
  const path = join(images, `${name}.png`);
  await page.screenshot({ path });
  const { size } = statSync(path);
  if (size > LARGEST) throw new Error(`${path} has ${size} bytes, more than ${LARGEST}.`);
  console.log(`docs/images/${name}.png  ${Math.round(size / 1000)} kB`);
}

/** Lets a lecture page run for a while. */
async function play(page) {
  const button = page.locator("#play:enabled");
  await button.waitFor({ timeout: 20_000 }).catch(() => {});
  if ((await button.count()) === 0) return; // nothing on it runs
  await button.click();
  await page.waitForTimeout(20_000);
  await page.locator("#play:enabled").click({ timeout: MINUTES });
}

/** Trains a small network far enough that every view has something to show. */
async function train(page) {
  await page.locator("#status", { hasText: /^Ready on/ }).waitFor({ timeout: MINUTES });
  await page.click("#network summary");
  await page.selectOption("#model", "mlp");
  await page
    .getByText(/6 layers/)
    .first()
    .waitFor({ timeout: MINUTES });
  await page.click("#network summary");
  await page.locator("#batch").fill("32");
  await page.dispatchEvent("#batch", "change");
  await page.locator("#toggle:enabled").click({ timeout: MINUTES });
  await page.waitForFunction(
    () => Number(/step (\d+)/.exec(document.querySelector("#status")?.textContent ?? "")?.[1] ?? 0) >= 200,
    undefined,
    { timeout: 8 * MINUTES },
  );
  await page.locator("#toggle").click();
  await page.locator("#status", { hasText: /^Paused at step/ }).waitFor({ timeout: MINUTES });
}

/** The next visit, on a smaller screen: what is folded away there is decided when the page opens. */
async function comeBack(page) {
  await page.reload();
  await page.locator("#status", { hasText: /^Paused at step/ }).waitFor({ timeout: MINUTES });
  await page.locator("#toggle:enabled").waitFor({ timeout: MINUTES });
  await page.locator("#notices button", { hasText: "Dismiss" }).click();
}

async function verify(page) {
  await page.locator("#start:enabled").click({ timeout: MINUTES });
  await page.waitForSelector("#summary.right, #summary.wrong", { timeout: 5 * MINUTES });
}
