import momentumSource from "../../../shaders/step/momentum.part.wgsl?raw";
import dampenedSource from "../../../shaders/step/momentum-dampened.part.wgsl?raw";
import sgdSource from "../../../shaders/step/sgd.part.wgsl?raw";
import { OptionError } from "../../core/errors.ts";
import { required } from "../../core/op.ts";
import { eachElement } from "../../ops/step/update-reference.ts";
import { defineOptimizer, type OptimizerFactory } from "../define.ts";
import { isUsed, type OptimizerRecord, type OptionsOf, type RuleOf } from "../record.ts";
import type { Rate } from "../schedules.ts";

/** Hyperparameters of `sgd`: momentum, dampening and weightDecay are 0 unless given. */
export interface SgdHyper {
  readonly lr: Rate;
  readonly weightDecay?: Rate;
  readonly momentum?: Rate;
  /** The share by which gradients after the first enter the velocity less. */
  readonly dampening?: Rate;
}

/** Options of `sgd`. */
export type SgdOptions = OptionsOf<SgdHyper> & {
  /** Takes the gradient's look-ahead: p ← p − lr·(g + μ·v). */
  readonly nesterov?: boolean;
};

/*#__NO_SIDE_EFFECTS__*/
function heavyBall(name: string, nesterov: boolean, dampened: boolean): RuleOf {
  return {
    name,
    slots: ["momentum_buffer"],
    numbers: dampened ? ["momentum", "fresh"] : ["momentum"],
    ...(dampened
      ? { source: dampenedSource }
      : { source: momentumSource, constants: { NESTEROV: nesterov } }),
    reference: eachElement(({ p, g, momentum_buffer }, { lr, momentum, fresh = 1 }) => {
      const v = momentum! * momentum_buffer! + fresh * g!;
      return { p: p! - lr! * (nesterov ? g! + momentum! * v : v), momentum_buffer: v };
    }),
    typical: { momentum: 0.9, dampening: dampened ? 0.25 : 0 },
  };
}

// Records come from functions without side effects, so that a bundle leaves out those that it does not use.
/*#__NO_SIDE_EFFECTS__*/
function sgdRecord(): OptimizerRecord {
  return {
    name: "sgd",
    rate: 0.1,
    presets: {
      momentum: { momentum: 0.9, lr: 0.05 },
      nesterov: { momentum: 0.9, nesterov: true, lr: 0.05 },
    },
    hyper: { lr: required, momentum: 0, dampening: 0, weightDecay: 0, nesterov: false },
    // The first gradient is the first velocity, undampened.
    numbersAt: ({ momentum, dampening }, step) => ({
      momentum: momentum as number,
      fresh: step === 0 ? 1 : 1 - (dampening as number),
    }),
    rules: [
      {
        name: "sgd",
        slots: [],
        numbers: [],
        source: sgdSource,
        reference: eachElement(({ p, g }, { lr }) => ({ p: p! - lr! * g! })),
      },
      heavyBall("momentum", false, false),
      heavyBall("nesterov", true, false),
      heavyBall("dampened", false, true),
    ],
    choose: (options) => {
      const dampened = isUsed(options, "dampening");
      const moving = isUsed(options, "momentum");
      if (options.nesterov && !moving) throw new OptionError("sgd: nesterov needs a momentum above 0.");
      if (options.nesterov && dampened)
        throw new OptionError("sgd: nesterov has no dampening; leave one of them out.");
      if (dampened && !moving) throw new OptionError("sgd: dampening needs a momentum above 0.");
      if (dampened) return 3;
      return moving ? (options.nesterov ? 2 : 1) : 0;
    },
  };
}

/**
 * p ← p − lr·v with v ← μ·v + (1 − dampening)·g, the first v being g (p ← p − lr·g where no momentum is given), optionally
 * with Nesterov's look-ahead, p ← p − lr·(g + μ·v); any shapes; as torch.optim.SGD. The textbooks' v ← μ·v − lr·g, p ← p + v
 * is the same while lr is constant. Robbins, Monro, 1951; Polyak, 1964; Nesterov, 1983; Sutskever et al., 2013.
 * @throws OptionError for options that cannot work.
 */
export const sgd: OptimizerFactory<SgdOptions> = defineOptimizer(sgdRecord());
