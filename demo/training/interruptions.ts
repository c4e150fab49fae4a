// What happens to the page rather than to the network: a tab that is hidden, a machine that sleeps.

/** A timer that should ring every so often, and how late it may be before the machine must have slept. */
const TICK = 5_000;
const ASLEEP = 60_000;
/** Shorter absences are not worth a word. */
const AWAY = 20_000;

export interface Interruptions {
  /** Whether training runs, and where it stands. */
  readonly state: () => { readonly running: boolean; readonly step: number };
  /** The page may be closed or frozen after this. */
  readonly onHidden: () => void;
  readonly say: (sentence: string) => void;
}

function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 120) return `${seconds} seconds`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`;
}

/** Says what became of training while the tab was hidden or the machine slept. */
export function watchInterruptions({ state, onHidden, say }: Interruptions): void {
  let hidden: { since: number; running: boolean; step: number } | undefined;
  let last = Date.now();
  document.addEventListener("visibilitychange", () => {
    const now = Date.now();
    last = now;
    if (document.visibilityState === "hidden") {
      hidden = { since: now, ...state() };
      onHidden();
      return;
    }
    const before = hidden;
    hidden = undefined;
    if (!before?.running || now - before.since < AWAY) return;
    const { step } = state();
    const done = step - before.step;
    const away = `This tab was hidden for ${duration(now - before.since)}`;
    if (done > 0) say(`${away}; training went on in it, ${done} steps further.`);
    else
      say(
        `${away} and the browser let it rest: training stood still at step ${step} and goes on from there.`,
      );
  });
  setInterval(() => {
    const now = Date.now();
    const gap = now - last;
    last = now;
    // Timers of hidden tabs are late by design.
    if (hidden || gap < ASLEEP) return;
    const { running, step } = state();
    const what = running ? `training goes on from step ${step}` : "everything is as it was";
    say(`This machine slept for about ${duration(gap)}; ${what}.`);
  }, TICK);
}
