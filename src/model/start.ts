import type { Backend } from "../backend/backend.ts";
import type { NumericArray } from "../core/dtype.ts";
import { OptionError } from "../core/errors.ts";
import type { HostNumbers, NDArray } from "../core/ndarray.ts";
import type { Tensor, Variable } from "../core/op.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import { leavesOf, mapTree, type Tree } from "../core/tree.ts";
import type { Trainable } from "../optim/state.ts";
import { isNDArray } from "./inputs.ts";
import { hostArray, isFlat } from "./program.ts";
import type { TraceContext } from "./tracing.ts";

/** Numbers of one tensor that a search starts from: nested or flat, or an array with its shape. */
export type StartNumbers = number | readonly HostNumbers[] | NumericArray | NDArray;
/** Where a search starts: numbers of a tensor, or a tree of them. */
export type Start = Tree<StartNumbers>;

/** What a search varies: numbers that lie in one vector, and what they stand for. */
export interface Varied {
  readonly numbers: Float64Array;
  /** The function with a vector in their place. */
  call(x: Tensor, t: TraceContext): Tensor;
  /** What the search gives for a vector. */
  found(x: NumericArray): unknown;
}

/** A part of the vector, as a tensor. */
const part = (x: Tensor, shape: Shape, from: number): Tensor =>
  x.slice({ starts: [from], ends: [from + sizeOf(shape)] }).reshape({ shape });

/** Numbers, as deep as lists go: a list with a record in it is a list of tensors. */
const isNumbers = (x: unknown): x is StartNumbers =>
  typeof x === "number" || isFlat(x) || isNDArray(x) || (Array.isArray(x) && x.every(isNested));
const isNested = (x: unknown): boolean =>
  typeof x === "number" || isFlat(x) || (Array.isArray(x) && x.every(isNested));

/**
 * A function of a tree of tensors, and the numbers it starts from.
 * @throws OptionError for numbers that are not finite, or none.
 */
export function ofTree(f: (x: any) => Tensor, start: Start): Varied {
  const arrays = new Map<string, { shape: Shape; from: number }>();
  const numbers: number[] = [];
  for (const { path, leaf } of leavesOf(start, isNumbers)) {
    const name = path ? `minimize: the start "${path}"` : "minimize: the start";
    const { shape, data } = isNDArray(leaf) ? leaf : hostArray(leaf, { name });
    const odd = data.findIndex((value) => !Number.isFinite(value));
    if (odd >= 0)
      throw new OptionError(`${name} holds ${data[odd]}, as its number ${odd}; start from finite numbers.`);
    arrays.set(path, { shape, from: numbers.length });
    for (const value of data) numbers.push(value);
  }
  if (numbers.length === 0) throw new OptionError("minimize: the start has no numbers; give at least one.");
  const form = (make: (shape: Shape, from: number) => unknown) =>
    mapTree(start, isNumbers, (_, path) => {
      const { shape, from } = arrays.get(path)!;
      return make(shape, from);
    });
  return {
    numbers: Float64Array.from(numbers),
    call: (x) => f(form((shape, from) => part(x, shape, from))),
    found: (x) => form((shape, from) => ({ shape, dtype: "f32", data: x.slice(from, from + sizeOf(shape)) })),
  };
}

export const isTrainable = (x: unknown): x is Trainable =>
  typeof x === "object" && x !== null && "frozen" in x && x.frozen instanceof Set;

/**
 * A function of a trace in which a model computes with the vector in place of its parameters, but for frozen ones; what is found
 * becomes the model's.
 * @throws OptionError when nothing of it is to be varied, or its numbers are not finite.
 */
export async function ofModel(
  device: Backend,
  f: (t: TraceContext) => Tensor,
  model: Trainable,
): Promise<Varied> {
  if (model.device !== device)
    throw new OptionError("minimize: the model is on another device; pass the device that it was made with.");
  const parts: { variable: Variable; from: number }[] = [];
  const numbers: number[] = [];
  for (const variable of model.parameters.filter((one) => !model.frozen.has(one))) {
    parts.push({ variable, from: numbers.length });
    for (const value of await device.read(variable)) numbers.push(value);
  }
  if (numbers.length === 0)
    throw new OptionError("minimize: the model has no parameters that are not frozen; unfreeze some.");
  if (!numbers.every(Number.isFinite))
    throw new OptionError("minimize: the model has parameters that are not finite; initialise it anew.");
  return {
    numbers: Float64Array.from(numbers),
    call: (x, t) => {
      t.varied = new Map(parts.map(({ variable, from }) => [variable, part(x, variable.shape, from)]));
      return f(t);
    },
    found: (x) => {
      for (const { variable, from } of parts)
        device.write(variable, x.slice(from, from + sizeOf(variable.shape)));
      return model;
    },
  };
}
