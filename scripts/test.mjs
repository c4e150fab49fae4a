// `npm test`: everything a change must pass, in order, up to the first stage that fails.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const reports = mkdtempSync(join(tmpdir(), "descent-test-"));
const run = ["node", "scripts/run.mjs"]; // in an environment with an adapter

const plain = process.stdout.isTTY ? [] : ["--colors=off"];

const stages = [
  { title: "Set-up", command: ["node", "scripts/setup.mjs"] },
  { title: "Types", command: ["tsc", "--noEmit"] },
  { title: "Lint and format", command: ["biome", "ci", ...plain, "."] },
  { title: "Architecture", command: vitest("architecture") },
  { title: "Build", command: ["npm", "run", "--silent", "build"] },
  { title: "Operations, gradients and training", command: [...run, ...vitest("node")] },
  // The set-up has started the browser and asked it for WebGPU: see test/browser/set-up.ts.
  { title: "Browser", command: vitest("browser", "page"), env: { DESCENT_BROWSER_CHECKED: "1" } },
  { title: "Package", command: [...run, ...vitest("package")] },
];

const totals = { passed: 0, failed: 0, skipped: 0 };
let exitCode = 0;
for (const [index, { title, command, env }] of stages.entries()) {
  console.log(`\n=== ${index + 1}/${stages.length} ${title}`);
  const start = performance.now();
  exitCode = runStage(command, env);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(
    `=== ${title}: ${exitCode === 0 ? "passed" : `failed with exit code ${exitCode}`} in ${seconds} s`,
  );
  if (exitCode !== 0) break;
}
rmSync(reports, { recursive: true });

console.log(
  `\n${totals.passed} passed, ${totals.failed} failed${totals.skipped ? `, ${totals.skipped} skipped` : ""}`,
);
process.exitCode = exitCode;

function vitest(...projects) {
  const report = join(reports, `${projects[0]}.json`);
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  return ["vitest", "run", ...projects.flatMap((name) => ["--project", name]), ...reporters];
}

/** Runs a stage, adds up its tests (a stage that is no test run counts when it fails) and returns its exit code. */
function runStage([program, ...args], env = {}) {
  const { status, error } = spawnSync(program, args, {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env, PATH: join(root, "node_modules/.bin") + delimiter + process.env.PATH },
    shell: process.platform === "win32",
  });
  if (error) console.error(error.message);
  const code = status ?? 1;

  const report = args.find((word) => word.startsWith("--outputFile.json="))?.split("=")[1];
  const counts = report && existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : {};
  totals.passed += counts.numPassedTests ?? 0;
  totals.skipped += (counts.numPendingTests ?? 0) + (counts.numTodoTests ?? 0);
  totals.failed += Math.max(counts.numFailedTests ?? 0, code === 0 ? 0 : 1);
  return code;
}
