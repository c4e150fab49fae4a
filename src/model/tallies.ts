import type { Backend } from "../backend/backend.ts";
import type { Tensor } from "../core/op.ts";
import type { Update } from "../graph/program.ts";
import { type Counter, isTally, type Measure, type Metric } from "../metrics/metric.ts";

type Counts = Record<string, readonly number[]>;

/** Metrics that are means of their batches. */
export const meansAmong = (metrics: Readonly<Record<string, Measure>>) =>
  Object.fromEntries(Object.entries(metrics).filter(([, metric]) => !isTally(metric))) as Readonly<
    Record<string, Metric<any, any>>
  >;

/** What the others have counted on the device, by their names. */
export class Tallies {
  private readonly counters: readonly (readonly [name: string, counter: Counter])[];

  constructor(backend: Backend, metrics: Readonly<Record<string, Measure>>) {
    this.counters = Object.entries(metrics).flatMap(([name, metric]) =>
      isTally(metric) ? [[name, metric.counter(backend, `metric "${name}"`)] as const] : [],
    );
  }

  /** Within a trace: what adds a batch to the counts; `check` sees it. */
  updates(
    output: unknown,
    target: unknown,
    mask: Tensor | undefined,
    check: (what: string, counted: Tensor) => void = () => {},
  ): Update[] {
    return this.counters.map(([name, counter]) => {
      const update = counter.update(output, target, mask);
      check(`metric "${name}"`, update.value);
      return update;
    });
  }

  /** What was counted, for a checkpoint. */
  counts(): Promise<Counts> {
    return this.all((counter) => counter.counts()) as Promise<Counts>;
  }

  /** Goes on from what was counted; from nothing without it. */
  recount(counts: Counts = {}): void {
    for (const [name, counter] of this.counters) counter.recount(counts[name]);
  }

  /** The metrics. */
  values(): Promise<Record<string, unknown>> {
    return this.all((counter) => counter.value());
  }

  private async all(of: (counter: Counter) => Promise<unknown>): Promise<Record<string, unknown>> {
    const found: Record<string, unknown> = {};
    for (const [name, counter] of this.counters) {
      const value = await of(counter);
      if (value !== undefined) found[name] = value;
    }
    return found;
  }

  release(): void {
    for (const [, counter] of this.counters) counter.release();
  }
}
