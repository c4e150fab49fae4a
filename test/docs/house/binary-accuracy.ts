import type { Metric } from "../../../src/metrics/index.ts";

// #region
/** The share of logits whose sign is right, for targets 0 and 1 of the same shape. */
export const binaryAccuracy = (): Metric => (output, target) =>
  output.greater(0).cast({ dtype: "f32" }).equal(target).cast({ dtype: "f32" }).mean();
// #endregion
