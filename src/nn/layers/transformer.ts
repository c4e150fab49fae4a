import { checkNames } from "../../core/check.ts";
import { OptionError, ShapeError } from "../../core/errors.ts";
import { isTensor, type Tensor } from "../../core/op.ts";
import { showShape } from "../../core/shape.ts";
import { kindOf } from "../../core/tree.ts";
import type { AnyModule, Description, ForwardContext, Module } from "../module.ts";
import {
  ATTENTION_OPTIONS,
  type AttentionInput,
  type MultiHeadAttentionOptions,
  multiHeadAttention,
} from "./attention.ts";
import { dropout } from "./dropout.ts";
import { linear } from "./linear.ts";
import { layerNorm } from "./norm.ts";
import { positive } from "./options.ts";

/** Options of the transformer's blocks: norm "pre", feedForward 4 · features, activation "gelu" and dropout 0 unless given. */
export interface TransformerBlockOptions extends MultiHeadAttentionOptions {
  /** Whether a sum is normalised, "post", or what goes into a part of it, "pre": PyTorch's norm_first. Xiong et al., 2020. */
  readonly norm?: "pre" | "post";
  /** Features between the two linear layers. */
  readonly feedForward?: number;
  /** Between them; "geluTanh" is GPT-2's approximation. */
  readonly activation?: "relu" | "gelu" | "geluTanh" | "silu";
}

const ACTIVATIONS: Readonly<Record<NonNullable<TransformerBlockOptions["activation"]>, Step>> = {
  relu: (x) => x.relu(),
  gelu: (x) => x.gelu(),
  geluTanh: (x) => x.gelu({ approximate: "tanh" }),
  silu: (x) => x.silu(),
};

/** A block's sequence with what is hidden in it. */
export interface TransformerInput extends Pick<AttentionInput, "mask" | "keyMask"> {
  /** [N, T, features]. */
  readonly x: Tensor;
}

/** What a decoder's block takes: its sequence, and what it looks at. */
export interface TransformerDecoderInput extends TransformerInput {
  /** [N, S, features]: an encoder's result. */
  readonly memory: Tensor;
  /** As `mask`, of what each place sees of the memory. */
  readonly memoryMask?: Tensor;
  /** As `keyMask`, of the memory. */
  readonly memoryKeyMask?: Tensor;
}

function checkInputs(who: string, given: object, names: readonly string[], features: number): void {
  const what = `takes ${names.includes("memory") ? "" : "a tensor or "}{ ${names.join(", ")} }`;
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new ShapeError(`${who}: ${what}, got ${kindOf(given)}.`);
  checkNames(who, given, names);
  for (const name of names.filter((name) => name === "x" || name === "memory")) {
    const x = (given as Readonly<Record<string, unknown>>)[name];
    if (!isTensor(x) || x.shape.length !== 3 || x.shape[2] !== features)
      throw new ShapeError(
        `${who}: ${what}, ${name} of [batch, time, ${features}], got ${isTensor(x) ? showShape(x.shape) : kindOf(x)}.`,
      );
  }
}

/** A part of a block: what it makes of the sequence. */
type Step = (x: Tensor) => Tensor;

