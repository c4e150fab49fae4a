import adamSource from "../../../shaders/step/adam.part.wgsl?raw";
import amsgradSource from "../../../shaders/step/amsgrad.part.wgsl?raw";
import { required } from "../../core/op.ts";
import { eachElement } from "../../ops/step/update-reference.ts";
import { defineOptimizer, type OptimizerFactory } from "../define.ts";
import type { OptimizerRecord, OptionsOf, Values } from "../record.ts";
import type { Rate } from "../schedules.ts";

/** Hyperparameters of `adam` and its kin, with PyTorch's defaults. */
export interface AdamHyper {
  readonly lr: Rate;
  readonly weightDecay?: Rate;
  /** β₁ and β₂, the shares of the old moments: 0.9 and 0.999. */
  readonly betas?: readonly [Rate, Rate];
  /** Added to √v̂: 1e-8. */
  readonly eps?: Rate;
}
/** Options of `adam` and `adamW`. */
export type AdamOptions = OptionsOf<AdamHyper> & {
  /** Divides by the largest v̂ so far; false by default. Reddi, Kale, Kumar, 2018, algorithm 2. */
  readonly amsgrad?: boolean;
  /** Divides the moments, which begin as zeros, by how much of them is known; true by default. */
  readonly biasCorrection?: boolean;
};

/** β₁, β₂, 1 − β₁ and 1 − β₂: 1 − β would lose half its digits if it were taken from a float32 β. */
export const momentNumbers = ({ betas }: Values) => {
  const [beta1, beta2] = betas as readonly [number, number];
  return { beta1, beta2, fresh1: 1 - beta1, fresh2: 1 - beta2 };
};

/*#__NO_SIDE_EFFECTS__*/
function adamLike(name: string, weightDecay: number, decoupled: boolean): OptimizerRecord {
  const numbers = ["beta1", "beta2", "fresh1", "fresh2", "correction1", "correction2", "eps"];
  const typical = { betas: [0.9, 0.99] };
  return {
    name,
    rate: 0.003,
    presets: { [decoupled ? "amsgradW" : "amsgrad"]: { amsgrad: true } },
    hyper: {
      lr: required,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay,
      amsgrad: false,
      biasCorrection: true,
    },
    shares: ["betas"],
    numbersAt: (values, step) => {
      const own = momentNumbers(values);
      const corrected = values.biasCorrection !== false;
      return {
        ...own,
        correction1: corrected ? 1 - own.beta1 ** (step + 1) : 1,
        correction2: corrected ? 1 - own.beta2 ** (step + 1) : 1,
        eps: values.eps as number,
      };
    },
    rules: [
      {
        name,
        slots: ["exp_avg", "exp_avg_sq"],
        numbers,
        source: adamSource,
        decoupled,
        reference: eachElement(({ p, g, exp_avg, exp_avg_sq }, h) => {
          const m = h.beta1! * exp_avg! + h.fresh1! * g!;
          const v = h.beta2! * exp_avg_sq! + h.fresh2! * g! * g!;
          const root = Math.sqrt(v) / Math.sqrt(h.correction2!);
          return { p: p! - ((h.lr! / h.correction1!) * m) / (root + h.eps!), exp_avg: m, exp_avg_sq: v };
        }),
        positive: ["exp_avg_sq"],
        typical,
      },
      {
        name: decoupled ? "amsgradW" : "amsgrad",
        slots: ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
        numbers,
        source: amsgradSource,
        decoupled,
        reference: eachElement(({ p, g, exp_avg, exp_avg_sq, max_exp_avg_sq }, h) => {
          const m = h.beta1! * exp_avg! + h.fresh1! * g!;
          const v = h.beta2! * exp_avg_sq! + h.fresh2! * g! * g!;
          const w = Math.max(max_exp_avg_sq!, v);
          const root = Math.sqrt(w) / Math.sqrt(h.correction2!);
          return {
            p: p! - ((h.lr! / h.correction1!) * m) / (root + h.eps!),
            exp_avg: m,
            exp_avg_sq: v,
            max_exp_avg_sq: w,
          };
        }),
        positive: ["exp_avg_sq", "max_exp_avg_sq"],
        typical,
      },
    ],
    choose: ({ amsgrad }) => (amsgrad ? 1 : 0),
  };
}

/**
 * Adam with bias correction: m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², p ← p − lr·m̂/(√v̂ + ε), with m̂ = m/(1 − β₁ᵗ) and
 * v̂ = v/(1 − β₂ᵗ); weight decay is added to the gradient; any shapes; as torch.optim.Adam. With `amsgrad` the largest v so
 * far stands for v; without `biasCorrection` m̂ = m and v̂ = v. Kingma, Ba, 2015, algorithm 1.
 * @throws OptionError for options that cannot work.
 */
export const adam: OptimizerFactory<AdamOptions> = defineOptimizer(adamLike("adam", 0, false));

/**
 * Adam with decoupled weight decay, p ← p − lr·λ·p before each step, 0.01 by default; any shapes; as torch.optim.AdamW.
 * Loshchilov, Hutter, 2019, algorithm 2.
 * @throws OptionError for options that cannot work.
 */
export const adamW: OptimizerFactory<AdamOptions> = defineOptimizer(adamLike("adamW", 0.01, true));
