import adamaxSource from "../../../shaders/step/adamax.part.wgsl?raw";
import momentsSource from "../../../shaders/step/moments.part.wgsl?raw";
import { required } from "../../core/op.ts";
import type { Numbers } from "../../ops/step/rule.ts";
import { eachElement } from "../../ops/step/update-reference.ts";
import { defineOptimizer, type OptimizerFactory } from "../define.ts";
import type { OptimizerRecord, OptionsOf, RuleOf, Values } from "../record.ts";
import type { Rate } from "../schedules.ts";
import { type AdamHyper, momentNumbers } from "./adam.ts";

/** Options of `adamax` and `radam`. */
export type AdamKinOptions = OptionsOf<AdamHyper>;

/*#__NO_SIDE_EFFECTS__*/
function adamaxRecord(): OptimizerRecord {
  return {
    name: "adamax",
    rate: 0.004,
    hyper: { lr: required, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0 },
    shares: ["betas"],
    numbersAt: (values, step) => {
      const own = momentNumbers(values);
      return { ...own, correction1: 1 - own.beta1 ** (step + 1), eps: values.eps as number };
    },
    rules: [
      {
        name: "adamax",
        slots: ["exp_avg", "exp_inf"],
        numbers: ["beta1", "beta2", "fresh1", "correction1", "eps"],
        source: adamaxSource,
        reference: eachElement(({ p, g, exp_avg, exp_inf }, h) => {
          const m = h.beta1! * exp_avg! + h.fresh1! * g!;
          const u = Math.max(h.beta2! * exp_inf!, Math.abs(g!) + h.eps!);
          return { p: p! - ((h.lr! / h.correction1!) * m) / u, exp_avg: m, exp_inf: u };
        }),
        positive: ["exp_inf"],
      },
    ],
  };
}

/**
 * m ← β₁·m + (1 − β₁)·g, u ← max(β₂·u, |g| + ε), p ← p − lr/(1 − β₁ᵗ)·m/u; any shapes; as torch.optim.Adamax. Kingma, Ba, 2015,
 * algorithm 2, which has no ε.
 * @throws OptionError for options that cannot work.
 */
export const adamax: OptimizerFactory<AdamKinOptions> = defineOptimizer(adamaxRecord());

/** The rule of optimizers that differ in what the host works out for each step. */
/*#__NO_SIDE_EFFECTS__*/
function momentRule(name: string): RuleOf {
  return {
    name,
    slots: ["exp_avg", "exp_avg_sq"],
    numbers: [
      ...["beta1", "beta2", "fresh1", "fresh2"],
      ...["gradientShare", "momentShare", "rootScale", "rootOffset"],
    ],
    source: momentsSource,
    reference: eachElement(({ p, g, exp_avg, exp_avg_sq }, h) => {
      const m = h.beta1! * exp_avg! + h.fresh1! * g!;
      const v = h.beta2! * exp_avg_sq! + h.fresh2! * g! * g!;
      const direction = h.gradientShare! * g! + h.momentShare! * m;
      const root = h.rootScale! * Math.sqrt(v) + h.rootOffset!;
      return { p: p! - (h.lr! * direction) / root, exp_avg: m, exp_avg_sq: v };
    }),
    positive: ["exp_avg_sq"],
    typical: { betas: [0.9, 0.99] },
  };
}

/** Hyperparameters of `nadam`, with PyTorch's defaults. */
export interface NadamHyper extends AdamHyper {
  /** ψ: how fast μ grows to β₁, 0.004. */
  readonly momentumDecay?: Rate;
}
/** Options of `nadam`. */
export type NadamOptions = OptionsOf<NadamHyper>;

/** Products μ₁·…·μₜ, for each β₁ and ψ those that were asked for so far: a step needs one more than the step before. */
class Products {
  private readonly known = new Map<string, number[]>();

