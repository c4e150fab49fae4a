import { checkElements } from "../core/check.ts";
import type { DType, NumericArray } from "../core/dtype.ts";
import { OptionError, ShapeError } from "../core/errors.ts";
import { type HostNumbers, type NDArray, ndarray } from "../core/ndarray.ts";
import { type Arena, dataTensor, type GraphNode, isTensor, type Tensor, type Variable } from "../core/op.ts";
import { type Shape, sameShape, showShape, showType, sizeOf, type TensorType } from "../core/shape.ts";
import { kindOf, leavesOf, type Mapped, mapTree, type Tree, under } from "../core/tree.ts";
import { type Demand, demandsOf } from "../graph/demands.ts";
import { feed, reachable, read, wholeArena } from "../graph/node.ts";
import { mixedPrecision } from "../graph/precision.ts";
import { checkProgram, type Program, programRoots, type Update } from "../graph/program.ts";
import { stopGradient } from "../ops/elementwise/special.ts";
import { constant } from "../ops/elementwise/unary.ts";
import { pack } from "../ops/layout/layout.ts";
import "../ops/methods.ts";
import { STATS_SIZE } from "../ops/step/stats.ts";
import { updateStatistics } from "../ops/step/step.ts";
import type { OptimizerState } from "../optim/state.ts";
import type { Minimization } from "../optim/steps.ts";
import { type Pass, TraceContext } from "./tracing.ts";

/** "mixed" keeps activations and working copies of the weights as f16, and scales the loss. */
export type Precision = "f32" | "mixed";

/** What a traced step changes: variables with their next values, and steps of optimizers. */
export type Updates = Update | Minimization | readonly Updates[];

/** What a traced function gives. */
export interface Traced<Out extends Tree<Tensor> = Tree<Tensor>> {
  readonly outputs?: Out;
  readonly updates?: Updates;
}

/** The tree of outputs in what a traced function gives. */
export type OutputsOf<R> = R extends Tensor
  ? R
  : R extends { readonly outputs: infer Out }
    ? Out
    : R extends { readonly updates: unknown }
      ? Readonly<Record<never, Tensor>>
      : R;

/** The shapes and dtypes of inputs: one, or a list or record of them. */
export type Types = Tree<TensorType>;
/** Tensors in the form of the declared inputs. */
export type InputsOf<T> = Mapped<T, TensorType, Tensor>;

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
  /** Those of them that go by gradients which earlier runs have left. */
  readonly later: readonly OptimizerState[];
  /** Passes whose running statistics each run moves. */
  readonly tracking: readonly Pass[];
  /** The names of all that the host feeds and the program reads. */
  readonly feeds: ReadonlySet<string>;
  /** What is asked of the numbers of inputs, by their names. */
  readonly demands: ReadonlyMap<string, readonly Demand[]>;
}

const isMinimization = (x: object): x is Minimization => "gradients" in x && "state" in x;

function flatten(name: string, updates: unknown): (Update | Minimization)[] {
  if (updates === undefined) return [];
  if (Array.isArray(updates)) return updates.flatMap((one) => flatten(name, one));
  const isUpdate = (x: object): x is Update => "variable" in x && "value" in x && isTensor(x.value);
  if (typeof updates !== "object" || updates === null || !(isMinimization(updates) || isUpdate(updates)))
    throw new OptionError(
      `${name}: an update is ${kindOf(updates)}; give what optimizer.minimize gives, or its backward or step, or { variable, value }.`,
    );
  return [updates];
}

export const inputName = (path: string) => (path === "" ? "input" : path);

/** The inputs that traced functions received. */
const received = new WeakSet<GraphNode>();

/** Leaves for declared inputs, fed by the host under their paths. */
export function feedsOf(inputs: Types): unknown {
  return mapTree(inputs, isType, ({ shape, dtype }, path) => {
    const input = feed(inputName(path), shape, dtype);
    received.add(input.node);
    return input;
  });
}

/**
 * Traces a function into a program: its outputs, its updates, and the running statistics that its models track.
 * @throws ShapeError for a result that depends on an input that was not declared, or two updates of one variable.
 */
