import { checkNames } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import { checkAlike, checkLabels } from "../losses/loss.ts";
import { keeps, weightsIn } from "../losses/masks.ts";
import * as f from "../ops/f.ts";
import type { Tally } from "./metric.ts";
import { tally } from "./tally.ts";

/** Rows [n, C] of whether each is of a class; of none where a mask leaves them out. */
function oneHots(indices: Tensor, classes: number, mask: Tensor | undefined): Tensor {
  const kept = mask ? f.where(keeps(mask), indices, -1) : indices;
  return f.oneHot(f.reshape(kept, { shape: [sizeOf(indices.shape)] }), { classes });
}

/** How often each class was said of each: [label, said]. */
function confusions(who: string, output: Tensor, target: Tensor, mask: Tensor | undefined): Tensor {
  const classes = checkLabels(who, output, target);
  const said = oneHots(f.argmax(output, { axis: -1 }), classes, mask);
  const is = oneHots(target, classes, mask);
  if (!mask) return f.matmul(f.transpose(is, { perm: [1, 0] }), said);
  const column = f.reshape(weightsIn(target.shape, mask), { shape: [sizeOf(target.shape), 1] });
  return f.matmul(f.transpose(f.mul(is, column), { perm: [1, 0] }), said);
}

/**
 * M[i, j] = Σ [y = i][argmax(x) = j]: how often rows of logits [..., C] with the label i32 [...] of a row were said to be of the class of a column, the first
 * maximum: C rows of C numbers. A mask has the labels' shape; its weights count. As sklearn.metrics.confusion_matrix.
 */
export const confusionMatrix = (): Tally<number[][]> =>
  tally({
    name: "confusionMatrix",
    statistics: (output, target, mask) => confusions("confusionMatrix", output, target, mask),
    value: (counted) => {
      const classes = Math.sqrt(counted.length);
      return Array.from({ length: classes }, (_, row) =>
        Array.from({ length: classes }, (_, column) => counted[row * classes + column]!),
      );
    },
  });

/** Options of `precision`, `recall` and `f1`. */
export interface ClassScoreOptions {
  /**
   * Of several classes: the mean over those that there are, of labels or of guesses ("macro", the default), that weighted by
   * how many labels each has ("weighted"), or of all classes' counts together ("micro").
   */
  readonly average?: "macro" | "micro" | "weighted";
  /** Of two classes: from which probability σ(x) on a logit says 1; 0.5 unless given. */
  readonly threshold?: number;
}

/** Hits, false alarms and misses of a class. */
interface Counts {
  readonly hits: number;
  readonly alarms: number;
  readonly misses: number;
}

const ratio = (a: number, b: number) => (b === 0 ? (Number.isNaN(a) ? a : 0) : a / b);

/** [hits, alarms, misses] × classes. */
function classCounts(
  who: string,
  threshold: number,
  output: Tensor,
  target: Tensor,
  mask: Tensor | undefined,
): Tensor {
  if (target.dtype === "i32") {
    const matrix = confusions(who, output, target, mask);
    const classes = matrix.shape[0]!;
    const diagonal = f.mul(matrix, f.oneHot(f.iota({ size: classes }), { classes }));
    const hits = f.sum(diagonal, { axes: [0] });
    const [said, is] = [f.sum(matrix, { axes: [0] }), f.sum(matrix, { axes: [1] })];
    return f.stack([hits, f.sub(said, hits), f.sub(is, hits)]);
  }
  checkAlike(who, output, target);
  const says = f.cast(f.greaterEqual(output, Math.log(threshold / (1 - threshold))), { dtype: "f32" });
  const is = f.cast(f.greater(target, 0.5), { dtype: "f32" });
  const own = weightsIn(output.shape, mask);
  const count = (a: Tensor, b: Tensor) => f.sum(f.mul(f.mul(a, b), own));
  return f.stack([count(says, is), count(says, f.sub(1, is)), count(f.sub(1, says), is)]);
}

/*#__NO_SIDE_EFFECTS__*/
function classScore(name: string, options: ClassScoreOptions, score: (counts: Counts) => number): Tally {
  checkNames(name, options, ["average", "threshold"]);
  const { average = "macro", threshold = 0.5 } = options;
  if (!["macro", "micro", "weighted"].includes(average))
    throw new OptionError(
      `${name}: average is ${JSON.stringify(average)}; use "macro", "micro" or "weighted".`,
    );
  if (!(threshold > 0 && threshold < 1))
    throw new OptionError(`${name}: threshold is ${String(threshold)}; use a number between 0 and 1.`);
  return tally({
    name,
    statistics: (output, target, mask) => classCounts(name, threshold, output, target, mask),
    value: (counted) => {
      const classes = counted.length / 3;
      const all = Array.from({ length: classes }, (_, i) => ({
        hits: counted[i]!,
        alarms: counted[classes + i]!,
        misses: counted[2 * classes + i]!,
      }));
      const sum = (of: (counts: Counts) => number) => all.reduce((total, counts) => total + of(counts), 0);
      if (classes === 1 || average === "micro")
        return score({
          hits: sum(({ hits }) => hits),
          alarms: sum(({ alarms }) => alarms),
          misses: sum(({ misses }) => misses),
        });
      const weight = ({ hits, alarms, misses }: Counts) =>
        average === "weighted" ? hits + misses : hits + alarms + misses > 0 ? 1 : 0;
      return ratio(
        sum((counts) => weight(counts) * score(counts)),
        sum(weight),
      );
    },
  });
}

/**
 * Of what was said to be of a class, the share that is: hits/(hits + false alarms), 0 where nothing was said.
 *
 * Of logits [..., C] and labels i32 [...], or logits and targets 0 or 1 of one shape, f32; a mask has the targets' shape.
 * As sklearn.metrics.precision_score.
 * @throws OptionError for another average, or a threshold outside 0 to 1.
 */
export const precision = (options: ClassScoreOptions = {}): Tally =>
  classScore("precision", options, ({ hits, alarms }) => ratio(hits, hits + alarms));

/**
 * Of what is of a class, the share that was found: hits/(hits + misses), 0 where nothing is.
 *
 * Of logits [..., C] and labels i32 [...], or logits and targets 0 or 1 of one shape, f32; a mask has the targets' shape.
 * As sklearn.metrics.recall_score.
 * @throws OptionError for another average, or a threshold outside 0 to 1.
 */
export const recall = (options: ClassScoreOptions = {}): Tally =>
  classScore("recall", options, ({ hits, misses }) => ratio(hits, hits + misses));

/**
 * The harmonic mean of precision and recall: 2·hits/(2·hits + false alarms + misses), 0 where there are none of all.
 *
 * Of logits [..., C] and labels i32 [...], or logits and targets 0 or 1 of one shape, f32; a mask has the targets' shape.
 * As sklearn.metrics.f1_score. Van Rijsbergen, 1979, ch. 7.
 * @throws OptionError for another average, or a threshold outside 0 to 1.
 */
export const f1 = (options: ClassScoreOptions = {}): Tally =>
  classScore("f1", options, ({ hits, alarms, misses }) => ratio(2 * hits, 2 * hits + alarms + misses));
