import type { Tensor } from "../core/op.ts";
import * as f from "../ops/f.ts";
import { type Loss, loss } from "./loss.ts";
import { keeps, weightedMean } from "./masks.ts";

/** Mean squared error over all elements; a mask broadcasts to their shape. */
export function mse(): Loss {
  return loss("mse", (output, target, mask) => {
    if (!mask) return f.mse(output, target);
    // Before the square: 0 times the slope of what is no number would be none either.
    const kept = (x: Tensor) => f.where(keeps(mask), x, 0);
    return weightedMean(f.mse(kept(output), kept(target), { reduction: "none" }), mask);
  });
}
