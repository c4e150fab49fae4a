import type { Backend } from "../backend/backend.ts";
import { ShapeError } from "../core/errors.ts";
import { isTensor, type Tensor, type Variable } from "../core/op.ts";
import { sameShape, showType } from "../core/shape.ts";
import { kindOf } from "../core/tree.ts";
import { read, standalone } from "../graph/node.ts";
import type { Update } from "../graph/program.ts";
import { isTally, type Measure, type Metric, type Tally } from "../metrics/metric.ts";

/** Metrics that are means of their batches, and those that count over batches. */
export function sorted(metrics: Readonly<Record<string, Measure>>): {
  readonly means: Readonly<Record<string, Metric<any, any>>>;
  readonly tallies: Readonly<Record<string, Tally<any>>>;
} {
  const entries = Object.entries(metrics);
  return {
    means: Object.fromEntries(entries.filter((one): one is [string, Metric] => !isTally(one[1]))),
    tallies: Object.fromEntries(entries.filter((one): one is [string, Tally<any>] => isTally(one[1]))),
  };
}

/** What metrics have counted on the device, by their names. */
export class Tallies {
  private readonly counted = new Map<string, Variable>();
  /** Counts of a checkpoint, whose tensors are not there yet. */
  private readonly waiting = new Map<string, readonly number[]>();

  constructor(
    private readonly backend: Backend,
    private readonly tallies: Readonly<Record<string, Tally<any>>>,
  ) {}

  /**
   * Within a trace: what adds a batch to the counts. `check` sees what a metric counts.
   * @throws ShapeError for statistics that are not f32, or of another shape than before.
   */
  updates(
    output: unknown,
    target: unknown,
    mask: Tensor | undefined,
    check: (what: string, statistics: Tensor) => void = () => {},
  ): Update[] {
    return Object.entries(this.tallies).map(([name, tally]) => {
      const what = `metric "${name}"`;
      const statistics: unknown = tally.statistics(output, target, mask);
      if (!isTensor(statistics) || statistics.dtype !== "f32")
        throw new ShapeError(
          `The ${what} counts ${isTensor(statistics) ? showType(statistics) : kindOf(statistics)}; give f32.`,
        );
      check(what, statistics);
      const variable = this.variable(what, name, statistics);
      const before = read(variable);
      return { variable, value: tally.merge ? tally.merge(before, statistics) : before.add(statistics) };
    });
  }

  private variable(what: string, name: string, statistics: Tensor): Variable {
    const known = this.counted.get(name);
    if (known && sameShape(known.shape, statistics.shape)) return known;
    if (known)
      throw new ShapeError(
        `The ${what} counts ${showType(statistics)}, and counted ${showType(known)} before; let all batches have one shape of counts.`,
      );
    const made = standalone(`counts of ${name}`, statistics.shape);
    this.counted.set(name, made);
    const before = this.waiting.get(name);
    const fits = before?.length === made.arena.size;
    this.backend.write(made, fits ? Float32Array.from(before) : new Float32Array(made.arena.size));
    this.waiting.delete(name);
    return made;
  }

  /** Nothing counted yet. */
  reset(): void {
    this.waiting.clear();
    for (const variable of this.counted.values())
      this.backend.write(variable, new Float32Array(variable.arena.size));
  }

  /** What was counted, for a checkpoint. */
  async counts(): Promise<Record<string, readonly number[]>> {
    const found = [...this.counted].map(
      async ([name, variable]) => [name, Array.from(await this.backend.read(variable))] as const,
    );
    return Object.fromEntries([...this.waiting, ...(await Promise.all(found))]);
  }

  /** Goes on from what was counted. */
  restore(counts: Readonly<Record<string, readonly number[]>>): void {
    this.reset();
    for (const [name, numbers] of Object.entries(counts)) {
      const variable = this.counted.get(name);
      if (!variable) this.waiting.set(name, numbers);
      else if (variable.arena.size === numbers.length)
        this.backend.write(variable, Float32Array.from(numbers));
    }
  }

  /** The metrics. */
  async values(): Promise<Record<string, unknown>> {
    const counts = await this.counts();
    const found = Object.entries(this.tallies).flatMap(([name, tally]) =>
      counts[name] ? [[name, tally.value(counts[name])] as const] : [],
    );
    return Object.fromEntries(found);
  }

  release(): void {
    for (const { arena } of this.counted.values()) this.backend.release(arena);
    this.counted.clear();
  }
}
