import { checkWhole } from "../core/check.ts";
import { OptionError, ShapeError } from "../core/errors.ts";
import { recomputed, type Tensor } from "../core/op.ts";
import { showShape, sizeOf } from "../core/shape.ts";
import { type Padding, resolvePadding } from "../ops/conv/conv2d.ts";
import * as f from "../ops/f.ts";
import { type Initializer, normal, ones, torchDefault, zeros } from "./init.ts";
import type { Module } from "./module.ts";

/** A number for both, or one for each. */
export type Pair = number | readonly [height: number, width: number];

const pair = (x: Pair): readonly [number, number] => (typeof x === "number" ? [x, x] : x);

function positive(layer: string, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) checkWhole(`${layer}: ${name}`, value, 1);
}

/** Options of `linear`; bias is true and init PyTorch's unless given. */
export interface LinearOptions {
  readonly in: number;
  readonly out: number;
  readonly bias?: boolean;
  readonly init?: Initializer;
}

/** y = x Wᵀ + b along the last axis: [..., in] → [..., out]; weight [out, in], bias [out], as torch.nn.Linear. */
export function linear(options: LinearOptions): Module {
  positive("linear", { in: options.in, out: options.out });
  const weight = { shape: [options.out, options.in], init: options.init ?? torchDefault(options.in) };
  const bias = { shape: [options.out], init: options.init ? zeros : torchDefault(options.in) };
  const module: Module = {
    label: `linear(${options.in} → ${options.out})`,
    description: { layer: "linear", args: [options] },
    parameters: options.bias === false ? { weight } : { weight, bias },
    forward(x, context) {
      if (x.shape.at(-1) !== options.in)
        throw new ShapeError(
          `linear: takes [..., ${options.in}], got ${showShape(x.shape)}; flatten it or change "in".`,
        );
      const outer = x.shape.slice(0, -1);
      const rows = outer.length === 1 ? x : f.reshape(x, { shape: [sizeOf(outer), options.in] });
      const product = f.matmul(rows, context.parameter(module, "weight"), { transposeB: true });
      const y =
        options.bias === false ? product : f.addBias(product, context.parameter(module, "bias"), { axis: 1 });
      return outer.length === 1 ? y : f.reshape(y, { shape: [...outer, options.out] });
    },
  };
  return module;
}

/** Options of `conv2d`; stride, dilation and groups are 1, bias true and init PyTorch's unless given. */
export interface Conv2dOptions {
  readonly in: number;
  readonly out: number;
  readonly kernel: Pair;
  readonly stride?: Pair;
  /** A number, a pair, "same" (stride 1 only) or "valid" (none, the default). */
  readonly padding?: Padding;
  readonly dilation?: Pair;
  readonly groups?: number;
  readonly bias?: boolean;
  readonly init?: Initializer;
}

/** Cross-correlation [N, in, H, W] → [N, out, H′, W′]; weight [out, in/groups, kh, kw], bias [out], as torch.nn.Conv2d. */
export function conv2d(options: Conv2dOptions): Module {
  const kernel = pair(options.kernel);
  const stride = pair(options.stride ?? 1);
  const dilation = pair(options.dilation ?? 1);
  const groups = options.groups ?? 1;
  positive("conv2d", {
    in: options.in,
    out: options.out,
    kernel: Math.min(...kernel),
    stride: Math.min(...stride),
    dilation: Math.min(...dilation),
    groups,
  });
  if (options.in % groups !== 0 || options.out % groups !== 0)
    throw new OptionError(
      `conv2d: ${groups} groups divide neither ${options.in} inputs nor ${options.out} outputs evenly; choose a common divisor.`,
    );
  const attrs = {
    stride,
    padding: resolvePadding(options.padding ?? "valid", kernel, stride, dilation),
    dilation,
    groups,
  };
  const fanIn = (options.in / groups) * kernel[0] * kernel[1];
  const weight = {
    shape: [options.out, options.in / groups, ...kernel],
    init: options.init ?? torchDefault(fanIn),
  };
  const bias = { shape: [options.out], init: options.init ? zeros : torchDefault(fanIn) };
  const module: Module = {
    label: `conv2d(${options.in} → ${options.out}, kernel ${kernel.join("×")}${stride.some((s) => s !== 1) ? `, stride ${stride.join("×")}` : ""})`,
    description: { layer: "conv2d", args: [options] },
    parameters: options.bias === false ? { weight } : { weight, bias },
    forward(x, context) {
      if (x.shape.length !== 4 || x.shape[1] !== options.in)
        throw new ShapeError(
          `conv2d: takes [batch, ${options.in}, height, width], got ${showShape(x.shape)}; change "in" or the layer before.`,
        );
      const y = f.conv2d(x, context.parameter(module, "weight"), attrs);
      if (options.bias === false) return y;
      return f.addBias(y, context.parameter(module, "bias"), { axis: 1 });
    },
  };
  return module;
}

