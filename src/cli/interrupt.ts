const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** One key press can arrive twice, from the terminal and through npm. */
const SAME_PRESS = 1000;

/**
 * Calls `stop` when somebody wants the program to end, by Ctrl-C for instance; a second wish, later, ends it at once.
 * It listens to the end of the process, which may be near when a press arrives for the second time.
 */
export function onInterrupt(stop: () => void): void {
  let first = 0;
  const handler = () => {
    const now = Date.now();
    if (first === 0) {
      first = now;
      stop();
    } else if (now - first > SAME_PRESS) process.exit(130);
  };
  for (const signal of SIGNALS) process.on(signal, handler);
}
