import source from "../../../shaders/step/lamb.part.wgsl?raw";
import { required } from "../../core/op.ts";
import type { Numbers } from "../../ops/step/rule.ts";
import { eachElement } from "../../ops/step/update-reference.ts";
import { defineOptimizer, type OptimizerFactory } from "../define.ts";
import type { OptimizerRecord, OptionsOf } from "../record.ts";
import { type AdamHyper, momentNumbers } from "./adam.ts";

/** Options of `lamb`, with the defaults of `adam` but eps 1e-6. */
export type LambOptions = OptionsOf<AdamHyper>;

/** The next moments and the direction r for one element. */
function directed(p: number, g: number, first: number, second: number, h: Numbers) {
  const m = h.beta1! * first + h.fresh1! * g;
  const v = h.beta2! * second + h.fresh2! * g * g;
  const root = Math.sqrt(v) / Math.sqrt(h.correction2!);
  return { m, v, r: m / h.correction1! / (root + h.eps!) + h.weightDecay! * p };
}

/*#__NO_SIDE_EFFECTS__*/
function lambRecord(): OptimizerRecord {
  return {
    name: "lamb",
    rate: 0.01,
    hyper: { lr: required, betas: [0.9, 0.999], eps: 1e-6, weightDecay: 0 },
    shares: ["betas"],
    numbersAt: (values, step) => {
      const own = momentNumbers(values);
      return {
        ...own,
        correction1: 1 - own.beta1 ** (step + 1),
        correction2: 1 - own.beta2 ** (step + 1),
        eps: values.eps as number,
      };
    },
    rules: [
      {
        name: "lamb",
        slots: ["exp_avg", "exp_avg_sq"],
        numbers: ["beta1", "beta2", "fresh1", "fresh2", "correction1", "correction2", "eps"],
        source,
        trust: ({ p, g, exp_avg, exp_avg_sq }, h) =>
          p!.map((x, i) => directed(x, g![i]!, exp_avg![i]!, exp_avg_sq![i]!, h).r),
        reference: eachElement(({ p, g, exp_avg, exp_avg_sq, trust }, h) => {
          const { m, v, r } = directed(p!, g!, exp_avg!, exp_avg_sq!, h);
          return { p: p! - h.lr! * trust! * r, exp_avg: m, exp_avg_sq: v, trust: trust! };
        }),
        positive: ["exp_avg_sq"],
        typical: { betas: [0.9, 0.99] },
      },
    ],
  };
}

/**
 * m and v as in Adam, r = m̂/(√v̂ + ε) + λ·p, p ← p − lr·(‖p‖/‖r‖)·r with norms of each tensor, their ratio being 1 where either is 0; any
 * shapes. You et al., 2020, "Large batch optimization for deep learning", algorithm 2 with φ(z) = z. Two small dispatches measure the
 * tensors before the update.
 * @throws OptionError for options that cannot work.
 */
export const lamb: OptimizerFactory<LambOptions> = defineOptimizer(lambRecord());
