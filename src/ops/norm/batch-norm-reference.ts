import { ShapeError } from "../../core/errors.ts";
import { broadcastData, type NDArray } from "../../core/ndarray.ts";
import { type Shape, sameShape, showShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";

/** Of `batchNorm` and its inference. */
export interface BatchNormAttrs {
  /** Added to the variance. */
  readonly eps: number;
}

/** x is (batch, channels, length); `count` elements belong to each channel. */
export interface Layout {
  readonly batch: number;
  readonly channels: number;
  readonly length: number;
  readonly count: number;
}

export function layoutOf(op: string, x: TensorType): Layout {
  const rank = x.shape.length;
  if (x.dtype !== "f32" || rank < 2 || rank > 4)
    throw new ShapeError(`${op}: input is ${showType(x)}; use f32 [N, C], [N, C, L] or [N, C, H, W].`);
  const [batch, channels, ...rest] = x.shape as [number, number, ...number[]];
  const length = sizeOf(rest);
  return { batch, channels, length, count: batch * length };
}

export function checkChannels(
  op: string,
  names: readonly string[],
  inputs: readonly TensorType[],
  x: TensorType,
) {
  const { channels } = layoutOf(op, x);
  names.forEach((name, i) => {
    const given = inputs[i]!;
    if (given.dtype !== "f32" || !sameShape(given.shape, [channels]))
      throw new ShapeError(
        `${op}: ${name} is ${showType(given)}; ${showShape(x.shape)} has ${channels} channels, so use f32[${channels}].`,
      );
  });
}

/** A single value has no variance; PyTorch refuses it too. */
export function checkCount(op: string, x: TensorType): Layout {
  const layout = layoutOf(op, x);
  if (layout.count < 2)
    throw new ShapeError(
      `${op}: ${showShape(x.shape)} has ${layout.count} value(s) for each channel; training needs at least 2, so use a larger batch (or drop the last, smaller one).`,
    );
  return layout;
}

/** The shape in which a tensor of one number for each channel broadcasts against `x`. */
export const besides = (x: Shape): number[] => [1, x[1]!, ...x.slice(2).map(() => 1)];

/** Calls `visit` with each channel and the offset of each of its planes. */
export function forEachPlane(
  { batch, channels, length }: Layout,
  visit: (channel: number, offset: number) => void,
): void {
  for (let n = 0; n < batch; n++) for (let c = 0; c < channels; c++) visit(c, (n * channels + c) * length);
}

export function statisticsOf(x: NDArray): { mean: Float64Array; variance: Float64Array } {
  const layout = layoutOf("", x);
  const mean = new Float64Array(layout.channels);
  const variance = new Float64Array(layout.channels);
  forEachPlane(layout, (c, offset) => {
    let sum = 0;
    for (let i = offset; i < offset + layout.length; i++) sum += x.data[i]!;
    mean[c]! += sum / layout.count;
  });
  forEachPlane(layout, (c, offset) => {
    const m = mean[c]!;
    let sum = 0;
    for (let i = offset; i < offset + layout.length; i++) sum += (x.data[i]! - m) ** 2;
    variance[c]! += sum / layout.count;
  });
  return { mean, variance };
}

/** 1/√(variance + eps). */
export const inverseOf = (variance: ArrayLike<number>, eps: number): Float64Array =>
  Float64Array.from(variance, (v) => 1 / Math.sqrt(v + Math.fround(eps)));

export function normalized(
  x: NDArray,
  gamma: ArrayLike<number>,
  beta: ArrayLike<number>,
  mean: ArrayLike<number>,
  inverse: ArrayLike<number>,
): NDArray {
  const layout = layoutOf("", x);
  const data = new Float64Array(x.data.length);
  forEachPlane(layout, (c, offset) => {
    const scale = gamma[c]! * inverse[c]!;
    const m = mean[c]!;
    const b = beta[c]!;
    for (let i = offset; i < offset + layout.length; i++) data[i] = (x.data[i]! - m) * scale + b;
  });
  return { shape: x.shape, dtype: "f32", data };
}

/**
 * Magnitudes for the bounds of mean and variance. The mean is a sum of |x|/n. A tile's M2 is relative to itself; merging
 * adds terms δ², δ a difference of two means that are each off by u·mean|x|, and the mean of |δ| is at most σ. 1/√(variance + eps) has its own 2 ulp and what the variance brings.
 */
export function statisticsScale(x: NDArray, eps: number): [Float64Array, Float64Array, Float64Array] {
  const { variance } = statisticsOf(x);
  const magnitude = statisticsOf({ ...x, data: x.data.map(Math.abs) }).mean;
  const scale = variance.map((v, c) => v + Math.sqrt(v) * magnitude[c]!);
  const stretch = inverseOf(variance, eps).map(
    (inverse, c) => inverse * (1 + (scale[c]! * inverse ** 2) / 2),
  );
  return [magnitude, scale, stretch];
}

/** The magnitudes that batchNormGrad's sums add up. */
export function gradScale([x, gamma, mean, inverses, dy]: readonly NDArray[]) {
  const layout = layoutOf("", x!);
  const inverse = inverses!.data;
  const dgamma = new Float64Array(layout.channels);
  const dbeta = new Float64Array(layout.channels);
  const each = (visit: (c: number, i: number, d: number, t: number) => void) =>
    forEachPlane(layout, (c, offset) => {
      for (let i = offset; i < offset + layout.length; i++)
        visit(c, i, Math.abs(dy!.data[i]!), Math.abs(x!.data[i]! - mean!.data[c]!) * inverse[c]!);
    });
  each((c, _, d, t) => {
    dbeta[c]! += d;
    dgamma[c]! += d * t;
  });
  const dx = new Float64Array(x!.data.length);
  each((c, i, d, t) => {
    const scale = Math.abs(gamma!.data[c]!) * inverse[c]!;
    dx[i] = scale * (d + (dbeta[c]! + t * dgamma[c]!) / layout.count);
  });
  return [dx, dgamma, dbeta];
}

export function applyScale([x, gamma, beta, mean, inverse]: readonly NDArray[]): Float64Array {
  const [g, b, m, v] = [gamma!, beta!, mean!, inverse!].map((given) => broadcastData(given, x!.shape));
  return Float64Array.from(
    x!.data,
    (value, i) => Math.abs(g![i]!) * Math.abs(value - m![i]!) * v![i]! + Math.abs(b![i]!),
  );
}

/** Beside the roundings of batchNormApply: the errors of mean and variance, as far as y depends on them. */
export function batchNormScale(
  [x, gamma, beta]: readonly NDArray[],
  { eps }: BatchNormAttrs,
): ArrayLike<number>[] {
  const layout = layoutOf("", x!);
  const { mean, variance } = statisticsOf(x!);
  const [meanScale, varianceScale] = statisticsScale(x!, eps);
  const y = new Float64Array(x!.data.length);
  forEachPlane(layout, (c, offset) => {
    const v = variance[c]! + Math.fround(eps);
    const scale = Math.abs(gamma!.data[c]!) / Math.sqrt(v);
    const stretch = 1 + (0.5 * varianceScale[c]!) / v;
    for (let i = offset; i < offset + layout.length; i++)
      y[i] = scale * (meanScale[c]! + Math.abs(x!.data[i]! - mean[c]!) * stretch) + Math.abs(beta!.data[c]!);
  });
  return [y, meanScale, varianceScale];
}
