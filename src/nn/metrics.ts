import type { Tensor } from "../core/op.ts";

/** A number beside the loss: a mean over the batch, from the network's output and the targets. */
export type Metric = (output: Tensor, target: Tensor) => Tensor;

/** The share of rows of logits [N, C] whose first maximum is at the label i32 [N]. */
export const accuracy = (): Metric => (output, target) =>
  output.argmax({ axis: -1 }).equal(target).cast({ dtype: "f32" }).mean();

/** The mean of |output − target|. */
export const meanAbsoluteError = (): Metric => (output, target) => output.sub(target).abs().mean();

/** The mean of (output − target)². */
export const meanSquaredError = (): Metric => (output, target) => output.sub(target).square().mean();
