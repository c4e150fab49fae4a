import type { Tensor } from "../core/op.ts";

/**
 * A number beside the loss: a mean over the batch, from the network's output and the targets. With a mask (bool, or f32
 * weights) it is the mean over what the mask keeps, as a loss is; NaN where it keeps nothing.
 */
export type Metric = (output: Tensor, target: Tensor, mask?: Tensor) => Tensor;
