/** For so long one piece of work after the other may keep the event loop from everybody else. */
const SLICE_MS = 8;

const nextTurn = () =>
  new Promise<void>((resolve) => {
    if (typeof setImmediate === "function") setImmediate(resolve);
    else setTimeout(resolve);
  });

let queue: Promise<void> = Promise.resolve();
let began = 0;

/**
 * Resolves, one caller after the other, when work that blocks the event loop for milliseconds may be done: at once while
 * the slice of time lasts that the callers share, then in a later turn of the loop, after timers and events.
 */
export function turn(): Promise<void> {
  queue = queue.then(async () => {
    const now = performance.now();
    if (now - began < SLICE_MS) return;
    await nextTurn();
    began = performance.now();
  });
  return queue;
}
