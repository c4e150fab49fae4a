// The command `descent` as it is built in dist/ (see build.ts), run as a user runs it.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called with the process and everything it has printed, whenever it prints. */
  readonly onOutput?: (child: ChildProcess, stdout: string) => void;
}

/** Lines of JSON. */
export const parseLines = (text: string): any[] =>
  text
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

/** Checks the manner of a refusal (one line, no stack trace, exit code 1) and returns its sentence. */
export function refusal({ code, stdout, stderr }: Result): string {
  expect(code).toBe(1);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^descent: [^\n]+\.\n$/);
  expect(stderr).not.toMatch(/Something went wrong|undefined|Error:/);
  return stderr.slice("descent: ".length, -1);
}

/** The built command, and a folder for its files, which exists while the tests of one file run. */
export class Descent {
  folder = "";

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** Runs the command to its end. */
  run(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const child = spawn(process.execPath, [resolve("dist/cli.js"), ...args], {
      cwd: options.cwd ?? this.folder,
      env: { ...process.env, DESCENT_CACHE: this.path("cache"), ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
      options.onOutput?.(child, stdout);
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    return new Promise((done, reject) => {
      child.on("error", reject);
      child.on("close", (code) => done({ code, stdout, stderr: withoutDawn(stderr) }));
    });
  }

  /** Trains a small model with `--json`; `out` lies in the folder. */
  train(out: string, args: readonly string[], options?: RunOptions): Promise<Result> {
    return this.run(["train", "--json", "--out", this.path(out), ...args], options);
  }

  /** The objects of a run's metrics.jsonl. */
  metrics(out: string): any[] {
    return parseLines(readFileSync(this.path(out, "metrics.jsonl"), "utf8"));
  }
}

/** Dawn writes warnings about limits of the driver to the console, from C++. */
function withoutDawn(text: string): string {
  return text.replace(/^(Warning: .*|\s+at \w+ \(.*)\n\n?/gm, "");
}

/** Makes the folder before the tests of a file and removes it after them. */
export function descentCommand(): Descent {
  const descent = new Descent();
  beforeAll(() => {
    descent.folder = mkdtempSync(join(tmpdir(), "descent-command-"));
  });
  afterAll(() => rmSync(descent.folder, { recursive: true, force: true }));
  return descent;
}
