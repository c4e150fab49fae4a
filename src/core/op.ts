import type { NDArray } from "./ndarray.ts";
import type { TensorType } from "./shape.ts";
import type { Tolerance } from "./tolerance.ts";
import type { Dispatch, Kernel, KernelContext } from "./kernel.ts";
import type { Sampler } from "./samples.ts";

/** One result of a node: what ops take and give while a graph is traced. */
export interface Value extends TensorType {
  readonly node: GraphNode;
  readonly index: number;
}

/** One application of an op, or a leaf (`op` null): a tensor fed by the host or kept on the device. */
export interface GraphNode {
  readonly id: number;
  readonly op: OpRecord | null;
  readonly leaf?: Leaf;
  readonly inputs: readonly Value[];
  readonly attrs: any;
  readonly outputs: readonly TensorType[];
  /** The segment it was traced in, if its results are to be computed again for the backward pass. */
  readonly segment?: Segment;
}

/** A part of a network that keeps nothing but its input and its result for the backward pass. */
export type Segment = object;

/** Where a leaf's data comes from. */
export type Leaf =
  | { readonly kind: "feed"; readonly name: string }
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

/** Ops by name, as gradients and compositions see them: inputs first, then an object of attributes. */
export type OpFunction = (...args: any[]) => Value;
export type OpTable = { readonly [name: string]: OpFunction } & {
  /** All results of an op that has several. */
  readonly all: { readonly [name: string]: (...args: any[]) => Value[] };
};

export interface GradientContext<A> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attrs: A;
  /** Gradient of the loss in the first output. */
  readonly dy: Value;
  /** Gradients in all outputs; null where the loss does not depend on one. */
  readonly dys: readonly (Value | null)[];
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
       * Inputs that every variant reads only as `name[i]`, i counted in elements or vectors of that input alone: about
       * once each (`loads`), or several times each (`reloads`), so that only cheap chains are evaluated there.
       */
      readonly loads?: readonly number[];
      readonly reloads?: readonly number[];
      /** An input that output 0 may take the place of: who stores an element is who read it, and nobody else does then. */
      readonly overwrites?: number;
      /** Computes all outputs from the moments that the kernel before left of input 0, without reading that. */
      readonly fromMoments?: (context: KernelContext<A>, slabs: number) => Dispatch;
      /**
       * What is kept as f16 under mixed precision: inputs, which every variant reads as `loads` says, and results. The
       * kernel itself computes in f32, sums in f32 included: a product of two f16 is exact there.
       */
      readonly half?: { readonly inputs: readonly number[]; readonly outputs: readonly number[] };
      /** Every variant stores the finished first result, once, as `name[i] = value;` and never reads it back. */
      readonly stores?: boolean;
    }
  | {
      readonly kind: "composition";
      readonly compose: (inputs: readonly Value[], attrs: A, f: OpTable) => Value[];
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
  /** Shapes and dtypes of the results, or a ShapeError. */
  readonly infer: (inputs: readonly TensorType[], attrs: A) => TensorType[];
  /** The specification, in float64. */
  readonly reference: (inputs: readonly NDArray[], attrs: A) => NDArray[];
  /** Gradients in the inputs; null where an input has none. Absent: the op is not differentiable. */
  readonly grad?: (context: GradientContext<A>, f: OpTable) => (Value | null)[];
  readonly implementation: Implementation<A>;
  readonly tolerance: Tolerance | readonly Tolerance[];
  /** What every element of the results is where all inputs are empty; 0, a sum of nothing, where it is absent. */
  readonly empty?: (attrs: A) => number;
  readonly samples: (s: Sampler) => Sample<A>[];
  /** Absent only where there is no input that could be wrong. */
  readonly errors?: readonly ErrorCase<A>[];
  /** Output i, where the op has that many, may overwrite input inPlace[i]: the update kernels. */
  readonly inPlace?: readonly number[];
}

/** Declares an op; the record is returned as it is. */
export function defineOp<A = Record<string, never>>(record: OpRecord<A>): OpRecord<A> {
  return record;
}
