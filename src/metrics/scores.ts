import { checkNames, checkWhole } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import { crossEntropy } from "../losses/cross-entropy.ts";
import { checkAlike, checkLabels } from "../losses/loss.ts";
import { kept, weightsIn } from "../losses/masks.ts";
import * as f from "../ops/f.ts";
import type { Tally } from "./metric.ts";
import { tally } from "./tally.ts";

/** Options of metrics that sort numbers into bins. */
export interface BinOptions {
  readonly bins?: number;
}

const flat = (x: Tensor) => f.reshape(x, { shape: [sizeOf(x.shape)] });

/** Rows of numbers added up by bin: [bins, columns]. What is not a number counts in bin 0, and makes it so. */
function binned(place: Tensor, columns: readonly Tensor[], bins: number): Tensor {
  const known = f.equal(place, place);
  const at = f.cast(f.minimum(f.maximum(f.where(known, place, 0), 0), bins - 1), { dtype: "i32" });
  const torn = f.where(known, 0, Number.NaN);
  return f.scatterAdd(
    f.stack(
      columns.map((column) => f.add(column, torn)),
      { axis: 1 },
    ),
    at,
    { rows: bins },
  );
}

const LARGEST = 3e38;

/**
 * The area under the receiver operating characteristic: how probable it is that a target of 1 has a higher logit than one of
 * 0, ties counted half, by ranks of x/(1 + |x|) in so many bins of equal width (4,096 unless given: logits less than
 * (1 + |x|)²/2048 apart may count as tied). Not a number where one of the classes is missing.
 *
 * Of logits x and targets 0 or 1, f32 of one shape, or logits [..., 2] and labels i32 [...]; a mask has the targets' shape. As
 * sklearn.metrics.roc_auc_score. Mann, Whitney, 1947; Hanley, McNeil, 1982.
 * @throws OptionError for fewer than two bins.
 */
export function auc(options: BinOptions = {}): Tally {
  checkNames("auc", options, ["bins"]);
  const { bins = 4096 } = options;
  checkWhole("auc: bins", bins, 2, 2 ** 20);
  return tally({
    name: "auc",
    statistics: (output: Tensor, target: Tensor, mask?: Tensor) => {
      let [x, y] = [output, target];
      if (target.dtype === "i32") {
        const classes = checkLabels("auc", output, target);
        if (classes !== 2)
          throw new OptionError(
            `auc: there are ${classes} classes; give logits of two, or one logit for each target.`,
          );
        const second = f.oneHot(f.constant({ value: 1, dtype: "i32" }), { classes: 2 });
        x = f.sum(f.mul(output, f.sub(f.mul(second, 2), 1)), { axes: [-1] });
        y = f.cast(target, { dtype: "f32" });
      } else checkAlike("auc", output, target);
      const own = weightsIn(x.shape, mask);
      const score = f.minimum(f.maximum(kept(x, mask), -LARGEST), LARGEST);
      const share = f.add(f.mul(f.div(score, f.add(f.abs(score), 1)), bins / 2), bins / 2);
      const ones = f.mul(kept(y, mask), own);
      return binned(flat(share), [flat(ones), flat(f.sub(own, ones))], bins);
    },
    value: (counted) => {
      let [ones, zeros, wins] = [0, 0, 0];
      for (let bin = 0; bin < counted.length; bin += 2) {
        const [one, zero] = [counted[bin]!, counted[bin + 1]!];
        wins += one * (zeros + zero / 2);
        ones += one;
        zeros += zero;
      }
      return wins / (ones * zeros);
    },
  });
}

/**
 * exp of the mean of −log softmax(logits)[label] over all labels i32 [...] of logits f32 [..., C]: among how many classes of equal
 * probability one would be as uncertain. A mask has the labels' shape. Jelinek et al., 1977.
 */
export const perplexity = (): Tally =>
  tally({
    name: "perplexity",
    statistics: (output: Tensor, target: Tensor, mask?: Tensor) => {
      const loss = crossEntropy({ reduction: "sum" })(output, target, mask);
      return f.stack([loss, f.sum(weightsIn(target.shape, mask))]);
    },
    value: ([loss, count]) => Math.exp(loss! / count!),
  });

/**
 * The expected calibration error Σ_b n_b/n·|right_b − sure_b| over so many bins (15 unless given) of rows by how sure they are,
 * the largest softmax of logits [..., C]: right_b is the share of their labels i32 [...] that were said, sure_b their mean.
 * A mask has the labels' shape. Guo et al., 2017, eq. 3.
 * @throws OptionError when bins is no whole number from 1.
 */
export function calibrationError(options: BinOptions = {}): Tally {
  checkNames("calibrationError", options, ["bins"]);
  const { bins = 15 } = options;
  checkWhole("calibrationError: bins", bins, 1, 2 ** 20);
  return tally({
    name: "calibrationError",
    statistics: (output: Tensor, target: Tensor, mask?: Tensor) => {
      checkLabels("calibrationError", output, target);
      const own = weightsIn(target.shape, mask);
      const sure = kept(f.max(f.softmax(output, { axis: -1 }), { axes: [-1] }), mask);
      const right = f.cast(f.equal(f.argmax(output, { axis: -1 }), target), { dtype: "f32" });
      // Bin b is ((b − 1)/n, b/n], its upper end included: counted from above, ends are lower ends.
      const place = f.mul(f.sub(1, sure), bins);
      return binned(flat(place), [own, f.mul(sure, own), f.mul(right, own)].map(flat), bins);
    },
    value: (counted) => {
      let [error, all] = [0, 0];
      for (let bin = 0; bin < counted.length; bin += 3) {
        all += counted[bin]!;
        error += Math.abs(counted[bin + 2]! - counted[bin + 1]!);
      }
      return error / all;
    },
  });
}
