import { checkNames } from "../../core/check.ts";
import { OptionError, ShapeError } from "../../core/errors.ts";
import { isTensor, type Tensor } from "../../core/op.ts";
import { showShape } from "../../core/shape.ts";
import { kindOf } from "../../core/tree.ts";
import * as f from "../../ops/f.ts";
import { torchDefault, xavierUniform, zeros } from "../init.ts";
import type { AnyModule, Description, ForwardContext, Module } from "../module.ts";
import { affine } from "./affine.ts";
import { linear } from "./linear.ts";
import { positive, probability } from "./options.ts";

/** What attention reads where it is not the sequence itself, and what is hidden from it. */
export interface AttentionInput {
  /** [N, T, features]. */
  readonly query: Tensor;
  /** [N, S, features]; the query unless given. */
  readonly key?: Tensor;
  /** [N, S, features]; the key unless given. */
  readonly value?: Tensor;
  /**
   * What broadcasts to [N, heads, T, S], [T, S] for instance: bool, true where a query sees a key, or f32, added to the scores
   * (−∞ hides). PyTorch's attn_mask is true where it does not see.
   */
  readonly mask?: Tensor;
  /** bool [N, S], true where there is a key and false where padding is: the opposite of PyTorch's key_padding_mask. */
  readonly keyMask?: Tensor;
}

/** Options of `multiHeadAttention`: as many heads of keys and values as of queries, bias true, and the rest not unless given. */
export interface MultiHeadAttentionOptions {
  readonly features: number;
  /** It divides the features. */
  readonly heads: number;
  /** Heads of keys and values, which as many heads of queries share as they go into: Ainslie et al., 2023. */
  readonly keyValueHeads?: number;
  /** Whether a place sees itself and what is before it only. */
  readonly causal?: boolean;
  /** The share of weights that are dropped in training. */
  readonly dropout?: number;
  readonly bias?: boolean;
  /** Whether queries and keys are rotated by their place, and the base of the angles: Su et al., 2021. */
  readonly rotary?: boolean | f.RotaryOptions;
}

const WHO = "multiHeadAttention";
/** What its options are called. */
export const ATTENTION_OPTIONS = [
  "features",
  "heads",
  "keyValueHeads",
  "causal",
  "dropout",
  "bias",
  "rotary",
] as const satisfies readonly (keyof MultiHeadAttentionOptions)[];

function check(options: MultiHeadAttentionOptions): void {
  const { features, heads, keyValueHeads = heads, dropout = 0, rotary = false } = options;
  checkNames(WHO, options, ATTENTION_OPTIONS);
  positive(WHO, { features, heads, keyValueHeads });
  probability(WHO, dropout);
  const divides = (what: string, small: number, of: string, large: number) => {
    if (large % small !== 0)
      throw new OptionError(`${WHO}: ${small} ${what} do not divide ${large} ${of}; use a divisor.`);
  };
  divides("heads", heads, "features", features);
  divides("keyValueHeads", keyValueHeads, "heads", heads);
  if (rotary === false) return;
  if (rotary !== true) checkNames(`${WHO}: rotary`, rotary, ["base"]);
  if ((features / heads) % 2 === 1)
    throw new OptionError(
      `${WHO}: a head is ${features / heads} wide, and rotary turns pairs; use an even number of features for each head.`,
    );
}

/**
 * y = (heads of softmax(q·kᵀ/√d + mask)·v beside each other)·Wᵀ + b, where q, k and v are linear in the query, key and value:
 * [N, T, features] → the same, of itself or of what `AttentionInput` says; as torch.nn.MultiheadAttention with batch_first and
 * its tensors, in_proj_weight [3 · features, features], in_proj_bias and out_proj; with keyValueHeads, q_proj, k_proj and v_proj
 * stand for the first two. A query that sees no key gives out_proj's bias. Vaswani et al., 2017, §3.2.
 * @throws OptionError for heads that do not divide the features, or keyValueHeads the heads, and for rotary of an odd width.
 *
 * @example nn.multiHeadAttention({ features: 64, heads: 4, causal: true })
 */
