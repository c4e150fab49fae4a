import type { Backend, Executable, Feeds, Resident } from "../backend/backend.ts";
import type { NumericArray } from "../core/dtype.ts";
import { DescentError, OptionError, ShapeError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import type { Tensor, Variable } from "../core/op.ts";
import { type Shape, sameShape, showShape, showType, sizeOf, type TensorType } from "../core/shape.ts";
import { leavesOf, type Mapped, mapTree, type Tree } from "../core/tree.ts";
import type { Plan, PlanOptions } from "../plan/plan.ts";
import {
  hostArray,
  type InputsOf,
  isTensor,
  isType,
  type Precision,
  type Traced,
  type TracedProgram,
  type Types,
  traceProgram,
} from "./program.ts";
import type { Tracing } from "./tracing.ts";

/** What the host gives for one input: numbers, nested or flat, an array with its shape, or a tensor on the device. */
export type HostInput = number | readonly Numbers[] | NumericArray | NDArray | Result | DeviceTensor;
type Numbers = number | readonly Numbers[];
/** What the host gives for the declared inputs T: a tree of the same form. */
export type HostInputs<T> = Mapped<T, TensorType, HostInput>;

/** A tensor of a model on its device, to read and write from the host. */
export interface DeviceTensor extends TensorType {
  readonly variable: Variable;
}

/** How a function is compiled, beside its inputs. */
export interface CompileOptions {
  /** What messages and printed plans call it. */
  readonly name?: string;
  /** Decides the random tensors; 0 unless given. */
  readonly seed?: number;
  /** Whether models are traced as they train (dropout, statistics of the batch); true unless given. */
  readonly training?: boolean;
  readonly precision?: Precision;
  /** How many runs the schedules of its optimizers stretch over; needed by those that depend on it. */
  readonly steps?: number;
  readonly plan?: PlanOptions;
}

/** A tensor that a run left on the device; the next run of the same function writes over it. */
export class Result implements TensorType {
  readonly shape: Shape;
  readonly dtype: TensorType["dtype"];

  constructor(
    private readonly runner: Runner,
    private readonly run: number,
    readonly name: string,
    type: TensorType,
  ) {
    this.shape = type.shape;
    this.dtype = type.dtype;
  }

  /** Where it lies, for another run to take as an input. */
  get resident(): Resident {
    this.check();
    return { executable: this.runner.executable!, output: this.name };
  }

  /**
   * Its numbers, on the host.
   * @throws DescentError when a later run has written over them.
   */
  async read(): Promise<NDArray> {
    this.check();
    return this.runner.executable!.fetch(this.name);
  }

  /** The number that a tensor of one element holds. */
  async item(): Promise<number> {
    if (sizeOf(this.shape) !== 1)
      throw new ShapeError(`${this.name}: ${showType(this)} has not one element; use read().`);
    return (await this.read()).data[0]!;
  }

  private check(): void {
    if (this.runner.runs !== this.run)
      throw new DescentError(
        `${this.runner.name}: the result "${this.name}" of run ${this.run} was overwritten by run ${this.runner.runs}; read it before the next run.`,
      );
  }
}

/** A compiled function: call it with inputs for each run. */
export interface Compiled<In extends Types, Out> {
  /** Starts a run, in one submit. Resolves as soon as it is under way; its results are read when wanted. */
  (inputs: HostInputs<In>): Promise<Mapped<Out, Tensor, Result>>;
  /** The flat list of dispatches that each run replays. */
  plan(): Promise<Plan>;
  /** Frees what it holds on the device. */
  dispose(): Promise<void>;
}

/** Runs a compiled program: feeds, counters and rows of hyperparameters. */
class Runner {
  runs = 0;
  executable: Executable | undefined;
  private compiling: Promise<Executable> | undefined;
  private disposed = false;

  constructor(
    private readonly device: Backend,
    private readonly inputs: Types,
    private readonly traced: TracedProgram,
    private readonly options: CompileOptions,
  ) {
    // A failure is told by the first run.
    this.ready().catch(() => {});
  }

  get name(): string {
    return this.traced.program.name;
  }

  async ready(): Promise<Executable> {
    if (this.disposed) throw new DescentError(`${this.name} was disposed of; compile it again.`);
    this.compiling ??= this.device.compile(this.traced.program, this.options.plan);
    try {
      this.executable = await this.compiling;
      return this.executable;
    } catch (error) {
      // The next call tries again.
      this.compiling = undefined;
      throw error;
    }
  }

  async run(given: unknown): Promise<unknown> {
    const { feeds, resident } = inputsOf(this.name, this.inputs, given);
    const executable = await this.ready();
    const { seed = 0, steps = this.runs + 1 } = this.options;
    const own: Record<string, NumericArray> = { ...feeds };
    if (executable.plan.feeds.has("counters")) own.counters = Uint32Array.of(this.runs, seed, 0, 0);
    for (const state of this.traced.states)
      Object.assign(own, state.hyper(this.runs, Math.max(steps, this.runs + 1)));
    executable.run(own, resident);
    const run = ++this.runs;
    return mapTree(
      this.traced.outputs,
      isTensor,
      (tensor, path) => new Result(this, run, path || "output", tensor),
    );
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    const executable = await this.compiling?.catch(() => undefined);
    executable?.dispose();
  }
}

/** Sorts what a caller gives into numbers to feed and tensors that are on the device already. */
export function inputsOf(name: string, inputs: Types, given: unknown) {
  const feeds: Record<string, NumericArray> = {};
  const resident: Record<string, Resident> = {};
  const take = (path: string, type: TensorType, value: unknown): void => {
    const key = path || "input";
    const label = path ? `${name}: the input "${path}"` : `${name}: the input`;
    if (value === undefined || value === null)
      throw new ShapeError(`${label} is missing; give ${showType(type)}.`);
    if (typeof value === "string" || typeof value === "boolean" || typeof value === "function")
      throw new ShapeError(`${label} is a ${typeof value}; give ${showType(type)}.`);
    const check = (shape: Shape) => {
      if (!sameShape(shape, type.shape))
        throw new ShapeError(
          `${label} has the shape ${showShape(shape)}; it was declared as ${showType(type)}.`,
        );
    };
    if (value instanceof Result || isDeviceTensor(value)) {
      check(value.shape);
      if (value.dtype !== type.dtype)
        throw new ShapeError(`${label} is ${showType(value)}; it was declared as ${showType(type)}.`);
      resident[key] = value instanceof Result ? value.resident : { variable: value.variable };
    } else if (ArrayBuffer.isView(value)) {
      const data = value as NumericArray;
      if (data.length !== sizeOf(type.shape))
        throw new ShapeError(
          `${label} has ${data.length} numbers; ${showType(type)} has ${sizeOf(type.shape)}.`,
        );
      feeds[key] = data;
    } else if (isNDArray(value)) {
      check(value.shape);
      feeds[key] = value.data;
    } else {
      const array = hostArray(value as number, { dtype: type.dtype });
      check(array.shape);
      feeds[key] = array.data;
    }
  };
  const declared = leavesOf(inputs, isType);
  for (const { path, leaf } of declared) take(path, leaf, at(given, path));
  const known = new Set(declared.map(({ path }) => path.split(".")[0]));
  if (!isType(inputs))
    for (const key of Object.keys((given as object | undefined) ?? {}))
      if (!known.has(key))
        throw new ShapeError(
          `${name}: there is no input "${key}"; it was declared with ${[...known].join(", ") || "none"}.`,
        );
  return { feeds, resident };
}

const at = (tree: unknown, path: string): unknown =>
  path === ""
    ? tree
    : path
        .split(".")
        .reduce<unknown>((part, key) => (part as Record<string, unknown> | null | undefined)?.[key], tree);

const isNDArray = (x: unknown): x is NDArray =>
  typeof x === "object" && x !== null && "data" in x && "shape" in x;
const isDeviceTensor = (x: unknown): x is DeviceTensor =>
  typeof x === "object" && x !== null && "variable" in x;

function checkDevice(device: unknown): asserts device is Backend {
  if (typeof device !== "object" || device === null || !("compile" in device))
    throw new OptionError(
      device instanceof Promise
        ? "The device is a promise; await gpu() first."
        : "The device is missing; open one with await gpu(), or cpuBackend().",
    );
}

/**
 * Compiles a function of tensors: traced once for the declared inputs, then replayed in one submit for each call.
 * The function receives the inputs and `t`, from which random tensors come and which `model.forward` takes; it gives
 * its outputs and, for a step, its updates.
 *
 * @example
 * const step = compile(device, { x: f32(64, 2), y: f32(64, 1) }, ({ x, y }, t) => {
 *   const loss = model.forward(x, t).sub(y).square().mean();
 *   return { outputs: { loss }, updates: adam.minimize(loss, model) };
 * });
 * const { loss } = await step({ x, y });
 * console.log(await loss.item());
 */
export function compile<const In extends Types, Out extends Tree<Tensor> = Record<never, Tensor>>(
  device: Backend,
  inputs: In,
  trace: (inputs: InputsOf<In>, t: Tracing) => Traced<Out> | Out,
  options: CompileOptions = {},
): Compiled<In, Out> {
  checkDevice(device);
  const name = options.name ?? (trace.name || "program");
  const runner = new Runner(device, inputs, traceProgram(name, inputs, trace as never, options), options);
  const call = (given: unknown) => runner.run(given);
  return Object.assign(call, {
    plan: async () => (await runner.ready()).plan,
    dispose: () => runner.dispose(),
  }) as unknown as Compiled<In, Out>;
}

/**
 * Runs a graph once: the numbers of a tensor, or of each tensor of a tree. Random tensors of a trace need `compile`.
 *
 * @example await evaluate(device, tensor([[1, 2], [3, 4]]).square().sum()) // { shape: [], dtype: "f32", data: [30] }
 */
export async function evaluate<const Out>(
  device: Backend,
  outputs: Out,
): Promise<Mapped<Out, Tensor, NDArray>> {
  checkDevice(device);
  const named = leavesOf(outputs as unknown, isTensor);
  const program = {
    name: "evaluate",
    outputs: Object.fromEntries(named.map(({ path, leaf }) => [path || "output", leaf])),
  };
  const executable = await device.compile(program);
  try {
    executable.run({} as Feeds);
    const arrays = new Map<string, NDArray>();
    for (const { path } of named) arrays.set(path, await executable.fetch(path || "output"));
    return mapTree(outputs as unknown, isTensor, (_, path) => arrays.get(path)) as never;
  } finally {
    executable.dispose();
  }
}
