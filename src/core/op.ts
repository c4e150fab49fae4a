import { attributeOf, nearest, optional, required, show } from "./attributes.ts";
import type { DType } from "./dtype.ts";
import { ShapeError } from "./errors.ts";
import type { Dispatch, Kernel, KernelContext } from "./kernel.ts";
import type { NDArray } from "./ndarray.ts";
import type { Sampler } from "./samples.ts";
import type { Shape, TensorType } from "./shape.ts";
import type { Tolerance } from "./tolerance.ts";

/**
 * One result of a node: what ops take and give while a graph is traced. It holds no numbers; `evaluate` and compiled
 * programs work them out. The everyday ops are its methods, too: see ops/methods.ts.
 */
export class Tensor implements TensorType {
  readonly shape: Shape;
  readonly dtype: DType;

  constructor(
    readonly node: GraphNode,
    readonly index = 0,
  ) {
    ({ shape: this.shape, dtype: this.dtype } = node.outputs[index]!);
  }
}
export interface Tensor {}

export const isTensor = (x: unknown): x is Tensor => x instanceof Tensor;

/** A tensor, or a number that takes the dtype of the tensors beside it. */
export type Operand = Tensor | number;

/** One application of an op, or a leaf (`op` null): a tensor fed by the host or kept on the device. */
export interface GraphNode {
  readonly id: number;
  readonly op: OpRecord | null;
  readonly leaf?: Leaf;
  readonly inputs: readonly Tensor[];
  readonly attrs: any;
  readonly outputs: readonly TensorType[];
  /**
   * The part of a network it was traced in, if that part's results are to be computed again for the backward pass.
   * @internal
   */
  readonly recomputed?: Recomputed;
}

/** A part of a network that keeps nothing but its input and its result for the backward pass. */
export type Recomputed = object;

/** Where a leaf's data comes from. */
export type Leaf =
  | { readonly kind: "feed"; readonly name: string }
  /** Numbers that the host gave when the tensor was made. */
  | { readonly kind: "data"; readonly data: NDArray }
  | { readonly kind: "variable"; readonly variable: Variable };

/** A flat piece of device memory that outlives steps; variables are ranges of it. */
export interface Arena {
  readonly name: string;
  readonly dtype: TensorType["dtype"];
  /** In elements. */
  readonly size: number;
}

/** A tensor that lives in an arena: a parameter, a gradient, an optimizer slot, a running statistic, a data set. */
export interface Variable extends TensorType {
  readonly name: string;
  readonly arena: Arena;
  /** First element within the arena. */
  readonly offset: number;
}

/** The everyday ops by name, as gradients and compositions see them; ops/methods.ts declares them. */
export interface OpTable {}

/** What a gradient's rule receives, of an op of any signature. */
export interface GradientContext<A> {
  readonly inputs: readonly Tensor[];
  /** The inputs as they were traced, where `inputs` may be computed again; see recomputed. For looking at, not to use. */
  readonly traced: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attrs: A;
  /** Gradient of the loss in the first output. */
  readonly dy: Tensor;
  /** Gradients in all outputs; null where the loss does not depend on one. */
  readonly dys: readonly (Tensor | null)[];
}

/** An input on which parity and gradient tests run the op. */
export interface Sample<A> {
  readonly inputs: readonly NDArray[];
  readonly attrs?: A;
  readonly name?: string;
  /** Small integers: results must agree bit for bit. */
  readonly exact?: boolean;
  /** False where a finite difference would cross a kink or a tie; another sample covers the gradient. */
  readonly gradient?: boolean;
}

/** What bad input must be told. */
export interface ErrorCase<A> {
  readonly inputs: readonly TensorType[];
  readonly attrs?: A;
  readonly message: RegExp;
}

