import { weightedMean } from "../losses/masks.ts";
import type { Metric } from "./metric.ts";

/** The mean of |output − target|; a mask broadcasts to their shape. */
export const meanAbsoluteError = (): Metric => (output, target, mask) =>
  weightedMean(output.sub(target).abs(), mask);

/** The mean of (output − target)²; a mask broadcasts to their shape. */
export const meanSquaredError = (): Metric => (output, target, mask) =>
  weightedMean(output.sub(target).square(), mask);
