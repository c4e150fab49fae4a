import { OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import * as f from "../ops/f.ts";
import { type Loss, loss } from "./loss.ts";
import { keeps, weightsOf } from "./masks.ts";

/** Stands for labels that a mask leaves out where no other number does. */
const MASKED = -(2 ** 31);

/** Options of `crossEntropy`; no smoothing and no ignored label unless given. */
export interface CrossEntropyOptions {
  readonly labelSmoothing?: number;
  /** A label that counts for nothing: the loss is the mean over the others, NaN where there are none. None by default. */
  readonly ignoreIndex?: number;
  /** "mean", or "none" for a loss of each row, [...]; 0 for rows that count for nothing. */
  readonly reduction?: "mean" | "none";
}

/**
 * Mean softmax cross-entropy of logits [..., C] with labels i32 [...] or target probabilities f32 [..., C]; with label
 * smoothing ε the target is (1 − ε)·one-hot + ε/C. A mask broadcasts to the labels' shape [...], beside probabilities
 * also as [..., 1]; weights multiply the losses, and their sum divides. Szegedy et al., 2016, §7; ignoreIndex as in
 * torch.nn.functional.cross_entropy.
 */
export function crossEntropy(options: CrossEntropyOptions = {}): Loss {
  const { labelSmoothing = 0, ignoreIndex, reduction = "mean" } = options;
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new OptionError(`crossEntropy: labelSmoothing is ${labelSmoothing}; use a number from 0 to 1.`);
  if (ignoreIndex !== undefined && !Number.isInteger(ignoreIndex))
    throw new OptionError(`crossEntropy: ignoreIndex is ${ignoreIndex}; use a whole number.`);
  if (reduction !== "mean" && reduction !== "none")
    throw new OptionError(`crossEntropy: reduction is ${JSON.stringify(reduction)}; use "mean" or "none".`);
  const each = reduction === "none";
  const reduced = (losses: Tensor, weights: Tensor) =>
    each ? f.mul(losses, weights) : f.div(f.sum(f.mul(losses, weights)), f.sum(weights));
  return loss("crossEntropy", (logits, target, mask) => {
    if (target.dtype === "f32") {
      const classes = logits.shape.at(-1)!;
      const smooth =
        labelSmoothing > 0 ? f.add(f.mul(target, 1 - labelSmoothing), labelSmoothing / classes) : target;
      if (!mask) {
        const losses = f.softCrossEntropy(logits, smooth);
        return each ? losses : f.mean(losses);
      }
      // [..., 1] has the target's rank, [...] the labels' shape.
      const { shape } = mask;
      const wide = shape.length === target.shape.length ? shape : [...shape, 1];
      const kept = f.where(f.reshape(keeps(mask), { shape: wide }), smooth, 0);
      const losses = f.softCrossEntropy(logits, kept);
      const weights = f.reshape(weightsOf(mask), { shape: wide.slice(0, -1) });
      return reduced(losses, f.broadcastTo(weights, { shape: losses.shape }));
    }
    if (!mask && ignoreIndex === undefined) {
      if (each) return f.softmaxCrossEntropy(logits, target, { labelSmoothing });
      // A mean, but the gradient leaves the kernel with its factor.
      const scale = 1 / Math.max(1, sizeOf(target.shape));
      return f.sum(f.softmaxCrossEntropy(logits, target, { labelSmoothing, scale }));
    }
    const ignored = ignoreIndex ?? MASKED;
    const labels = mask ? f.where(keeps(mask), target, ignored) : target;
    const counted = f.cast(f.notEqual(labels, ignored), { dtype: "f32" });
    const weights = mask ? f.mul(counted, weightsOf(mask)) : counted;
    return reduced(f.softmaxCrossEntropy(logits, labels, { labelSmoothing, ignoreIndex: ignored }), weights);
  });
}
