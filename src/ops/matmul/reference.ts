import type { NDArray } from "../../core/ndarray.ts";
import { sizeOf } from "../../core/shape.ts";
import type { Product } from "./shape.ts";

const float64 = ({ data }: NDArray): Float64Array =>
  data instanceof Float64Array ? data : Float64Array.from(data);

/** Row-major copy of the transpose of a [rows, columns] matrix. */
function transposed(x: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(x.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) result[c * rows + r] = x[r * columns + c]!;
  return result;
}

/** c += a · b for row-major a [m, k], b [k, n], c [m, n]: four rows of b at a time, so that c is touched less. */
function multiply(a: Float64Array, b: Float64Array, c: Float64Array, m: number, n: number, k: number): void {
  const whole = k - (k % 4);
  for (let i = 0; i < m; i++) {
    const row = i * n;
    for (let p = 0; p < whole; p += 4) {
      const a0 = a[i * k + p]!;
      const a1 = a[i * k + p + 1]!;
      const a2 = a[i * k + p + 2]!;
      const a3 = a[i * k + p + 3]!;
      const b0 = p * n;
      const b1 = b0 + n;
      const b2 = b1 + n;
      const b3 = b2 + n;
      for (let j = 0; j < n; j++)
        c[row + j]! += a0 * b[b0 + j]! + a1 * b[b1 + j]! + a2 * b[b2 + j]! + a3 * b[b3 + j]!;
    }
    for (let p = whole; p < k; p++) {
      const factor = a[i * k + p]!;
      for (let j = 0; j < n; j++) c[row + j]! += factor * b[p * n + j]!;
    }
  }
}

export function matmulReference(p: Product, a: NDArray, b: NDArray): Float64Array {
  const { batch, m, n, k } = p;
  const count = sizeOf(batch);
  const result = new Float64Array(count * m * n);
  const aData = float64(a);
  const bData = float64(b);
  for (let i = 0; i < count; i++) {
    let rest = i;
    let aStart = 0;
    let bStart = 0;
    for (let axis = batch.length - 1; axis >= 0; axis--) {
      const coordinate = rest % batch[axis]!;
      rest = (rest - coordinate) / batch[axis]!;
      aStart += coordinate * p.aBatch[axis]!;
      bStart += coordinate * p.bBatch[axis]!;
    }
    let left = aData.subarray(aStart, aStart + m * k);
    let right = bData.subarray(bStart, bStart + k * n);
    if (p.transposeA) left = transposed(left, k, m);
    if (p.transposeB) right = transposed(right, n, k);
    multiply(left, right, result.subarray(i * m * n, (i + 1) * m * n), m, n, k);
  }
  return result;
}