export function traceProgram(
  name: string,
  inputs: Types,
  trace: (inputs: any, t: TraceContext) => Traced | Tree<Tensor>,
  options: { readonly training?: boolean; readonly precision?: Precision } = {},
  Context: typeof TraceContext = TraceContext,
): TracedProgram {
  const { training = true, precision = "f32" } = options;
  if (precision !== "f32" && precision !== "mixed")
    throw new OptionError(`${name}: the precision is ${JSON.stringify(precision)}; use "f32" or "mixed".`);
  if (typeof trace !== "function")
    throw new OptionError(`${name}: the function to trace is ${kindOf(trace)}; give a function of tensors.`);
  for (const { path, leaf: type } of leavesOf(inputs, isType))
    if (type.shape.some((dim) => !Number.isInteger(dim) || dim < 0))
      throw new ShapeError(
        `${name}: the input "${inputName(path)}" is declared as ${showType(type)}; use whole numbers of at least 0.`,
      );
  const tracing = new Context(training);
  const feeds = feedsOf(inputs);
  const result = trace(feeds, tracing);
  const { outputs = {}, updates } = asTraced(name, result);
  const moved = updatesOf(name, tracing, updates);
  const named = leavesOf(outputs, isTensor).map(
    ({ path, leaf }) => [path === "" ? "output" : path, kept(leaf)] as const,
  );
  const program: Program = { name, outputs: Object.fromEntries(named), updates: moved.updates };
  const used = checkFeeds(program, leavesOf(feeds, isTensor), tracing, moved.states);
  checkProgram(program);
  return {
    program: precision === "mixed" ? mixedPrecision(program) : program,
    outputs,
    states: moved.states,
    later: moved.later,
    tracking: tracing.passes,
    feeds: used,
    demands: demandsIn(feeds),
  };
}

/** What is asked of inputs whatever a mask beside them says. */
function demandsIn(feeds: unknown): Map<string, readonly Demand[]> {
  const all = leavesOf(feeds, isTensor).map(
    ({ path, leaf }) => [inputName(path), demandsOf(leaf).filter(({ mask }) => !mask)] as const,
  );
  return new Map(all.filter(([, asked]) => asked.length > 0));
}

function asTraced(name: string, result: Traced | Tree<Tensor>): Traced {
  if (result === undefined || result === null || result instanceof Promise)
    throw new ShapeError(
      `${name}: the traced function gives ${kindOf(result)}; return tensors, or { outputs, updates }, without async.`,
    );
  const plain = !isTensor(result) && !Array.isArray(result) && typeof result === "object";
  return plain && ("outputs" in result || "updates" in result)
    ? (result as Traced)
    : { outputs: result as Tree<Tensor> };
}

/** What is read after a run is what was there before the run's updates: the leaf itself would show those. */
function kept(output: Tensor): Tensor {
  let at = output;
  while (at.node.op?.implementation.kind === "view") at = at.node.inputs[0]!;
  return at.node.leaf?.kind === "variable" ? stopGradient(output) : output;
}

/** Everything that a step changes: what it gives, its optimizers' steps and its models' running statistics. */
function updatesOf(
  name: string,
  tracing: TraceContext,
  given: Updates | undefined,
): Pick<TracedProgram, "states" | "later"> & { readonly updates: readonly Update[] } {
  const updates: Update[] = [];
  const states: OptimizerState[] = [];
  const later: OptimizerState[] = [];
  const statsOf = new Map<unknown, Tensor>();
  for (const update of flatten(name, given)) {
    if (isMinimization(update)) {
      states.push(update.state);
      if (update.later) later.push(update.state);
      statsOf.set(update.state.model, update.stats);
      updates.push(...update.updates);
      continue;
    }
    const { variable, value } = update;
    if (!sameShape(variable.shape, value.shape) || variable.dtype !== value.dtype)
      throw new ShapeError(
        `${name}: the update of "${variable.name}" is ${showType(value)}, and it is ${showType(variable)}; make them alike.`,
      );
    updates.push({ variable, value: value.node.leaf ? stopGradient(value) : value });
  }
  updates.push(...statisticUpdates(tracing.passes, statsOf));
  return { updates, states, later };
}

