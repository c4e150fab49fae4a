import {
  constants,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FileError } from "../../core/errors.ts";
import { isRunning, type ProcessId, thisProcess } from "./process.ts";

/** Who writes into a folder. */
interface Holder extends ProcessId {
  readonly host: string;
  /** Since when, in ISO 8601. */
  readonly since: string;
}

export interface Lock {
  release(): void;
}

const LOCK_NAME = ".lock";

/** Folders that this process writes into, with how often it was asked for them. */
const held = new Map<string, { count: number; readonly made: string | undefined }>();

process.on("exit", () => {
  for (const folder of held.keys()) remove(folder);
});

/**
 * Keeps a folder for this process, which makes it, until `release` or the process's end; a lock that a crash left
 * behind is taken over. Within one process a folder may be locked any number of times.
 * @throws FileError that names the process which has it; the file system's own error when it cannot be made.
 */
export async function lockFolder(path: string): Promise<Lock> {
  const folder = resolve(path);
  const mine = held.get(folder);
  if (mine) mine.count++;
  else await take(folder, path);
  let released = false;
  return {
    release: () => {
      if (released) return;
      released = true;
      const entry = held.get(folder);
      if (entry && --entry.count === 0) remove(folder);
    },
  };
}

/** The process that writes into a folder now, if there is one beside this one. */
export function holderOf(path: string): Holder | undefined {
  const folder = resolve(path);
  const holder = held.has(folder) ? undefined : readHolder(join(folder, LOCK_NAME));
  return holder && isThere(holder) ? holder : undefined;
}

async function take(folder: string, path: string): Promise<void> {
  const made = mkdirSync(folder, { recursive: true });
  const holder = await acquire(join(folder, LOCK_NAME));
  if (holder && !isThisProcess(holder)) throw new FileError(refusal(path, holder));
  const entry = held.get(folder);
  if (entry) entry.count++;
  else held.set(folder, { count: 1, made });
}

function refusal(path: string, { pid, host, since }: Holder): string {
  // Whether a process of another machine still runs cannot be seen from here.
  const gone = host === hostname() ? "" : `, delete ${join(path, LOCK_NAME)} if it has`;
  return `Process ${pid} on ${host} has been writing into ${path} since ${since}; wait until it has ended${gone}, or choose another folder.`;
}

/** Makes the lock file; resolves to the process that has it instead, when it runs. */
async function acquire(file: string): Promise<Holder | undefined> {
  for (;;) {
    if (create(file)) return undefined;
    const holder = readHolder(file);
    if (holder && isThere(holder)) return holder;
    // One at a time clears a lock that was left: else the second would remove the first one's new lock.
    const clearing = `${file}.stale`;
    if (await acquire(clearing)) {
      await sleep(10);
      continue;
    }
    try {
      const left = readHolder(file);
      if (!left || !isThere(left)) rmSync(file, { force: true });
    } finally {
      rmSync(clearing, { force: true });
    }
  }
}

/** Makes the file whole or, when there is one already, not at all. */
function create(file: string): boolean {
  const holder: Holder = { ...thisProcess(), host: hostname(), since: new Date().toISOString() };
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(holder)}\n`);
  try {
    try {
      linkSync(temporary, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
      copyFileSync(temporary, file, constants.COPYFILE_EXCL); // where the file system has no links
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Undefined when there is none, or when a crash of the machine left it without its contents. */
function readHolder(file: string): Holder | undefined {
  try {
    const { pid, started, host, since } = JSON.parse(readFileSync(file, "utf8"));
    const whole =
      Number.isSafeInteger(pid) && [started, host, since].every((text) => typeof text === "string");
    return whole ? { pid, started, host, since } : undefined;
  } catch {
    return undefined;
  }
}

function isThisProcess({ pid, started, host }: Holder): boolean {
  const mine = thisProcess();
  return host === hostname() && pid === mine.pid && started === mine.started;
}

/** Of another machine nothing is known: its processes count as running. */
const isThere = (holder: Holder) => holder.host !== hostname() || isRunning(holder);

/** Removes a lock and the folders that were made for it, as far as they are empty. */
function remove(folder: string): void {
  const { made } = held.get(folder)!;
  held.delete(folder);
  try {
    rmSync(join(folder, LOCK_NAME), { force: true });
    if (!made) return;
    for (let empty = folder; empty.length >= made.length; empty = dirname(empty)) rmdirSync(empty);
  } catch {} // not empty, or gone
}
