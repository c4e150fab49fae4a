import type { Tensor } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import { checkAlike } from "../losses/loss.ts";
import { kept, weightedMean, weightsIn } from "../losses/masks.ts";
import * as f from "../ops/f.ts";
import type { Metric, Tally } from "./metric.ts";
import { tally } from "./tally.ts";

/*#__NO_SIDE_EFFECTS__*/
function meanError(name: string, each: (difference: Tensor) => Tensor): Metric {
  return (output, target, mask) => {
    checkAlike(name, output, target);
    return weightedMean(each(f.sub(output, target)), mask);
  };
}

/** The mean of |output − target|, any shape, both alike; a mask broadcasts to it. As sklearn.metrics.mean_absolute_error. */
export const meanAbsoluteError = (): Metric => meanError("meanAbsoluteError", (d) => f.abs(d));

/** The mean of (output − target)², any shape, both alike; a mask broadcasts to it. As sklearn.metrics.mean_squared_error. */
export const meanSquaredError = (): Metric => meanError("meanSquaredError", (d) => f.square(d));

/** Rows of what `r2` counts: weight, mean of the targets, squares about it, squares of the errors. */
const rowsOf = (x: Tensor): readonly Tensor[] => f.split(x, { sizes: 1, axis: 0 });

/**
 * The share of the targets' variance that the output explains, 1 − Σ(y − ŷ)²/Σ(y − ȳ)²: the mean of that of each column of the
 * last axis. Not a number, or −∞, where targets do not differ.
 *
 * [n], or [..., D], both alike; a mask broadcasts to it. Batches are merged without a difference of large sums: Chan, Golub,
 * LeVeque, 1979, eq. 2.1. As sklearn.metrics.r2_score without its special values.
 */
export const r2 = (): Tally =>
  tally({
    name: "r2",
    statistics: (output: Tensor, target: Tensor, mask?: Tensor) => {
      checkAlike("r2", output, target);
      const columns = output.shape.length > 1 ? output.shape.at(-1)! : 1;
      const shape = [sizeOf(output.shape) / Math.max(1, columns), columns];
      const table = (x: Tensor) => f.reshape(x, { shape });
      const weights = table(weightsIn(output.shape, mask));
      const [x, y] = [table(kept(output, mask)), table(kept(target, mask))];
      const column = (values: Tensor) => f.sum(f.mul(values, weights), { axes: [0], keepdims: true });
      const weight = f.sum(weights, { axes: [0], keepdims: true });
      const mean = f.div(column(y), f.where(f.equal(weight, 0), 1, weight));
      return f.concat([weight, mean, column(f.square(f.sub(y, mean))), column(f.square(f.sub(y, x)))], {
        axis: 0,
      });
    },
    merge: (before, batch) => {
      const [n, mean, spread, error] = rowsOf(before) as readonly Tensor[] as readonly [
        Tensor,
        Tensor,
        Tensor,
        Tensor,
      ];
      const [m, other, more, own] = rowsOf(batch) as readonly Tensor[] as readonly [
        Tensor,
        Tensor,
        Tensor,
        Tensor,
      ];
      const all = f.add(n, m);
      const share = f.div(m, f.where(f.equal(all, 0), 1, all));
      const apart = f.sub(other, mean);
      return f.concat(
        [
          all,
          f.add(mean, f.mul(apart, share)),
          f.add(f.add(spread, more), f.mul(f.mul(f.square(apart), n), share)),
          f.add(error, own),
        ],
        { axis: 0 },
      );
    },
    value: (counted) => {
      const columns = counted.length / 4;
      let total = 0;
      for (let i = 0; i < columns; i++) total += 1 - counted[3 * columns + i]! / counted[2 * columns + i]!;
      return total / columns;
    },
  });