/** How an op computes on the device. */
export type Implementation<A> =
  | {
      readonly kind: "elementwise";
      readonly expression: ElementwiseExpression<A>;
      /** Function files; a kernel takes in those that its expression calls. */
      readonly functions?: readonly string[];
    }
  | {
      readonly kind: "kernel";
      readonly kernel: Kernel<A>;
      /**
       * Inputs that every dispatch binds by a name and loads by `load_NAME(i)`, where chains can be evaluated: elements
       * about once each (`loads`), or several times each (`reloads`), so that only cheap chains are.
       */
      readonly loads?: readonly number[];
      readonly reloads?: readonly number[];
      /**
       * An input that output 0 may take the place of: who stores an element is who loads it, as `load_x(i)` before
       * `store_y(i, value)`, and nobody else does then. What is bound after it has a name, too.
       */
      readonly overwrites?: number;
      /** Computes all outputs from the moments that the kernel before left of input 0, without reading that. */
      readonly fromMoments?: (context: KernelContext<A>, slabs: number) => Dispatch;
      /**
       * What is kept as f16 under mixed precision: inputs, which every dispatch loads as `loads` says, and results. The
       * kernel itself computes in f32, sums in f32 included: a product of two f16 is exact there.
       */
      readonly half?: { readonly inputs: readonly number[]; readonly outputs: readonly number[] };
      /** The finished first result is bound by a name and stored once, by `store_NAME(i, value)`. */
      readonly stores?: boolean;
    }
  | {
      readonly kind: "composition";
      readonly compose: (inputs: readonly Tensor[], attrs: A, f: OpTable) => Tensor[];
    }
  | { readonly kind: "view" }
  /** Inputs are computed straight into their places in one flat result. */
  | { readonly kind: "pack"; readonly offsets: (attrs: A) => readonly number[] };

/** A WGSL expression over scalar arguments. */
export type ElementwiseExpression<A> = (
  args: readonly string[],
  attrs: A,
  inputs: readonly TensorType[],
) => string;

/** Everything anybody needs to know of an op. */
export interface OpRecord<A = any> {
  readonly name: string;
  /** What its operands are called, in order; a last one that begins with "..." stands for any number of them. */
  readonly operands: readonly string[];
  /**
   * Its attributes and their defaults, or kinds with defaults: see core/attributes.ts. `required` where a caller must give
   * one, `optional` where none is a value, too.
   */
  readonly attributes: Attributes;
  /** Writes a caller's shorthands out (a number for a pair, say) and checks what shapes do not show. */
  readonly resolve?: (given: any, inputs: readonly TensorType[]) => A;
  /** Shapes and dtypes of the results, or a ShapeError. */
  readonly infer: (inputs: readonly TensorType[], attrs: A) => TensorType[];
  /** The specification, in float64. */
  readonly reference: (inputs: readonly NDArray[], attrs: A) => NDArray[];
  /** Gradients in the inputs; null where an input has none. Absent: the op is not differentiable. */
  readonly grad?: (context: GradientContext<A>, f: OpTable) => (Tensor | null)[];
  readonly implementation: Implementation<A>;
  /** One for all results or one for each; by default that of a sum as long as the largest input, see ops/bounds.ts. */
  readonly tolerance?: Tolerance | readonly Tolerance[];
  /** What every element of the results is where all inputs are empty; 0, a sum of nothing, where it is absent. */
  readonly empty?: (attrs: A) => number;
  /** With attributes as a caller writes them; by default tensors of usual shapes, see verify/parity.ts. */
  readonly samples?: (s: Sampler) => Sample<any>[];
  /** Absent only where there is no input that could be wrong. */
  readonly errors?: readonly ErrorCase<any>[];
  /** Output i, where the op has that many, may overwrite input inPlace[i]: the update kernels. */
  readonly inPlace?: readonly number[];
  /** Callers get the first result alone; the others serve the op's own gradient. */
  readonly first?: boolean;
  /**
   * The sum of several results of this op, where that costs less than to add them one by one: gradients that are zero in
   * most places, of a tensor that many have read.
   */
  readonly sum?: (results: readonly Tensor[]) => Tensor;
  /** Callers get a list, even of one result. */
  readonly list?: boolean;
}

export { optional, required };
/** An op's attributes by name: how each is checked, or its default. */
export type Attributes = Readonly<Record<string, unknown>>;

/** How an op is called: operands first, then an object of attributes. */
export type Signature = (...args: never[]) => Tensor | readonly Tensor[];

/** An op: a function of tensors that carries its record. F is how it is called, A its attributes, all filled in. */
export type Op<F extends Signature = Signature, A = any> = F & OpRecord<A>;
/** How an op of one operand is called. */
export type Unary = (x: Operand) => Tensor;
/** How an op of two operands is called; their shapes broadcast. */
export type Binary = (a: Operand, b: Operand) => Tensor;

/** One T for each operand among the parameters P; a list of operands is any number of them, and attributes do not count. */
export type OperandsOf<P extends readonly unknown[], T> = P extends readonly [infer First, ...infer Rest]
  ? First extends Operand
    ? [T, ...OperandsOf<Rest, T>]
    : First extends readonly Operand[]
      ? T[]
      : []
  : P extends readonly []
    ? []
    : T[];
