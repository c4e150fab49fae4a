// Makes sure that Dawn (npm `webgpu`) finds an adapter.
//
// Where the machine has none, Debian's and Ubuntu's packages of lavapipe, Mesa's software Vulkan driver, are unpacked
// into .cache/lavapipe: no root, nothing installed, no change to the system. Deleting that folder undoes it.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(root, ".cache", "lavapipe");
const manifest = join(cache, "lvp_icd.json"); // tells the Vulkan loader where the driver lies, relative to itself
const packages = ["mesa-vulkan-drivers", "libvulkan1"];

/**
 * Finds an adapter, setting up the software driver if there is none.
 *
 * @returns the adapter's name, and the environment variables a process needs at its start to see it
 * @throws Error whose message says what to install
 */
export function ensureAdapter() {
  const system = probe(process.env);
  if (system.name) return { name: system.name, env: {} };
  if (system.cannotLoad)
    throw new Error(`The npm package webgpu cannot be loaded (${system.reason}): run npm ci.`);
  if (process.env.DESCENT_NO_DRIVER_SETUP)
    throw new Error(remedy(system.reason, "DESCENT_NO_DRIVER_SETUP is set"));

  try {
    if (!isComplete()) unpackLavapipe();
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

/** Downloads and unpacks under a temporary name, then renames: safe against interruption and a second process. */
function unpackLavapipe() {
  if (!hasAptGet()) throw new Error("apt-get is not available");
  console.error(
    "WebGPU finds no GPU here: setting up lavapipe, a software driver, by unpacking the system's packages of it",
  );
  console.error(`into ${cache} (once, about 70 MB to download and 250 MB there; the system stays as it is).`);

  sweepInterrupted();
  const work = `${cache}.${process.pid}.tmp`;
  try {
    const debs = download(join(work, "apt"));
    const tree = join(work, "tree");
    mkdirSync(tree);
    for (const deb of debs)
      execFileSync("dpkg-deb", ["-x", deb, tree], { stdio: ["ignore", "ignore", "pipe"] });
    writeManifest(tree);
    publish(tree);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function hasAptGet() {
  return ["apt-get", "dpkg-deb"].every((tool) => spawnSync(tool, ["--version"]).status === 0);
}

/** Removes what interrupted set-ups left; a folder carries the id of the process that fills it. */
function sweepInterrupted() {
  mkdirSync(dirname(cache), { recursive: true });
  for (const name of readdirSync(dirname(cache))) {
    const pid = /^lavapipe\.(\d+)\.tmp$/.exec(name)?.[1];
    if (pid && !isAlive(Number(pid))) rmSync(join(dirname(cache), name), { recursive: true, force: true });
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Fetches the packages, and those of their needs that the system lacks, with lists and archives in `folder`. */
function download(folder) {
  for (const part of ["lists/partial", "archives/partial", "none"])
    mkdirSync(join(folder, part), { recursive: true });
  const settings = {
    "Dir::State::lists": `${folder}/lists`,
    "Dir::Cache": folder,
    "APT::Sandbox::User": "root", // that is: keep the user who runs this
    "Debug::NoLocking": 1,
    "Acquire::Retries": 2,
    "Acquire::Languages": "none",
  };
  let release = [];
  const distribution = readFileSync("/etc/os-release", "utf8");
  if (/^VERSION_CODENAME=bookworm$/m.test(distribution)) {
    // Dawn rejects the Mesa 22.3 of Debian 12; backports has a newer one.
    writeFileSync(join(folder, "sources.list"), bookwormSources());
    settings["Dir::Etc::sourcelist"] = `${folder}/sources.list`;
    settings["Dir::Etc::sourceparts"] = `${folder}/none`;
    release = ["-t", "bookworm-backports"];
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const apt = (...words) =>
    spawnSync("apt-get", ["-qq", ...options, ...release, ...words], { encoding: "utf8" });
  const update = apt("update"); // an unreachable source that is not needed may fail
  const install = apt("install", "--download-only", "--yes", "--no-install-recommends", ...packages);
  if (install.status !== 0) {
    const complaints = `${update.stderr}${install.stderr}`.trim().split("\n");
    throw new Error(`apt-get failed: ${complaints[0]}`);
  }
  const archives = join(folder, "archives");
  const debs = readdirSync(archives).filter((name) => name.endsWith(".deb"));
  if (debs.length === 0)
    throw new Error(`${packages.join(" and ")} are installed, yet Dawn accepts no driver`);
  return debs.map((name) => join(archives, name));
}

/** Debian 12 with backports, from the mirror that the system already uses. */
function bookwormSources() {
  const read = (file) => (existsSync(file) ? readFileSync(file, "utf8") : "");
  const mirror =
    /^URIs:\s*(\S+)/m.exec(read("/etc/apt/sources.list.d/debian.sources"))?.[1] ??
    /^deb\s+(?:\[.*?\]\s+)?(\S+)/m.exec(read("/etc/apt/sources.list"))?.[1] ??
    "http://deb.debian.org/debian";
  const key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
  const suites = ["bookworm", "bookworm-updates", "bookworm-backports"];
  return suites.map((suite) => `deb ${key} ${mirror} ${suite} main\n`).join("");
}

function writeManifest(tree) {
  const folder = join(tree, "usr/share/vulkan/icd.d");
  const original = readdirSync(folder).find((name) => name.startsWith("lvp_icd"));
  if (!original) throw new Error("the package mesa-vulkan-drivers holds no lavapipe");
  const content = JSON.parse(readFileSync(join(folder, original), "utf8"));
  const [architecture] = readdirSync(join(tree, "usr/lib")).filter((name) => name.endsWith("-linux-gnu"));
  content.ICD.library_path = `./usr/lib/${architecture}/libvulkan_lvp.so`;
  writeFileSync(join(tree, "lvp_icd.json"), JSON.stringify(content, null, 2));
}

/** Gives the finished folder its name, unless another process was quicker. */
function publish(tree) {
  try {
    renameSync(tree, cache);
  } catch (error) {
    if (isComplete()) return;
    if (!existsSync(cache)) throw error;
    renameSync(cache, `${tree}.damaged`); // parts of it were deleted
    renameSync(tree, cache);
  }
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
