import type { DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { type NDArray, ndarray } from "../core/ndarray.ts";
import { type Arena, leaf, Tensor, type Variable } from "../core/op.ts";
import type { Shape, TensorType } from "../core/shape.ts";
import { sizeOf } from "../core/shape.ts";
import { leavesOf, type Mapped, mapTree, type Tree } from "../core/tree.ts";
import { feed, reachable, read, wholeArena } from "../graph/node.ts";
import { mixedPrecision } from "../graph/precision.ts";
import { type Program, programRoots, type Update } from "../graph/program.ts";
import { constant } from "../ops/elementwise/unary.ts";
import { pack } from "../ops/layout/layout.ts";
import "../ops/methods.ts";
import { STATS_SIZE } from "../ops/step/stats.ts";
import { updateStatistics } from "../ops/step/step.ts";
import type { Minimization, OptimizerState } from "../optim/state.ts";
import { type Pass, Tracing } from "./tracing.ts";

/** "mixed" keeps activations and working copies of the weights as f16, and scales the loss. */
export type Precision = "f32" | "mixed";

/** What a traced step changes: variables with their next values, and steps of optimizers. */
export type Updates = Update | Minimization | readonly Updates[];

/** What a traced function gives. */
export interface Traced<Out extends Tree<Tensor> = Tree<Tensor>> {
  readonly outputs?: Out;
  readonly updates?: Updates;
}

export type Types = Tree<TensorType>;
/** Tensors in the form of the declared inputs. */
export type InputsOf<T> = Mapped<T, TensorType, Tensor>;

export const isTensor = (x: unknown): x is Tensor => x instanceof Tensor;
export const isType = (x: unknown): x is TensorType =>
  typeof x === "object" &&
  x !== null &&
  "dtype" in x &&
  Array.isArray((x as { shape?: unknown }).shape) &&
  !("data" in x);

/** A traced function as a program: what compiles, and what the host must feed it with. */
export interface TracedProgram {
  readonly program: Program;
  /** The tree that the trace gave, tensors in place. */
  readonly outputs: unknown;
  /** Optimizers whose rows of hyperparameters each run needs. */
  readonly states: readonly OptimizerState[];
  readonly tracing: Tracing;
}

const isMinimization = (x: object): x is Minimization => "gradients" in x && "state" in x;

function flatten(updates: Updates | undefined): (Update | Minimization)[] {
  if (updates === undefined) return [];
  return Array.isArray(updates) ? updates.flatMap(flatten) : [updates as Update | Minimization];
}

const inputName = (path: string) => (path === "" ? "input" : path);

/** Leaves for declared inputs, fed by the host under their paths. */
export function feedsOf(inputs: Types): unknown {
  return mapTree(inputs, isType, ({ shape, dtype }, path) => feed(inputName(path), shape, dtype));
}

/**
 * Traces a function into a program: its outputs, its updates, and the running statistics that its models track.
 * @throws ShapeError for a result that depends on an input that was not declared.
 */
export function traceProgram(
  name: string,
  inputs: Types,
  trace: (inputs: any, t: Tracing) => Traced | Tree<Tensor>,
  options: { readonly training?: boolean; readonly precision?: Precision } = {},
): TracedProgram {
  const { training = true, precision = "f32" } = options;
  const tracing = new Tracing(training);
  const result = trace(feedsOf(inputs), tracing);
  const { outputs = {}, updates } = asTraced(result);
  return programOf(name, inputs, tracing, outputs, updates, precision);
}

function asTraced(result: Traced | Tree<Tensor>): Traced {
  const plain =
    !(result instanceof Tensor) && !Array.isArray(result) && typeof result === "object" && result !== null;
  return plain && ("outputs" in result || "updates" in result)
    ? (result as Traced)
    : { outputs: result as Tree<Tensor> };
}

/** Outputs and updates of a trace as a program. */
export function programOf(
  name: string,
  inputs: Types,
  tracing: Tracing,
  outputs: unknown,
  given: Updates | undefined,
  precision: Precision,
): TracedProgram {
  const updates: Update[] = [];
  const states: OptimizerState[] = [];
  const statsOf = new Map<unknown, Tensor>();
  for (const update of flatten(given)) {
    if (!isMinimization(update)) {
      updates.push(update);
      continue;
    }
    states.push(update.state);
    statsOf.set(update.state.model, update.stats);
    updates.push(...update.updates);
  }
  updates.push(...statisticUpdates(tracing.passes, statsOf));
  const named = leavesOf(outputs, isTensor).map(
    ({ path, leaf }) => [path === "" ? "output" : path, leaf] as const,
  );
  const program: Program = { name, outputs: Object.fromEntries(named), updates };
  const known = new Set(["counters", ...leavesOf(inputs, isType).map(({ path }) => inputName(path))]);
  for (const state of states) for (const { hyper } of state.parts) known.add(hyper);
  for (const node of reachable(programRoots(program)))
    if (node.leaf?.kind === "feed" && !known.has(node.leaf.name))
      throw new ShapeError(
        `${name}: depends on the input "${node.leaf.name}", which is not among those declared (${[...known].slice(1).join(", ") || "none"}); declare it, or use a tensor of this trace.`,
      );
  return {
    program: precision === "mixed" ? mixedPrecision(program) : program,
    outputs,
    states,
    tracing,
  };
}

/**
 * Running statistics after all passes of the trace, one after another, unless the step's update was not applied; they go
 * on from what `first` gives for an arena.
 */
export function statisticUpdates(
  passes: readonly Pass[],
  statsOf: ReadonlyMap<unknown, Tensor>,
  first: (running: Variable) => Tensor = read,
): Update[] {
  const latest = new Map<Arena, Tensor>();
  const variables = new Map<Arena, Variable>();
  for (const { model, trace } of passes) {
    if (trace.tracked.length === 0) continue;
    const { tensors } = model;
    const tracked = trace.tracked.map((t) => ({ ...t, variable: tensors.variable(t.module, t.name) }));
    const stats = statsOf.get(model) ?? constant({ value: 0, shape: [STATS_SIZE] });
    for (const arena of tensors.bufferArenas) {
      const own = tracked
        .filter(({ variable }) => variable.arena === arena)
        .sort((a, b) => a.variable.offset - b.variable.offset);
      if (own.length === 0) continue;
      const batch = pack(
        own.map((t) => t.batch),
        { offsets: own.map((t) => t.variable.offset), size: arena.size },
      );
      const table = (kind: "momentum" | "scale") => {
        const data = new Float32Array(arena.size);
        for (const t of own) {
          const { offset, shape } = t.variable;
          data.fill(t[kind], offset, offset + sizeOf(shape));
        }
        return dataTensor({ shape: [arena.size], dtype: "f32", data });
      };
      const running = variables.get(arena) ?? wholeArena(arena);
      variables.set(arena, running);
      const before = latest.get(arena) ?? first(running);
      latest.set(arena, updateStatistics(before, batch, table("momentum"), table("scale"), stats));
    }
  }
  return [...latest].map(([arena, value]) => ({ variable: variables.get(arena)!, value }));
}

/** A tensor of numbers that the host has. */
export const dataTensor = (data: NDArray): Tensor => leaf(data, { kind: "data", data });

type Numbers = number | readonly Numbers[];

function shapeOf(values: unknown): number[] {
  if (!Array.isArray(values)) return [];
  const [first, ...rest] = values.map(shapeOf);
  for (const [i, shape] of rest.entries())
    if (shape.join() !== first!.join())
      throw new ShapeError(
        `tensor: element 0 has the shape [${first}] and element ${i + 1} the shape [${shape}]; make all rows alike.`,
      );
  return [values.length, ...(first ?? [])];
}

/**
 * A tensor of given numbers: nested arrays, or a flat array with its shape. f32 unless a dtype is given.
 *
 * @example tensor([[1, 2], [3, 4]])
 */
export function tensor(
  values: Numbers | ArrayLike<number>,
  options: { readonly shape?: Shape; readonly dtype?: DType } = {},
): Tensor {
  return dataTensor(hostArray(values, options));
}

/** Numbers of the host as an array of a dtype. */
export function hostArray(
  values: Numbers | ArrayLike<number>,
  { shape, dtype = "f32" }: { readonly shape?: Shape; readonly dtype?: DType } = {},
): NDArray {
  const flat = ArrayBuffer.isView(values)
    ? (values as unknown as ArrayLike<number>)
    : typeof values === "number"
      ? [values]
      : (values as readonly unknown[]).flat(Number.POSITIVE_INFINITY as 1);
  const own = ArrayBuffer.isView(values) ? [flat.length] : shapeOf(values);
  return ndarray(shape ?? own, flat as ArrayLike<number>, dtype);
}
