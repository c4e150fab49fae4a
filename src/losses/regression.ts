import { checkNames, checkNumber } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import * as f from "../ops/f.ts";
import { checkAlike, type Loss, loss } from "./loss.ts";
import { checkReduction, kept, type Reduction, reduced } from "./masks.ts";

/** Options of losses that are a number for each element; the mean unless given. */
export interface ReductionOptions {
  readonly reduction?: Reduction;
}

/** A loss of each element, from f32 outputs and targets of one shape; a mask broadcasts to that. */
/*#__NO_SIDE_EFFECTS__*/
function elementLoss(
  name: string,
  reduction: Reduction,
  each: (output: Tensor, target: Tensor) => Tensor,
): Loss {
  checkReduction(name, reduction);
  return loss(name, (output, target, mask) => {
    checkAlike(name, output, target);
    // Before the formula: 0 times the slope of what is no number would be none either.
    return reduced(each(kept(output, mask), kept(target, mask)), reduction, mask);
  });
}

/** Options of `mse`. */
export interface MseOptions extends ReductionOptions {
  /** Half of it, so that its gradient has no factor 2; false unless given. */
  readonly half?: boolean;
}

/**
 * Squared error d², d = output − target: its mean, its sum Σd², with `half` ½Σd², or that of each element.
 *
 * Any shape, both alike; a mask broadcasts to it. As torch.nn.MSELoss, which has no half. Legendre, 1805.
 * @throws OptionError for another reduction.
 */
export function mse(options: MseOptions = {}): Loss {
  checkNames("mse", options, ["reduction", "half"]);
  const { reduction = "mean", half = false } = options;
  if (typeof half !== "boolean") throw new OptionError(`mse: half is ${String(half)}; use true or false.`);
  const halved = (value: Tensor) => (half ? f.mul(value, 0.5) : value);
  if (reduction !== "mean")
    return elementLoss("mse", reduction, (output, target) =>
      halved(f.mse(output, target, { reduction: "none" })),
    );
  return loss("mse", (output, target, mask) => {
    checkAlike("mse", output, target);
    if (!mask) return halved(f.mse(output, target));
    return halved(
      reduced(f.mse(kept(output, mask), kept(target, mask), { reduction: "none" }), "mean", mask),
    );
  });
}

/**
 * Absolute error |output − target|; the slope is 0 where they are equal.
 *
 * Any shape, both alike; a mask broadcasts to it. As torch.nn.L1Loss.
 */
export function l1(options: ReductionOptions = {}): Loss {
  checkNames("l1", options, ["reduction"]);
  const { reduction = "mean" } = options;
  return elementLoss("l1", reduction, (output, target) => f.abs(f.sub(output, target)));
}

/** d²/2 where |d| ≤ δ, else δ·(|d| − δ/2): by its parts, so that its second derivative is 1 at 0, too. */
function rounded(output: Tensor, target: Tensor, delta: number): Tensor {
  const d = f.sub(output, target);
  const distance = f.abs(d);
  const far = f.mul(f.sub(distance, delta / 2), delta);
  return f.where(f.lessEqual(distance, delta), f.mul(f.square(d), 0.5), far);
}

/** Options of `huber`. */
export interface HuberOptions extends ReductionOptions {
  /** Up to which distance it is quadratic: above 0; 1 unless given. */
  readonly delta?: number;
}

/**
 * d²/2 where |d| ≤ δ, else δ·(|d| − δ/2), d = output − target.
 *
 * Any shape, both alike; a mask broadcasts to it. As torch.nn.HuberLoss. Huber, 1964, eq. 1.2.
 * @throws OptionError for a delta that is not above 0.
 */
export function huber(options: HuberOptions = {}): Loss {
  checkNames("huber", options, ["delta", "reduction"]);
  const { delta = 1, reduction = "mean" } = options;
  checkNumber("huber: delta", delta, "above 0");
  return elementLoss("huber", reduction, (output, target) => rounded(output, target, delta));
}

/** Options of `smoothL1`. */
export interface SmoothL1Options extends ReductionOptions {
  /** Up to which distance it is quadratic: at least 0; 1 unless given. With 0 it is `l1`. */
  readonly beta?: number;
}

/**
 * d²/2β where |d| < β, else |d| − β/2, d = output − target: `huber` divided by β.
 *
 * Any shape, both alike; a mask broadcasts to it. As torch.nn.SmoothL1Loss. Girshick, 2015, "Fast R-CNN", eq. 3.
 * @throws OptionError for a beta below 0.
 */
export function smoothL1(options: SmoothL1Options = {}): Loss {
  checkNames("smoothL1", options, ["beta", "reduction"]);
  const { beta = 1, reduction = "mean" } = options;
  checkNumber("smoothL1: beta", beta, [0]);
  return elementLoss("smoothL1", reduction, (output, target) =>
    beta === 0 ? f.abs(f.sub(output, target)) : f.div(rounded(output, target, beta), beta),
  );
}
