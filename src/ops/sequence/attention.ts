import { show } from "../../core/attributes.ts";
import { checkNames } from "../../core/check.ts";
import { ShapeError } from "../../core/errors.ts";
import { dataTensor, isTensor, type Tensor } from "../../core/op.ts";
import { type Shape, showShape, showType } from "../../core/shape.ts";
import { logicalAnd, where } from "../elementwise/compare.ts";
import { broadcastTo } from "../elementwise/unary.ts";
import { dropout } from "../random/random.ts";

/** Options of `scaledDotProductAttention`: scale 1/√d and nothing else unless given. */
export interface AttentionOptions {
  /**
   * Each is bool, true where a query sees a key, or f32, added to the scores (−10³⁰ and below, −∞ too, hides the key); of
   * shapes that broadcast to [N, H, T, S]. What any of them hides is hidden.
   */
  readonly masks?: readonly Tensor[];
  /** Whether a query sees no later key: query t of T sees the keys up to t + S − T, so that the last sees all. */
  readonly causal?: boolean;
  readonly scale?: number;
  /** Drops weights with probability p, as `dropout` does elements. */
  readonly dropout?: { readonly counters: Tensor; readonly p: number; readonly layer: number };
}

/** Finite, for shaders may assume that nothing is infinite; what no score of a network that trains comes near to. */
const HIDDEN = -1e30;

const WHO = "scaledDotProductAttention";

/**
 * softmax(q·kᵀ·scale + mask)·v for each head: queries [N, H, T, d], keys [N, G, S, d] and values [N, G, S, e] → [N, H, T, e],
 * as torch.nn.functional.scaled_dot_product_attention. H is a multiple of G; H/G heads beside each other share their keys and
 * values (Ainslie et al., 2023, §2.2). A query that sees no key gives 0. Vaswani et al., 2017, eq. 1.
 * @throws ShapeError for shapes that do not go together, and for a mask of known numbers that hides every key from a query.
 *
 * @example f.scaledDotProductAttention(q, k, v, { causal: true })
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions = {},
): Tensor {
  checkNames(WHO, options, ["masks", "causal", "scale", "dropout"]);
  const { batch, heads, groups, queries, keys, width, out } = sizesOf(q, k, v);
  const { masks = [], causal = false, scale = width ** -0.5 } = options;
  if (causal && queries > keys)
    throw new ShapeError(
      `${WHO}: causal attention of ${queries} queries to ${keys} keys hides every key from the first ${queries - keys}; give at least as many keys as queries.`,
    );
  const shape = [batch, heads, queries, keys];
  for (const mask of masks) checkMask(mask, shape);
  // The heads of a group as one longer product: keys and values are read as they are, and their gradients are whole sums.
  const folded = (x: Tensor, last: number) =>
    heads === groups ? x : x.reshape({ shape: [batch, groups, (heads / groups) * queries, last] });
  const unfolded = (x: Tensor, last: number) =>
    heads === groups ? x : x.reshape({ shape: [batch, heads, queries, last] });
  // What is hidden has a weight of exactly 0, and so a gradient of 0: the backward pass needs no mask.
  const hidden = (seen: Tensor) => where(seen, 0, HIDDEN);
  const added = masks.map((mask) => (mask.dtype === "bool" ? hidden(mask) : mask.maximum(HIDDEN)));
  // In the scores' shape, so that it is evaluated where they are stored and T·S of it are never kept.
  if (causal) added.push(hidden(earlier(queries, keys, shape)));
  const products = unfolded(folded(q, width).matmul(k, { transposeB: true }), keys).mul(scale);
  const weights = added.reduce((sum, mask) => sum.add(mask), products).softmax({ axis: -1 });
  const kept = options.dropout ? dropped(weights, options.dropout) : weights;
  const y = unfolded(folded(kept, keys).matmul(v), out);
  if (masks.length === 0) return y;
  const visible = masks.map((mask) => (mask.dtype === "bool" ? mask : mask.greater(HIDDEN)));
  const all = [...visible, ...(causal ? [earlier(queries, keys, [queries, keys])] : [])];
  const seen = all.reduce((a, b) => logicalAnd(a, b));
  const any = where(seen, 1, 0).max({ axes: [-1], keepdims: true });
  return where(any.greater(0), y, 0);
}

const dropped = (x: Tensor, { counters, p, layer }: NonNullable<AttentionOptions["dropout"]>) =>
  p > 0 ? dropout(x, counters, { p, layer }) : x;

/** bool [..., T, S]: true where the key is not after the query, the last of both being together. */
function earlier(queries: number, keys: number, shape: Shape): Tensor {
  const places = (count: number, first: number, own: Shape) =>
    dataTensor({ shape: own, dtype: "i32", data: Int32Array.from({ length: count }, (_, i) => first + i) });
  const [query, key] = [places(queries, keys - queries, [queries, 1]), places(keys, 0, [keys])];
  return broadcastTo(query, { shape }).greaterEqual(key);
}

function sizesOf(q: Tensor, k: Tensor, v: Tensor) {
  for (const [name, x] of Object.entries({ queries: q, keys: k, values: v }))
    if (!isTensor(x) || x.shape.length !== 4 || x.dtype !== "f32")
      throw new ShapeError(
        `${WHO}: ${name} are ${isTensor(x) ? showType(x) : show(x)}; give f32 [batch, heads, time, features].`,
      );
  const [batch, heads, queries, width] = q.shape as [number, number, number, number];
  const [, groups = 0, keys = 0] = k.shape;
  const fits =
    k.shape[0] === batch &&
    k.shape[3] === width &&
    v.shape.slice(0, 3).every((size, axis) => size === k.shape[axis]) &&
    heads % groups === 0;
  if (!fits)
    throw new ShapeError(
      `${WHO}: queries ${showShape(q.shape)}, keys ${showShape(k.shape)} and values ${showShape(v.shape)} do not go together; use [N, H, T, d], [N, G, S, d] and [N, G, S, e], H a multiple of G.`,
    );
  return { batch, heads, groups, queries, keys, width, out: v.shape[3]! };
}

/** @throws ShapeError for what is no mask, does not broadcast to the scores, or is known to hide all from some query. */
function checkMask(mask: Tensor, scores: Shape): void {
  if (!isTensor(mask) || (mask.dtype !== "bool" && mask.dtype !== "f32"))
    throw new ShapeError(
      `${WHO}: a mask is ${isTensor(mask) ? showType(mask) : show(mask)}; give bool, true where a query sees a key, or f32, added to the scores.`,
    );
  const { shape } = mask;
  const own = scores.slice(-shape.length);
  if (shape.length > 4 || shape.some((size, axis) => size !== 1 && size !== own[axis]))
    throw new ShapeError(
      `${WHO}: a mask is ${showShape(shape)} for scores ${showShape(scores)}; its axes must be theirs, or 1.`,
    );
  const { leaf } = mask.node;
  if (leaf?.kind !== "data") return;
  const length = shape.at(-1) ?? 1;
  const sees = Array.from(leaf.data.data, (x) => (mask.dtype === "bool" ? x !== 0 : x > HIDDEN));
  for (let row = 0; row < sees.length / length; row++)
    if (!sees.slice(row * length, (row + 1) * length).includes(true))
      throw new ShapeError(
        `${WHO}: row ${row} of the mask ${showShape(shape)} hides every key; let each query see one at least.`,
      );
}
