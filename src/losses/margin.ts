import { checkNames, checkNumber } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import { demand } from "../graph/demands.ts";
import * as f from "../ops/f.ts";
import { checkWeight, classWeights } from "./cross-entropy.ts";
import { checkAlike, checkLabels, demandLabels, type Loss, loss } from "./loss.ts";
import { checkReduction, kept, reduced } from "./masks.ts";
import type { ReductionOptions } from "./regression.ts";

/** Signs are to be ±1, where the host has them. */
export const demandSigns = (who: string, target: Tensor, mask?: Tensor): void =>
  demand(target, {
    who,
    accepts: (y) => y === 1 || y === -1,
    expects: "1 or −1, not probabilities or class numbers",
    mask,
  });

/*#__NO_SIDE_EFFECTS__*/
function signLoss(name: string, options: ReductionOptions, each: (slack: Tensor) => Tensor): Loss {
  checkNames(name, options, ["reduction"]);
  const { reduction = "mean" } = options;
  checkReduction(name, reduction);
  return loss(name, (output, target, mask) => {
    checkAlike(name, output, target);
    demandSigns(name, target, mask);
    const slack = f.relu(f.sub(1, f.mul(kept(output, mask), kept(target, mask))));
    return reduced(each(slack), reduction, mask);
  });
}

/**
 * max(0, 1 − y·s) of scores s and targets y of 1 or −1: the soft margin; its slope is 0 at the margin itself.
 *
 * Any shape, both alike, f32; a mask broadcasts to it. Cortes, Vapnik, 1995, §3.
 * @throws DataError where data of the host has another target than 1 and −1.
 */
export const hinge = (options: ReductionOptions = {}): Loss => signLoss("hinge", options, (slack) => slack);

/**
 * max(0, 1 − y·s)² of scores s and targets y of 1 or −1.
 *
 * Any shape, both alike, f32; a mask broadcasts to it. Tang, 2013, "Deep learning using linear SVMs", eq. 6.
 * @throws DataError where data of the host has another target than 1 and −1.
 */
export const squaredHinge = (options: ReductionOptions = {}): Loss =>
  signLoss("squaredHinge", options, (slack) => f.square(slack));

/** Options of `multiMargin`. */
export interface MultiMarginOptions extends ReductionOptions {
  /** 1 or 2, the power of each difference; 1 unless given. */
  readonly p?: 1 | 2;
  /** By how much the label's score should exceed the others; 1 unless given. */
  readonly margin?: number;
  /** A number of at least 0 for each class, by which its rows count. */
  readonly weight?: readonly number[];
}

/**
 * The hinge loss of several classes, w[y]·Σ_{j≠y} max(0, margin − s_y + s_j)^p / C of scores s [..., C] with labels i32 [...];
 * the mean is over all rows.
 *
 * A mask has the labels' shape. As torch.nn.MultiMarginLoss. Weston, Watkins, 1999, §3.
 * @throws OptionError for another power, or a margin that is not finite.
 * @throws DataError where data of the host has a label that is no class.
 */
export function multiMargin(options: MultiMarginOptions = {}): Loss {
  const name = "multiMargin";
  checkNames(name, options, ["p", "margin", "weight", "reduction"]);
  const { p = 1, margin = 1, weight, reduction = "mean" } = options;
  if (p !== 1 && p !== 2) throw new OptionError(`${name}: p is ${String(p)}; use 1 or 2.`);
  checkNumber(`${name}: margin`, margin);
  checkWeight(name, weight);
  checkReduction(name, reduction);
  return loss(name, (output, target, mask) => {
    const classes = checkLabels(name, output, target);
    demandLabels(name, target, classes, mask);
    const labels = kept(target, mask);
    const column = f.reshape(labels, { shape: [...labels.shape, 1] });
    const hit = f.oneHot(labels, { classes, dtype: "bool" });
    // A label that is no class has no score: what comes of it is not a number.
    const isClass = f.logicalAnd(f.greaterEqual(column, 0), f.less(column, classes));
    const own = f.where(isClass, f.sum(f.where(hit, output, 0), { axes: [-1], keepdims: true }), Number.NaN);
    const slack = f.relu(f.add(f.sub(output, own), margin));
    const others = f.where(hit, 0, p === 2 ? f.square(slack) : slack);
    const losses = f.div(f.sum(others, { axes: [-1] }), classes);
    const weighted = weight ? f.mul(losses, f.gather(classWeights(name, weight, classes), labels)) : losses;
    return reduced(weighted, reduction, mask);
  });
}
