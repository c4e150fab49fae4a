import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** A process of this machine: a number alone is given again to another one sooner or later. */
export interface ProcessId {
  readonly pid: number;
  /** When it started, in the system's own words; empty where the system does not say. */
  readonly started: string;
}

/** Field 22 of Linux's stat file, in ticks since the machine started, and which start of the machine that was. */
function linuxStart(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name, in brackets, may hold spaces and brackets.
  const [state, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (state === "Z" || state === "X") return undefined; // over, and nobody has asked how it ended
  return `${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()} ${rest[18]}`;
}

/** When a process started; undefined when it does not run, empty when the system does not say. */
function startOf(pid: number): string | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return undefined;
  }
  try {
    if (process.platform === "linux") return linuxStart(pid);
    if (process.platform === "win32") return "";
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "latin1" }).trim();
  } catch {
    return "";
  }
}

/** This process. */
export const thisProcess = (): ProcessId => ({ pid: process.pid, started: startOf(process.pid) ?? "" });

/** Whether that very process runs; without a start, whether one of its number does. */
export function isRunning({ pid, started }: ProcessId): boolean {
  const now = startOf(pid);
  return now !== undefined && (started === "" || now === "" || now === started);
}
