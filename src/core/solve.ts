/** Small dense systems on the host, matrices row after row in float64. */

/** How much smaller than the largest a pivot may be; what is below it is lost in rounding. */
const SMALLEST_PIVOT = 2 ** -46;

/**
 * The lower triangle L with A = L·Lᵀ of a symmetric matrix [n, n]; undefined where A is not positive definite, as far as
 * float64 can tell. Source: Golub, Van Loan, 2013, "Matrix computations", §4.2.
 */
export function cholesky(matrix: Float64Array, n: number): Float64Array | undefined {
  const l = matrix.slice();
  for (let j = 0; j < n; j++) {
    const given = l[j * n + j]!;
    let pivot = given;
    for (let k = 0; k < j; k++) pivot -= l[j * n + k]! ** 2;
    if (!(pivot > SMALLEST_PIVOT * Math.abs(given))) return undefined;
    const root = Math.sqrt(pivot);
    l[j * n + j] = root;
    for (let i = j + 1; i < n; i++) {
      let sum = l[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= l[i * n + k]! * l[j * n + k]!;
      l[i * n + j] = sum / root;
    }
  }
  return l;
}

/** x with L·Lᵀ·x = b. */
export function choleskySolve(l: Float64Array, n: number, b: Float64Array): Float64Array {
  const x = b.slice();
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i]! -= l[i * n + k]! * x[k]!;
    x[i]! /= l[i * n + i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i]! -= l[k * n + i]! * x[k]!;
    x[i]! /= l[i * n + i]!;
  }
  return x;
}

/**
 * x with |A·x − b| smallest for a matrix [rows, columns], rows ≥ columns, by Householder's reflections with the largest
 * remaining column first; `rank` below `columns` where A's columns depend on each other, as far as numbers with the relative
 * error `precision` can tell. Then x is 0 along those that were left. Source: Golub, Van Loan, 2013, "Matrix computations",
 * §5.4.
 */
export function leastSquares(
  matrix: Float64Array,
  rows: number,
  columns: number,
  b: Float64Array,
  precision = SMALLEST_PIVOT,
): { x: Float64Array; rank: number } {
  const rest = b.slice();
  const column = Array.from({ length: columns }, (_, j) =>
    Float64Array.from({ length: rows }, (_, i) => matrix[i * columns + j]!),
  );
  // A column's scale is no measure of what it adds: each is taken as a share of its length.
  const lengths = column.map((c) => norm(c, 0));
  const order = Array.from({ length: columns }, (_, j) => j);
  let rank = 0;
  for (; rank < Math.min(rows, columns); rank++) {
    let [best, share] = [rank, -1];
    for (let j = rank; j < columns; j++) {
      const [left, length] = [norm(column[order[j]!]!, rank), lengths[order[j]!]!];
      if (length > 0 && left / length > share) [best, share] = [j, left / length];
    }
    if (!(share > precision)) break;
    [order[rank], order[best]] = [order[best]!, order[rank]!];
    const pivot = column[order[rank]!]!;
    const v = pivot.slice(rank);
    const length = norm(v, 0);
    const sign = v[0]! < 0 ? -1 : 1;
    v[0]! += sign * length;
    const scale = 2 / norm(v, 0) ** 2;
    for (const c of [...order.slice(rank).map((j) => column[j]!), rest]) reflect(c, v, scale, rank);
  }
  const x = new Float64Array(columns);
  for (let i = rank - 1; i >= 0; i--) {
    let sum = rest[i]!;
    for (let k = i + 1; k < rank; k++) sum -= column[order[k]!]![i]! * x[order[k]!]!;
    x[order[i]!] = sum / column[order[i]!]![i]!;
  }
  return { x, rank };
}

/** The length of what a vector holds from an index on. */
function norm(x: Float64Array, from: number): number {
  let largest = 0;
  for (let i = from; i < x.length; i++) largest = Math.max(largest, Math.abs(x[i]!));
  if (!(largest > 0 && largest < Number.POSITIVE_INFINITY)) return largest;
  let sum = 0;
  for (let i = from; i < x.length; i++) sum += (x[i]! / largest) ** 2;
  return largest * Math.sqrt(sum);
}

/** x − scale·(v·x)·v on what x holds from an index on. */
function reflect(x: Float64Array, v: Float64Array, scale: number, from: number): void {
  let product = 0;
  for (let i = 0; i < v.length; i++) product += v[i]! * x[from + i]!;
  for (let i = 0; i < v.length; i++) x[from + i]! -= scale * product * v[i]!;
}
