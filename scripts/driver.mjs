// Makes sure that Dawn (npm `webgpu`) finds an adapter.
//
// Where the machine has none, lavapipe, Mesa's software Vulkan driver, is unpacked into .cache/lavapipe.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder, libraryFolders, unpackPackages } from "./debian.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(cacheFolder, "lavapipe");
const manifest = join(cache, "lvp_icd.json"); // tells the Vulkan loader where the driver lies, relative to itself

/**
 * Finds an adapter, setting up the software driver if there is none.
 *
 * @returns the adapter's name, and the environment variables a process needs at its start to see it
 * @throws Error whose message says what to install
 */
export async function ensureAdapter() {
  const system = probe(process.env);
  if (system.name) return { name: system.name, env: {} };
  if (system.cannotLoad)
    throw new Error(`The npm package webgpu cannot be loaded (${system.reason}): run npm ci.`);
  if (process.env.DESCENT_NO_DRIVER_SETUP)
    throw new Error(remedy(system.reason, "DESCENT_NO_DRIVER_SETUP is set"));

  try {
    if (!isComplete()) await unpackLavapipe();
  } catch (error) {
    throw new Error(remedy(system.reason, error.message));
  }
  const env = lavapipeEnv();
  const software = probe({ ...process.env, ...env });
  if (software.name) return { name: software.name, env };
  throw new Error(
    remedy(software.reason, `the driver in ${relative(root, cache)} does not help; delete it to retry`),
  );
}

/** Asks Dawn for an adapter in a new process with the given environment: `{ name }` or `{ reason, cannotLoad }`. */
function probe(env) {
  const script = join(root, "scripts", "probe.mjs");
  const { status, stdout, stderr, signal } = spawnSync(process.execPath, [script], {
    env,
    encoding: "utf8",
    timeout: 60_000,
  });
  if (status !== 0) {
    const reason = signal ? `the probe died of ${signal}` : stderr.trim().split("\n").at(-1);
    return { reason, cannotLoad: status === 2 };
  }
  const { vendor, architecture, device, description } = JSON.parse(stdout.trim().split("\n").at(-1));
  return {
    name: [device, description, vendor, architecture].filter(Boolean).join(", ") || "unnamed adapter",
  };
}

/** The folder appears by one rename of a finished one, so it is complete unless somebody deleted parts of it. */
function isComplete() {
  return existsSync(manifest) && existsSync(join(cache, driverIn(manifest)));
}

function driverIn(manifestFile) {
  return JSON.parse(readFileSync(manifestFile, "utf8")).ICD.library_path;
}

function lavapipeEnv() {
  const libraries = join(cache, dirname(driverIn(manifest)));
  const more = libraries.replace("/usr/lib/", "/lib/"); // where Debian 12 keeps some of its libraries
  return {
    VK_DRIVER_FILES: manifest,
    VK_ICD_FILENAMES: manifest, // the older name of the same variable
    LD_LIBRARY_PATH: [libraries, more, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":"),
  };
}

async function unpackLavapipe() {
  await unpackPackages({
    folder: cache,
    packages: ["mesa-vulkan-drivers", "libvulkan1"],
    announcement:
      `WebGPU finds no GPU here: unpacking lavapipe, a software driver, from the system's packages into ` +
      `${cache} (once, about 70 MB to download and 250 MB there; the system stays as it is).`,
    complete: isComplete,
    finish: writeManifest,
    backports: ["bookworm"], // Dawn rejects the Mesa 22.3 of Debian 12
  });
}

function writeManifest(tree) {
  const folder = join(tree, "usr/share/vulkan/icd.d");
  const original = readdirSync(folder).find((name) => name.startsWith("lvp_icd"));
  if (!original) throw new Error("the package mesa-vulkan-drivers holds no lavapipe");
  const content = JSON.parse(readFileSync(join(folder, original), "utf8"));
  const libraries = libraryFolders(tree).find((name) => existsSync(join(tree, name, "libvulkan_lvp.so")));
  content.ICD.library_path = `./${libraries}/libvulkan_lvp.so`;
  writeFileSync(join(tree, "lvp_icd.json"), JSON.stringify(content, null, 2));
}

function remedy(reason, why) {
  const install = {
    darwin: ["macOS needs Metal: run on a Mac with a GPU, outside a virtual machine without graphics."],
    win32: ["Windows needs Direct3D 12: update the graphics driver."],
  }[process.platform] ?? [
    "Install a Vulkan driver: your GPU vendor's, or Mesa's software driver:",
    "  Debian 12             apt-get install -t bookworm-backports mesa-vulkan-drivers libvulkan1",
    "                        (with the suite bookworm-backports in /etc/apt/sources.list.d)",
    "  Debian 13, Ubuntu 24  apt-get install mesa-vulkan-drivers libvulkan1",
    "  Fedora                dnf install mesa-vulkan-drivers vulkan-loader",
    "  Arch Linux            pacman -S vulkan-swrast vulkan-icd-loader",
  ];
  return [`WebGPU has no adapter (${reason}), and none was set up: ${why}.`, ...install].join("\n");
}