  at(beta: number, decay: number, step: number): number {
    const key = `${beta} ${decay}`;
    const list = this.known.get(key) ?? [];
    this.known.set(key, list);
    for (let t = list.length; t <= step; t++) list.push((list[t - 1] ?? 1) * momentumAt(beta, decay, t + 1));
    return list[step]!;
  }
}

/** μₜ, t from 1. */
const momentumAt = (beta: number, decay: number, t: number) => beta * (1 - 0.5 * 0.96 ** (t * decay));

/*#__NO_SIDE_EFFECTS__*/
function nadamRecord(): OptimizerRecord {
  const products = new Products();
  return {
    name: "nadam",
    rate: 0.003,
    hyper: { lr: required, betas: [0.9, 0.999], eps: 1e-8, momentumDecay: 0.004, weightDecay: 0 },
    shares: ["betas"],
    numbersAt: (values: Values, step): Numbers => {
      const own = momentNumbers(values);
      const decay = values.momentumDecay as number;
      const [now, next] = [step + 1, step + 2].map((t) => momentumAt(own.beta1, decay, t)) as [
        number,
        number,
      ];
      const product = products.at(own.beta1, decay, step);
      return {
        ...own,
        gradientShare: (1 - now) / (1 - product),
        momentShare: next / (1 - product * next),
        rootScale: 1 / Math.sqrt(1 - own.beta2 ** (step + 1)),
        rootOffset: values.eps as number,
      };
    },
    rules: [momentRule("nadam")],
  };
}

/**
 * Adam with Nesterov's look-ahead: with μₜ = β₁·(1 − ½·0.96^(t·ψ)), p ← p − lr·((1 − μₜ)/(1 − μ₁…μₜ)·g + μₜ₊₁/(1 − μ₁…μₜ₊₁)·m)/(√v̂ + ε);
 * any shapes; as torch.optim.NAdam. A β₁ or ψ by schedule counts for the steps before, too. Dozat, 2016, algorithm 2.
 * @throws OptionError for options that cannot work.
 */
export const nadam: OptimizerFactory<NadamOptions> = defineOptimizer(nadamRecord());

/*#__NO_SIDE_EFFECTS__*/
function radamRecord(): OptimizerRecord {
  return {
    name: "radam",
    rate: 0.003,
    hyper: { lr: required, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0 },
    shares: ["betas"],
    numbersAt: (values, step): Numbers => {
      const own = momentNumbers(values);
      const [t, eps] = [step + 1, values.eps as number];
      const left = own.beta2 ** t;
      const longest = 2 / (1 - own.beta2) - 1;
      const length = longest - (2 * t * left) / (1 - left);
      const share = 1 / (1 - own.beta1 ** t);
      const base = { ...own, gradientShare: 0 };
      if (!(length > 5)) return { ...base, momentShare: share, rootScale: 0, rootOffset: 1 };
      const rectified = Math.sqrt(
        ((length - 4) * (length - 2) * longest) / ((longest - 4) * (longest - 2) * length),
      );
      const momentShare = share * rectified * Math.sqrt(1 - left);
      return { ...base, momentShare, rootScale: 1, rootOffset: eps };
    },
    rules: [momentRule("radam")],
  };
}

/**
 * Adam whose steps are shortened while the variance of v is large, r·lr·m̂/(√v̂ + ε), and go by m̂ alone, lr·m̂, while it is
 * unknown (ρₜ ≤ 5), with ρ∞ = 2/(1 − β₂) − 1, ρₜ = ρ∞ − 2t·β₂ᵗ/(1 − β₂ᵗ), r = √((ρₜ − 4)(ρₜ − 2)ρ∞/((ρ∞ − 4)(ρ∞ − 2)ρₜ)); any shapes; as
 * torch.optim.RAdam, which adds ε to √v. Liu et al., 2020, algorithm 2.
 * @throws OptionError for options that cannot work.
 */
export const radam: OptimizerFactory<AdamKinOptions> = defineOptimizer(radamRecord());
