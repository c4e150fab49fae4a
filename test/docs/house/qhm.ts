import { required } from "../../../src/core/op.ts";
import { eachElement } from "../../../src/ops/step/update-reference.ts";
import {
  defineOptimizer,
  type OptimizerFactory,
  type OptimizerRecord,
  type OptionsOf,
} from "../../../src/optim/define.ts";
import type { Rate } from "../../../src/optim/schedules.ts";
import source from "./qhm.part.wgsl?raw";

// #region
/** Hyperparameters of `qhm`, with the paper's defaults: nu 0.7 and beta 0.999. */
export interface QhmHyper {
  readonly lr: Rate;
  readonly weightDecay?: Rate;
  readonly nu?: Rate;
  readonly beta?: Rate;
}

/*#__NO_SIDE_EFFECTS__*/
function qhmRecord(): OptimizerRecord {
  return {
    name: "qhm",
    hyper: { lr: required, nu: 0.7, beta: 0.999, weightDecay: 0 },
    shares: ["beta"], // from 0 to below 1
    // What the shader reads as hyper.nu, hyper.direct, hyper.beta and hyper.fresh.
    numbersAt: (values) => {
      const { nu, beta } = values as Readonly<Record<string, number>>;
      return { nu: nu!, direct: 1 - nu!, beta: beta!, fresh: 1 - beta! };
    },
    rules: [
      {
        name: "qhm",
        slots: ["momentum_buffer"],
        numbers: ["nu", "direct", "beta", "fresh"],
        source, // the text of the WGSL file
        reference: eachElement(({ p, g, momentum_buffer }, { lr, nu, direct, beta, fresh }) => {
          const v = beta! * momentum_buffer! + fresh! * g!;
          return { p: p! - lr! * (direct! * g! + nu! * v), momentum_buffer: v };
        }),
      },
    ],
  };
}

/** v ← β·v + (1 − β)·g, p ← p − lr·((1 − ν)·g + ν·v); any shapes. Ma, Yarats, 2019, "Quasi-hyperbolic momentum", eq. 3. */
export const qhm: OptimizerFactory<OptionsOf<QhmHyper>> = defineOptimizer(qhmRecord());
// #endregion
