import source from "../../../shaders/step/lion.part.wgsl?raw";
import { required } from "../../core/op.ts";
import { UNIT_ROUNDOFF } from "../../core/tolerance.ts";
import type { Elements, Numbers } from "../../ops/step/rule.ts";
import { eachElement } from "../../ops/step/update-reference.ts";
import { defineOptimizer, type OptimizerFactory } from "../define.ts";
import type { OptimizerRecord, OptionsOf } from "../record.ts";
import type { Rate } from "../schedules.ts";
import { momentNumbers } from "./adam.ts";

/** Hyperparameters of `lion`, with the paper's defaults. */
export interface LionHyper {
  readonly lr: Rate;
  /** Shrinks the parameter by lr·λ, as AdamW's: 0. */
  readonly weightDecay?: Rate;
  /** β₁ of the direction and β₂ of the momentum: 0.9 and 0.99. */
  readonly betas?: readonly [Rate, Rate];
}
/** Options of `lion`. */
export type LionOptions = OptionsOf<LionHyper>;

/** Where rounding could turn the sign of the direction, the step may go either way. */
function bounds({ p, g, exp_avg }: Elements, errors: Elements, h: Numbers): Elements {
  const u = UNIT_ROUNDOFF;
  const mix = (beta: number, fresh: number, i: number) => ({
    value: beta * exp_avg![i]! + fresh * g![i]!,
    off: 4 * u * (Math.abs(beta * exp_avg![i]!) + Math.abs(fresh * g![i]!)) + fresh * errors.g![i]!,
  });
  return {
    p: p!.map((x, i) => {
      const { value, off } = mix(h.beta1!, h.fresh1!, i);
      return errors.p![i]! + 2 * u * (Math.abs(x) + h.lr!) + (Math.abs(value) <= off ? 2 * h.lr! : 0);
    }),
    exp_avg: p!.map((_, i) => mix(h.beta2!, h.fresh2!, i).off),
  };
}

/*#__NO_SIDE_EFFECTS__*/
function lionRecord(): OptimizerRecord {
  return {
    name: "lion",
    rate: 0.0003,
    hyper: { lr: required, betas: [0.9, 0.99], weightDecay: 0 },
    shares: ["betas"],
    numbersAt: momentNumbers,
    rules: [
      {
        name: "lion",
        slots: ["exp_avg"],
        numbers: ["beta1", "beta2", "fresh1", "fresh2"],
        source,
        decoupled: true,
        reference: eachElement(({ p, g, exp_avg }, h) => ({
          p: p! - h.lr! * Math.sign(h.beta1! * exp_avg! + h.fresh1! * g!),
          exp_avg: h.beta2! * exp_avg! + h.fresh2! * g!,
        })),
        bounds,
      },
    ],
  };
}

/**
 * p ← p − lr·(sign(β₁·m + (1 − β₁)·g) + λ·p), m ← β₂·m + (1 − β₂)·g; any shapes. Chen et al., 2023, "Symbolic discovery of
 * optimization algorithms", program 1.
 * @throws OptionError for options that cannot work.
 */
export const lion: OptimizerFactory<LionOptions> = defineOptimizer(lionRecord());
