import { checkNames } from "../core/check.ts";
import { sizeOf } from "../core/shape.ts";
import { demand } from "../graph/demands.ts";
import * as f from "../ops/f.ts";
import { checkAlike, type Loss, loss } from "./loss.ts";
import { checkReduction, kept, type Reduction, reduced, weightsIn } from "./masks.ts";

/** Options of `klDivergence`. */
export interface KlDivergenceOptions {
  /**
   * "batchmean", the sum divided by the examples of the first axis, is the divergence; "mean" divides by all elements, and is
   * what PyTorch takes unless told otherwise, and so do we.
   */
  readonly reduction?: Reduction | "batchmean";
  /** Whether the targets are log-probabilities, too; false unless given. */
  readonly logTarget?: boolean;
}

/**
 * y·(log y − x) of log-probabilities x and target probabilities y, 0 where y is; e^y·(y − x) with `logTarget`.
 *
 * Any shape, both alike; a mask broadcasts to it. As torch.nn.KLDivLoss. Kullback, Leibler, 1951, eq. 2.4.
 * @throws DataError where data of the host has a probability below 0.
 */
export function klDivergence(options: KlDivergenceOptions = {}): Loss {
  const name = "klDivergence";
  checkNames(name, options, ["reduction", "logTarget"]);
  const { reduction = "mean", logTarget = false } = options;
  checkReduction(name, reduction, ["mean", "batchmean", "sum", "none"]);
  return loss(name, (output, target, mask) => {
    checkAlike(name, output, target);
    if (!logTarget)
      demand(target, { who: name, accepts: (y) => y >= 0, expects: "probabilities of at least 0", mask });
    const [x, y] = [kept(output, mask), kept(target, mask)];
    const each = logTarget
      ? f.mul(f.exp(y), f.sub(y, x))
      : // 0 in place of y·log y where y is 0, and NaN where it is below, as the logarithm says.
        f.sub(f.where(f.equal(y, 0), 0, f.mul(y, f.log(f.where(f.equal(y, 0), 1, y)))), f.mul(y, x));
    if (reduction !== "batchmean") return reduced(each, reduction, mask);
    const examples = Math.max(1, output.shape[0] ?? 1);
    const sum = reduced(each, "sum", mask);
    if (!mask) return f.div(sum, examples);
    const weights = weightsIn(output.shape, mask);
    return f.div(sum, f.div(f.sum(weights), sizeOf(output.shape) / examples));
  });
}
