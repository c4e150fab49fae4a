// Set-up of the tests that need a GPU: says which adapter they run on, and fails if there is none.
import { spawnSync } from "node:child_process";

export default function requireAdapter(): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["scripts/probe.mjs"], { encoding: "utf8" });
  if (status !== 0) {
    const reason = stderr.trim().split("\n").at(-1);
    throw new Error(
      `No WebGPU adapter (${reason}). Start the tests with: node scripts/run.mjs vitest --project node`,
    );
  }
  const { device, description } = JSON.parse(stdout);
  console.log(`adapter: ${description || device}`);
}
