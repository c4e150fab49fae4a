import { checkNames, checkNumber } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import type { Tree } from "../core/tree.ts";
import { demand } from "../graph/demands.ts";
import * as f from "../ops/f.ts";
import { checkRows, type Loss, loss, partsOf } from "./loss.ts";
import { demandSigns } from "./margin.ts";
import { besideRow, checkReduction, keeps, ofRows, reduced } from "./masks.ts";
import type { ReductionOptions } from "./regression.ts";

/** Two results of a network for two inputs, rows [..., D] beside rows. */
export type Pairs =
  | readonly [first: Tensor, second: Tensor]
  | { readonly first: Tensor; readonly second: Tensor };

/** Three results of a network: those for inputs, for others like them, and for others unlike them, rows [..., D] each. */
export type Triplets =
  | readonly [anchor: Tensor, positive: Tensor, negative: Tensor]
  | { readonly anchor: Tensor; readonly positive: Tensor; readonly negative: Tensor };

/** Options of losses with a margin. */
export interface MarginOptions extends ReductionOptions {
  readonly margin?: number;
}

/** Rows without what a mask leaves out, before the formula: 1 stands there, where every norm has a slope. */
const keptRows = (parts: readonly Tensor[], mask: Tensor | undefined): readonly Tensor[] =>
  parts.map((x) => (mask ? f.where(besideRow(keeps(mask), x.shape.length), x, 1) : x));

const lastSum = (x: Tensor) => f.sum(x, { axes: [-1] });

/** √x, with the slope 0 at 0. */
function root(x: Tensor): Tensor {
  const positive = f.greater(x, 0);
  return f.where(positive, f.sqrt(f.where(positive, x, 1)), 0);
}

/** Keeps two norms of 0 apart from a quotient of 0 by 0; PyTorch's. */
const COSINE_EPS = 1e-12;

/**
 * 1 − cos(a, b) for pairs of rows whose target is 1, max(0, cos(a, b) − margin) for those whose target is −1.
 *
 * The output is two tensors f32 [..., D], a list or { first, second }; the target f32 or i32 [...], and so is a mask. As
 * torch.nn.CosineEmbeddingLoss.
 * @throws OptionError for a margin outside −1 to 1.
 * @throws DataError where data of the host has another target than 1 and −1.
 */
export function cosineEmbedding(options: MarginOptions = {}): Loss<Pairs, Tensor> {
  const name = "cosineEmbedding";
  checkNames(name, options, ["margin", "reduction"]);
  const { margin = 0, reduction = "mean" } = options;
  checkNumber(`${name}: margin`, margin, [-1, 1]);
  checkReduction(name, reduction);
  return loss(name, (output, target, given) => {
    const parts = partsOf(name, output, ["first", "second"]);
    const outer = parts[0]!.shape.slice(0, -1);
    checkRows(name, target, outer);
    const mask = ofRows(given, outer.length);
    demandSigns(name, target, mask);
    const [a, b] = keptRows(parts, mask) as [Tensor, Tensor];
    const norms = f.mul(f.add(lastSum(f.square(a)), COSINE_EPS), f.add(lastSum(f.square(b)), COSINE_EPS));
    const cosine = f.div(lastSum(f.mul(a, b)), f.sqrt(norms));
    const losses = f.where(f.greater(target, 0), f.sub(1, cosine), f.relu(f.sub(cosine, margin)));
    return reduced(losses, reduction, mask);
  });
}

/**
 * (1 − y)·½D² + y·½·max(0, margin − D)² for pairs of rows, D = ‖a − b‖₂: y is 0 for those that are alike, 1 for others.
 *
 * The output is two tensors f32 [..., D], a list or { first, second }; the target f32 or i32 [...], and so is a mask.
 * Hadsell, Chopra, LeCun, 2006, eq. 4.
 * @throws OptionError for a margin that is not above 0.
 * @throws DataError where data of the host has another target than 0 and 1.
 */
export function contrastive(options: MarginOptions = {}): Loss<Pairs, Tensor> {
  const name = "contrastive";
  checkNames(name, options, ["margin", "reduction"]);
  const { margin = 1, reduction = "mean" } = options;
  checkNumber(`${name}: margin`, margin, "above 0");
  checkReduction(name, reduction);
  return loss(name, (output, target, given) => {
    const parts = partsOf(name, output, ["first", "second"]);
    const outer = parts[0]!.shape.slice(0, -1);
    checkRows(name, target, outer);
    const mask = ofRows(given, outer.length);
    demand(target, {
      who: name,
      accepts: (y) => y === 0 || y === 1,
      expects: "0 for pairs that are alike, 1 for others",
      mask,
    });
    const [a, b] = keptRows(parts, mask) as [Tensor, Tensor];
    const squares = lastSum(f.square(f.sub(a, b)));
    const apart = f.square(f.relu(f.sub(margin, root(squares))));
    const losses = f.mul(f.where(f.greater(target, 0), apart, squares), 0.5);
    return reduced(losses, reduction, mask);
  });
}

/** Options of `triplet`. */
export interface TripletOptions extends MarginOptions {
  /** Of the norm that distances are: at least 1; 2 unless given. */
  readonly p?: number;
  /** Whether the distance of positive and negative counts where it is less than that of anchor and negative. */
  readonly swap?: boolean;
}

/** Added to every difference, as PyTorch does. */
const DISTANCE_EPS = 1e-6;

function distance(a: Tensor, b: Tensor, p: number): Tensor {
  const d = f.add(f.sub(a, b), DISTANCE_EPS);
  if (p === 2) return root(lastSum(f.square(d)));
  const sizes = f.abs(d);
  if (p === 1) return lastSum(sizes);
  const sum = lastSum(f.pow(sizes, p));
  const positive = f.greater(sum, 0);
  return f.where(positive, f.pow(f.where(positive, sum, 1), 1 / p), 0);
}

/**
 * max(0, d(anchor, positive) − d(anchor, negative) + margin), d(a, b) = ‖a − b + 10⁻⁶‖ₚ; with `swap` the second distance is
 * the lesser of those of the negative.
 *
 * The output is three tensors f32 [..., D], a list or { anchor, positive, negative }; a mask is [...]. It needs no target. As
 * torch.nn.TripletMarginLoss. Swap: Balntas et al., 2016.
 * @throws OptionError for a margin that is not above 0, or a p below 1.
 */
export function triplet(options: TripletOptions = {}): Loss<Triplets, Tree<Tensor> | undefined> {
  const name = "triplet";
  checkNames(name, options, ["margin", "p", "swap", "reduction"]);
  const { margin = 1, p = 2, swap = false, reduction = "mean" } = options;
  checkNumber(`${name}: margin`, margin, "above 0");
  checkNumber(`${name}: p`, p, [1]);
  if (typeof swap !== "boolean")
    throw new OptionError(`${name}: swap is ${String(swap)}; use true or false.`);
  checkReduction(name, reduction);
  return loss(name, (output, _, given) => {
    const parts = partsOf(name, output, ["anchor", "positive", "negative"]);
    const mask = ofRows(given, parts[0]!.shape.length - 1);
    const [anchor, positive, negative] = keptRows(parts, mask) as [Tensor, Tensor, Tensor];
    const away = distance(anchor, negative, p);
    const least = swap ? f.minimum(away, distance(positive, negative, p)) : away;
    return reduced(f.relu(f.add(f.sub(distance(anchor, positive, p), least), margin)), reduction, mask);
  });
}
