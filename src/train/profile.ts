import type { Executable } from "../backend/backend.ts";
import type { Peaks } from "../backend/webgpu/peaks.ts";
import type { NumericArray } from "../core/dtype.ts";
import { DeviceError } from "../core/errors.ts";
import type { Plan, PlanStep } from "../plan/plan.ts";

/** When each dispatch of a plan began and ended in one run, in milliseconds from the run's first. */
export type Timeline = readonly (readonly [begin: number, end: number])[];

/** Collects the timelines of the first steps of one plan, and hands them over when there are enough. */
export class Profiling {
  private plan: Plan | undefined;
  private readonly timelines: Timeline[] = [];

  constructor(
    private readonly options: {
      readonly steps: number;
      readonly onProfile: (plan: Plan, timelines: readonly Timeline[]) => void;
    },
  ) {}

  /** Runs a step, timed while there are steps left to time. */
  async run(executable: Executable, feeds: Readonly<Record<string, NumericArray>>): Promise<void> {
    this.plan ??= executable.plan;
    if (this.timelines.length >= this.options.steps || this.plan !== executable.plan) {
      executable.run(feeds);
      return;
    }
    if (!executable.profile)
      throw new DeviceError("The CPU reference has no profile; use the WebGPU backend.");
    this.timelines.push(await executable.profile(feeds));
    if (this.timelines.length === this.options.steps) this.options.onProfile(this.plan, this.timelines);
  }
}

export interface ProfileRow {
  readonly kernel: string;
  readonly shape: string;
  /** Median over the profiled steps, in milliseconds. */
  readonly milliseconds: number;
  /** Share of the step's time. */
  readonly share: number;
  readonly gflops: number | undefined;
  readonly gigabytesPerSecond: number | undefined;
  /** The larger of the shares of the adapter's peaks in arithmetic and in memory: 1 is as fast as it can. */
  readonly ofPeak: number | undefined;
  /** The time is below what the clock can tell apart. */
  readonly belowResolution: boolean;
}

const median = (values: readonly number[]) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
};

/** The smallest difference between two timestamps of the runs: what the clock can tell apart. */
export function clockResolution(timelines: readonly Timeline[]): number {
  const differences = timelines
    .flatMap((timeline) => timeline.map(([begin, end]) => end - begin))
    .filter((d) => d > 0)
    .sort((a, b) => a - b);
  return differences[0] ?? 0;
}

/** What each dispatch took and achieved, the slowest first. */
export function profileRows(plan: Plan, timelines: readonly Timeline[], peaks?: Peaks): ProfileRow[] {
  const resolution = clockResolution(timelines);
  const times = plan.steps.map((_, i) =>
    median(timelines.map((timeline) => timeline[i]![1] - timeline[i]![0])),
  );
  const total = times.reduce((a, b) => a + b, 0);
  const rate = (amount: number, ms: number) =>
    amount > 0 && ms > resolution ? amount / ms / 1e6 : undefined;
  return plan.steps
    .map((step, i): ProfileRow => {
      const milliseconds = times[i]!;
      const gflops = rate(step.flops, milliseconds);
      const gigabytesPerSecond = rate(step.bytes, milliseconds);
      return {
        kernel: step.kernel,
        shape: shapeOf(step),
        milliseconds,
        share: total > 0 ? milliseconds / total : 0,
        gflops,
        gigabytesPerSecond,
        ofPeak: shareOfPeak(gflops, gigabytesPerSecond, peaks),
        belowResolution: milliseconds <= resolution,
      };
    })
    .sort((a, b) => b.milliseconds - a.milliseconds);
}

/** The roof that a dispatch comes closer to: undefined where its time says nothing or no peak is known. */
function shareOfPeak(gflops = 0, gigabytesPerSecond = 0, peaks?: Peaks): number | undefined {
  if (!peaks || (gflops === 0 && gigabytesPerSecond === 0)) return undefined;
  return Math.max(gflops / peaks.gflops, gigabytesPerSecond / peaks.gigabytesPerSecond);
}

const shapeOf = (step: PlanStep) => step.node.outputs.map((type) => `[${type.shape.join(", ")}]`).join(" ");

/** The rows as text, with what they add up to. */
export function profileTable(plan: Plan, timelines: readonly Timeline[], peaks?: Peaks): string {
  const rows = profileRows(plan, timelines, peaks);
  const total = rows.reduce((n, row) => n + row.milliseconds, 0);
  const resolution = clockResolution(timelines);
  const best = {
    gflops: Math.max(0, ...rows.map((row) => row.gflops ?? 0)),
    bytes: Math.max(0, ...rows.map((row) => row.gigabytesPerSecond ?? 0)),
  };
  const lines = rows.map((row) => [
    row.belowResolution ? `≤ ${resolution.toFixed(3)}` : row.milliseconds.toFixed(3),
    `${(100 * row.share).toFixed(1)} %`,
    row.gflops?.toFixed(1) ?? "",
    row.gigabytesPerSecond?.toFixed(1) ?? "",
    row.ofPeak === undefined ? "" : `${(100 * row.ofPeak).toFixed(0)} %`,
    row.kernel,
    row.shape,
  ]);
  const all = [["ms", "share", "GFLOP/s", "GB/s", "of peak", "kernel", "result"], ...lines];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  const text = all.map((line) =>
    line
      .map((cell, column) => (column < 5 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd(),
  );
  return [
    `${plan.name}: ${plan.steps.length} dispatches, ${total.toFixed(2)} ms in kernels (median of ${timelines.length} steps, one pass each)`,
    ...text,
    `best in this step: ${best.gflops.toFixed(1)} GFLOP/s, ${best.bytes.toFixed(1)} GB/s`,
    ...(peaks
      ? [
          `the adapter's measured peak: ${peaks.gflops.toFixed(1)} GFLOP/s, ${peaks.gigabytesPerSecond.toFixed(1)} GB/s (elementwise, beyond the caches: smaller tensors can be above it)`,
        ]
      : []),
  ].join("\n");
}

/** The timelines as a Chrome trace: open it in chrome://tracing or ui.perfetto.dev. */
export function chromeTrace(plan: Plan, timelines: readonly Timeline[], peaks?: Peaks): string {
  const resolution = clockResolution(timelines);
  const rates = ({ flops, bytes }: PlanStep, ms: number) => {
    if (ms <= resolution) return { belowResolution: true };
    const [gflops, gigabytesPerSecond] = [flops / ms / 1e6, bytes / ms / 1e6];
    return { gflops, gigabytesPerSecond, ofPeak: shareOfPeak(gflops, gigabytesPerSecond, peaks) };
  };
  let offset = 0;
  const events = timelines.flatMap((timeline, run) => {
    const start = offset;
    offset += (timeline.at(-1)?.[1] ?? 0) + 1;
    return timeline.map(([begin, end], i) => {
      const step = plan.steps[i]!;
      return {
        name: step.kernel,
        cat: "kernel",
        ph: "X",
        pid: 1,
        tid: 1,
        ts: (start + begin) * 1000,
        dur: (end - begin) * 1000,
        args: {
          step: run,
          result: shapeOf(step),
          grid: step.workgroups.join("×"),
          flops: step.flops,
          bytes: step.bytes,
          ...rates(step, end - begin),
        },
      };
    });
  });
  return JSON.stringify({ displayTimeUnit: "ms", traceEvents: events });
}
