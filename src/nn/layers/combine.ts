import { checkNames } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import { recomputed } from "../../core/op.ts";
import * as f from "../../ops/f.ts";
import type { AnyModule, Module } from "../module.ts";
import { remakeWithin } from "./define.ts";
import { checkModule } from "./options.ts";

/** Modules of which each takes what the one before it gives; the first takes `Given`. */
export type Chain<M extends readonly AnyModule[], Given = any> = M extends readonly [
  Module<any, infer Result>,
  ...infer Rest extends readonly AnyModule[],
]
  ? readonly [Module<Given, any>, ...Chain<Rest, Result>]
  : M;
/** What the first takes, and what the last gives. */
export type Chained<M extends readonly AnyModule[]> = M extends readonly [
  Module<infer In, any>,
  ...AnyModule[],
  Module<any, infer Out>,
]
  ? Module<In, Out>
  : never;

/**
 * fₙ(… f₁(x)): modules one after another, whose names in checkpoints are 0, 1, 2, … Any shape that the first takes → that of
 * the last's result; each may give several tensors, where the next one takes them. As torch.nn.Sequential.
 */
export function sequential(...modules: readonly Module[]): Module;
export function sequential<const M extends readonly [AnyModule, AnyModule, ...AnyModule[]]>(
  ...modules: M & Chain<M>
): Chained<M>;
export function sequential(...modules: readonly Module[]): Module {
  modules.forEach((module, i) => {
    checkModule("sequential", `part ${i}`, module);
  });
  return {
    label: `sequential(${modules.length})`,
    description: { layer: "sequential" },
    children: Object.fromEntries(modules.map((module, i) => [String(i), module])),
    remake: (parts) => sequential(...Object.values(parts)),
    forward: (x, context) => modules.reduce((value, module) => context.run(module, value), x),
  };
}

/**
 * y = f(x), any shape that the network takes: the same network keeping only its input and its result for the backward pass, which computes what lies between again:
 * less memory for about one more forward pass of it. As torch.utils.checkpoint. Source: Chen et al., 2016, §3.
 */
export function checkpoint(network: Module): Module {
  checkModule("checkpoint", "the network", network);
  if (!network.children) return checkpoint(sequential(network));
  return {
    ...network,
    description: { layer: "checkpoint", wraps: network },
    remake: remakeWithin(network, checkpoint),
    forward: (x, context) => recomputed(() => network.forward(x, context)),
  };
}

/** x + body(x), any shape that the body keeps, or shortcut(x) + body(x) where it does not. He et al., 2016, eq. 1 and 2. */
export function residual(body: Module, shortcut?: Module): Module {
  checkModule("residual", "the body", body);
  if (shortcut) checkModule("residual", "the shortcut", shortcut);
  return {
    label: "residual()",
    description: { layer: "residual" },
    children: shortcut ? { body, shortcut } : { body },
    remake: ({ body, shortcut }) => residual(body!, shortcut),
    forward: (x, context) => f.add(shortcut ? context.run(shortcut, x) : x, context.run(body, x)),
  };
}

/** How `augmented` changes images; nothing unless given. */
export interface AugmentOptions {
  /**
   * Mirrors left to right: each time with probability ½ (true), or every other time that the image is seen
   * ("alternating"), which needs a trainer and a data set. Jordan, 2024, arXiv 2404.00498, §3.6.
   */
  readonly flip?: boolean | "alternating";
  /** Moves by −shift … shift pixels, each as likely, down and across. */
  readonly shift?: number;
  /** What moves in: zeros, or the image mirrored at its edge. */
  readonly padding?: "zeros" | "reflect";
}

/**
 * y = f(T(x)) in training, f(x) otherwise: a network that sees its images [N, C, H, W] mirrored and shifted at random by T. Its
 * parts keep their names in checkpoints, so that a network can be trained with and evaluated without. As
 * torchvision.transforms' RandomHorizontalFlip and RandomCrop. Krizhevsky, Sutskever, Hinton, 2012, §4.1.
 * @throws OptionError for alternating mirrors of images that are no data set's.
 */
export function augmented(network: Module, options: AugmentOptions): Module {
  checkModule("augmented", "the network", network);
  checkNames("augmented", options, ["flip", "shift", "padding"]);
  const { flip = false, shift = 0, padding = "zeros" } = options;
  if (!network.children) return augmented(sequential(network), options);
  return {
    ...network,
    description: { layer: "augmented", args: [options], wraps: network },
    remake: remakeWithin(network, (inner) => augmented(inner, options)),
    forward(x, context) {
      if (!context.training) return network.forward(x, context);
      const { counters, examples } = context;
      const alternating = flip === "alternating";
      if (alternating && !examples)
        throw new OptionError(
          'augmented: flip is "alternating", but these images do not come from a data set; use flip: true.',
        );
      const images = f.augmentImages(x, counters, alternating ? [examples!.indices] : [], {
        flip,
        shift,
        padding,
        layer: context.nextLayer(),
        ...(alternating && { examples: examples!.count }),
      });
      return network.forward(images, context);
    },
  };
}
