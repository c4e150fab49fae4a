import { isFloat, type NumericArray } from "../core/dtype.ts";
import { broadcastData, type NDArray } from "../core/ndarray.ts";
import { accumulationBound, exact, halfBound, SMALLEST_NORMAL, type Tolerance } from "../core/tolerance.ts";
import type { OpRecord, Sample } from "./op.ts";

/**
 * The bound of each element of output `index` under the op's tolerance. `magnitudes` are the op's results on absolute
 * values, where somebody has them already.
 */
export function elementBounds(
  op: OpRecord,
  sample: Sample<any>,
  expected: readonly NDArray[],
  index: number,
  magnitudes?: readonly NDArray[],
): (i: number) => number {
  const list = Array.isArray(op.tolerance)
    ? (op.tolerance as readonly Tolerance[])
    : [op.tolerance as Tolerance];
  const tolerance = sample.exact ? exact : list[Math.min(index, list.length - 1)]!;
  const result = expected[index]!;
  if (result.dtype === "f16") {
    const wide = expected.map((x, i) => (i === index ? { ...x, dtype: "f32" as const } : x));
    const before = elementBounds(op, sample, wide, index, magnitudes);
    return (i) => before(i) + halfBound(result.data[i]!);
  }
  if (tolerance.kind === "exact" || result.dtype !== "f32") return () => 0;
  if (tolerance.kind === "elementwise") {
    const spread = sample.inputs.map((x) => broadcastData(x, result.shape));
    return (i) => tolerance.bound(result.data[i]!, ...spread.map((data) => data[i]!)) + SMALLEST_NORMAL;
  }
  const absolute = () =>
    sample.inputs.map((x) => (isFloat(x.dtype) ? { ...x, data: x.data.map(Math.abs) as NumericArray } : x));
  const scale = tolerance.scale
    ? tolerance.scale(sample.inputs, sample.attrs)[index]!
    : (magnitudes ?? op.reference(absolute(), sample.attrs))[index]!.data;
  const length = tolerance.length(sample.inputs, sample.attrs);
  return (i) => accumulationBound(length, Math.abs(scale[i]!), tolerance.factor);
}