/** The feeds that a program reads. Another trace's input may have the name of one of its own, and is none. */
function checkFeeds(
  program: Program,
  inputs: readonly { path: string; leaf: Tensor }[],
  tracing: TraceContext,
  states: readonly OptimizerState[],
): Set<string> {
  const known = new Set([tracing.counters, ...inputs.map(({ leaf }) => leaf)].map(({ node }) => node));
  const names = new Set([
    ...inputs.map(({ path }) => inputName(path)),
    ...states.flatMap(({ parts }) => parts.map(({ hyper }) => hyper)),
  ]);
  const feeds = reachable(programRoots(program)).filter(({ leaf }) => leaf?.kind === "feed");
  return new Set(
    feeds.map((node) => {
      const { name } = node.leaf as { name: string };
      if (!known.has(node) && (received.has(node) || !names.has(name)))
        throw new ShapeError(
          `${program.name}: depends on "${name}", which is not among its inputs (${inputs.map(({ path }) => inputName(path)).join(", ") || "none"}); declare it, or use tensors of this trace only.`,
        );
      return name;
    }),
  );
}

/**
 * Running statistics after all passes of the trace, one after another, unless the step's update was not applied; they go
 * on from what `first` gives for an arena. A `momentum` stands for that of each layer.
 */
export function statisticUpdates(
  passes: readonly Pass[],
  statsOf: ReadonlyMap<unknown, Tensor>,
  first: (running: Variable) => Tensor = read,
  momentum?: Tensor,
): Update[] {
  const latest = new Map<Arena, Tensor>();
  const variables = new Map<Arena, Variable>();
  for (const { model, tracked: given } of passes) {
    if (given.length === 0) continue;
    const { tensors } = model;
    const tracked = given.map((t) => ({ ...t, variable: tensors.variable(t.module, t.name) }));
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
      const share = momentum ? constant({ value: 1, shape: [arena.size] }).mul(momentum) : table("momentum");
      latest.set(arena, updateStatistics(before, batch, share, table("scale"), stats));
    }
  }
  return [...latest].map(([arena, value]) => ({ variable: variables.get(arena)!, value }));
}

/**
 * A tensor of given numbers: nested arrays, or a flat array with its shape. f32 unless a dtype is given.
 * @throws ShapeError when rows have different lengths, there are not as many numbers as the shape asks for, or the dtype
 * does not hold one of them.
 *
 * @example tensor([[1, 2], [3, 4]])
 */
export function tensor(
  values: HostNumbers | ArrayLike<number>,
  options: { readonly shape?: Shape; readonly dtype?: DType } = {},
): Tensor {
  return dataTensor(hostArray(values, options));
}

/** Numbers of the host as an array of a dtype; `name` is what messages call it. */
export function hostArray(
  values: HostNumbers | ArrayLike<number>,
  options: { readonly shape?: Shape; readonly dtype?: DType; readonly name?: string } = {},
): NDArray {
  const { dtype = "f32", name = "tensor" } = options;
  const nested: number[] = [];
  const found = isFlat(values) ? [values.length] : collect(values, dtype, name, "", nested);
  const flat = isFlat(values) ? values : nested;
  const { shape = found } = options;
  if (sizeOf(shape) !== flat.length)
    throw new ShapeError(
      `${name}: ${flat.length} numbers do not fill the shape ${showShape(shape)}; give ${sizeOf(shape)}.`,
    );
  checkElements(name, flat as NumericArray, dtype);
  return ndarray(shape, flat, dtype);
}

export const isFlat = (x: unknown): x is NumericArray =>
  ArrayBuffer.isView(x) && "length" in x && !(x instanceof BigInt64Array || x instanceof BigUint64Array);

/** Puts the numbers of nested arrays one after another; their shape. */
function collect(values: unknown, dtype: DType, name: string, path: string, flat: number[]): Shape {
  if (typeof values === "number" || (typeof values === "boolean" && dtype === "bool")) {
    flat.push(Number(values));
    return [];
  }
  const where = path === "" ? name : `${name}: element ${path}`;
  if (isFlat(values)) {
    for (const value of values) flat.push(value);
    return [values.length];
  }
  if (!Array.isArray(values))
    throw new ShapeError(`${where} is ${kindOf(values)}; give numbers, nested in arrays or not.`);
  const [first, ...rest] = values.map((part, i) => collect(part, dtype, name, under(path, i), flat));
  rest.forEach((shape, i) => {
    if (!sameShape(shape, first!))
      throw new ShapeError(
        `${where} is ragged: its element 0 has the shape ${showShape(first!)} and element ${i + 1} the shape ${showShape(shape)}; make all rows alike.`,
      );
  });
  return [values.length, ...(first ?? [])];
}
