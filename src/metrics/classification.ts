import { checkWhole } from "../core/check.ts";
import { ShapeError } from "../core/errors.ts";
import { showType } from "../core/shape.ts";
import { checkLabels } from "../losses/loss.ts";
import { weightedMean } from "../losses/masks.ts";
import * as f from "../ops/f.ts";
import type { Metric } from "./metric.ts";

/**
 * mean(argmax(x) = y): the share of rows of logits [..., C] whose first maximum is at the label i32 [...]; a mask has the labels' shape. As
 * sklearn.metrics.accuracy_score.
 */
export const accuracy = (): Metric => (output, target, mask) => {
  checkLabels("accuracy", output, target);
  const right = f.equal(f.argmax(output, { axis: -1 }), target);
  return weightedMean(f.cast(right, { dtype: "f32" }), mask);
};

/**
 * mean(y ∈ top k of x): the share of rows of logits [..., C] whose label i32 [...] is among the k largest, of equal ones the first first; a mask has
 * the labels' shape. Not a number counts as larger than any. As sklearn.metrics.top_k_accuracy_score.
 * @throws OptionError when k is no whole number from 1.
 * @throws ShapeError when there are fewer than k classes.
 */
export function topK(k: number): Metric {
  checkWhole("topK: k", k, 1);
  return (output, target, mask) => {
    const classes = checkLabels("topK", output, target);
    if (k > classes)
      throw new ShapeError(
        `topK: k is ${k}, and the output ${showType(output)} has ${classes} classes; use fewer.`,
      );
    const column = f.reshape(target, { shape: [...target.shape, 1] });
    const hit = f.oneHot(target, { classes, dtype: "bool" });
    const own = f.sum(f.where(hit, output, 0), { axes: [-1], keepdims: true });
    const tied = f.logicalAnd(f.equal(output, own), f.less(f.iota({ size: classes }), column));
    const before = f.logicalOr(f.logicalNot(f.lessEqual(output, own)), tied);
    const rank = f.sum(f.where(f.logicalAnd(before, f.logicalNot(hit)), 1, 0), { axes: [-1] });
    const isClass = f.logicalAnd(f.greaterEqual(target, 0), f.less(target, classes));
    return weightedMean(f.cast(f.logicalAnd(f.less(rank, k), isClass), { dtype: "f32" }), mask);
  };
}
