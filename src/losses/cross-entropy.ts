import { checkNames, checkNumber, checkWhole } from "../core/check.ts";
import { OptionError, ShapeError } from "../core/errors.ts";
import { dataTensor, isTensor, type Tensor } from "../core/op.ts";
import { showType, sizeOf } from "../core/shape.ts";
import { demand } from "../graph/demands.ts";
import * as f from "../ops/f.ts";
import { checkAlike, checkLabels, demandLabels, type Loss, loss } from "./loss.ts";
import {
  besideRow,
  checkReduction,
  keeps,
  kept,
  ofRows,
  type Reduction,
  reduced,
  weightsOf,
} from "./masks.ts";

/** Stands for labels that a mask leaves out where no other number does. */
const MASKED = -(2 ** 31);

/** What losses of labels may be told of their classes. */
export interface ClassOptions {
  /** A number of at least 0 for each class, by which its rows count; a mean is then divided by the sum of its rows' numbers. */
  readonly weight?: readonly number[];
  /** A label that counts for nothing: the loss is the mean over the others, NaN where there are none. None by default. */
  readonly ignoreIndex?: number;
  /** "mean", "sum", or "none" for a loss of each row, [...]; 0 for rows that count for nothing. */
  readonly reduction?: Reduction;
}

/** Options of `crossEntropy`; no smoothing, no weights and no ignored label unless given. */
export interface CrossEntropyOptions extends ClassOptions {
  /** How much of each target is spread evenly over all classes, from 0 to 1. */
  readonly labelSmoothing?: number;
}

function checkClasses(who: string, { weight, ignoreIndex, reduction = "mean" }: ClassOptions): void {
  checkReduction(who, reduction);
  if (ignoreIndex !== undefined) checkWhole(`${who}: ignoreIndex`, ignoreIndex);
  checkWeight(who, weight);
}

/** @throws OptionError for weights that are no list of numbers of at least 0. */
export function checkWeight(who: string, weight: readonly number[] | undefined): void {
  if (weight === undefined) return;
  if (!Array.isArray(weight) || weight.length === 0)
    throw new OptionError(`${who}: weight is ${String(weight)}; use a list of numbers, one for each class.`);
  weight.forEach((value, i) => {
    checkNumber(`${who}: weight[${i}]`, value, [0]);
  });
}

/** The weights of all classes as f32[C]. */
export function classWeights(who: string, weight: readonly number[], classes: number): Tensor {
  if (weight.length !== classes)
    throw new ShapeError(
      `${who}: there are ${weight.length} weights and ${classes} classes; give one for each class.`,
    );
  return dataTensor({ shape: [classes], dtype: "f32", data: Float32Array.from(weight) });
}

/** Labels i32 [...] as they count: those that a mask leaves out replaced, and the number that counts for nothing. */
function countedLabels(target: Tensor, mask: Tensor | undefined, ignoreIndex: number | undefined) {
  const ignored = ignoreIndex ?? MASKED;
  const labels = mask ? f.where(keeps(mask), target, ignored) : target;
  const counted = f.cast(f.notEqual(labels, ignored), { dtype: "f32" });
  return { labels, ignored, weights: mask ? f.mul(counted, weightsOf(mask)) : counted };
}

/** Σ w·x / Σ w, Σ w·x, or each w·x. */
function weighed(losses: Tensor, weights: Tensor, reduction: Reduction, divisor = weights): Tensor {
  const all = f.mul(losses, weights);
  if (reduction === "none") return all;
  return reduction === "sum" ? f.sum(all) : f.div(f.sum(all), f.sum(divisor));
}

/** The weight of each row's class: NaN for a label that is no class, and 0 for one that counts for nothing. */
function rowWeights(table: Tensor | undefined, labels: Tensor, ignored: number, classes: number): Tensor {
  const isClass = f.logicalAnd(f.greaterEqual(labels, 0), f.less(labels, classes));
  const own = table ? f.gather(table, labels) : f.where(isClass, 1, Number.NaN);
  return f.where(f.equal(labels, ignored), 0, own);
}

/**
 * Softmax cross-entropy −Σ target·log softmax(logits) of logits [..., C] with labels i32 [...] or target probabilities f32
 * [..., C]; with label smoothing ε the target is (1 − ε)·one-hot + ε/C, and class weights multiply its numbers.
 *
 * Its mean over labels is divided by the sum of their classes' weights, that over probabilities by the number of rows.
 * A mask broadcasts to the labels' shape [...], beside probabilities also as [..., 1]; weights in it multiply the losses,
 * and their sum divides. As torch.nn.CrossEntropyLoss, the classes last. Smoothing: Szegedy et al., 2016, §7.
 * @throws OptionError for options outside their range.
 * @throws DataError where data of the host has a label that is no class.
 */