/** Options of `batchNorm`: eps 1e-5 and momentum 0.1 unless given. */
export interface BatchNormOptions {
  readonly eps?: number;
  readonly momentum?: number;
}

/**
 * Batch normalisation over the channels of [N, C], [N, C, L] or [N, C, H, W]: (x − mean)/√(variance + eps)·weight + bias,
 * with the batch's statistics in training and the running ones otherwise, as torch.nn.BatchNorm1d and 2d.
 * Source: Ioffe, Szegedy, 2015, algorithms 1 and 2.
 */
export function batchNorm(features: number, options: BatchNormOptions = {}): Module {
  positive("batchNorm", { features });
  const { eps = 1e-5, momentum = 0.1 } = options;
  const module: Module = {
    label: `batchNorm(${features})`,
    description: { layer: "batchNorm", args: [features, options] },
    parameters: { weight: { shape: [features], init: ones }, bias: { shape: [features], init: zeros } },
    buffers: { running_mean: { shape: [features], value: 0 }, running_var: { shape: [features], value: 1 } },
    countsBatches: true,
    forward(x, context) {
      if (x.shape.length < 2 || x.shape[1] !== features)
        throw new ShapeError(
          `batchNorm: takes [batch, ${features}, …], got ${showShape(x.shape)}; its number must be the channels of the layer before.`,
        );
      const gamma = context.parameter(module, "weight");
      const beta = context.parameter(module, "bias");
      if (!context.training)
        return f.batchNormInference(
          x,
          gamma,
          beta,
          context.buffer(module, "running_mean"),
          context.buffer(module, "running_var"),
          { eps },
        );
      const count = x.shape.reduce((n, dim) => n * dim, 1) / features;
      if (count < 2)
        throw new ShapeError(
          `batchNorm: one value per channel has no variance in ${showShape(x.shape)}; use a batch of at least 2.`,
        );
      const [y, mean, variance] = f.batchNorm(x, gamma, beta, { eps });
      context.track(module, "running_mean", mean, momentum, 1);
      context.track(module, "running_var", variance, momentum, count / (count - 1));
      return y;
    },
  };
  return module;
}

/** Options of pooling: stride is the kernel, padding 0 and countIncludePad true unless given. */
export interface Pool2dOptions {
  readonly stride?: Pair;
  readonly padding?: Pair;
  readonly countIncludePad?: boolean;
}

/** The largest value of each window; stride is the kernel unless given. */
export function maxPool2d(kernel: Pair, options: Pool2dOptions = {}): Module {
  const attrs = {
    kernel: pair(kernel),
    stride: pair(options.stride ?? kernel),
    padding: pair(options.padding ?? 0),
  };
  return {
    label: `maxPool2d(${attrs.kernel.join("×")})`,
    description: { layer: "maxPool2d", args: [kernel, options] },
    forward: (x) => f.maxPool2d(x, attrs),
  };
}

/** The mean of each window; stride is the kernel unless given. */
export function avgPool2d(kernel: Pair, options: Pool2dOptions = {}): Module {
  const attrs = {
    kernel: pair(kernel),
    stride: pair(options.stride ?? kernel),
    padding: pair(options.padding ?? 0),
    countIncludePad: options.countIncludePad ?? true,
  };
  return {
    label: `avgPool2d(${attrs.kernel.join("×")})`,
    description: { layer: "avgPool2d", args: [kernel, options] },
    forward: (x) => f.avgPool2d(x, attrs),
  };
}

/** The mean over height and width: [N, C, H, W] → [N, C]. */
export const globalAvgPool2d = (): Module => ({
  label: "globalAvgPool2d()",
  description: { layer: "globalAvgPool2d" },
  forward: (x) => f.globalAvgPool2d(x),
});

/** [N, …] → [N, product of the rest]. */
export const flatten = (): Module => ({
  label: "flatten()",
  description: { layer: "flatten" },
  forward: (x) => f.reshape(x, { shape: [x.shape[0]!, x.shape.slice(1).reduce((n, dim) => n * dim, 1)] }),
});

/**
 * Zeroes each element with probability p in training and scales the others by 1/(1 − p). The mask comes from a counter
 * (seed, layer, step, element) and is made again in the backward pass. Srivastava et al., 2014.
 */
