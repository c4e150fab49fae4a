import type { Backend, Executable } from "../../src/backend/backend.ts";
import type { Tensor, Variable } from "../../src/core/op.ts";
import { feed, layOut, read, standalone } from "../../src/graph/node.ts";
import type { Program } from "../../src/graph/program.ts";
import * as f from "../../src/ops/f.ts";
import { STATS, STATS_SIZE, STATUS } from "../../src/ops/step/stats.ts";
import { recordMetrics } from "../../src/ops/step/step.ts";
import { OptimizerState } from "../../src/optim/state.ts";
import { minimize } from "../../src/optim/steps.ts";
import { liveOptimizer } from "../shell/optimizers.ts";
import { COSTS } from "./costs.ts";
import { LANDSCAPES, type LandscapeKey } from "./landscapes.ts";
import { type HeightMap, ROW } from "./path.ts";
import type { Settings } from "./racers.ts";

/** Steps between two readings at most. */
export const ROWS = 256;

const part = (p: Tensor, from: number, to: number) => f.slice(p, { starts: [from], ends: [to] });

const costAt = (landscape: LandscapeKey, p: Tensor): Tensor =>
  f.reshape(COSTS[landscape](part(p, 0, 1), part(p, 1, 2)), { shape: [] });

/**
 * One step of an optimizer on a landscape, all of it the engine's: the cost's graph, its gradient by autodiff, the
 * update that trains networks, and a row (x, y, cost, status) of where it came to.
 */
function stepProgram(
  state: OptimizerState,
  point: Variable,
  ring: Variable,
  landscape: LandscapeKey,
): Program {
  const cost = costAt(landscape, f.reshape(read(point), { shape: [2] }));
  const { parameters, stats, updates } = minimize(state, cost);
  const [next] = parameters;
  // The row's place for the gradient's norm takes the cost that was reached.
  const reached = f.concat([
    costAt(landscape, next!).reshape({ shape: [1] }),
    part(stats, STATS.norm + 1, STATS_SIZE),
  ]);
  const row = recordMetrics(read(ring), feed("counters", [4], "u32"), part(next!, 0, 1), reached, [
    part(next!, 1, 2),
  ]);
  return {
    name: `${state.optimizer.name} on ${landscape}`,
    updates: [...updates, { variable: ring, value: row }],
  };
}

/** An optimizer on its way over a landscape. */
export class Runner {
  step = 0;
  /** The step at which its numbers stopped being finite. */
  diverged: number | undefined;
  /** A matrix of one row, which is a tensor of its own: there are optimizers that go by either. */
  private readonly point: Variable;
  private readonly ring: Variable;
  private readonly state: OptimizerState;
  /** Compiled when it first runs: most racers stand by. */
  private executable: Promise<Executable> | undefined;

  constructor(
    private readonly backend: Backend,
    readonly key: string,
    private readonly landscape: LandscapeKey,
    private settings: Settings,
    start: readonly [number, number],
  ) {
    const lr = (step: number) => this.settings.lr * (1 - this.settings.rateDecay) ** step;
    const optimizer = liveOptimizer(key, { lr }, (name) => this.settings[name]);
    const name = `${key} point`;
    this.point = layOut(name, [{ name, shape: [1, 2] }], Number.POSITIVE_INFINITY).variables[0]!;
    this.ring = standalone(`${key} path`, [ROWS, ROW]);
    const model = { device: backend, parameters: [this.point], frozen: new Set<Variable>() };
    this.state = new OptimizerState(backend, optimizer, model);
    this.reset(start);
  }

  set(settings: Settings): void {
    this.settings = settings;
  }

  /** Back to a start with nothing remembered. */
  reset(start: readonly [number, number]): void {
    this.step = 0;
    this.diverged = undefined;
    this.backend.write(this.point, Float32Array.from(start));
    this.state.initialize();
  }

  /** Takes up to `ROWS` steps, fewer where it diverges; a row (x, y, cost, status) for each. */
  async advance(steps: number): Promise<Float32Array> {
    if (this.diverged !== undefined || steps === 0) return new Float32Array();
    this.executable ??= this.backend.compile(stepProgram(this.state, this.point, this.ring, this.landscape));
    const executable = await this.executable;
    const first = this.step;
    executable.runMany(
      Array.from({ length: Math.min(steps, ROWS) }, (_, i) => ({
        counters: Uint32Array.of(first + i, 0, 0, i),
        ...this.state.hyper(first + i, first + steps),
      })),
    );
    const ring = (await this.backend.read(this.ring)) as Float32Array;
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
    this.state.release();
    for (const { arena } of [this.point, this.ring]) this.backend.release(arena);
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
