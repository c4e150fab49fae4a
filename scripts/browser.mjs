// The Chromium of the browser tests, with WebGPU on its software driver SwiftShader: the one that CHROMIUM_PATH names,
// the system's, or where there is neither, Debian's, unpacked into .cache/chromium.
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, libraryFolders, unpackPackages } from "./debian.mjs";

const SYSTEM = "/usr/bin/chromium";
const cache = join(cacheFolder, "chromium");
const launcher = join(cache, "start"); // written last into a folder that appears by one rename
const program = "usr/lib/chromium/chromium";

/** Playwright's launch options. */
export const chromium = {
  executablePath: process.env.CHROMIUM_PATH || (existsSync(SYSTEM) ? SYSTEM : launcher),
  // With fewer of these, canvases stay blank or workers get no adapter.
  args: [
    "--enable-unsafe-webgpu",
    "--use-angle=swiftshader",
    "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
  ],
};

/**
 * Sets Chromium up where there is none, starts it and asks it for WebGPU.
 *
 * @returns its name and version, and the adapter's
 * @throws Error whose message says what to install
 */
export async function ensureBrowser() {
  const { chromium: browsers } = await import("playwright-core");
  const { executablePath } = chromium;
  if (executablePath === launcher && !isComplete())
    await unpackChromium().catch((error) => {
      throw new Error(remedy(`There is no Chromium, and none was set up: ${error.message}.`));
    });
  if (!existsSync(executablePath))
    throw new Error(remedy(`CHROMIUM_PATH names ${executablePath}, which does not exist.`));
  const browser = await browsers.launch({ ...chromium, headless: true }).catch((error) => {
    throw new Error(remedy(`${executablePath} does not start: ${error.message.split("\n")[0]}`));
  });
  try {
    const page = await browser.newPage();
    await page.route("**/*", (route) => route.fulfill({ contentType: "text/html", body: "<p>" }));
    await page.goto("https://localhost/"); // WebGPU wants a secure context
    const adapter = await page.evaluate(
      async () => (await navigator.gpu?.requestAdapter())?.info.architecture,
    );
    if (adapter === undefined) throw new Error(remedy(`${executablePath} has no WebGPU.`));
    return `Chromium ${browser.version()} with WebGPU on ${adapter || "an unnamed adapter"}`;
  } finally {
    await browser.close();
  }
}

function isComplete() {
  return [launcher, join(cache, program)].every((file) => existsSync(file));
}

async function unpackChromium() {
  await unpackPackages({
    folder: cache,
    packages: ["chromium", "fonts-dejavu-core"],
    announcement:
      `The browser tests need Chromium, and there is none here: unpacking it from the system's packages into ` +
      `${cache} (once, up to 200 MB to download and 700 MB there; the system stays as it is).`,
    complete: isComplete,
    finish: writeLauncher,
  });
}

function writeLauncher(tree) {
  if (!existsSync(join(tree, program))) throw new Error("the package chromium holds no Chromium");
  const libraries = libraryFolders(tree).map((folder) => `$here/${folder}`);
  writeFileSync(
    join(tree, "fonts.conf"),
    '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">\n<fontconfig>\n' +
      '  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>\n' +
      '  <dir prefix="relative">usr/share/fonts</dir>\n</fontconfig>\n',
  );
  const start = join(tree, "start");
  const script = [
    "#!/bin/sh",
    "# Starts the Chromium of this folder with the libraries and fonts of this folder.",
    'here=$(dirname "$(readlink -f "$0")")',
    `export LD_LIBRARY_PATH="${libraries.join(":")}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"`,
    'export FONTCONFIG_FILE="$here/fonts.conf"',
    `exec "$here/${program}" "$@"`,
    "",
  ];
  writeFileSync(start, script.join("\n"), { mode: 0o755 });
  try {
    execFileSync(start, ["--version"], { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
  } catch (error) {
    throw new Error(
      `the unpacked Chromium does not run (${error.stderr?.trim().split("\n")[0] || error.message})`,
    );
  }
}

function remedy(reason) {
  const install =
    process.platform === "linux"
      ? "Install Chromium as /usr/bin/chromium (Debian: apt-get install chromium; Fedora: dnf install chromium; Arch Linux: pacman -S chromium)"
      : "Install Chrome or Chromium, 121 or newer";
  return `${reason}\n${install}, or set CHROMIUM_PATH to the program of one.`;
}