export function dropout(p = 0.5): Module {
  if (!(p >= 0 && p < 1))
    throw new OptionError(`dropout: p is ${p}; use a probability of at least 0 and below 1.`);
  const module: Module = {
    label: `dropout(${p})`,
    description: { layer: "dropout", args: [p] },
    forward: (x, context) =>
      context.training && p > 0 ? f.dropout(x, context.counters, { p, layer: context.nextLayer() }) : x,
  };
  return module;
}

/**
 * A network that sees its images [N, C, H, W] mirrored and shifted at random in training, as they are otherwise. Its
 * parts keep their names in checkpoints, so that a network can be trained with and evaluated without.
 */
export function augmented(network: Module, options: { flip?: boolean; shift?: number }): Module {
  const { flip = false, shift = 0 } = options;
  if (!network.children) return augmented(sequential(network), options);
  return {
    ...network,
    description: { layer: "augmented", args: [options], wraps: network },
    forward: (x, context) =>
      network.forward(
        context.training
          ? f.augmentImages(x, context.counters, { flip, shift, layer: context.nextLayer() })
          : x,
        context,
      ),
  };
}

/** Rows of a trained table: i32 or u32 indices [...] → [..., features]; weight [count, features], N(0, 1) at first. */
export function embedding(options: { count: number; features: number; init?: Initializer }): Module {
  positive("embedding", { count: options.count, features: options.features });
  const module: Module = {
    label: `embedding(${options.count} × ${options.features})`,
    description: { layer: "embedding", args: [options] },
    parameters: { weight: { shape: [options.count, options.features], init: options.init ?? normal(1) } },
    forward: (x, context) => f.gather(context.parameter(module, "weight"), x),
  };
  return module;
}

const activation = (layer: string, apply: (x: Tensor) => Tensor, ...args: unknown[]): Module => ({
  label: `${layer}()`,
  description: { layer, args },
  forward: apply,
});

/** max(x, 0). */
export const relu = () => activation("relu", (x) => x.relu());
/** tanh(x). */
export const tanh = () => activation("tanh", (x) => x.tanh());
/** 1/(1 + e⁻ˣ). */
export const sigmoid = () => activation("sigmoid", (x) => x.sigmoid());
/** x · sigmoid(x). Elfwing, Uchibe, Doya, 2017. */
export const silu = () => activation("silu", (x) => x.silu());
/** The self-normalising unit. Klambauer et al., 2017, §2. */
export const selu = () => activation("selu", (x) => x.selu());
/** log(1 + eˣ). */
export const softplus = () => activation("softplus", (x) => x.softplus());
/** x · tanh(softplus(x)). Misra, 2019. */
export const mish = () => activation("mish", (x) => x.mish());
/** x where x > 0, else slope · x. Maas, Hannun, Ng, 2013. */
export const leakyRelu = (slope = 0.01) => activation("leakyRelu", (x) => x.leakyRelu({ slope }), slope);
/** x where x > 0, else α(eˣ − 1). Clevert, Unterthiner, Hochreiter, 2015, eq. 15. */
export const elu = (alpha = 1) => activation("elu", (x) => x.elu({ alpha }), alpha);
/** x·Φ(x), by erf or by its tanh approximation. Hendrycks, Gimpel, 2016, §2. */
export const gelu = (approximate: "none" | "tanh" = "none") =>
  activation("gelu", (x) => x.gelu({ approximate }), approximate);

/** Runs modules one after another; their names in checkpoints are 0, 1, 2, … */
export function sequential(...modules: readonly Module[]): Module {
  return {
    label: `sequential(${modules.length})`,
    description: { layer: "sequential" },
    children: Object.fromEntries(modules.map((module, i) => [String(i), module])),
    forward: (x, context) => modules.reduce((value, module) => context.run(module, value), x),
  };
}

/**
 * The same network keeping only its input and its result for the backward pass, which computes what lies between again:
 * less memory for about one more forward pass of it. As torch.utils.checkpoint. Source: Chen et al., 2016, §3.
 */
export function checkpoint(network: Module): Module {
  if (!network.children) return checkpoint(sequential(network));
  return {
    ...network,
    description: { layer: "checkpoint", wraps: network },
    forward: (x, context) => recomputed(() => network.forward(x, context)),
  };
}

/** x + body(x), or shortcut(x) + body(x) where shapes change. He et al., 2016, eq. 1 and 2. */
export function residual(body: Module, shortcut?: Module): Module {
  return {
    label: "residual()",
    description: { layer: "residual" },
    children: shortcut ? { body, shortcut } : { body },
    forward: (x, context) => f.add(shortcut ? context.run(shortcut, x) : x, context.run(body, x)),
  };
}
