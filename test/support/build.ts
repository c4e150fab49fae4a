// Set-up of the tests that need the built package: `npm run build`, unless dist/ is newer than all that it is made of.
import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const MADE_OF = ["src", "shaders", "scripts", "package.json", "tsconfig.json", "vite.config.ts"];
/** The last files that the build writes. */
const RESULTS = ["dist/cli.js", "dist/types/index.d.ts"];

/** When a file, or the newest file of a folder, was written. */
function timesOf(path: string): number[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) return [Number.NaN];
  const below = stats.isDirectory() ? readdirSync(path).map((name) => join(path, name)) : [];
  return [stats.mtimeMs, ...below.flatMap(timesOf)]; // a folder's own time tells of files that have gone
}

export default function build(): void {
  const newest = Math.max(...MADE_OF.flatMap(timesOf));
  if (Math.min(...RESULTS.flatMap(timesOf)) > newest) return;
  execFileSync("npm", ["run", "--silent", "build"], {
    stdio: "inherit",
    shell: process.platform === "win32",
  });
}
