import type { NumericArray } from "../core/dtype.ts";
import { DescentError, DeviceError } from "../core/errors.ts";
import type { AdapterFacts } from "../core/kernel.ts";
import type { NDArray } from "../core/ndarray.ts";
import type { Arena, Variable } from "../core/op.ts";
import { showType, sizeOf, type TensorType } from "../core/shape.ts";
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
  /** Copies a variable onto another of its shape and dtype, on the device. */
  copy(from: Variable, to: Variable): void;
  /** Frees an arena's memory. */
  release(arena: Arena): void;
  /** Waits until everything submitted is done. */
  finish(): Promise<void>;
  /** Bytes of device memory held now: arenas, temporaries, plans. */
  readonly bytes: number;
  dispose(): void;
}

/** Whose memory an arena is, from its first touch on; released arenas stay released. */
const owners = new WeakMap<Arena, Backend | "released">();

/**
 * Takes an arena for a device at its first touch.
 * @throws DeviceError when it lives on another device or was released: its numbers are not here.
 */
export function claim(arena: Arena, device: Backend): void {
  const owner = owners.get(arena);
  if (owner === device) return;
  if (owner === undefined) owners.set(arena, device);
  else if (owner === "released")
    throw new DeviceError(`"${arena.name}" was released; make it anew before it is used.`);
  else
    throw new DeviceError(
      `"${arena.name}" lives on another device (${owner.facts.name}); use tensors, data and models of one device together.`,
    );
}

/** Notes that an arena's memory is gone. */
export const disown = (arena: Arena): void => {
  owners.set(arena, "released");
};

/** @throws DescentError when there are not exactly as many numbers as the variable holds. */
export function checkLength({ name, shape, dtype }: Variable, data: ArrayLike<number>): void {
  if (data.length !== sizeOf(shape))
    throw new DescentError(
      `"${name}": ${data.length} numbers for ${showType({ shape, dtype })}; give exactly ${sizeOf(shape)}.`,
    );
}

/** What a run is told when one of its inputs has never had numbers. */
export const neverGiven = (program: string, name: string, type: TensorType): string =>
  `${program}: the input "${name}" ${showType(type)} was never given; pass it to the run.`;

/** Device memory that a run takes an input from: a variable, or an output of another program's last run. */
export type Resident =
  | { readonly variable: Variable }
  | { readonly executable: Executable; readonly output: string };

/** Numbers of a program's inputs, by name. */
export type Feeds = Readonly<Record<string, NumericArray>>;

/** Feeds in arrays of their own: those that were given may be used again for others. */
export const copied = (feeds: Feeds): Feeds =>
  Object.fromEntries(Object.entries(feeds).map(([name, data]) => [name, data.slice()]));

/** A compiled program. */
export interface Executable {
  readonly plan: Plan;
  /** Starts one run; feeds that are not given keep their last data. Others are copied from where they are on the device. */
  run(feeds?: Feeds, resident?: Readonly<Record<string, Resident>>): void;
  /** Starts several runs, one after another, in one submit. */
  runMany(feeds: readonly Feeds[]): void;
  /**
   * One run with a pass for each dispatch, which repeats it `times` times, 1 unless given: when each began and ended, in
   * milliseconds. Absent where there is no clock.
   */
  profile?(feeds?: Feeds, times?: number): Promise<[begin: number, end: number][]>;
  /** An output of the last run. */
  fetch(name: string): Promise<NDArray>;
  dispose(): void;
}
