import { required } from "../../../src/core/op.ts";
import { eachElement } from "../../../src/ops/step/update-reference.ts";
import {
  defineOptimizer,
  type OptimizerFactory,
  type OptimizerRecord,
  type OptionsOf,
} from "../../../src/optim/define.ts";
import type { Rate } from "../../../src/optim/schedules.ts";
import source from "./rmsprop.part.wgsl?raw";

// #region
/** Hyperparameters of `rmsProp`, with PyTorch's defaults: alpha 0.99 and eps 1e-8. */
export interface RmsPropHyper {
  readonly lr: Rate;
  readonly weightDecay?: Rate;
  readonly alpha?: Rate;
  readonly eps?: Rate;
}

/*#__NO_SIDE_EFFECTS__*/
function rmsPropRecord(): OptimizerRecord {
  return {
    name: "rmsProp",
    hyper: { lr: required, alpha: 0.99, eps: 1e-8, weightDecay: 0 },
    shares: ["alpha"], // from 0 to below 1
    // What the shader reads as hyper.alpha, hyper.fresh and hyper.eps.
    numbersAt: (values) => {
      const { alpha, eps } = values as Readonly<Record<string, number>>;
      return { alpha: alpha!, fresh: 1 - alpha!, eps: eps! };
    },
    rules: [
      {
        name: "rmsProp",
        slots: ["square_avg"],
        numbers: ["alpha", "fresh", "eps"],
        source, // the text of the WGSL file
        reference: eachElement(({ p, g, square_avg }, { lr, alpha, fresh, eps }) => {
          const v = alpha! * square_avg! + fresh! * g! * g!;
          return { p: p! - (lr! * g!) / (Math.sqrt(v) + eps!), square_avg: v };
        }),
        positive: ["square_avg"],
      },
    ],
  };
}

/** v ← α·v + (1 − α)·g², p ← p − lr·g/(√v + ε), as torch.optim.RMSprop. Tieleman, Hinton, 2012. */
export const rmsProp: OptimizerFactory<OptionsOf<RmsPropHyper>> = defineOptimizer(rmsPropRecord());
// #endregion
