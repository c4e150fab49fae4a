import { OptionError } from "../../../src/core/errors.ts";
import type { Loss } from "../../../src/losses/index.ts";

// #region
/** The mean of a²·log cosh(d/a), d = output − target: d²/2 near 0, a·|d| far from it. Green, 1990, §3. */
export function logCosh({ scale = 1 }: { scale?: number } = {}): Loss {
  if (!(scale > 0)) throw new OptionError(`logCosh: scale is ${scale}; use a number above 0.`);
  return function logCosh(output, target) {
    const d = output.sub(target).div(scale);
    // cosh d = e⁻ᵈ·(1 + e²ᵈ)/2: the logarithm of a sum, which does not overflow.
    const each = d.mul(2).softplus().sub(d).sub(Math.LN2);
    return each.mean().mul(scale * scale);
  };
}
// #endregion
