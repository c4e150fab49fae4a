import { weightedMean } from "../losses/masks.ts";
import type { Metric } from "./metric.ts";

/** The share of rows of logits [..., C] whose first maximum is at the label i32 [...]; a mask has the labels' shape. */
export const accuracy = (): Metric => (output, target, mask) =>
  weightedMean(output.argmax({ axis: -1 }).equal(target).cast({ dtype: "f32" }), mask);
