// One process writes into a run's folder: a second one is refused by the first one's name, and a crash locks nobody out.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FileError } from "../../src/core/errors.ts";
import { saveCheckpoint, savedSteps } from "../../src/train/node/checkpoint-files.ts";
import { holderOf, lockFolder } from "../../src/train/node/lock.ts";
import { isRunning, thisProcess } from "../../src/train/node/process.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "lock-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const SINCE = "2026-01-02T03:04:05.678Z";
const lockOf = (folder: string) => join(folder, ".lock");

/** A lock as another process would have left it. */
function leave(folder: string, lock: object | string): void {
  mkdirSync(folder, { recursive: true });
  const whole = { ...thisProcess(), host: hostname(), since: SINCE };
  writeFileSync(lockOf(folder), typeof lock === "string" ? lock : JSON.stringify({ ...whole, ...lock }));
}

async function refusal(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(FileError);
  return error.message;
}

/** A process that only waits, and how it is told apart from a later one of its number. */
async function waiting() {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6); console.log('up')"]);
  await once(child.stdout, "data");
  // The first one counts from the machine's start: another start is another process.
  const [ticks] = readFileSync(`/proc/${child.pid}/stat`, "latin1").split(") ")[1]!.split(" ").slice(19);
  const started = thisProcess().started.replace(/\d+$/, ticks!);
  const end = async () => {
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  return { pid: child.pid!, started, end };
}

test("a folder is made for its lock, and goes with it where nothing was put into it", async () => {
  const folder = join(root, "a", "b");
  const lock = await lockFolder(folder);
  expect(JSON.parse(readFileSync(lockOf(folder), "utf8"))).toMatchObject({
    pid: process.pid,
    host: hostname(),
  });
  expect(readdirSync(folder)).toEqual([".lock"]);
  lock.release();
  lock.release();
  expect(readdirSync(root)).toEqual([]);

  const second = await lockFolder(folder);
  writeFileSync(join(root, "a", "mine"), "");
  second.release();
  expect(readdirSync(join(root, "a"))).toEqual(["mine"]);
});

test("one process may lock a folder several times, at once too", async () => {
  const locks = await Promise.all([1, 2, 3].map(() => lockFolder(root)));
  for (const lock of locks) {
    expect(readdirSync(root)).toEqual([".lock"]);
    expect(holderOf(root)).toBeUndefined();
    lock.release();
  }
  expect(readdirSync(root)).toEqual([]);
});

// When a process started is known on Linux alone, from /proc; elsewhere its number has to do.
test.runIf(process.platform === "linux")(
  "another process is named while it runs, and no longer",
  async () => {
    const { pid, started, end } = await waiting();
    leave(root, { pid, started });
    expect(await refusal(lockFolder(root))).toBe(
      `Process ${pid} on ${hostname()} has been writing into ${root} since ${SINCE}; wait until it has ended, or choose another folder.`,
    );
    expect(holderOf(root)).toMatchObject({ pid });
    expect(
      await refusal(saveCheckpoint(root, 1, { model: { tensors: new Map(), metadata: {} } } as never)),
    ).toMatch(`Process ${pid} on`);
    expect(readdirSync(root)).toEqual([".lock"]);
    await end();
    expect(holderOf(root)).toBeUndefined();
    (await lockFolder(root)).release();
    expect(readdirSync(root)).toEqual([]);
  },
);

// When a process started is known on Linux alone, from /proc; elsewhere its number has to do.
test.runIf(process.platform === "linux")(
  "a process that got the number of one that is gone locks nobody out",
  async () => {
    const { pid, started, end } = await waiting();
    expect(isRunning({ pid, started })).toBe(true);
    const earlier = started.replace(/\d+$/, (ticks) => String(Number(ticks) - 1));
    expect(isRunning({ pid, started: earlier })).toBe(false);
    const rebooted = started.replace(/^\S+/, "00000000-0000-0000-0000-000000000000");
    for (const start of [earlier, rebooted]) {
      leave(root, { pid, started: start });
      (await lockFolder(root)).release();
    }
    // Where the system does not say when a process started, its number alone counts.
    leave(root, { pid, started: "" });
    expect(await refusal(lockFolder(root))).toContain(`Process ${pid} `);
    await end();
  },
);

test("of another machine nobody knows what runs there", async () => {
  leave(root, { pid: 1, started: "x", host: "elsewhere" });
  expect(await refusal(lockFolder(root))).toBe(
    `Process 1 on elsewhere has been writing into ${root} since ${SINCE}; wait until it has ended, delete ${lockOf(root)} if it has, or choose another folder.`,
  );
});

test.each(["", "{", "null", '{"pid":"1"}'])("a lock without its contents is a crash's: %s", async (text) => {
  leave(root, text);
  (await lockFolder(root)).release();
  expect(readdirSync(root)).toEqual([]);
});

test("a stale lock is taken over once, however often it is asked for at once", async () => {
  leave(root, { pid: 4194305, started: "" });
  const locks = await Promise.all(Array.from({ length: 20 }, () => lockFolder(root)));
  for (const lock of locks) lock.release();
  expect(readdirSync(root)).toEqual([]);
});

test("a checkpoint is saved under a lock of its own, which is gone afterwards", async () => {
  const file = { tensors: new Map(), metadata: {} };
  await saveCheckpoint(root, 3, { model: file, optimizer: file });
  expect(await savedSteps(root)).toEqual([3]);
  expect(readdirSync(root)).toEqual(["step-000003"]);
});
