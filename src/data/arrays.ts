import type { Backend } from "../backend/backend.ts";
import { DataError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import type { Tensor } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import { leavesOf, mapTree, type Tree } from "../core/tree.ts";
import { read, standalone } from "../graph/node.ts";
import { gather } from "../ops/layout/gather.ts";
import type { ResidentData } from "./resident.ts";

/** Inputs and targets in host memory, examples along the first axis of each of their arrays. */
export interface ArrayDataset {
  readonly name: string;
  readonly count: number;
  readonly x: Tree<NDArray>;
  readonly y: Tree<NDArray>;
}

/** Whether a value is an array of numbers with its shape. */
export const isArray = (x: unknown): x is NDArray =>
  typeof x === "object" && x !== null && "data" in x && "shape" in x;

export const isArrayDataset = (data: object): data is ArrayDataset => "x" in data && "y" in data;

/**
 * A data set of inputs x and targets y: arrays [n, …], or lists or records of them. Targets that are class numbers are i32.
 *
 * @example data.arrays({ x: ndarray([100, 3], values), y: ndarray([100], labels, "i32") })
 * @throws DataError when the arrays have not equally many examples, or none.
 */
export function arrays(options: {
  readonly x: Tree<NDArray>;
  readonly y: Tree<NDArray>;
  readonly name?: string;
}): ArrayDataset {
  const { x, y, name = "arrays" } = options;
  const all = [...leavesOf(x, isArray, "x"), ...leavesOf(y, isArray, "y")];
  const count = all[0]?.leaf.shape[0] ?? 0;
  for (const { path, leaf } of all) {
    if (leaf.data.length !== sizeOf(leaf.shape))
      throw new DataError(
        `${name}: ${path} has ${leaf.data.length} numbers for the shape [${leaf.shape.join(", ")}].`,
      );
    if ((leaf.shape[0] ?? 0) !== count)
      throw new DataError(
        `${name}: ${all[0]!.path} has ${count} examples and ${path} has ${leaf.shape[0] ?? 0}; give as many of each.`,
      );
  }
  if (count === 0) throw new DataError(`${name}: has no examples; give at least one.`);
  return { name, count, x, y };
}

/** Uploads arrays of inputs and targets, examples along their first axes; batches are gathered on the device. */
export function residentArrays(
  backend: Backend,
  name: string,
  x: Tree<NDArray>,
  y: Tree<NDArray>,
): ResidentData {
  const { count } = arrays({ x, y, name });
  const variables = new Map<NDArray, ReturnType<typeof standalone>>();
  const upload = (array: NDArray, path: string) => {
    const variable = standalone(`${name} ${path}`, array.shape, array.dtype);
    backend.write(variable, array.data);
    variables.set(array, variable);
  };
  for (const { path, leaf } of [...leavesOf(x, isArray, "x"), ...leavesOf(y, isArray, "y")])
    if (!variables.has(leaf)) upload(leaf, path);
  const take = (tree: Tree<NDArray>, indices: Tensor) =>
    mapTree(tree, isArray, (array) => gather(read(variables.get(array)!), indices)) as Tree<Tensor>;
  return {
    name,
    count,
    batch: (indices) => ({ x: take(x, indices), y: take(y, indices) }),
    release: () => {
      for (const variable of variables.values()) backend.release(variable.arena);
    },
  };
}
