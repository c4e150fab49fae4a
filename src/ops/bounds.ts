import { isFloat, type NumericArray } from "../core/dtype.ts";
import type { Magnified } from "../core/kernel.ts";
import { broadcastData, type NDArray } from "../core/ndarray.ts";
import type { OpRecord, Sample } from "../core/op.ts";
import { accumulated, accumulationBound, exact, halfBound, SMALLEST_NORMAL } from "../core/tolerance.ts";

/** What the magnitudes of an accumulated result are known from, where that is not its inputs' absolute values. */
export interface Magnitudes {
  /** The magnitudes themselves, where somebody has them already. */
  readonly known?: readonly NDArray[];
  /** What the kernel says that its algorithm adds up. */
  readonly magnified?: Magnified;
}

/** As many roundings as the largest input has elements. */
const USUAL = /*#__PURE__*/ accumulated((inputs) => Math.max(1, ...inputs.map((x) => x.data.length)));

/** The bound of each element of output `index` under the op's tolerance. */
export function elementBounds(
  op: OpRecord,
  sample: Sample<any>,
  expected: readonly NDArray[],
  index: number,
  magnitudes: Magnitudes = {},
): (i: number) => number {
  const list = [op.tolerance ?? USUAL].flat();
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
  const { known, magnified } = magnitudes;
  const scale =
    tolerance.scale && !magnified
      ? tolerance.scale(sample.inputs, sample.attrs)[index]!
      : (known ?? op.reference((magnified ?? absolute)(sample.inputs), sample.attrs))[index]!.data;
  const length = tolerance.length(sample.inputs, sample.attrs);
  return (i) => accumulationBound(length, Math.abs(scale[i]!), tolerance.factor);
}

const absolute: Magnified = (inputs) =>
  inputs.map((x) => (isFloat(x.dtype) ? { ...x, data: x.data.map(Math.abs) as NumericArray } : x));
