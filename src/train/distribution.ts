import type { NumericArray } from "../core/dtype.ts";
import { type Shape, sizeOf } from "../core/shape.ts";

/** How numbers are spread: moments, ends, and counts in equal bins from `from` to `to`. */
export interface Distribution {
  readonly count: number;
  readonly mean: number;
  readonly std: number;
  /** The share that is exactly 0. */
  readonly zeros: number;
  /** The share that is not finite; these are in no other figure. */
  readonly notFinite: number;
  readonly from: number;
  readonly to: number;
  readonly counts: readonly number[];
}

const BINS = 40;

/** The distribution of numbers over their whole range. */
export function distributionOf(data: NumericArray): Distribution {
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  let sum = 0;
  let zeros = 0;
  let finite = 0;
  for (let i = 0; i < data.length; i++) {
    const x = data[i]!;
    if (!Number.isFinite(x)) continue;
    finite++;
    sum += x;
    if (x === 0) zeros++;
    if (x < from) from = x;
    if (x > to) to = x;
  }
  const counts = new Array<number>(BINS).fill(0);
  const share = (n: number) => (data.length === 0 ? 0 : n / data.length);
  if (finite === 0)
    return {
      count: data.length,
      mean: 0,
      std: 0,
      zeros: 0,
      notFinite: share(data.length),
      from: 0,
      to: 0,
      counts,
    };
  const mean = sum / finite;
  const scale = to > from ? BINS / (to - from) : 0;
  let squares = 0;
  for (let i = 0; i < data.length; i++) {
    const x = data[i]!;
    if (!Number.isFinite(x)) continue;
    squares += (x - mean) ** 2;
    counts[Math.min(BINS - 1, Math.floor((x - from) * scale))]!++;
  }
  return {
    count: data.length,
    mean,
    std: Math.sqrt(squares / finite),
    zeros: share(zeros),
    notFinite: share(data.length - finite),
    from,
    to,
    counts,
  };
}

/** The share of units of [N, units, …] that are 0 everywhere: `data` may hold fewer than N rows. */
export function silentShare(data: NumericArray, shape: Shape): number {
  const units = shape[1] ?? 1;
  const field = sizeOf(shape.slice(2));
  const rows = data.length / (units * field);
  let silent = 0;
  for (let unit = 0; unit < units; unit++) {
    let alive = false;
    for (let row = 0; row < rows && !alive; row++)
      for (let i = (row * units + unit) * field, end = i + field; i < end && !alive; i++)
        alive = data[i] !== 0;
    if (!alive) silent++;
  }
  return silent / units;
}