/** The parts of a block by PyTorch's names, and what is the same in both kinds. */
function block<In extends TransformerDecoderInput | TransformerInput>(
  who: string,
  options: TransformerBlockOptions,
  names: readonly string[],
  attentions: readonly string[],
  steps: (given: In, attend: (name: string, input: AttentionInput) => Tensor) => readonly Step[],
): Module<In> {
  checkNames(who, options, [...ATTENTION_OPTIONS, "norm", "feedForward", "activation"]);
  const { norm = "pre", feedForward, activation = "gelu", ...attention } = options;
  const { features, bias, dropout: p = 0 } = attention;
  const hidden = feedForward ?? 4 * features;
  if (norm !== "pre" && norm !== "post")
    throw new OptionError(`${who}: norm is ${JSON.stringify(norm)}; use "pre" or "post".`);
  if (!Object.hasOwn(ACTIVATIONS, activation))
    throw new OptionError(
      `${who}: activation is ${JSON.stringify(activation)}; use ${Object.keys(ACTIVATIONS).join(", ")}.`,
    );
  positive(who, { feedForward: hidden });
  const drop = dropout(p);
  const make = (parts: Readonly<Record<string, AnyModule>>, description?: Description): Module<In> => ({
    label: `${who}(${features}, ${options.heads} heads, ${norm}-norm${options.causal ? ", causal" : ""})`,
    description,
    children: parts,
    remake: (others) => make(others),
    forward(given, context: ForwardContext) {
      const run = (name: string, x: unknown) => context.run(parts[name]!, x) as Tensor;
      const inputs = (isTensor(given) ? { x: given } : given) as In;
      checkInputs(who, inputs, names, features);
      const ahead: Step = (x) =>
        run("linear2", drop.forward(ACTIVATIONS[activation](run("linear1", x)), context));
      return [...steps(inputs, run), ahead].reduce((x, step, i) => {
        const through = (y: Tensor) => run(`norm${i + 1}`, y);
        return norm === "pre"
          ? x.add(drop.forward(step(through(x)), context))
          : through(x.add(drop.forward(step(x), context)));
      }, inputs.x);
    },
  });
  const norms = [...attentions, "linear"].map((_, i) => [`norm${i + 1}`, layerNorm(features, { bias })]);
  return make(
    {
      ...Object.fromEntries(
        attentions.map((name, i) => [
          name,
          // Only what a sequence sees of itself has an order.
          multiHeadAttention(i === 0 ? attention : { ...attention, causal: false, rotary: false }),
        ]),
      ),
      linear1: linear({ in: features, out: hidden, bias }),
      linear2: linear({ in: hidden, out: features, bias }),
      ...Object.fromEntries(norms),
    },
    { layer: who, args: [options], whole: true },
  );
}

/**
 * Attention of a sequence to itself, then y = linear2(activation(linear1(x))) at each place, both added to their input:
 * [N, T, features] → the same; masks are given with x as `TransformerInput` says. As torch.nn.TransformerEncoderLayer with
 * batch_first, and its names: self_attn, linear1, linear2, norm1, norm2. Vaswani et al., 2017, §3.1.
 *
 * @example nn.transformerBlock({ features: 128, heads: 4, causal: true })
 */
export function transformerBlock(options: TransformerBlockOptions): Module<Tensor | TransformerInput> {
  const made = block<TransformerInput>(
    "transformerBlock",
    options,
    ["x", "mask", "keyMask"],
    ["self_attn"],
    ({ mask, keyMask }, attend) => [(x) => attend("self_attn", { query: x, mask, keyMask })],
  );
  return made as Module<Tensor | TransformerInput>;
}

/**
 * A transformer's block that looks at another sequence between the two parts of `transformerBlock`: { x: [N, T, features],
 * memory: [N, S, features], … } → [N, T, features], y = x + attention of x to the memory; `causal` and `rotary` are those of
 * x. As torch.nn.TransformerDecoderLayer with batch_first, and its names: self_attn, multihead_attn, linear1, linear2, norm1,
 * norm2, norm3. Vaswani et al., 2017, §3.1.
 */
export function transformerDecoderBlock(options: TransformerBlockOptions): Module<TransformerDecoderInput> {
  return block<TransformerDecoderInput>(
    "transformerDecoderBlock",
    options,
    ["x", "memory", "mask", "keyMask", "memoryMask", "memoryKeyMask"],
    ["self_attn", "multihead_attn"],
    ({ memory, mask, keyMask, memoryMask, memoryKeyMask }, attend) => [
      (x) => attend("self_attn", { query: x, mask, keyMask }),
      (x) => attend("multihead_attn", { query: x, key: memory, mask: memoryMask, keyMask: memoryKeyMask }),
    ],
  );
}
