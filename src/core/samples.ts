import type { DType } from "./dtype.ts";
import { type NDArray, ndarray } from "./ndarray.ts";
import { Random } from "./rng.ts";
import { type Shape, sizeOf, type TensorType } from "./shape.ts";

/** Makes the tensors of samples; the same op always gets the same ones. */
export class Sampler {
  private readonly random: Random;

  constructor(seedText: string) {
    let seed = 2166136261;
    for (const char of seedText) seed = Math.imul(seed ^ char.charCodeAt(0), 16777619);
    this.random = new Random(seed >>> 0);
  }

  /** Standard normal float32 values. */
  randn(...shape: number[]): NDArray {
    return this.fill(shape, "f32", () => this.random.normal());
  }

  /** Uniform values in [low, high), in float32 or f16. */
  uniform(low: number, high: number, shape: Shape, dtype: DType = "f32"): NDArray {
    return this.fill(shape, dtype, () => this.random.uniform(low, high));
  }

  /** Integers in low … high inclusive, in any dtype. */
  integers(low: number, high: number, shape: Shape, dtype: DType = "f32"): NDArray {
    return this.fill(shape, dtype, () => low + this.random.integer(high - low + 1));
  }

  /** A permutation of distinct values, for ops where ties matter. */
  distinct(...shape: number[]): NDArray {
    const order = this.random.permutation(sizeOf(shape));
    return ndarray(
      shape,
      Array.from(order, (v) => v / 4 - order.length / 8),
    );
  }

  /** Rows that rise to the end, each twice as steeply as the one before. */
  rising(rows: number, length: number): NDArray {
    const value = (i: number) => 2 ** Math.floor(i / length) * 1e-3 * (i % length);
    return ndarray(
      [rows, length],
      Array.from({ length: rows * length }, (_, i) => value(i)),
    );
  }

  /** Given values. */
  values(values: readonly number[], shape: Shape = [values.length], dtype: DType = "f32"): NDArray {
    return ndarray(shape, values, dtype);
  }

  private fill(shape: Shape, dtype: DType, next: () => number): NDArray {
    return ndarray(shape, Array.from({ length: sizeOf(shape) }, next), dtype);
  }
}

/** A tensor type, for error cases: `type([2, 3])`, `type([2], "bool")`. */
export function type(shape: Shape, dtype: DType = "f32"): TensorType {
  return { shape, dtype };
}
