import { type Backend, copied, type Executable, type Feeds } from "../backend/backend.ts";
import type { StepMetrics } from "./options.ts";
import type { Profiling } from "./profile.ts";
import { RING_ROWS, type Rings } from "./step.ts";

/** The host reads metrics about this often, in milliseconds; between readings nothing waits for the GPU. */
const READ_INTERVAL = 250;
/**
 * Small steps share a submit up to about this much time, in milliseconds: a page's compositor waits for its GPU no
 * longer than that, and what a submit costs is spread over several steps.
 */
const SUBMIT_BUDGET = 8;
const MOST_PER_SUBMIT = 16;
/**
 * A step that is fed more bytes than this goes alone, straight from the arrays that were given: what sharing a submit
 * spares is less than copying them until then.
 */
const MOST_SHARED = 1 << 17;

interface Step {
  /** Its number, from 0. */
  readonly step: number;
  readonly images: number;
}

/** A step's rows of the rings. */
export interface Numbers {
  readonly metrics: readonly [loss: number, correct: number, gradientNorm: number, status: number];
  /** Of the metrics beside the loss, in their order. */
  readonly own: readonly number[];
  /** Of the penalties, where there are any. */
  readonly penalty?: number;
}

interface FinishedStep extends Step, Numbers {}

/** Reads the rings: the rows of a step by its number. */
export async function readRings(backend: Backend, rings: Rings): Promise<(step: number) => Numbers> {
  const main = await backend.read(rings.main);
  const own = rings.metrics && (await backend.read(rings.metrics));
  const penalty = rings.penalized ? await backend.read(rings.penalty) : undefined;
  const width = rings.metrics?.shape[1] ?? 0;
  return (step) => {
    const row = step % RING_ROWS;
    const [loss, correct, norm, status] = main.subarray(row * 4, row * 4 + 4);
    return {
      metrics: [loss!, correct!, norm!, status!],
      own: Array.from(own?.subarray(row * width, (row + 1) * width) ?? []),
      ...(penalty && { penalty: penalty[row]! }),
    };
  };
}

/** How fast the steps of a group went, on average. */
type Pace = Pick<StepMetrics, "imagesPerSecond" | "milliseconds" | "hostMilliseconds">;

/** What was read at once: how many steps of how many images, and the milliseconds that they took. */
interface Reading {
  readonly steps: number;
  readonly images: number;
  readonly milliseconds: number;
  readonly host: number;
}

const together = (a: Reading, b: Reading): Reading => ({
  steps: a.steps + b.steps,
  images: a.images + b.images,
  milliseconds: a.milliseconds + b.milliseconds,
  host: a.host + b.host,
});

const bytesOf = (feeds: Feeds) => Object.values(feeds).reduce((sum, { byteLength }) => sum + byteLength, 0);

/** Steps on their way through the device: small ones share a submit, and their metrics are read in groups. */
export class StepQueue {
  private started: Step[] = [];
  private waiting: { readonly executable: Executable; readonly feeds: Feeds[] } | undefined;
  /** Steps between two readings, and in a submit. */
  private group = 1;
  private together = 1;
  private lastRead = performance.now();
  private before: Reading | undefined;
  /** The images of a whole batch, as far as one was seen. */
  private whole = 0;
  /** Milliseconds that encoding and submitting took since then. */
  private host = 0;

  /** `onFinished` is awaited with no step in flight; what it takes does not count into the pace. */
  constructor(
    private readonly backend: Backend,
    private readonly rings: Rings,
    private readonly onFinished: (steps: readonly FinishedStep[], pace: Pace) => Promise<void>,
  ) {}

  /**
   * Starts a step, perhaps together with the next ones; `profiling` runs it alone and times it. What is `lent` is used, or
   * copied, before this returns its promise.
   */
  async push(
    step: Step,
    executable: Executable,
    own: Feeds,
    lent: Feeds = {},
    profiling?: Profiling,
  ): Promise<void> {
    const alone = profiling !== undefined || bytesOf(lent) > MOST_SHARED;
    const feeds = { ...own, ...(alone ? lent : copied(lent)) };
    if (alone || this.waiting?.executable !== executable) this.submit();
    if (profiling) await profiling.run(executable, feeds);
    else if (alone) this.start(() => executable.run(feeds));
    else {
      this.waiting ??= { executable, feeds: [] };
      this.waiting.feeds.push(feeds);
    }
    this.started.push(step);
    if (this.started.length >= this.group) await this.finish();
    else if (this.waiting && this.waiting.feeds.length >= this.together) this.submit();
  }

  /** Submits what waits, and reads the metrics of all steps that were started. */
  async finish(): Promise<void> {
    this.submit();
    if (this.started.length === 0) return;
    const rows = await readRings(this.backend, this.rings);
    const milliseconds = performance.now() - this.lastRead;
    const steps = this.started;
    this.started = [];
    const perStep = milliseconds / steps.length;
    const pace = this.pace(steps, milliseconds);
    // As many steps as fit between two readings, growing at most fourfold at a time.
    this.group = Math.max(1, Math.min(RING_ROWS / 2, this.group * 4, Math.floor(READ_INTERVAL / perStep)));
    this.together = Math.max(1, Math.min(MOST_PER_SUBMIT, Math.floor(SUBMIT_BUDGET / perStep)));
    const finished = steps.map((step): FinishedStep => {
      return { ...step, ...rows(step.step) };
    });
    await this.onFinished(finished, pace);
    this.host = 0;
    this.lastRead = performance.now();
  }

  /** A short last batch costs about what a whole one does: it counts with the steps before it, not by itself. */
  private pace(steps: readonly Step[], milliseconds: number): Pace {
    const images = steps.reduce((n, step) => n + step.images, 0);
    let reading: Reading = { steps: steps.length, images, milliseconds, host: this.host };
    this.whole = Math.max(this.whole, ...steps.map((step) => step.images));
    if (this.before && images < steps.length * this.whole) reading = together(this.before, reading);
    this.before = reading;
    return {
      imagesPerSecond: (1000 * reading.images) / reading.milliseconds,
      milliseconds: reading.milliseconds / reading.steps,
      hostMilliseconds: reading.host / reading.steps,
    };
  }

  private submit(): void {
    if (!this.waiting) return;
    const { executable, feeds } = this.waiting;
    this.waiting = undefined;
    this.start(() => (feeds.length > 1 ? executable.runMany(feeds) : executable.run(feeds[0])));
  }

  private start(run: () => void): void {
    const start = performance.now();
    run();
    this.host += performance.now() - start;
  }
}
