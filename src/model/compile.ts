import { type Backend, claim } from "../backend/backend.ts";
import { checkWhole } from "../core/check.ts";
import { DeviceError, OptionError, ShapeError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import { isTensor, type Tensor } from "../core/op.ts";
import { leavesOf, type Mapped, mapTree, type Tree } from "../core/tree.ts";
import { reachable } from "../graph/node.ts";
import { type Program, programRoots } from "../graph/program.ts";
import type { OptimizerState } from "../optim/state.ts";
import type { Plan, PlanOptions } from "../plan/plan.ts";
import type { HostInputs } from "./inputs.ts";
import {
  type InputsOf,
  type OutputsOf,
  type Precision,
  type Traced,
  type Types,
  traceProgram,
} from "./program.ts";
import type { Result } from "./result.ts";
import { Runner } from "./runner.ts";
import { type TraceContext, Tracing } from "./tracing.ts";

export { type HostInput, type HostInputs, inputsOf } from "./inputs.ts";
export type { OutputsOf } from "./program.ts";
export { Result } from "./result.ts";

/** How a function is compiled, beside its inputs. */
export interface CompileOptions {
  /** What messages and printed plans call it: the function's name unless given. */
  readonly name?: string;
  /** Decides the random tensors: a whole number from 0 to 2³² − 1; 0 unless given. */
  readonly seed?: number;
  /** Whether models are traced as they train (dropout, statistics of the batch); true unless given. */
  readonly training?: boolean;
  /** "mixed" keeps activations as f16, on adapters that have it: give `minimize` `{ scaling: true }` then. */
  readonly precision?: Precision;
  /** How many steps the schedules of its optimizers stretch over; needed by those that depend on it. */
  readonly steps?: number;
  /** Kernel fusion and choices; the same choices give the same bits. */
  readonly plan?: PlanOptions;
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

/** @throws OptionError for a device that was not awaited, or is none; `who` is what the message begins with. */
export function checkDevice(device: unknown, who: string): asserts device is Backend {
  if (device instanceof Promise) throw new OptionError(`${who}: the device is a promise; await gpu() first.`);
  if (typeof device !== "object" || device === null || !("compile" in device))
    throw new OptionError(
      `${who}: the first argument is no device; pass what await gpu() or cpuBackend() gives.`,
    );
}

/** @throws OptionError for a seed that the random generator does not take. */
export function checkSeed(seed: number, who: string): void {
  checkWhole(`${who}: the seed`, seed, 0, 2 ** 32 - 1);
}

/** Tensors live on one device each. */
function checkArenas(device: Backend, program: Program): void {
  for (const { leaf } of reachable(programRoots(program)))
    if (leaf?.kind === "variable") claim(leaf.variable.arena, device);
  for (const { variable } of program.updates ?? []) claim(variable.arena, device);
}

/** A schedule that is stretched over the run is no guess: without its length each step would be its last. */
function checkSteps(name: string, states: readonly OptimizerState[], steps: number | undefined): void {
  if (steps !== undefined) {
    checkWhole(`${name}: steps`, steps, 1);
    return;
  }
  for (const state of states)
    if (state.needsTotal)
      throw new OptionError(
        `${name}: a schedule of ${state.optimizer.name} depends on the number of steps; say how many with compile(…, { steps }).`,
      );
}

/** `compile` for the library's own use: the runner that calls go to. */
export function runnerOf(
  device: Backend,
  inputs: Types,
  trace: (inputs: any, t: TraceContext) => Traced | Tree<Tensor>,
  options: CompileOptions,
  Context?: typeof TraceContext,
): Runner {
  const name = options.name ?? (trace?.name || "program");
  checkDevice(device, name);
  checkSeed(options.seed ?? 0, name);
  const traced = traceProgram(name, inputs, trace, options, Context);
  if (options.precision === "mixed" && !device.facts.f16)
    throw new DeviceError(
      `${name}: mixed precision needs shader-f16, which the adapter ${device.facts.name} does not offer; use "f32".`,
    );
  checkArenas(device, traced.program);
  checkSteps(name, traced.states, options.steps);
  return new Runner(device, inputs, traced, options);
}

/**
 * Compiles a function of tensors: traced once for the declared inputs, then replayed in one submit for each call.
 * The function receives the inputs and `t`, from which random tensors come and which `model.forward` takes; it gives
 * its outputs and, for a step, its updates. Outputs are what they were before the updates of the same run.
 *
 * An input may be given as numbers, nested or flat, as an array with its shape, as a result of another function or as
 * `model.tensor(name)`; the last two are copied on the device.
 * @throws ShapeError when the function uses an input that was not declared, or updates a variable twice.
 * @throws DeviceError when it uses tensors of another device.
 *
 * @example
 * const step = compile(device, { x: f32(64, 2), y: f32(64, 1) }, ({ x, y }, t) => {
 *   const loss = model.forward(x, t).sub(y).square().mean();
 *   return { outputs: { loss }, updates: adam.minimize(loss, model) };
 * });
 * const { loss } = await step({ x, y });
 * console.log(await loss.item());
 */
export function compile<const In extends Types, const R extends Traced | Tree<Tensor>>(
  device: Backend,
  inputs: In,
  trace: (inputs: InputsOf<In>, t: Tracing) => R,
  options: CompileOptions = {},
): Compiled<In, OutputsOf<R>> {
  checkDevice(device, "compile");
  const runner = runnerOf(device, inputs, trace as never, options, Tracing);
  const call = (given: unknown) => runner.run(given);
  return Object.assign(call, {
    plan: async () => (await runner.ready()).plan,
    dispose: () => runner.dispose(),
  }) as unknown as Compiled<In, OutputsOf<R>>;
}

/**
 * Runs a graph once: the numbers of a tensor, or of each tensor of a tree. Random tensors of a trace need `compile`.
 * @throws ShapeError when a tensor depends on the inputs of a traced function.
 *
 * @example await evaluate(device, tensor([[1, 2], [3, 4]]).square().sum()) // { shape: [], dtype: "f32", data: [30] }
 */
export async function evaluate<const Out>(
  device: Backend,
  outputs: Out,
): Promise<Mapped<Out, Tensor, NDArray>> {
  checkDevice(device, "evaluate");
  const named = leavesOf(outputs as unknown, isTensor);
  const program = {
    name: "evaluate",
    outputs: Object.fromEntries(named.map(({ path, leaf }) => [path || "output", leaf])),
  };
  for (const { leaf } of reachable(programRoots(program)))
    if (leaf?.kind === "feed")
      throw new ShapeError(
        `evaluate: depends on "${leaf.name}", which a traced function receives in each run; use compile, or a tensor of numbers.`,
      );
  const executable = await device.compile(program);
  try {
    executable.run();
    const fetched = named.map(async ({ path }) => [path, await executable.fetch(path || "output")] as const);
    const arrays = new Map(await Promise.all(fetched));
    return mapTree(outputs as unknown, isTensor, (_, path) => arrays.get(path)) as never;
  } finally {
    executable.dispose();
  }
}
