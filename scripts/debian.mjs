// Unpacks packages of Debian or Ubuntu, and what they need that the system lacks, into a folder of .cache: no root,
// nothing installed, no change to the system. Deleting the folder undoes it.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const cacheFolder = fileURLToPath(new URL("../.cache", import.meta.url));

/**
 * Downloads and unpacks under a temporary name, then renames: safe against interruption and a second process.
 *
 * @param folder what the unpacked files will be in; its name is the one that progress is told under
 * @param packages the packages' names
 * @param announcement why, and what it costs, before anything is downloaded
 * @param complete whether `folder` holds everything; another process may have been quicker
 * @param finish adds to the unpacked files, given the folder they are in meanwhile; it throws where they are of no use
 * @param backports releases (`VERSION_CODENAME`) whose own versions are too old: theirs come from backports
 * @throws Error whose message says what stands in the way
 */
export async function unpackPackages({ folder, packages, announcement, complete, finish, backports = [] }) {
  if (!hasAptGet()) throw new Error("apt-get is not available");
  console.error(announcement);
  mkdirSync(dirname(folder), { recursive: true });
  sweepInterrupted(folder);
  const work = `${folder}.${process.pid}.tmp`;
  try {
    const debs = await download(join(work, "apt"), packages, backports, progress(basename(folder)));
    const tree = join(work, "tree");
    mkdirSync(tree);
    for (const deb of debs)
      execFileSync("dpkg-deb", ["-x", deb, tree], { stdio: ["ignore", "ignore", "pipe"] });
    finish(tree);
    publish(tree, folder, complete);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The folders of an unpacked tree that hold shared libraries, relative to it. */
export function libraryFolders(tree) {
  const found = [];
  for (const base of ["usr/lib", "lib"])
    for (const architecture of foldersIn(join(tree, base)).filter((name) => /-linux-gnu/.test(name))) {
      const libraries = join(base, architecture);
      found.push(libraries, ...foldersIn(join(tree, libraries)).map((name) => join(libraries, name)));
    }
  return found.filter((folder) => readdirSync(join(tree, folder)).some((name) => /\.so(\.|$)/.test(name)));
}

function foldersIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}

function hasAptGet() {
  return ["apt-get", "dpkg-deb"].every((tool) => spawnSync(tool, ["--version"]).status === 0);
}

/** Removes what interrupted set-ups left; a folder carries the id of the process that fills it. */
function sweepInterrupted(folder) {
  for (const name of readdirSync(dirname(folder))) {
    const [, of, pid] = /^(.+)\.(\d+)\.tmp$/.exec(name) ?? [];
    if (of === basename(folder) && !isAlive(Number(pid)))
      rmSync(join(dirname(folder), name), { recursive: true, force: true });
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
async function download(folder, packages, backports, report) {
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
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  if (backports.includes(codename)) {
    writeFileSync(join(folder, "sources.list"), backportsSources(codename));
    settings["Dir::Etc::sourcelist"] = `${folder}/sources.list`;
    settings["Dir::Etc::sourceparts"] = `${folder}/none`;
    release = ["-t", `${codename}-backports`];
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const apt = (...words) => run("apt-get", ["-qq", ...options, ...release, ...words]);
  const install = ["install", "--download-only", "--yes", "--no-install-recommends", ...packages];

  report("reading the lists of packages");
  const update = await apt("update"); // an unreachable source that is not needed may fail
  const listed = await apt("--print-uris", ...install);
  const total = [...listed.stdout.matchAll(/^'\S+' \S+ (\d+)/gm)].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
  const archives = join(folder, "archives");
  const megabytes = (bytes) => Math.round(bytes / 1e6);
  const watch = setInterval(
    () => report(`${megabytes(bytesIn(archives))} of ${megabytes(total)} MB`),
    process.stderr.isTTY ? 500 : 10_000,
  );
  const { status, stderr } = await apt(...install).finally(() => clearInterval(watch));
  if (status !== 0) throw new Error(`apt-get failed: ${`${update.stderr}${stderr}`.trim().split("\n")[0]}`);
  const debs = readdirSync(archives).filter((name) => name.endsWith(".deb"));
  if (debs.length === 0)
    throw new Error(
      `${packages.join(" and ")} ${packages.length > 1 ? "are" : "is"} installed, yet of no use`,
    );
  report(`${megabytes(total)} MB are there, unpacking`, true);
  return debs.map((name) => join(archives, name));
}

/** Ends a program with this one: what an interrupted download goes on with would be in the way of the next. */
function run(program, args) {
  return new Promise((done, reject) => {
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C" },
    });
    const kill = () => child.kill();
    process.once("exit", kill);
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    child.on("error", reject);
    child.on("close", (status) => {
      process.off("exit", kill);
      done({ status, stdout, stderr });
    });
  });
}

function bytesIn(folder) {
  return readdirSync(folder, { recursive: true }).reduce((sum, name) => {
    const file = statSync(join(folder, name), { throwIfNoEntry: false }); // it may have been renamed meanwhile
    return sum + (file?.isFile() ? file.size : 0);
  }, 0);
}

/** Tells how far it is: on one line of a terminal, elsewhere on lines of their own. */
function progress(name) {
  const { stderr } = process;
  return (text, last = false) =>
    stderr.write(stderr.isTTY ? `\r\x1b[K${name}: ${text}${last ? "\n" : ""}` : `${name}: ${text}\n`);
}

/** A release with its backports, from the mirror that the system already uses. */
function backportsSources(codename) {
  const read = (file) => (existsSync(file) ? readFileSync(file, "utf8") : "");
  const mirror =
    /^URIs:\s*(\S+)/m.exec(read("/etc/apt/sources.list.d/debian.sources"))?.[1] ??
    /^deb\s+(?:\[.*?\]\s+)?(\S+)/m.exec(read("/etc/apt/sources.list"))?.[1] ??
    "http://deb.debian.org/debian";
  const key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
  const suites = [codename, `${codename}-updates`, `${codename}-backports`];
  return suites.map((suite) => `deb ${key} ${mirror} ${suite} main\n`).join("");
}

/** Gives the finished folder its name, unless another process was quicker. */
function publish(tree, folder, complete) {
  try {
    renameSync(tree, folder);
  } catch (error) {
    if (complete()) return;
    if (!existsSync(folder)) throw error;
    renameSync(folder, `${tree}.damaged`); // parts of it were deleted
    renameSync(tree, folder);
  }
}