export function crossEntropy(options: CrossEntropyOptions = {}): Loss {
  checkNames("crossEntropy", options, ["labelSmoothing", "weight", "ignoreIndex", "reduction"]);
  const { labelSmoothing = 0, ignoreIndex, weight, reduction = "mean" } = options;
  checkNumber("crossEntropy: labelSmoothing", labelSmoothing, [0, 1]);
  checkClasses("crossEntropy", options);
  return loss("crossEntropy", (logits, target, mask) => {
    if (isTensor(target) && target.dtype === "f32") return softLoss(logits, target, options, mask);
    const classes = checkLabels("crossEntropy", logits, target);
    demandLabels("crossEntropy", target, classes, mask, ignoreIndex);
    if (weight) {
      const table = classWeights("crossEntropy", weight, classes);
      const { labels, ignored, weights } = countedLabels(target, mask, ignoreIndex);
      const own = rowWeights(table, labels, ignored, classes);
      const picked = f.mul(f.softmaxCrossEntropy(logits, labels, { ignoreIndex: ignored }), own);
      const even = () => f.softCrossEntropy(logits, f.broadcastTo(table, { shape: logits.shape }));
      const losses =
        labelSmoothing > 0
          ? f.add(f.mul(picked, 1 - labelSmoothing), f.mul(even(), labelSmoothing / classes))
          : picked;
      return weighed(losses, weights, reduction, f.mul(own, weights));
    }
    if (!mask && ignoreIndex === undefined) {
      if (reduction === "none") return f.softmaxCrossEntropy(logits, target, { labelSmoothing });
      // A mean, but the gradient leaves the kernel with its factor.
      const scale = reduction === "mean" ? 1 / Math.max(1, sizeOf(target.shape)) : 1;
      return f.sum(f.softmaxCrossEntropy(logits, target, { labelSmoothing, scale }));
    }
    const { labels, ignored, weights } = countedLabels(target, mask, ignoreIndex);
    const losses = f.softmaxCrossEntropy(logits, labels, { labelSmoothing, ignoreIndex: ignored });
    return weighed(losses, weights, reduction);
  });
}

/** Against target probabilities. */
function softLoss(logits: Tensor, target: Tensor, options: CrossEntropyOptions, mask?: Tensor): Tensor {
  const { labelSmoothing = 0, ignoreIndex, weight, reduction = "mean" } = options;
  checkAlike("crossEntropy", logits, target);
  if (ignoreIndex !== undefined)
    throw new ShapeError(
      `crossEntropy: ignoreIndex is ${ignoreIndex}, and the target is ${showType(target)}, which has no labels; use a mask.`,
    );
  demand(target, {
    who: "crossEntropy",
    accepts: (x) => x >= 0,
    expects: "probabilities of at least 0",
    mask,
  });
  const classes = logits.shape.at(-1) ?? 0;
  const smooth =
    labelSmoothing > 0 ? f.add(f.mul(target, 1 - labelSmoothing), labelSmoothing / classes) : target;
  const wanted = weight ? f.mul(smooth, classWeights("crossEntropy", weight, classes)) : smooth;
  const rank = logits.shape.length;
  const losses = f.softCrossEntropy(logits, mask ? kept(wanted, besideRow(mask, rank)) : wanted);
  return reduced(losses, reduction, ofRows(mask, rank - 1));
}

/**
 * Negative log-likelihood −log p[label] of log-probabilities [..., C], those of `logSoftmax` for instance, with labels i32
 * [...]: `crossEntropy` without the softmax.
 *
 * A mask has the labels' shape. As torch.nn.NLLLoss, the classes last.
 * @throws OptionError for options outside their range.
 * @throws DataError where data of the host has a label that is no class.
 */
export function nll(options: ClassOptions = {}): Loss {
  checkNames("nll", options, ["weight", "ignoreIndex", "reduction"]);
  const { ignoreIndex, weight, reduction = "mean" } = options;
  checkClasses("nll", options);
  return loss("nll", (output, target, mask) => {
    const classes = checkLabels("nll", output, target);
    demandLabels("nll", target, classes, mask, ignoreIndex);
    const { labels, ignored, weights } = countedLabels(target, mask, ignoreIndex);
    const table = weight && classWeights("nll", weight, classes);
    const own = rowWeights(table, labels, ignored, classes);
    // What stands in the other classes may be −∞, which no product with 0 removes.
    const picked = f.where(f.oneHot(labels, { classes, dtype: "bool" }), output, 0);
    const losses = f.mul(f.neg(f.sum(picked, { axes: [-1] })), own);
    return weighed(losses, weights, reduction, f.mul(own, weights));
  });
}
