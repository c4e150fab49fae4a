import { serve } from "../shell/channel.ts";
import { type Engine, type EngineChoice, openEngine } from "../shell/engine.ts";
import { optimizerFacts } from "../shell/optimizers.ts";
import type { LandscapeKey } from "./landscapes.ts";
import { type HeightMap, LAST_STEP } from "./path.ts";
import { costs, heightMap, ROWS, Runner } from "./race.ts";
import type { Settings } from "./racers.ts";

export interface Setup {
  readonly landscape: LandscapeKey;
  readonly start: readonly [number, number];
  readonly settings: Readonly<Record<string, Settings>>;
  readonly running: readonly string[];
  readonly engine: EngineChoice;
}

/** What a racer did since the last report. */
export interface Leg {
  readonly key: string;
  /** Rows (x, y, cost, status), one a step, the first for step `from`. */
  readonly rows: Float32Array;
  readonly from: number;
  readonly diverged?: number;
}

export interface Events {
  /** `race` counts starts: reports of an earlier one are stale. */
  legs: { race: number; legs: readonly Leg[] };
  ended: { race: number; step: number };
  failed: { message: string };
}

/** About a frame. */
const TICK = 16;

let engine: Engine | undefined;
let setup: Setup | undefined;
let runners = new Map<string, Runner>();
let race = 0;
/** The step that all runners should have reached; not whole, because speeds are not. */
let target = 0;
/** Steps a second; 0 while paused. */
let speed = 0;
let queue: Promise<unknown> = Promise.resolve();
/** Something failed on the engine, a lost device for instance: the next beginning opens it again. */
let broken = false;
let ticking = false;

/** One thing at a time: a runner has one row ring. */
function exclusive<T>(work: () => Promise<T>): Promise<T> {
  const result = queue.then(work);
  queue = result.catch(() => {
    broken = true;
  });
  return result;
}

async function rebuild(): Promise<void> {
  const { landscape, settings, start } = setup!;
  for (const runner of runners.values()) await runner.dispose();
  runners = new Map(
    Object.entries(settings).map(([key, own]) => [
      key,
      new Runner(engine!.backend, key, landscape, own, start),
    ]),
  );
}

/** Brings everybody who runs to the target, some steps at a time, and reports. */
async function catchUp(): Promise<void> {
  const goal = Math.floor(target);
  const behind = setup!.running
    .map((key) => runners.get(key)!)
    .filter((runner) => runner.step < goal && runner.diverged === undefined);
  if (behind.length === 0) return;
  const legs = await Promise.all(
    behind.map(async (runner): Promise<Leg> => {
      const from = runner.step + 1;
      const rows = await runner.advance(Math.min(ROWS, goal - runner.step));
      const { key, diverged } = runner;
      return { key, rows, from, ...(diverged === undefined ? {} : { diverged }) };
    }),
  );
  emit("legs", { race, legs });
}

const everyoneStopped = () =>
  setup!.running.every((key) => {
    const runner = runners.get(key)!;
    return runner.diverged !== undefined || runner.step >= LAST_STEP;
  });

async function tick(): Promise<void> {
  if (ticking) return;
  ticking = true;
  let last = performance.now();
  try {
    while (speed > 0) {
      await new Promise((resolve) => setTimeout(resolve, TICK));
      const now = performance.now();
      // After a pause of the whole tab the race goes on where it was.
      target = Math.min(LAST_STEP, target + (speed * Math.min(now - last, 100)) / 1000);
      last = now;
      await exclusive(catchUp);
      if (speed > 0 && everyoneStopped()) {
        speed = 0;
        emit("ended", { race, step: Math.floor(target) });
      }
    }
  } catch (error) {
    speed = 0;
    emit("failed", { message: (error as Error).message });
  } finally {
    ticking = false;
  }
}

const methods = {
  optimizers: optimizerFacts,
  /** A new landscape or engine; the race is back at its start. */
  open: (next: Setup) =>
    exclusive(async (): Promise<{ race: number; engine: string; instead?: string; map: HeightMap }> => {
      if (!engine || broken || setup?.engine !== next.engine) {
        if (!broken) for (const runner of runners.values()) await runner.dispose();
        runners = new Map();
        engine?.backend.dispose();
        engine = await openEngine(next.engine);
        broken = false;
      }
      setup = next;
      race++;
      target = 0;
      await rebuild();
      const map = await heightMap(engine.backend, next.landscape);
      return { race, engine: engine.name, map, ...(engine.instead ? { instead: engine.instead } : {}) };
    }),
  /** Everybody back to a start, and what it costs there. */
  reset: (start: readonly [number, number]) =>
    exclusive(async () => {
      setup = { ...setup!, start };
      race++;
      target = 0;
      for (const runner of runners.values()) runner.reset(start);
      const [cost] = await costs(
        engine!.backend,
        setup.landscape,
        Float32Array.of(start[0]),
        Float32Array.of(start[1]),
      );
      return { race, cost: cost! };
    }),
  set: ({ key, settings }: { key: string; settings: Settings }) => {
    runners.get(key)?.set(settings);
  },
  run: (running: readonly string[]) =>
    exclusive(async () => {
      setup = { ...setup!, running };
      // Who joins late catches up at once.
      while (running.some((key) => lags(runners.get(key)!))) await catchUp();
    }),
  play: (stepsPerSecond: number) => {
    speed = stepsPerSecond;
    void tick();
  },
  pause: () => {
    speed = 0;
  },
  step: () =>
    exclusive(async () => {
      target = Math.min(LAST_STEP, Math.floor(target) + 1);
      await catchUp();
      return Math.floor(target);
    }),
};

const lags = (runner: Runner) => runner.diverged === undefined && runner.step < Math.floor(target);

export type Api = typeof methods;
const emit = serve<Events>(methods);
