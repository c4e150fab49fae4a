/** Small dense matrices on the host, row after row in float64: what initialisers are made from. */

/** Eigenvalues from the largest down, and beside each its eigenvector as a row of `vectors`. */
export interface Eigen {
  readonly values: Float64Array;
  readonly vectors: Float64Array;
}

/**
 * The eigenvalues and orthonormal eigenvectors of a symmetric matrix [n, n], by Jacobi's cyclic rotations: each makes
 * one pair of elements 0, and sweeps end when all beside the diagonal are lost in rounding. A vector's largest element is
 * positive. For n up to a few hundred. Source: Golub, Van Loan, 2013, "Matrix computations", §8.5.
 */
export function symmetricEigen(matrix: ArrayLike<number>, n: number): Eigen {
  const a = Float64Array.from(matrix);
  const rows = identityMatrix(n);
  for (let sweep = 0; sweep < 60 && beside(a, n) > 0; sweep++)
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) annihilate(a, rows, n, p, q);
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j]! - a[i * n + i]!);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    const vector = rows.subarray(from * n, (from + 1) * n);
    let largest = 0;
    for (const x of vector) if (Math.abs(x) > Math.abs(largest)) largest = x;
    for (let i = 0; i < n; i++) vectors[to * n + i] = largest < 0 ? -vector[i]! : vector[i]!;
  });
  return { values: Float64Array.from(order, (i) => a[i * n + i]!), vectors };
}

function identityMatrix(n: number): Float64Array {
  const matrix = new Float64Array(n * n);
  for (let i = 0; i < n; i++) matrix[i * n + i] = 1;
  return matrix;
}

/** The sum of magnitudes beside the diagonal. */
function beside(a: Float64Array, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) sum += Math.abs(a[i * n + j]!);
  return sum;
}

/** Rotates rows and columns p and q of `a`, and the same rows of `rows`, so that a[p, q] becomes 0. */
function annihilate(a: Float64Array, rows: Float64Array, n: number, p: number, q: number): void {
  const apq = a[p * n + q]!;
  const app = a[p * n + p]!;
  const aqq = a[q * n + q]!;
  if (Math.abs(apq) <= 2 ** -54 * Math.sqrt(Math.abs(app * aqq)) || Math.abs(apq) < 1e-300) {
    a[p * n + q] = 0;
    a[q * n + p] = 0;
    return;
  }
  const theta = (aqq - app) / (2 * apq);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  for (let k = 0; k < n; k++) {
    const akp = a[k * n + p]!;
    const akq = a[k * n + q]!;
    a[k * n + p] = c * akp - s * akq;
    a[k * n + q] = s * akp + c * akq;
  }
  rotateRows(a, n, p, q, c, s);
  rotateRows(rows, n, p, q, c, s);
  a[p * n + q] = 0;
  a[q * n + p] = 0;
}

function rotateRows(a: Float64Array, n: number, p: number, q: number, c: number, s: number): void {
  for (let k = 0; k < n; k++) {
    const x = a[p * n + k]!;
    const y = a[q * n + k]!;
    a[p * n + k] = c * x - s * y;
    a[q * n + k] = s * x + c * y;
  }
}

/**
 * The rows of a matrix [rows, columns], rows ≤ columns, made orthonormal in their order: the Q of the factors QR of its
 * transpose with a positive diagonal in R, by Householder's reflections. The matrix is overwritten by the result.
 * Source: Golub, Van Loan, 2013, "Matrix computations", §5.2; the signs: Mezzadri, 2007, "How to generate random matrices
 * from the classical compact groups".
 */
export function orthonormalRows(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const scales = new Float64Array(rows);
  const signs = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    const v = matrix.subarray(i * columns + i, (i + 1) * columns);
    const length = Math.sqrt(dot(v, v));
    // The reflection takes v to −sign(v₀)·|v|, which is R's diagonal.
    const sign = v[0]! < 0 ? -1 : 1;
    signs[i] = -sign;
    v[0]! += sign * length;
    const square = dot(v, v);
    scales[i] = square > 0 ? 2 / square : 0;
    for (let k = i + 1; k < rows; k++)
      reflect(matrix.subarray(k * columns + i, (k + 1) * columns), v, scales[i]!);
  }
  // Row i of Q: the reflections, last to first, of the i-th unit vector.
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const row = result.subarray(i * columns, (i + 1) * columns);
    row[i] = signs[i]!;
    for (let k = i; k >= 0; k--)
      reflect(row.subarray(k), matrix.subarray(k * columns + k, (k + 1) * columns), scales[k]!);
  }
  matrix.set(result);
  return matrix;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** x − scale·(v·x)·v. */
function reflect(x: Float64Array, v: Float64Array, scale: number): void {
  const step = scale * dot(x, v);
  for (let i = 0; i < x.length; i++) x[i]! -= step * v[i]!;
}
