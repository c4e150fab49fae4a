import { NonFiniteError } from "../../src/core/errors.ts";
import { serve } from "../shell/channel.ts";
import { type Engine, type EngineChoice, openEngine } from "../shell/engine.ts";
import { Experiment, type LayerView, type OptimizerKey } from "./experiment.ts";
import { type DatasetKey, type Points, points } from "./points.ts";
import { type Architecture, SCHEME_KEYS, type SchemeKey } from "./schemes.ts";

export interface Config {
  readonly architecture: Architecture;
  readonly scheme: SchemeKey;
  readonly dataset: DatasetKey;
  readonly optimizer: OptimizerKey;
  readonly seed: number;
  readonly engine: EngineChoice;
}

export interface Curve {
  readonly step: number;
  readonly loss: number;
  readonly accuracy: number;
}

/** `run` counts beginnings: what belongs to an earlier one is stale. */
export interface Events {
  curve: { run: number; steps: readonly Curve[] };
  look: { run: number; step: number; layers: readonly LayerView[]; boundary: Float32Array };
  /** The spread in each hidden layer before training, under one of the schemes. */
  survey: { survey: number; scheme: SchemeKey; activations: readonly number[]; gradients: readonly number[] };
  ended: { run: number; step: number; message: string; diverged: boolean };
  failed: { message: string };
}

const COUNT = 200;
/** The survey of all schemes looks at fewer points: it has five networks to go through. */
const SURVEY_COUNT = 64;
const LAST_STEP = 5000;
const TICK = 16;
/** A look is taken this often, in milliseconds, and takes no more than a third of the time. */
const LOOK_INTERVAL = 300;

let engine: Engine | undefined;
let config: Config | undefined;
let experiment: Experiment | undefined;
let run = 0;
let survey = 0;
let lr = 0.01;
/** Steps a second; 0 while paused. */
let speed = 0;
let ticking = false;
let stopped = false;
let nextLook = 0;
let queue: Promise<unknown> = Promise.resolve();
/** Something failed on the engine, a lost device for instance: the next beginning opens it again. */
let broken = false;

/** One thing at a time on the engine. */
function exclusive<T>(work: () => Promise<T>): Promise<T> {
  const result = queue.then(work);
  queue = result.catch(() => {
    broken = true;
  });
  return result;
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

async function look(): Promise<void> {
  const began = performance.now();
  const step = experiment!.step;
  const layers = await experiment!.look();
  const boundary = await experiment!.boundary();
  emit("look", { run, step, layers, boundary });
  const now = performance.now();
  nextLook = now + Math.max(LOOK_INTERVAL, 2 * (now - began));
}

/** Some steps, as many as fit into `budget` milliseconds and at least one; false when it cannot go on. */
async function train(most: number, budget: number): Promise<boolean> {
  const until = performance.now() + budget;
  const steps: Curve[] = [];
  try {
    do {
      experiment!.lr = lr;
      const { step, loss, accuracy = Number.NaN } = await experiment!.train();
      steps.push({ step, loss, accuracy });
    } while (steps.length < most && performance.now() < until);
  } catch (error) {
    if (!(error instanceof NonFiniteError)) throw error;
    stopped = true;
    emit("curve", { run, steps });
    emit("ended", { run, step: experiment!.step + 1, message: error.message, diverged: true });
    return false;
  }
  emit("curve", { run, steps });
  if (experiment!.step < LAST_STEP) return true;
  stopped = true;
  emit("ended", { run, step: LAST_STEP, message: `Stopped after ${LAST_STEP} steps.`, diverged: false });
  return false;
}

async function tick(): Promise<void> {
  if (ticking) return;
  ticking = true;
  let last = performance.now();
  let owed = 1;
  try {
    while (speed > 0 && !stopped) {
      await exclusive(async () => {
        // While it waited for its turn, the run may have been paused or begun anew.
        if (speed === 0 || stopped) return;
        if (owed >= 1) {
          const before = experiment!.step;
          const goesOn = await train(Math.floor(owed), 2 * TICK);
          owed -= experiment!.step - before;
          if (!goesOn) speed = 0;
          if (!goesOn || performance.now() > nextLook) await look();
        }
      });
      await new Promise((resolve) => setTimeout(resolve, owed >= 1 ? 0 : TICK));
      const now = performance.now();
      owed = Math.min(speed / 4 + 1, owed + (speed * (now - last)) / 1000);
      last = now;
    }
  } catch (error) {
    speed = 0;
    emit("failed", { message: (error as Error).message });
  } finally {
    ticking = false;
  }
}

/** All schemes on the same architecture before training, one after another, between other things. */
async function surveySchemes(current: number): Promise<void> {
  const { architecture, dataset, seed } = config!;
  let scout: Experiment | undefined;
  try {
    for (const scheme of SCHEME_KEYS) {
      await exclusive(async () => {
        if (survey !== current) return;
        scout ??= new Experiment(
          engine!.backend,
          architecture,
          points(dataset, SURVEY_COUNT, seed),
          scheme,
          "sgd",
          seed,
        );
        scout.reset(scheme);
        const layers = await scout.look();
        const stds = (part: "activations" | "gradients") => layers.map((layer) => layer[part].std);
        emit("survey", {
          survey,
          scheme,
          activations: stds("activations"),
          gradients: stds("gradients"),
        });
      });
    }
  } catch (error) {
    emit("failed", { message: (error as Error).message });
  } finally {
    await exclusive(async () => scout?.dispose());
  }
}

const methods = {
  /** Begins with a configuration at step 0. */
  begin: (next: Config) =>
    exclusive(
      async (): Promise<{
        run: number;
        survey: number;
        engine: string;
        instead?: string;
        points: Points;
      }> => {
        if (!engine || broken || config?.engine !== next.engine) {
          if (!broken) await experiment?.dispose();
          experiment = undefined;
          engine?.backend.dispose();
          engine = await openEngine(next.engine);
          broken = false;
        }
        const { scheme, ...rest } = next;
        const { scheme: _, ...before } = config ?? next;
        const training = points(next.dataset, COUNT, next.seed);
        const surveyed = ({ architecture, dataset, seed, engine: by }: Config) => [
          architecture,
          dataset,
          seed,
          by,
        ];
        const isNew = !config || !same(surveyed(config), surveyed(next));
        if (!experiment || !same(before, rest)) {
          await experiment?.dispose();
          experiment = new Experiment(
            engine.backend,
            next.architecture,
            training,
            scheme,
            next.optimizer,
            next.seed,
          );
        } else experiment.reset(scheme);
        config = next;
        stopped = false;
        run++;
        if (isNew) void surveySchemes(++survey);
        // Looked at once the page knows which run it is.
        const first = run;
        setTimeout(
          () =>
            void exclusive(async () => {
              if (run === first) await look();
            }).catch((error: Error) => emit("failed", { message: error.message })),
        );
        return {
          run,
          survey,
          engine: engine.name,
          points: training,
          ...(engine.instead ? { instead: engine.instead } : {}),
        };
      },
    ),
  rate: (next: number) => {
    lr = next;
  },
  play: (stepsPerSecond: number) => {
    speed = stepsPerSecond;
    void tick();
  },
  /** Stops, and looks at where it stopped. */
  pause: () =>
    exclusive(async () => {
      const trained = speed > 0;
      speed = 0;
      if (trained) await look();
    }),
  step: () =>
    exclusive(async () => {
      if (stopped) return;
      await train(1, 0);
      await look();
    }),
};

export type Api = typeof methods;
const emit = serve<Events>(methods);
