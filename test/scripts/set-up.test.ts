// What `npm test` sets up on a bare machine, with tools that stand in for apt-get and dpkg-deb.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "descent-set-up-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const APT_GET = `for word; do case "$word" in
  Dir::Cache=*) cache="\${word#*=}";;
  --print-uris) echo "'http://mirror/a.deb' a.deb 3000000 SHA256:0"; exit 0;;
  install) touch "$cache/archives/a.deb";;
esac; done`;
const DPKG_DEB = '[ "$1" = -x ] && echo hello > "$3/program"; exit 0';

/** Runs a module's text where these programs, and no others but Node and a shell's, are found. */
function runWith(programs: Record<string, string>, args: string[], env: Record<string, string> = {}) {
  const bin = join(folder, "bin");
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, "node"));
  for (const name of ["touch", "sh"]) symlinkSync(`/bin/${name}`, join(bin, name));
  for (const [name, script] of Object.entries(programs))
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return spawnSync(process.execPath, args, { encoding: "utf8", env: { PATH: bin, ...env } });
}

const unpack = (finish: string) => [
  "--input-type=module",
  "-e",
  `import { unpackPackages } from ${JSON.stringify(`file://${resolve("scripts/debian.mjs")}`)};
   await unpackPackages({ folder: ${JSON.stringify(join(folder, "browser"))}, packages: ["a"],
     announcement: "Unpacking a.", complete: () => false, finish: ${finish} }).catch((error) => console.error(error.message));`,
];

// Only Linux gets packages unpacked: they are Debian's.
test.runIf(process.platform === "linux")(
  "packages are unpacked under a temporary name, what was interrupted goes",
  () => {
    mkdirSync(join(folder, "browser.999999999.tmp")); // of a process that is no more
    mkdirSync(join(folder, `browser.${process.pid}.tmp`)); // of one that is
    const { stderr } = runWith({ "apt-get": APT_GET, "dpkg-deb": DPKG_DEB }, unpack("() => {}"));
    expect(stderr).toMatch(/^Unpacking a\.\nbrowser: .*\nbrowser: 3 MB are there, unpacking\n$/);
    expect(readdirSync(folder).sort()).toEqual(["bin", "browser", `browser.${process.pid}.tmp`]);
    expect(readdirSync(join(folder, "browser"))).toEqual(["program"]);
  },
);

// Only Linux gets packages unpacked: they are Debian's.
test.runIf(process.platform === "linux")(
  "what cannot be used, or cannot be fetched, leaves nothing and is told",
  () => {
    const useless = '() => { throw new Error("it does not start"); }';
    const { stderr } = runWith({ "apt-get": APT_GET, "dpkg-deb": DPKG_DEB }, unpack(useless));
    expect(stderr).toMatch(/\nit does not start\n$/);
    expect(readdirSync(folder)).toEqual(["bin"]);
    rmSync(join(folder, "bin"), { recursive: true });
    const refuses = '[ "$1" = --version ] && exit 0; echo "E: no network" >&2; exit 100';
    const failed = runWith({ "apt-get": refuses, "dpkg-deb": DPKG_DEB }, unpack("() => {}"));
    expect(failed.stderr).toMatch(/\napt-get failed: E: no network\n$/);
    expect(readdirSync(folder)).toEqual(["bin"]);
  },
);

test("npm test looks for the browser before anything long runs, and says what to install", () => {
  const env = { CHROMIUM_PATH: join(folder, "none"), DESCENT_NO_DRIVER_SETUP: "1" };
  const { status, stderr } = runWith({}, ["scripts/test.mjs"], env);
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /CHROMIUM_PATH names .*none, which does not exist\.\nInstall .*, or set CHROMIUM_PATH/,
  );
});
