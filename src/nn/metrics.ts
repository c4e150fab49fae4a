import type { Tensor } from "../core/op.ts";
import { weightedMean } from "./masks.ts";

/**
 * A number beside the loss: a mean over the batch, from the network's output and the targets. With a mask (bool, or f32
 * weights) it is the mean over what the mask keeps, as a loss is; NaN where it keeps nothing.
 */
export type Metric = (output: Tensor, target: Tensor, mask?: Tensor) => Tensor;

/** The share of rows of logits [..., C] whose first maximum is at the label i32 [...]; a mask has the labels' shape. */
export const accuracy = (): Metric => (output, target, mask) =>
  weightedMean(output.argmax({ axis: -1 }).equal(target).cast({ dtype: "f32" }), mask);

/** The mean of |output − target|; a mask broadcasts to their shape. */
export const meanAbsoluteError = (): Metric => (output, target, mask) =>
  weightedMean(output.sub(target).abs(), mask);

/** The mean of (output − target)²; a mask broadcasts to their shape. */
export const meanSquaredError = (): Metric => (output, target, mask) =>
  weightedMean(output.sub(target).square(), mask);
