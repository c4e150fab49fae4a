import adamSource from "../../shaders/step/adam.part.wgsl?raw";
import momentumSource from "../../shaders/step/momentum.part.wgsl?raw";
import sgdSource from "../../shaders/step/sgd.part.wgsl?raw";
import { OptionError } from "../core/errors.ts";
import { required } from "../core/op.ts";
import { eachElement } from "../ops/step/update-reference.ts";
import { defineOptimizer, type OptimizerFactory, type OptimizerRecord, type OptionsOf } from "./define.ts";
import type { Rate } from "./schedules.ts";

export type { Group, Optimizer } from "./optimizer.ts";

/** Hyperparameters of `sgd`: momentum and weightDecay are 0 unless given. */
export interface SgdHyper {
  readonly lr: Rate;
  readonly weightDecay?: Rate;
  readonly momentum?: Rate;
}

/** Options of `sgd`. */
export type SgdOptions = OptionsOf<SgdHyper> & {
  /** Takes the gradient's look-ahead: p ← p − lr·(g + μ·v). */
  readonly nesterov?: boolean;
};

const moves = (momentum: unknown) => momentum !== undefined && momentum !== 0;

/*#__NO_SIDE_EFFECTS__*/
function heavyBall(nesterov: boolean): OptimizerRecord["rules"][number] {
  return {
    name: nesterov ? "nesterov" : "momentum",
    slots: ["momentum_buffer"],
    numbers: ["momentum"],
    source: momentumSource,
    constants: { NESTEROV: nesterov },
    reference: eachElement(({ p, g, momentum_buffer }, { lr, momentum }) => {
      const v = momentum! * momentum_buffer! + g!;
      return { p: p! - lr! * (nesterov ? g! + momentum! * v : v), momentum_buffer: v };
    }),
    typical: { momentum: 0.9 },
  };
}

// Records come from functions without side effects, so that a bundle leaves out those that it does not use.
/*#__NO_SIDE_EFFECTS__*/
function sgdRecord(): OptimizerRecord {
  return {
    name: "sgd",
    hyper: { lr: required, momentum: 0, weightDecay: 0, nesterov: false },
    rules: [
      {
        name: "sgd",
        slots: [],
        numbers: [],
        source: sgdSource,
        reference: eachElement(({ p, g }, { lr }) => ({ p: p! - lr! * g! })),
      },
      heavyBall(false),
      heavyBall(true),
    ],
    choose: ({ momentum, nesterov, groups }) => {
      const lists = (groups ?? []) as readonly { momentum?: Rate }[];
      const moving = moves(momentum) || lists.some((group) => moves(group.momentum));
      if (nesterov && !moving) throw new OptionError("sgd: nesterov needs a momentum above 0.");
      return moving ? (nesterov ? 2 : 1) : 0;
    },
  };
}

/**
 * p ← p − lr·v with v ← μ·v + g (p ← p − lr·g where no momentum is given), optionally with Nesterov's look-ahead; as
 * torch.optim.SGD. Robbins, Monro, 1951; Polyak, 1964; Nesterov, 1983; Sutskever et al., 2013.
 * @throws OptionError for options that cannot work.
 */
export const sgd: OptimizerFactory<SgdOptions> = defineOptimizer(sgdRecord());

/** Hyperparameters of `adam` and `adamW`, with PyTorch's defaults. */
export interface AdamHyper {
  readonly lr: Rate;
  readonly weightDecay?: Rate;
  /** β₁ and β₂, the shares of the old moments: 0.9 and 0.999. */
  readonly betas?: readonly [Rate, Rate];
  /** Added to √v̂: 1e-8. */
  readonly eps?: Rate;
}
/** Options of `adam` and `adamW`. */
export type AdamOptions = OptionsOf<AdamHyper>;

/*#__NO_SIDE_EFFECTS__*/
function adamLike(name: string, weightDecay: number, decoupled: boolean): OptimizerRecord {
  return {
    name,
    hyper: { lr: required, betas: [0.9, 0.999], eps: 1e-8, weightDecay },
    shares: ["betas"],
    // 1 − β would lose half its digits if it were taken from a float32 β.
    numbersAt: ({ betas, eps }, step) => {
      const [beta1, beta2] = betas as readonly [number, number];
      return {
        beta1,
        beta2,
        fresh1: 1 - beta1,
        fresh2: 1 - beta2,
        correction1: 1 - beta1 ** (step + 1),
        correction2: 1 - beta2 ** (step + 1),
        eps: eps as number,
      };
    },
    rules: [
      {
        name,
        slots: ["exp_avg", "exp_avg_sq"],
        numbers: ["beta1", "beta2", "fresh1", "fresh2", "correction1", "correction2", "eps"],
        source: adamSource,
        decoupled,
        reference: eachElement(({ p, g, exp_avg, exp_avg_sq }, h) => {
          const m = h.beta1! * exp_avg! + h.fresh1! * g!;
          const v = h.beta2! * exp_avg_sq! + h.fresh2! * g! * g!;
          const root = Math.sqrt(v) / Math.sqrt(h.correction2!);
          return { p: p! - ((h.lr! / h.correction1!) * m) / (root + h.eps!), exp_avg: m, exp_avg_sq: v };
        }),
        positive: ["exp_avg_sq"],
        typical: { betas: [0.9, 0.99] },
      },
    ],
  };
}

/**
 * Adam with bias correction: m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², p ← p − lr·m̂/(√v̂ + ε), with m̂ = m/(1 − β₁ᵗ) and
 * v̂ = v/(1 − β₂ᵗ); weight decay is added to the gradient, as torch.optim.Adam. Kingma, Ba, 2015, algorithm 1.
 * @throws OptionError for options that cannot work.
 */
export const adam: OptimizerFactory<AdamOptions> = defineOptimizer(adamLike("adam", 0, false));

/**
 * Adam with decoupled weight decay, p ← p − lr·λ·p before each step, 0.01 by default; as torch.optim.AdamW. Loshchilov,
 * Hutter, 2019, algorithm 2.
 * @throws OptionError for options that cannot work.
 */
export const adamW: OptimizerFactory<AdamOptions> = defineOptimizer(adamLike("adamW", 0.01, true));
