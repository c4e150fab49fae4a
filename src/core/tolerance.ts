import { SMALLEST_NORMAL_HALF } from "./half.ts";
import type { NDArray } from "./ndarray.ts";

/**
 * The one tolerance policy: how far a float32 result may lie from the float64 reference. Tests and the verify command
 * take their bounds from here and from the record of the op; nothing loosens them on the spot.
 *
 * - `exact`: bit for bit (integers, masks, gathers, copies).
 * - `elementwise`: an absolute bound from the WGSL accuracy table (W3C, WGSL §15.7.4), composed per op.
 * - `accumulated`: 4·√L·u·S + 2⁻¹²⁶ for sums and products, L the accumulation length and S the sum of magnitudes
 *   (the reference evaluated on absolute values); never relative to the result, which may cancel. A kernel whose algorithm
 *   adds larger terms than the op's own names the inputs on which the reference gives their magnitudes
 *   (`KernelVariant.magnified`).
 *
 * A result that is stored as f16 may be off by `halfBound` more.
 */
export type Tolerance =
  | { readonly kind: "exact" }
  | { readonly kind: "elementwise"; readonly bound: (result: number, ...inputs: number[]) => number }
  | {
      readonly kind: "accumulated";
      /** L: how many terms one output adds up. */
      readonly length: (inputs: readonly NDArray[], attrs: any) => number;
      /** Multiplies the bound: the number of roundings beyond the sum itself, derived in the record. */
      readonly factor?: number;
      /** S, one array for each output; by default the reference on absolute values. */
      readonly scale?: (inputs: readonly NDArray[], attrs: any) => ArrayLike<number>[];
    };

/** u = 2⁻²³: twice the rounding error of float32, because WGSL leaves the direction of rounding open. */
export const UNIT_ROUNDOFF = 2 ** -23;
/** The smallest normal float32; smaller results may be flushed to zero. */
export const SMALLEST_NORMAL = 2 ** -126;

/** Results agree bit for bit. */
export const exact: Tolerance = { kind: "exact" };

/** The distance between float32 numbers near `y`. */
export function ulp(y: number): number {
  const magnitude = Math.abs(y);
  if (!(magnitude >= SMALLEST_NORMAL)) return 2 ** -149;
  if (!Number.isFinite(magnitude)) return 2 ** 104;
  return 2 ** (Math.floor(Math.log2(magnitude)) - 23);
}

/** Within `count` units in the last place of the result; `count` may depend on the inputs. */
export function ulps(count: number | ((...inputs: number[]) => number)): Tolerance {
  const units = typeof count === "number" ? () => count : count;
  return { kind: "elementwise", bound: (y, ...x) => units(...x) * ulp(y) };
}

/** Within an absolute error that may depend on the result and the inputs. */
export function within(bound: (result: number, ...inputs: number[]) => number): Tolerance {
  return { kind: "elementwise", bound };
}

/** A sum of `length` terms. */
export function accumulated(
  length: (inputs: readonly NDArray[], attrs: any) => number,
  options: { factor?: number; scale?: (inputs: readonly NDArray[], attrs: any) => ArrayLike<number>[] } = {},
): Tolerance {
  return { kind: "accumulated", length, ...options };
}

/** 4·√L·u·S + 2⁻¹²⁶. */
export function accumulationBound(length: number, magnitude: number, factor = 1): number {
  return factor * 4 * Math.sqrt(Math.max(1, length)) * UNIT_ROUNDOFF * magnitude + SMALLEST_NORMAL;
}

/** What storing a result as f16 adds: 2⁻¹⁰ of it, and all of what may be flushed to zero. */
export function halfBound(result: number): number {
  const magnitude = Math.abs(result);
  return 2 ** -10 * magnitude + (magnitude <= SMALLEST_NORMAL_HALF ? SMALLEST_NORMAL_HALF : 0);
}

/** How one result compared with its bound. */
export interface Comparison {
  readonly pass: boolean;
  /** Elements out of bounds. */
  readonly mismatches: number;
  /** The largest error, and the bound, result and expectation where error/bound is worst. */
  readonly worstError: number;
  readonly tolerance: number;
  readonly worstIndex: number;
  readonly got: number;
  readonly expected: number;
}

/** Compares element by element; numbers that are not finite must be the same kind on both sides. */
export function compare(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  bound: (index: number) => number,
): Comparison {
  if (got.length !== expected.length)
    throw new RangeError(`${got.length} results for ${expected.length} expectations.`);
  let mismatches = 0;
  let worst = -1;
  let worstIndex = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = got[i]!;
    const b = expected[i]!;
    let ratio: number;
    if (Object.is(a, b) || a === b) ratio = 0;
    else if (!Number.isFinite(a) || !Number.isFinite(b))
      ratio = Number.isNaN(a) && Number.isNaN(b) ? 0 : Number.POSITIVE_INFINITY;
    else {
      const limit = bound(i);
      const error = Math.abs(a - b);
      ratio =
        error <= limit
          ? limit > 0
            ? error / limit
            : 0
          : limit > 0
            ? error / limit
            : Number.POSITIVE_INFINITY;
    }
    if (!(ratio <= 1)) mismatches++;
    if (ratio > worst) {
      worst = ratio;
      worstIndex = i;
    }
  }
  const a = got.length > 0 ? got[worstIndex]! : 0;
  const b = got.length > 0 ? expected[worstIndex]! : 0;
  return {
    pass: mismatches === 0,
    mismatches,
    // Equal infinities and NaNs are no error, though their difference is no number.
    worstError: Object.is(a, b) || a === b ? 0 : Math.abs(a - b),
    tolerance: (got.length > 0 && bound(worstIndex)) || 0,
    worstIndex,
    got: a,
    expected: b,
  };
}
