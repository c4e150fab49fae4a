import type { Backend, Executable } from "../backend/backend.ts";
import type { NumericArray } from "../core/dtype.ts";
import { DescentError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import { isTensor, type Tensor } from "../core/op.ts";
import { leavesOf, mapTree } from "../core/tree.ts";
import { checkNumbers } from "../graph/demands.ts";
import { checkGradients, noteUpdates } from "../optim/minimize.ts";
import type { PlanOptions } from "../plan/plan.ts";
import { inputsOf } from "./inputs.ts";
import type { TracedProgram, Types } from "./program.ts";
import { Result, type RunSource } from "./result.ts";

export interface RunOptions {
  readonly seed?: number;
  readonly steps?: number;
  readonly plan?: PlanOptions;
}

/** Runs a traced program: compiles it, and feeds it with inputs, counters and rows of hyperparameters. */
export class Runner implements RunSource {
  runs = 0;
  private executable: Executable | undefined;
  private compiling: Promise<Executable> | undefined;
  private disposed = false;

  constructor(
    private readonly device: Backend,
    private readonly inputs: Types,
    private readonly traced: TracedProgram,
    private readonly options: RunOptions,
  ) {
    // A failure is told by the first run.
    this.ready().catch(() => {});
  }

  get name(): string {
    return this.traced.program.name;
  }

  get ran(): Executable {
    this.checkAlive();
    return this.executable!;
  }

  /** The compiled program. After a failure the next call tries again. */
  async ready(): Promise<Executable> {
    this.checkAlive();
    const compiling = (this.compiling ??= this.device.compile(this.traced.program, this.options.plan));
    try {
      this.executable = await compiling;
    } catch (error) {
      if (this.compiling === compiling) this.compiling = undefined;
      throw error;
    }
    this.checkAlive();
    return this.executable;
  }

  /** Starts a run; its outputs stay on the device. */
  async run(given: unknown): Promise<unknown> {
    if (!this.executable) await this.started(given);
    return this.start(given);
  }

  /** One run's outputs as numbers, whatever other runs are started meanwhile. */
  async read(given: unknown): Promise<unknown> {
    if (!this.executable) await this.started(given);
    const results = this.start(given);
    // All copies are under way before anybody else has a turn.
    const reads = leavesOf(results, isResult).map(
      async ({ path, leaf }) => [path, await leaf.read()] as const,
    );
    const arrays = new Map<string, NDArray>(await Promise.all(reads));
    return mapTree(results, isResult, (_, path) => arrays.get(path));
  }

  /** Waits for the first compilation, but not to tell that inputs are wrong. */
  private async started(given: unknown): Promise<void> {
    this.checkAlive();
    inputsOf(this.name, this.inputs, given);
    await this.ready();
  }

  private start(given: unknown): unknown {
    this.checkAlive();
    const { traced, options } = this;
    const { feeds, resident } = inputsOf(this.name, this.inputs, given);
    for (const [name, asked] of traced.demands)
      if (feeds[name]) checkNumbers(`the input "${name}"`, feeds[name], asked);
    if (this.runs === 0) for (const state of traced.later) checkGradients(this.name, state);
    const own: Record<string, NumericArray> = only(feeds, traced.feeds);
    if (traced.feeds.has("counters")) own.counters = Uint32Array.of(this.runs, options.seed ?? 0, 0, 0);
    for (const state of traced.states) {
      const { steps } = state;
      if (steps === 0) state.copyParameters();
      Object.assign(own, state.hyper(steps, Math.max(options.steps ?? 0, steps + 1)));
    }
    this.ran.run(own, only(resident, traced.feeds));
    for (const state of traced.states) state.steps++;
    for (const { model, tracked } of traced.tracking) if (tracked.length > 0) model.batchesTracked++;
    if (this.runs === 0) noteUpdates(traced.program.updates ?? []);
    const run = ++this.runs;
    return mapTree(
      traced.outputs,
      isTensor,
      (tensor: Tensor, path) => new Result(this, run, path || "output", tensor),
    );
  }

  private checkAlive(): void {
    if (this.disposed) throw new DescentError(`${this.name} was disposed of; compile it again.`);
  }

  /** Frees what it holds on the device, when it is compiled at the latest. */
  async dispose(): Promise<void> {
    this.disposed = true;
    const executable = await this.compiling?.catch(() => undefined);
    executable?.dispose();
  }
}

const isResult = (x: unknown): x is Result => x instanceof Result;

/** Inputs that the function uses: the others have no place on the device. */
function only<T>(given: Readonly<Record<string, T>>, used: ReadonlySet<string>): Record<string, T> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => used.has(name)));
}
