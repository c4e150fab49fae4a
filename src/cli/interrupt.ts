import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** One key press can arrive twice, from the terminal and through npm. */
const SAME_PRESS = 1000;

/**
 * Calls `stop` when somebody wants the program to end, by Ctrl-C for instance, with the exit code that shells expect
 * then: 128 and the signal's number, 130 for Ctrl-C. A second wish, later, ends the program at once.
 * It listens to the end of the process, which may be near when a press arrives for the second time.
 */
export function onInterrupt(stop: (exitCode: number) => void): void {
  let first = 0;
  const handler = (signal: number) => {
    const now = Date.now();
    if (first === 0) {
      first = now;
      stop(128 + signal);
    } else if (now - first > SAME_PRESS) process.exit(128 + signal);
  };
  for (const signal of SIGNALS) process.on(signal, () => handler(constants.signals[signal]));
}
