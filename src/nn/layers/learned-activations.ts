import { checkNames, checkNumber } from "../../core/check.ts";
import { OptionError, ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/op.ts";
import { showShape } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import { constant } from "../init.ts";
import type { Module } from "../module.ts";
import { defineLayer } from "./define.ts";
import { positive } from "./options.ts";

/** A learned number for all of x, or one for each channel of [N, C, …]. */
function perChannel(layer: string, value: Tensor, x: Tensor): Tensor {
  const [count] = value.shape as [number];
  if (count === 1) return value;
  if (x.shape.length < 2 || x.shape[1] !== count)
    throw new ShapeError(
      `${layer}: takes [batch, ${count}, …], got ${showShape(x.shape)}; its features are 1 or the channels of the layer before.`,
    );
  return f.reshape(value, { shape: [count, ...x.shape.slice(2).map(() => 1)] });
}

/** Options of `prelu`: features 1, which is one α for all, and alpha 0.25 unless given. */
export interface PReluOptions {
  readonly features?: number;
  /** What each α begins with. */
  readonly alpha?: number;
}

/**
 * x where x > 0, else α·x, α learned: any shape with one, [N, C, …] with one for each channel; weight [features], 0.25 at
 * first; as torch.nn.PReLU. He et al., 2015, eq. 1.
 * @throws OptionError for features below 1.
 */
export function prelu(options: PReluOptions = {}): Module {
  checkNames("prelu", options, ["features", "alpha"]);
  const { features = 1, alpha = 0.25 } = options;
  positive("prelu", { features });
  checkNumber("prelu: alpha", alpha);
  return defineLayer(
    "prelu",
    [{ features, alpha }],
    { weight: { shape: [features], init: constant(alpha) } },
    ({ weight }, x) => f.where(f.greater(x, 0), x, f.mul(x, perChannel("prelu", weight, x))),
    features === 1 ? "prelu()" : `prelu(${features})`,
  );
}

/** Options of `parametricSoftplus`: features 1, which is one α and one β for all, alpha 0.2 and beta 5 unless given. */
export interface ParametricSoftplusOptions {
  readonly features?: number;
  /** What each α begins with. */
  readonly alpha?: number;
  /** What each β begins with. */
  readonly beta?: number;
}

/**
 * α·log(1 + e^(β·x)), α and β learned: any shape with one of each, [N, C, …] with one for each channel; alpha and beta
 * [features], 0.2 and 5 at first; as ParametricSoftplus of Keras 1. McFarland, Cui, Butts, 2013.
 * @throws OptionError for features below 1.
 */
export function parametricSoftplus(options: ParametricSoftplusOptions = {}): Module {
  checkNames("parametricSoftplus", options, ["features", "alpha", "beta"]);
  const { features = 1, alpha = 0.2, beta = 5 } = options;
  positive("parametricSoftplus", { features });
  checkNumber("parametricSoftplus: alpha", alpha);
  checkNumber("parametricSoftplus: beta", beta);
  const shape = [features];
  return defineLayer(
    "parametricSoftplus",
    [{ features, alpha, beta }],
    { alpha: { shape, init: constant(alpha) }, beta: { shape, init: constant(beta) } },
    ({ alpha, beta }, x) =>
      f.mul(
        perChannel("parametricSoftplus", alpha, x),
        f.softplus(f.mul(x, perChannel("parametricSoftplus", beta, x))),
      ),
    features === 1 ? "parametricSoftplus()" : `parametricSoftplus(${features})`,
  );
}

/** Options of `swish`: beta 1, not learned, unless given. */
export interface SwishOptions {
  readonly beta?: number;
  /** Whether β is a parameter, which begins as given. */
  readonly learned?: boolean;
}

/**
 * x · sigmoid(β·x), any shape, with a fixed β or a learned one, beta [1]; with β = 1 it is silu, as torch.nn.SiLU.
 * Ramachandran, Zoph, Le, 2017, §4.
 * @throws OptionError for a β that is not finite.
 */
export function swish(options: SwishOptions = {}): Module {
  checkNames("swish", options, ["beta", "learned"]);
  const { beta = 1, learned = false } = options;
  checkNumber("swish: beta", beta);
  if (typeof learned !== "boolean")
    throw new OptionError(`swish: learned is ${String(learned)}; use true or false.`);
  const label = `swish(${learned ? "learned" : beta === 1 ? "" : beta})`;
  const args = [{ beta, learned }];
  return learned
    ? defineLayer(
        "swish",
        args,
        { beta: { shape: [1], init: constant(beta) } },
        ({ beta }, x) => f.mul(x, f.sigmoid(f.mul(x, beta))),
        label,
      )
    : defineLayer(
        "swish",
        args,
        {},
        (_, x) => (beta === 1 ? f.silu(x) : f.mul(x, f.sigmoid(f.mul(x, beta)))),
        label,
      );
}
