import type { NumericArray } from "../core/dtype.ts";
import type { AdapterFacts } from "../core/kernel.ts";
import type { NDArray } from "../core/ndarray.ts";
import type { Arena, Variable } from "../core/op.ts";
import type { Program } from "../graph/program.ts";
import type { Plan, PlanOptions } from "../plan/plan.ts";

/** Told at first and after each how many of a program's kernels are ready to run. */
export type CompileProgress = (done: number, total: number) => void;

/** Where graphs run: the GPU, or the reference on the CPU. */
export interface Backend extends Disposable {
  readonly name: "webgpu" | "cpu";
  readonly facts: AdapterFacts;
  /** Makes a program ready to run any number of times. */
  compile(program: Program, options?: PlanOptions, onProgress?: CompileProgress): Promise<Executable>;
  /** Does some work whose failure must not fail what comes after; absent where failures leave no trace. */
  attempt?<T>(work: () => Promise<T>): Promise<T>;
  /** Writes a variable; its arena is made, zeroed, at the first touch. */
  write(variable: Variable, data: NumericArray): void;
  read(variable: Variable): Promise<NumericArray>;
  /** Frees an arena's memory. */
  release(arena: Arena): void;
  /** Waits until everything submitted is done. */
  finish(): Promise<void>;
  /** Bytes of device memory held now: arenas, temporaries, plans. */
  readonly bytes: number;
  dispose(): void;
}

/** A compiled program. */
export interface Executable {
  readonly plan: Plan;
  /** Starts one run; feeds that are not given keep their last data. */
  run(feeds?: Readonly<Record<string, NumericArray>>): void;
  /** Starts several runs, one after another, in one submit. */
  runMany(feeds: readonly Readonly<Record<string, NumericArray>>[]): void;
  /** One run with a pass for each dispatch: when each began and ended, in milliseconds. Absent where there is no clock. */
  profile?(feeds?: Readonly<Record<string, NumericArray>>): Promise<[begin: number, end: number][]>;
  /** An output of the last run. */
  fetch(name: string): Promise<NDArray>;
  dispose(): void;
}
