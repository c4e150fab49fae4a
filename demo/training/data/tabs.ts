// Each tab that is open keeps its run in a folder of its own, so that none overwrites another one's.
import { readJson } from "./store.ts";

const MOST = 16;
const FOLDERS = Array.from({ length: MOST }, (_, i) => (i === 0 ? "session" : `session-${i + 1}`));
/** How long a tab that was reloaded waits for its former self to let go, in milliseconds. */
const PATIENCE = 5000;

/** Holds a folder for as long as this worker lives; false when another tab has it. */
function hold(folder: string, options: LockOptions): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const held = (lock: Lock | null) => {
      resolve(lock !== null);
      return lock ? new Promise(() => {}) : undefined;
    };
    navigator.locks
      .request(`descent ${folder}`, options, held)
      .catch((error: Error) => (error.name === "TimeoutError" ? resolve(false) : reject(error)));
  });
}

/** Where a saved run is, and since when. */
export interface Pointer {
  readonly folder: string;
  readonly saved?: number;
}

export const pointerOf = (folder: string): string => `${folder}/current.json`;

/**
 * A folder for this tab: the one it had before it was reloaded, else that of the run that was saved last among those that
 * no open tab has, else an empty one.
 */
export async function takeFolder(mine: string | null): Promise<{ folder: string; shared: boolean }> {
  if (mine && FOLDERS.includes(mine) && (await hold(mine, { signal: AbortSignal.timeout(PATIENCE) })))
    return { folder: mine, shared: false };
  const kept = await Promise.all(
    FOLDERS.map(async (folder) => {
      const pointer = await readJson<Pointer>(pointerOf(folder));
      return { folder, saved: pointer ? (pointer.saved ?? 1) : 0 };
    }),
  );
  let shared = false;
  for (const { folder } of kept.sort((a, b) => b.saved - a.saved)) {
    if (await hold(folder, { ifAvailable: true })) return { folder, shared };
    shared = true;
  }
  throw new Error(`This page is open in ${MOST} tabs that keep their runs; close one of them.`);
}
