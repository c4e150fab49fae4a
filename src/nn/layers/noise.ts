import { checkNames, checkNumber } from "../../core/check.ts";
import { ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/op.ts";
import { type Shape, showShape } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import { normalOf } from "../../ops/random/normal.ts";
import type { ForwardContext, Module } from "../module.ts";
import { affine } from "./affine.ts";
import { sequential } from "./combine.ts";
import { remakeWithin } from "./define.ts";
import { type LinearOptions, linear } from "./linear.ts";
import { checkModule, positive, probability } from "./options.ts";

/*
 * Random numbers come from counters (seed, layer, step, element), so a step gives the same ones whenever it is run, and the
 * backward pass reads the mask of the forward pass.
 */

const uniform = (shape: Shape, context: ForwardContext): Tensor =>
  f.randomUniform(context.counters, { shape, layer: context.nextLayer() });

/** 0 with probability p, else 1/(1 − p). */
const mask = (shape: Shape, p: number, context: ForwardContext): Tensor =>
  uniform(shape, context)
    .greaterEqual(p)
    .cast({ dtype: "f32" })
    .mul(1 / (1 - p));

/** A layer that does something in training alone, and that only where its number is not 0. */
const noise = (
  layer: string,
  amount: number,
  apply: (x: Tensor, context: ForwardContext) => Tensor,
): Module => ({
  label: `${layer}(${amount})`,
  description: { layer, args: [amount] },
  forward: (x, context) => (context.training && amount > 0 ? apply(x, context) : x),
});

/**
 * Zeroes whole channels of each example with probability p in training and scales the others by 1/(1 − p): [N, C, L] or
 * [N, C, H, W] → the same, as torch.nn.Dropout1d and Dropout2d. Tompson et al., 2015, "Efficient object localization", §3.2.
 */
export function spatialDropout(p = 0.5): Module {
  probability("spatialDropout", p);
  return noise("spatialDropout", p, (x, context) => {
    if (x.shape.length < 3)
      throw new ShapeError(
        `spatialDropout: takes [batch, channels, positions, …], got ${showShape(x.shape)}; use dropout.`,
      );
    return x.mul(mask([...x.shape.slice(0, 2), ...x.shape.slice(2).map(() => 1)], p, context));
  });
}

/** x + n with n from N(0, std²) in training, any shape; as keras.layers.GaussianNoise. Bishop, 1995, "Training with noise". */
export function gaussianNoise(std: number): Module {
  checkNumber("gaussianNoise: std", std, [0]);
  return noise("gaussianNoise", std, (x, context) => x.add(normalOf(uniform(x.shape, context)).mul(std)));
}

/**
 * x · n with n from N(1, p/(1 − p)) in training, any shape: dropout's mean and variance without its zeros; as
 * keras.layers.GaussianDropout. Srivastava et al., 2014, §10.
 */
export function gaussianDropout(p = 0.5): Module {
  probability("gaussianDropout", p);
  const std = Math.sqrt(p / (1 - p));
  return noise("gaussianDropout", p, (x, context) =>
    x.mul(normalOf(uniform(x.shape, context)).mul(std).add(1)),
  );
}

/** −λα of SELU: what it gives far below 0. Klambauer et al., 2017, §2. */
const SATURATED = -1.7580993408473766;

/**
 * Sets elements to α′ = −1.7581 with probability p in training, and then scales and shifts all so that mean 0 and variance 1
 * stay, any shape: dropout for SELU, as torch.nn.AlphaDropout. Klambauer et al., 2017, §3, "New dropout technique".
 */
export function alphaDropout(p = 0.5): Module {
  probability("alphaDropout", p);
  const scale = ((1 - p) * (1 + p * SATURATED ** 2)) ** -0.5;
  return noise("alphaDropout", p, (x, context) =>
    f
      .where(uniform(x.shape, context).greaterEqual(p), x, SATURATED)
      .mul(scale)
      .add(-scale * SATURATED * p),
  );
}

/**
 * body(x), any shape that it takes, in training 0 for each example with probability p and else scaled by 1/(1 − p), as torchvision.ops.StochasticDepth
 * in its mode "row"; within `residual` an example then skips the branch. Parts keep their names in checkpoints, so that a
 * network can be trained with and evaluated without. Huang et al., 2016, §3.
 *
 * @example nn.residual(nn.stochasticDepth(body, 0.2))
 */
export function stochasticDepth(body: Module, p: number): Module {
  checkModule("stochasticDepth", "the body", body);
  probability("stochasticDepth", p);
  if (!body.children) return stochasticDepth(sequential(body), p);
  return {
    ...body,
    label: `stochasticDepth(${p})`,
    description: { layer: "stochasticDepth", args: [p], wraps: body },
    remake: remakeWithin(body, (inner) => stochasticDepth(inner, p)),
    forward(x, context) {
      const y = body.forward(x, context);
      if (!context.training || p === 0) return y;
      return y.mul(mask([y.shape[0] ?? 1, ...y.shape.slice(1).map(() => 1)], p, context));
    },
  };
}

/**
 * A linear layer of whose weights each is 0 with probability p in training, the others scaled by 1/(1 − p), one mask for a
 * batch: [..., in] → [..., out]; weight [out, in], bias [out]. Wan et al., 2013, eq. 5, with the mean weight outside training.
 */
export function dropConnect(options: LinearOptions & { readonly p?: number }): Module {
  checkNames("dropConnect", options, ["in", "out", "p", "bias", "init"]);
  const { p = 0.5, ...rest } = options;
  positive("dropConnect", { in: options.in, out: options.out });
  probability("dropConnect", p);
  const { parameters } = linear(rest);
  const module: Module = {
    label: `dropConnect(${options.in} → ${options.out}, ${p})`,
    description: { layer: "dropConnect", args: [options] },
    parameters,
    forward(x, context) {
      const weight = context.parameter(module, "weight");
      const used = context.training && p > 0 ? weight.mul(mask(weight.shape, p, context)) : weight;
      const bias = options.bias === false ? undefined : context.parameter(module, "bias");
      return affine("dropConnect", x, used, bias);
    },
  };
  return module;
}