/** One T for each operand of a signature. */
export type OpInputs<F extends Signature, T> = Readonly<OperandsOf<Required<Parameters<F>>, T>>;

/** A record as it is written: the inputs are counted, and what can be left out is filled in. */
export interface OpDefinition<F extends Signature, A>
  extends Omit<
    OpRecord<A>,
    "operands" | "attributes" | "infer" | "reference" | "grad" | "implementation" | "samples" | "errors"
  > {
  readonly operands?: OpRecord["operands"];
  readonly attributes?: Attributes;
  readonly infer: (inputs: OpInputs<F, TensorType>, attrs: A) => TensorType[];
  readonly reference: (inputs: OpInputs<F, NDArray>, attrs: A) => NDArray[];
  readonly grad?: (context: Gradient<F, A>, f: OpTable) => (Tensor | null)[];
  readonly samples?: (s: Sampler) => Sample<Partial<A>>[];
  readonly errors?: readonly ErrorCase<Partial<A>>[];
  readonly implementation:
    | Exclude<Implementation<A>, { kind: "composition" }>
    | {
        readonly kind: "composition";
        readonly compose: (inputs: OpInputs<F, Tensor>, attrs: A, f: OpTable) => Tensor[];
      };
}

/** What a gradient's rule receives. */
export type Gradient<F extends Signature, A> = Omit<GradientContext<A>, "inputs" | "outputs"> & {
  readonly inputs: OpInputs<F, Tensor>;
  readonly outputs: ReturnType<F> extends Tensor ? readonly [Tensor, Tensor, ...Tensor[]] : ReturnType<F>;
};

/** Declares an op and gives it as a function of tensors. Users have that of plan/define.ts, which checks their kernels, too. */
/*#__NO_SIDE_EFFECTS__*/
export function defineOp<F extends Signature, A>(definition: OpDefinition<F, NoInfer<A>>): Op<F, A> {
  const record = {
    operands: ["...operands"],
    attributes: {},
    ...definition,
  };
  const op = (...args: unknown[]) => {
    const results = callOp(op as unknown as OpRecord, args);
    return definition.first || (results.length === 1 && !definition.list) ? results[0]! : results;
  };
  // A function has a name of its own, which assignment does not change.
  return Object.defineProperties(op, Object.getOwnPropertyDescriptors(record)) as unknown as Op<F, A>;
}

let table: unknown;

/** Gives compositions and constants the everyday ops, which are made of records themselves. */
export function provideOps(ops: OpTable): void {
  table = ops;
}

/** The everyday ops; gradients receive them. */
export const everydayOps = (): OpTable => table as OpTable;

const constantOf = (value: number, shape: Shape, dtype: DType): Tensor =>
  (table as { constant(attrs: object): Tensor }).constant({ value, shape, dtype });

const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;

/** Attributes with their defaults filled in; undefined for an op that has none. */
export function resolveAttributes(op: OpRecord, given: unknown, inputs: readonly TensorType[]): any {
  const names = Object.keys(op.attributes);
  for (const name of Object.keys(given ?? {}))
    if (!names.includes(name)) {
      const meant = nearest(name, names);
      throw new ShapeError(
        `${op.name}: there is no attribute "${name}"; ${meant ? `did you mean ${meant}?` : names.length > 0 ? `use ${names.join(", ")}.` : "it takes none."}`,
      );
    }
  if (names.length === 0) return undefined;
  const attrs: Record<string, unknown> = {};
  for (const name of names) {
    const { value, expects, accepts } = attributeOf(op.attributes[name]);
    const own = (given as Attributes | undefined)?.[name];
    if (own !== undefined && !accepts(own))
      throw new ShapeError(`${op.name}: ${name} is ${show(own)}; use ${expects}.`);
    const filled = own ?? value;
    if (filled === required)
      throw new ShapeError(
        `${op.name}: needs the attribute "${name}"; give it, { ${name}: … }, after the operands.`,
      );
    if (filled !== optional) attrs[name] = filled;
  }
  return op.resolve ? op.resolve(attrs, inputs) : attrs;
}

function checkCount({ name, operands }: OpRecord, count: number): void {
  const many = operands.at(-1)?.startsWith("...") ?? false;
  const least = many ? operands.length - 1 : operands.length;
  if (count < least || (!many && count > least))
    throw new ShapeError(
      `${name}: takes ${many ? "at least " : ""}${plural(least, "operand")}${least > 0 ? ` (${operands.join(", ")})` : ""}, got ${count}${count > least ? "; attributes come last, as an object" : ""}.`,
    );
}

