import { OptionError } from "../../../src/core/errors.ts";
import type { Loss } from "../../../src/losses/index.ts";

// #region
/** The mean of d²/2 where |d| ≤ δ, else of δ·(|d| − δ/2), d = output − target; as torch.nn.HuberLoss. Huber, 1964, eq. 1.2. */
export function huber({ delta = 1 }: { delta?: number } = {}): Loss {
  if (!(delta > 0)) throw new OptionError(`huber: delta is ${delta}; use a number above 0.`);
  return function huber(output, target) {
    const distance = output.sub(target).abs();
    const near = distance.minimum(delta); // d within δ, and δ beyond
    return near.mul(distance.sub(near.mul(0.5))).mean();
  };
}
// #endregion
