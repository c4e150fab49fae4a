import { ShapeError } from "../../core/errors.ts";
import {
  broadcastShapes,
  broadcastStrides,
  type Shape,
  showShape,
  showType,
  sizeOf,
  type TensorType,
} from "../../core/shape.ts";

/** Of `matmul`. */
export interface MatmulAttrs {
  /** a is stored as [..., K, M]. */
  readonly transposeA?: boolean;
  /** b is stored as [..., N, K], as a linear layer's weight is. */
  readonly transposeB?: boolean;
}

/** A batch of matrix products with all its numbers filled in. */
export interface Product {
  /** Batch axes of the result. */
  readonly batch: Shape;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** From one matrix of a (of b) to the next along each batch axis, in elements; 0 where it is broadcast. */
  readonly aBatch: readonly number[];
  readonly bBatch: readonly number[];
}

/**
 * Checks the shapes of a product.
 * @throws ShapeError
 */
export function productOf(a: TensorType, b: TensorType, attrs: MatmulAttrs = {}): Product {
  const { transposeA = false, transposeB = false } = attrs;
  for (const [name, x] of [
    ["a", a],
    ["b", b],
  ] as const) {
    if (x.dtype !== "f32") throw new ShapeError(`matmul: ${name} is ${x.dtype}; cast it to f32 first.`);
    if (x.shape.length < 2)
      throw new ShapeError(
        `matmul: ${name} ${showType(x)} has rank ${x.shape.length}; it needs at least 2 axes: reshape it to a matrix.`,
      );
  }
  const [m, k] = transposeA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const [n, other] = transposeB ? [b.shape.at(-2)!, b.shape.at(-1)!] : [b.shape.at(-1)!, b.shape.at(-2)!];
  if (k !== other) {
    const show = (x: TensorType, transposed: boolean) =>
      `${showShape(x.shape)}${transposed ? " (transposed)" : ""}`;
    throw new ShapeError(
      `matmul: ${show(a, transposeA)} has ${k} columns and ${show(b, transposeB)} has ${other} rows; they must be equal.`,
    );
  }
  const aAxes = a.shape.slice(0, -2);
  const bAxes = b.shape.slice(0, -2);
  const batch = broadcastShapes("matmul", aAxes, bAxes);
  const steps = (axes: Shape, size: number) => broadcastStrides(axes, batch).map((step) => step * size);
  return { batch, m, n, k, transposeA, transposeB, aBatch: steps(aAxes, m * k), bBatch: steps(bAxes, k * n) };
}

/** The same product with fewer batch axes: where every product uses the same b, the rows of a form one long matrix. */
export function foldBatch(p: Product): Product {
  const count = sizeOf(p.batch);
  const contiguous = p.aBatch.every(
    (step, axis) => p.batch[axis] === 1 || step === p.m * p.k * sizeOf(p.batch.slice(axis + 1)),
  );
  if (p.transposeA || !contiguous || p.bBatch.some((step) => step !== 0)) return p;
  return { ...p, batch: [], m: count * p.m, aBatch: [], bBatch: [] };
}
