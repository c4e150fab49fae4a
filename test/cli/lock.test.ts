// Two processes never train into the same run folder, and a crash keeps nobody from it.
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { expect, test } from "vitest";
import { descentCommand, parseLines, type RunOptions, refusal } from "../support/command.ts";

const descent = descentCommand();
const LINEAR = "--model linear --backend cpu --limit 111 --batch-size 10".split(" ");
/** More epochs than any test waits for. */
const ENDLESS = [...LINEAR, "--epochs", "100000"];

/** Starts a run that trains until it is stopped; resolves when it has trained a step. */
async function training(args: readonly string[], options: RunOptions = {}) {
  let child: ChildProcess | undefined;
  let ended: Promise<unknown> | undefined;
  await new Promise<void>((resolve) => {
    const onOutput = (process: ChildProcess, stdout: string) => {
      child = process;
      if (stdout.includes('{"step":1,')) resolve();
    };
    ended = descent.run(["train", "--json", ...args], { ...options, onOutput });
  });
  const end = async (signal: NodeJS.Signals) => {
    child!.kill(signal);
    await ended;
  };
  return { pid: child!.pid!, end };
}

test("the second process is refused, and told of the first", async () => {
  const out = descent.path("busy");
  const first = await training([...ENDLESS, "--out", out]);
  const sentence = new RegExp(
    `^Process ${first.pid} on ${hostname()} has been writing into ${out} since \\d{4}-[-\\d]+T[:.\\d]+Z; wait until it has ended, or choose another folder\\.$`,
  );
  const attempts = [
    ["--out", out, ...LINEAR],
    ["--out", out, "--overwrite", ...LINEAR],
    ["--resume", out],
  ];
  for (const words of attempts) expect(refusal(await descent.run(["train", ...words]))).toMatch(sentence);
  // A plan is printed without a folder.
  expect((await descent.run(["train", ...LINEAR, "--plan", "--out", out])).code).toBe(0);
  expect(existsSync(`${out}/.lock`)).toBe(true);
  await first.end("SIGINT");
  expect(readdirSync(out).sort()).toEqual(["checkpoints", "config.json", "curves.svg", "metrics.jsonl"]);
  expect(readdirSync(`${out}/checkpoints`).filter((name) => name.startsWith("."))).toEqual([]);
});

test("after a crash the folder is anybody's", async () => {
  const out = descent.path("crashed");
  const first = await training([...ENDLESS, "--out", out]);
  await first.end("SIGKILL");
  expect(existsSync(`${out}/.lock`)).toBe(true);
  const { code } = await descent.run(["train", ...LINEAR, "--epochs", "1", "--out", out, "--overwrite"]);
  expect(code).toBe(0);
  expect(readdirSync(out)).not.toContain(".lock");
});

test("of several that find what a crash left one trains", async () => {
  const out = descent.path("raced");
  mkdirSync(out);
  const gone = { pid: 4194305, started: "", host: hostname(), since: "2026-01-01T00:00:00.000Z" };
  writeFileSync(`${out}/.lock`, JSON.stringify(gone));
  const args = ["train", "--json", ...LINEAR, "--epochs", "2", "--out", out];
  const results = await Promise.all([1, 2, 3, 4].map(() => descent.run(args)));
  expect(results.map(({ code }) => code).sort()).toEqual([0, 1, 1, 1]);
  for (const { code, stderr } of results)
    if (code === 1) expect(stderr).toMatch(/^descent: (Process \d+ on|.* holds a run with checkpoints)/);
  const lines = parseLines(readFileSync(`${out}/metrics.jsonl`, "utf8"));
  expect(lines).toHaveLength(20 + 2 + 1);
});

test("the default folder is one that nobody trains into", async () => {
  const cwd = descent.path("default");
  mkdirSync(cwd);
  const first = await training(ENDLESS, { cwd });
  const { code, stdout } = await descent.run(["train", "--json", ...LINEAR, "--epochs", "1"], { cwd });
  expect(code).toBe(0);
  expect(parseLines(stdout).at(-1)).toMatchObject({ done: true, out: "runs/train-2" });
  await first.end("SIGTERM");
});

test("what is refused leaves no folder behind", async () => {
  const out = descent.path("none", "deep");
  const sentence = refusal(await descent.run(["train", ...LINEAR, "--batch-size", "101", "--out", out]));
  expect(sentence).toMatch(/^A batch of 101 is larger/);
  expect(existsSync(descent.path("none"))).toBe(false);
});
