import type { DType } from "./dtype.ts";
import { type NDArray, ndarray } from "./ndarray.ts";
import { Random } from "./rng.ts";
import { type Shape, sizeOf, type TensorType } from "./shape.ts";

/**
 * Makes the tensors of samples; the same op always gets the same ones. Their numbers are drawn when somebody first looks
 * at them, each tensor's from a stream of its own: who lists samples draws none.
 */
export class Sampler {
  private readonly seed: number;
  private tensors = 0;

  constructor(seedText: string) {
    let seed = 2166136261;
    for (const char of seedText) seed = Math.imul(seed ^ char.charCodeAt(0), 16777619);
    this.seed = seed >>> 0;
  }

  /** Standard normal float32 values. */
  randn(...shape: number[]): NDArray {
    return this.fill(shape, "f32", (random) => random.normal());
  }

  /** Uniform values in [low, high), in float32 or f16. */
  uniform(low: number, high: number, shape: Shape, dtype: DType = "f32"): NDArray {
    return this.fill(shape, dtype, (random) => random.uniform(low, high));
  }

  /** Integers in low … high inclusive, in any dtype. */
  integers(low: number, high: number, shape: Shape, dtype: DType = "f32"): NDArray {
    return this.fill(shape, dtype, (random) => low + random.integer(high - low + 1));
  }

  /** A permutation of distinct values, for ops where ties matter. */
  distinct(...shape: number[]): NDArray {
    return this.draw(shape, "f32", (random, size) =>
      Float64Array.from(random.permutation(size), (v) => v / 4 - size / 8),
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

  private fill(shape: Shape, dtype: DType, next: (random: Random) => number): NDArray {
    return this.draw(shape, dtype, (random, size) => {
      const values = new Float64Array(size);
      for (let i = 0; i < size; i++) values[i] = next(random);
      return values;
    });
  }

  private draw(
    shape: Shape,
    dtype: DType,
    values: (random: Random, size: number) => ArrayLike<number>,
  ): NDArray {
    const number = this.tensors++;
    return lazily(shape, dtype, () =>
      ndarray(shape, values(new Random(this.seed, number), sizeOf(shape)), dtype),
    );
  }
}

/** A tensor whose numbers are worked out when somebody first looks at them. */
export function lazily(shape: Shape, dtype: DType, make: () => NDArray): NDArray {
  let made: NDArray | undefined;
  return {
    shape,
    dtype,
    get data() {
      return (made ??= make()).data;
    },
  };
}

/** A tensor type, for error cases: `type([2, 3])`, `type([2], "bool")`. */
export function type(shape: Shape, dtype: DType = "f32"): TensorType {
  return { shape, dtype };
}
