import type { Backend, Executable } from "../../src/backend/backend.ts";
import { callOp, type Tensor, type Variable } from "../../src/core/op.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed, read, standalone } from "../../src/graph/node.ts";
import type { Program } from "../../src/graph/program.ts";
import * as f from "../../src/ops/f.ts";
import { STATS, STATS_SIZE, STATUS } from "../../src/ops/step/stats.ts";
import { gradientStats, recordMetrics } from "../../src/ops/step/step.ts";
import type { Optimizer } from "../../src/optim/index.ts";
import { COSTS } from "./costs.ts";
import { LANDSCAPES, type LandscapeKey } from "./landscapes.ts";
import { OPTIMIZERS } from "./optimizers.ts";
import { type HeightMap, ROW } from "./path.ts";
import type { RacerKey, Settings } from "./racers.ts";

/** Update ops take whole vectors of four: the point is the first two numbers of one. */
const SIZE = 4;
/** Steps between two readings at most. */
export const ROWS = 256;

const part = (p: Tensor, from: number, to: number) => f.slice(p, { starts: [from], ends: [to] });

interface Variables {
  readonly point: Variable;
  readonly slots: readonly Variable[];
  readonly stats: Variable;
  readonly ring: Variable;
}

const costAt = (landscape: LandscapeKey, p: Tensor): Tensor =>
  f.reshape(COSTS[landscape](part(p, 0, 1), part(p, 1, 2)), { shape: [] });

/**
 * One step of an optimizer on a landscape, all of it the engine's: the cost's graph, its gradient by autodiff, the
 * update op that trains networks, and a row (x, y, cost, status) of where it came to.
 */
function stepProgram(
  { op, hyperSize }: Optimizer,
  landscape: LandscapeKey,
  { point, slots, stats, ring }: Variables,
): Program {
  const p = read(point);
  const cost = costAt(landscape, p);
  const gradient = gradients(cost, p);
  const checked = gradientStats(read(stats), cost, [gradient]);
  const [next, ...moved] = callOp(op, [p, gradient, ...slots.map(read), feed("hyper", [hyperSize]), checked]);
  // The row's place for the gradient's norm takes the cost that was reached.
  const reached = f.concat([
    costAt(landscape, next!).reshape({ shape: [1] }),
    part(checked, STATS.norm + 1, STATS_SIZE),
  ]);
  const row = recordMetrics(read(ring), feed("counters", [4], "u32"), part(next!, 0, 1), reached, [
    part(next!, 1, 2),
  ]);
  return {
    name: `${op.name} on ${landscape}`,
    updates: [
      { variable: stats, value: checked },
      { variable: point, value: next! },
      ...slots.map((variable, i) => ({ variable, value: moved[i]! })),
      { variable: ring, value: row },
    ],
  };
}

/** An optimizer on its way over a landscape. */
export class Runner {
  step = 0;
  /** The step at which its numbers stopped being finite. */
  diverged: number | undefined;
  private readonly variables: Variables;
  /** Compiled when it first runs: most racers stand by. */
  private executable: Promise<Executable> | undefined;

  constructor(
    private readonly backend: Backend,
    readonly key: RacerKey,
    private readonly landscape: LandscapeKey,
    private settings: Settings,
    start: readonly [number, number],
  ) {
    const optimizer = OPTIMIZERS[key](settings);
    this.variables = {
      point: standalone(`${key} point`, [SIZE]),
      slots: optimizer.slots.map((slot) => standalone(`${key} ${slot}`, [SIZE])),
      stats: standalone(`${key} statistics`, [STATS_SIZE]),
      ring: standalone(`${key} path`, [ROWS, ROW]),
    };
    this.reset(start);
  }

  set(settings: Settings): void {
    this.settings = settings;
  }

  /** Back to a start with nothing remembered. */
  reset([x, y]: readonly [number, number]): void {
    this.step = 0;
    this.diverged = undefined;
    this.backend.write(this.variables.point, Float32Array.of(x, y, 0, 0));
    const stats = new Float32Array(STATS_SIZE);
    stats[STATS.scale] = stats[STATS.unscale] = 1;
    this.backend.write(this.variables.stats, stats);
    for (const slot of this.variables.slots) this.backend.write(slot, new Float32Array(SIZE));
  }

  /** Takes up to `ROWS` steps, fewer where it diverges; a row (x, y, cost, status) for each. */
  async advance(steps: number): Promise<Float32Array> {
    if (this.diverged !== undefined || steps === 0) return new Float32Array();
    this.executable ??= this.backend.compile(
      stepProgram(OPTIMIZERS[this.key](this.settings), this.landscape, this.variables),
    );
    const executable = await this.executable;
    const first = this.step;
    const optimizer = OPTIMIZERS[this.key](this.settings);
    executable.runMany(
      Array.from({ length: Math.min(steps, ROWS) }, (_, i) => ({
        counters: Uint32Array.of(first + i, 0, 0, i),
        hyper: optimizer.hyper(first + i, first + steps),
      })),
    );
    const ring = (await this.backend.read(this.variables.ring)) as Float32Array;
    const rows = ring.slice(0, Math.min(steps, ROWS) * ROW);
    for (let i = 0; i < rows.length; i += ROW) {
      this.step++;
      const finite = rows.subarray(i, i + 3).every(Number.isFinite);
      if (finite && rows[i + 3] === STATUS.applied) continue;
      this.diverged = this.step;
      return rows.slice(0, i);
    }
    return rows;
  }

  async dispose(): Promise<void> {
    (await this.executable)?.dispose();
    const { point, slots, stats, ring } = this.variables;
    for (const { arena } of [point, ...slots, stats, ring]) this.backend.release(arena);
  }
}

/** The cost at points of the plane. */
export async function costs(
  backend: Backend,
  landscape: LandscapeKey,
  xs: Float32Array<ArrayBuffer>,
  ys: Float32Array<ArrayBuffer>,
): Promise<Float32Array> {
  const [x, y] = [feed("x", [xs.length]), feed("y", [xs.length])];
  const executable = await backend.compile({
    name: `cost of ${landscape}`,
    outputs: { cost: COSTS[landscape](x, y) },
  });
  try {
    executable.run({ x: xs, y: ys });
    return (await executable.fetch("cost")).data as Float32Array;
  } finally {
    executable.dispose();
  }
}

/** The cost over the part of the plane that a landscape shows. */
export async function heightMap(backend: Backend, landscape: LandscapeKey, side = 129): Promise<HeightMap> {
  const { x, y } = LANDSCAPES[landscape];
  const at = ([from, to]: readonly [number, number], i: number) => from + ((to - from) * i) / (side - 1);
  const xs = Float32Array.from({ length: side * side }, (_, i) => at(x, i % side));
  const ys = Float32Array.from({ length: side * side }, (_, i) => at(y, side - 1 - Math.floor(i / side)));
  return { values: await costs(backend, landscape, xs, ys), side };
}
