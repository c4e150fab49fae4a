import { checkNames, checkNumber } from "../core/check.ts";
import { OptionError, ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import { demand } from "../graph/demands.ts";
import * as f from "../ops/f.ts";
import { checkWeight, classWeights } from "./cross-entropy.ts";
import { checkAlike, checkLabels, demandLabels, type Loss, loss } from "./loss.ts";
import { checkReduction, kept, reduced } from "./masks.ts";
import type { ReductionOptions } from "./regression.ts";

/** Options of `binaryCrossEntropyWithLogits`. */
export interface BinaryCrossEntropyOptions extends ReductionOptions {
  /** By how much a target of 1 counts more than one of 0: a number, or one for each of the last axis; 1 unless given. */
  readonly posWeight?: number | readonly number[];
}

/** −p·y·log σ(x) − (1 − y)·log(1 − σ(x)), without the difference of large numbers that the usual form has. */
const binary = (x: Tensor, y: Tensor, positive: Tensor | number = 1) =>
  f.add(f.mul(f.mul(y, positive), f.softplus(f.neg(x))), f.mul(f.sub(1, y), f.softplus(x)));

/**
 * −p·y·log σ(x) − (1 − y)·log(1 − σ(x)) of logits x and targets y from 0 to 1, p = posWeight.
 *
 * Any shape, both alike; a mask broadcasts to it. As torch.nn.BCEWithLogitsLoss.
 * @throws OptionError for a posWeight below 0.
 * @throws DataError where data of the host has a target outside 0 to 1.
 */
export function binaryCrossEntropyWithLogits(options: BinaryCrossEntropyOptions = {}): Loss {
  const name = "binaryCrossEntropyWithLogits";
  checkNames(name, options, ["posWeight", "reduction"]);
  const { posWeight = 1, reduction = "mean" } = options;
  checkReduction(name, reduction);
  if (typeof posWeight === "number") checkNumber(`${name}: posWeight`, posWeight, [0]);
  else checkWeight(name, posWeight);
  return loss(name, (output, target, mask) => {
    checkAlike(name, output, target);
    const positive =
      typeof posWeight === "number" ? posWeight : classWeights(name, posWeight, output.shape.at(-1) ?? 1);
    demand(target, {
      who: name,
      accepts: (y) => y >= 0 && y <= 1,
      expects: "numbers from 0 to 1",
      mask,
    });
    return reduced(binary(kept(output, mask), kept(target, mask), positive), reduction, mask);
  });
}

/** Options of `focal`. */
export interface FocalOptions extends ReductionOptions {
  /** The weight of targets of 1, 1 − alpha that of 0: from 0 to 1; 0.25 unless given. "none" weighs them alike. */
  readonly alpha?: number | "none";
  /** How little counts what is right already: at least 0; 2 unless given. With 0 it is cross-entropy. */
  readonly gamma?: number;
}

/**
 * −α_t·(1 − p_t)^γ·log p_t of logits x and targets 0 or 1: p_t is σ(x) where the target is 1, else 1 − σ(x).
 *
 * Any shape, both alike; a mask broadcasts to it. As torchvision.ops.sigmoid_focal_loss, with the mean by default. Lin et al.,
 * 2017, eq. 5.
 * @throws OptionError for parameters outside their range.
 * @throws DataError where data of the host has another target than 0 and 1.
 */
export function focal(options: FocalOptions = {}): Loss {
  checkNames("focal", options, ["alpha", "gamma", "reduction"]);
  const { alpha = 0.25, gamma = 2, reduction = "mean" } = options;
  if (alpha !== "none" && !(typeof alpha === "number" && alpha >= 0 && alpha <= 1))
    throw new OptionError(`focal: alpha is ${String(alpha)}; use a number from 0 to 1, or "none".`);
  checkNumber("focal: gamma", gamma, [0]);
  checkReduction("focal", reduction);
  return loss("focal", (output, target, mask) => {
    checkAlike("focal", output, target);
    demand(target, { who: "focal", accepts: (y) => y === 0 || y === 1, expects: "0 or 1", mask });
    const y = kept(target, mask);
    // How far it is on the right side: p_t = σ(s), and log(1 − p_t) = −softplus(s).
    const side = f.mul(kept(output, mask), f.sub(f.mul(y, 2), 1));
    const modulated = f.mul(f.exp(f.mul(f.softplus(side), -gamma)), f.softplus(f.neg(side)));
    if (alpha === "none") return reduced(modulated, reduction, mask);
    return reduced(f.mul(modulated, f.add(f.mul(y, 2 * alpha - 1), 1 - alpha)), reduction, mask);
  });
}

/** Options of `softmaxFocal`. */
export interface SoftmaxFocalOptions extends ReductionOptions {
  /** A weight of at least 0 for each class; all alike unless given. */
  readonly alpha?: readonly number[];
  /** How little counts what is right already: at least 0; 2 unless given. With 0 it is cross-entropy. */
  readonly gamma?: number;
}

/** No smaller than what a root's slope still allows. */
const LEAST_SHARE = 2 ** -60;

/**
 * −α[label]·(1 − p)^γ·log p of logits [..., C] with labels i32 [...], p the softmax at the label; the mean is over all rows.
 *
 * A mask has the labels' shape. Lin et al., 2017, eq. 5, of more than two classes.
 * @throws OptionError for parameters outside their range.
 * @throws DataError where data of the host has a label that is no class.
 */
export function softmaxFocal(options: SoftmaxFocalOptions = {}): Loss {
  const name = "softmaxFocal";
  checkNames(name, options, ["alpha", "gamma", "reduction"]);
  const { alpha, gamma = 2, reduction = "mean" } = options;
  checkWeight(name, alpha);
  checkNumber(`${name}: gamma`, gamma, [0]);
  checkReduction(name, reduction);
  return loss(name, (output, target, mask) => {
    const classes = checkLabels(name, output, target);
    if (mask && mask.shape.length > target.shape.length)
      throw new ShapeError(
        `${name}: the mask has ${mask.shape.length} axes and the labels ${target.shape.length}; give it the labels' shape.`,
      );
    demandLabels(name, target, classes, mask);
    const labels = kept(target, mask);
    const hit = f.oneHot(labels, { classes, dtype: "bool" });
    // What the other classes have, summed: 1 − p without a difference.
    const rest = f.sum(f.where(hit, 0, f.softmax(output, { axis: -1 })), { axes: [-1] });
    const modulation = gamma === 0 ? 1 : f.pow(f.maximum(rest, LEAST_SHARE), gamma);
    const losses = f.mul(f.softmaxCrossEntropy(output, labels), modulation);
    const weighted = alpha ? f.mul(losses, f.gather(classWeights(name, alpha, classes), labels)) : losses;
    return reduced(weighted, reduction, mask);
  });
}