/** An object as it is written down, which attributes are. */
const isPlain = (x: unknown): boolean =>
  typeof x === "object" && x !== null && [Object.prototype, null].includes(Object.getPrototypeOf(x));

/** Calls an op as a user does and gives all its results. */
export function callOp(op: OpRecord, args: readonly unknown[]): Tensor[] {
  const last = args.at(-1);
  const hasAttrs = args.length > 0 && (last === undefined || isPlain(last));
  const given = hasAttrs ? args.slice(0, -1) : args;
  const operands = op.operands.at(-1)?.startsWith("...") ? given.flat() : given;
  checkCount(op, operands.length);
  // A number takes the dtype of the tensors beside it.
  const like = operands.filter((x) => x instanceof Tensor).at(-1);
  const dtype = like && like.dtype !== "bool" && like.dtype !== "u8" ? like.dtype : "f32";
  const inputs = operands.map((x, i): Tensor => {
    if (x instanceof Tensor) return x;
    if (typeof x === "number") return constantOf(x, [], dtype);
    const name = op.operands[Math.min(i, op.operands.length - 1)]?.replace("...", "") ?? i;
    throw new ShapeError(`${op.name}: operand ${name} is ${show(x)}; pass a tensor or a number.`);
  });
  const attrs = resolveAttributes(op, hasAttrs ? last : undefined, inputs);
  if (op.implementation.kind === "composition") {
    op.infer(inputs, attrs);
    return op.implementation.compose(inputs, attrs, everydayOps());
  }
  return foldConstant(op, inputs, attrs) ?? applyOp(op, inputs, attrs);
}

/** An elementwise op (or a view) on constants alone is a constant: its reference says which. */
function foldConstant(op: OpRecord, inputs: readonly Tensor[], attrs: unknown): Tensor[] | undefined {
  const { kind } = op.implementation;
  if (inputs.length === 0 || (kind !== "elementwise" && kind !== "view")) return undefined;
  if (inputs.some((x) => x.node.op?.name !== "constant")) return undefined;
  const [type] = op.infer(inputs, attrs);
  if (type!.dtype === "f16") return undefined;
  const scalars = inputs.map((x) => ({
    shape: [],
    dtype: x.dtype,
    data: Float64Array.of(x.node.attrs.value),
  }));
  const value =
    kind === "view" ? scalars[0]!.data[0]! : op.reference(scalars, scalarAttrs(attrs))[0]!.data[0]!;
  if (type!.dtype === "f32" && !Number.isFinite(Math.fround(value))) return undefined;
  return [constantOf(value, type!.shape, type!.dtype)];
}

/** Attributes for one element: a target shape becomes that of a scalar. */
function scalarAttrs(attrs: unknown): unknown {
  return typeof attrs === "object" && attrs !== null && "shape" in attrs ? { ...attrs, shape: [] } : attrs;
}

let nextId = 0;
let region: Recomputed | undefined;

/**
 * Traces a part of a network whose inner results the backward pass computes again instead of keeping them: gradient
 * checkpointing. A part within such a part is part of the outer one. Source: Chen et al., 2016, §3.
 */
export function recomputed<T>(trace: () => T): T {
  const outer = region;
  region ??= {};
  try {
    return trace();
  } finally {
    region = outer;
  }
}

/** Applies an op that is not a composition: a new node, one tensor for each result. */
export function applyOp(op: OpRecord, inputs: readonly Tensor[], attrs: unknown): Tensor[] {
  // A record may hand an input back as the type of its result: keep no more of it than the type.
  const outputs = op.infer(inputs, attrs).map(({ shape, dtype }): TensorType => ({ shape, dtype }));
  const node: GraphNode = { id: nextId++, op, inputs, attrs, outputs, ...(region && { recomputed: region }) };
  return outputs.map((_, index) => new Tensor(node, index));
}

/** A tensor of numbers that the host has. */
export const dataTensor = (data: NDArray): Tensor => leaf(data, { kind: "data", data });

/** A tensor that nothing in the graph computes. */
export function leaf({ shape, dtype }: TensorType, source: Leaf): Tensor {
  return new Tensor({
    id: nextId++,
    op: null,
    leaf: source,
    inputs: [],
    attrs: undefined,
    outputs: [{ shape, dtype }],
  });
}