export function multiHeadAttention(options: MultiHeadAttentionOptions): Module<Tensor | AttentionInput> {
  check(options);
  const { features, heads, keyValueHeads = heads, causal = false, dropout: p = 0, bias = true } = options;
  const { rotary = false } = options;
  const width = features / heads;
  const project = (count: number) =>
    linear({ in: features, out: count * width, bias, init: xavierUniform() });
  const grouped = keyValueHeads !== heads;

  /** [N, T, count · heads · width] as `count` times [N, heads, T, width]. */
  function headsOf(x: Tensor, count: number): Tensor[] {
    const [batch = 0, time = 0, all = 0] = x.shape;
    const own = all / count / width;
    const split = x.reshape({ shape: [batch, time, count, own, width] }).transpose({ perm: [2, 0, 3, 1, 4] });
    return f
      .split(split, { sizes: 1, axis: 0 })
      .map((one) => one.reshape({ shape: [batch, own, time, width] }));
  }

  const make = (parts: Readonly<Record<string, AnyModule>>, description?: Description) => {
    /** Parts `from`, … of in_proj of x, a part each of queries, keys and values. */
    const projected = (x: Tensor, from: number, count: number, context: ForwardContext) => {
      const rows = (whole: Tensor) =>
        count === 3
          ? whole
          : whole.slice({
              starts: whole.shape.map((_, axis) => (axis === 0 ? from * features : 0)),
              ends: whole.shape.map((size, axis) => (axis === 0 ? (from + count) * features : size)),
            });
      const [weight, added] = ["in_proj_weight", ...(bias ? ["in_proj_bias"] : [])].map((name) =>
        rows(context.parameter(module, name)),
      );
      return headsOf(affine(WHO, x, weight!, added), count);
    };
    const module: Module<Tensor | AttentionInput> = {
      label: `${WHO}(${features}, ${heads} heads${grouped ? ` on ${keyValueHeads}` : ""}${causal ? ", causal" : ""})`,
      description,
      ...(!grouped && {
        parameters: {
          in_proj_weight: { shape: [3 * features, features], init: xavierUniform() },
          ...(bias && { in_proj_bias: { shape: [3 * features], init: zeros } }),
        },
      }),
      children: parts,
      remake: (others) => make(others),
      forward(given, context) {
        const { query, key = query, value = key, mask, keyMask } = inputsOf(given, features);
        const through = (name: string, x: Tensor) => headsOf(context.run(parts[name]!, x), 1);
        const all = grouped
          ? [...through("q_proj", query), ...through("k_proj", key), ...through("v_proj", value)]
          : // As few products as there are different inputs.
            [query, key, value].flatMap((x, i, list) => {
              if (i > 0 && list[i - 1] === x) return [];
              const next = list.findIndex((other, j) => j > i && other !== x);
              return projected(x, i, (next < 0 ? 3 : next) - i, context);
            });
        const [q, k] = all.slice(0, 2).map((x) => (rotary ? f.rotary(x, rotary === true ? {} : rotary) : x));
        const { counters, training } = context;
        const y = f.scaledDotProductAttention(q!, k!, all[2]!, {
          causal,
          masks: [
            ...(mask ? [mask] : []),
            ...(keyMask ? [keyMask.reshape({ shape: [query.shape[0]!, 1, 1, key.shape[1]!] })] : []),
          ],
          ...(training && p > 0 && { dropout: { counters, p, layer: context.nextLayer() } }),
        });
        const joined = y.transpose({ perm: [0, 2, 1, 3] }).reshape({ shape: query.shape });
        return context.run(parts.out_proj!, joined) as Tensor;
      },
    };
    return module;
  };
  const out_proj = linear({ in: features, out: features, bias, init: torchDefault(features) });
  const inner = { q_proj: project(heads), k_proj: project(keyValueHeads), v_proj: project(keyValueHeads) };
  return make({ ...(grouped && inner), out_proj }, { layer: WHO, args: [options], whole: true });
}

function inputsOf(given: Tensor | AttentionInput, features: number): AttentionInput {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new ShapeError(`${WHO}: takes a tensor or { query, key, … }, got ${kindOf(given)}.`);
  const inputs = isTensor(given) ? { query: given } : given;
  checkNames(WHO, inputs, ["query", "key", "value", "mask", "keyMask"]);
  const { query, key = query, value = key, keyMask } = inputs;
  for (const [name, x] of Object.entries({ query, key, value })) {
    const fits = isTensor(x) && x.shape.length === 3 && x.shape[2] === features;
    if (!fits || x.shape[0] !== query.shape[0] || (name === "value" && x.shape[1] !== key.shape[1]))
      throw new ShapeError(
        `${WHO}: the ${name} is ${isTensor(x) ? showShape(x.shape) : kindOf(x)}; give [batch, time, ${features}], the batch the query's and the value's time the key's.`,
      );
  }
  const [batch, keys] = key.shape;
  if (keyMask && (keyMask.dtype !== "bool" || keyMask.shape.join() !== `${batch},${keys}`))
    throw new ShapeError(
      `${WHO}: keyMask is ${keyMask.dtype}${showShape(keyMask.shape)}; give bool [${batch}, ${keys}], true where there is a key.`,
    );
  return inputs;
}
