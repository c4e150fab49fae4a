import adadeltaSource from "../../../shaders/step/adadelta.part.wgsl?raw";
import adagradSource from "../../../shaders/step/adagrad.part.wgsl?raw";
import { required } from "../../core/op.ts";
import { eachElement } from "../../ops/step/update-reference.ts";
import { defineOptimizer, type OptimizerFactory } from "../define.ts";
import type { OptimizerRecord, OptionsOf } from "../record.ts";
import type { Rate } from "../schedules.ts";

/** Hyperparameters of `adagrad`, with PyTorch's defaults. */
export interface AdagradHyper {
  readonly lr: Rate;
  readonly weightDecay?: Rate;
  /** The rate of the step numbered t from 0 is lr/(1 + t·lrDecay): 0. */
  readonly lrDecay?: Rate;
  /** Added to the root: 1e-10. */
  readonly eps?: Rate;
}
/** Options of `adagrad`. */
export type AdagradOptions = OptionsOf<AdagradHyper> & {
  /** What the sums of squares begin with: 0. */
  readonly initialAccumulator?: number;
};

/*#__NO_SIDE_EFFECTS__*/
function adagradRecord(): OptimizerRecord {
  return {
    name: "adagrad",
    rate: 0.02,
    hyper: { lr: required, lrDecay: 0, eps: 1e-10, weightDecay: 0, initialAccumulator: 0 },
    fixed: ["initialAccumulator"],
    initial: ({ initialAccumulator = 0 }) => ({ sum: initialAccumulator as number }),
    numbersAt: (values, step) => {
      const { lr = 0.05, lrDecay, eps } = values as Readonly<Record<string, number>>;
      return { rate: lr / (1 + step * lrDecay!), eps: eps! };
    },
    rules: [
      {
        name: "adagrad",
        slots: ["sum"],
        numbers: ["rate", "eps"],
        source: adagradSource,
        reference: eachElement(({ p, g, sum }, { rate, eps }) => {
          const s = sum! + g! * g!;
          return { p: p! - (rate! * g!) / (Math.sqrt(s) + eps!), sum: s };
        }),
        positive: ["sum"],
      },
    ],
  };
}

/**
 * s ← s + g², p ← p − lr/(1 + t·lrDecay)·g/(√s + ε), t from 0; any shapes; as torch.optim.Adagrad, whose ε stands outside of the
 * root. Duchi, Hazan, Singer, 2011.
 * @throws OptionError for options that cannot work.
 */
export const adagrad: OptimizerFactory<AdagradOptions> = defineOptimizer(adagradRecord());

/** Hyperparameters of `adadelta`, with PyTorch's defaults. */
export interface AdadeltaHyper {
  /** Scales the steps: 1. */
  readonly lr?: Rate;
  readonly weightDecay?: Rate;
  /** The share of the old means: 0.9. */
  readonly rho?: Rate;
  /** Added inside both roots: 1e-6. */
  readonly eps?: Rate;
}
/** Options of `adadelta`. */
export type AdadeltaOptions = OptionsOf<AdadeltaHyper>;

/*#__NO_SIDE_EFFECTS__*/
function adadeltaRecord(): OptimizerRecord {
  return {
    name: "adadelta",
    rate: 1,
    hyper: { lr: 1, rho: 0.9, eps: 1e-6, weightDecay: 0 },
    shares: ["rho"],
    numbersAt: (values) => {
      const { rho, eps } = values as Readonly<Record<string, number>>;
      return { rho: rho!, fresh: 1 - rho!, eps: eps! };
    },
    rules: [
      {
        name: "adadelta",
        slots: ["square_avg", "acc_delta"],
        numbers: ["rho", "fresh", "eps"],
        source: adadeltaSource,
        reference: eachElement(({ p, g, square_avg, acc_delta }, { lr, rho, fresh, eps }) => {
          const v = rho! * square_avg! + fresh! * g! * g!;
          const d = (Math.sqrt(acc_delta! + eps!) / Math.sqrt(v + eps!)) * g!;
          return { p: p! - lr! * d, square_avg: v, acc_delta: rho! * acc_delta! + fresh! * d * d };
        }),
        positive: ["square_avg", "acc_delta"],
      },
    ],
  };
}

/**
 * v ← ρ·v + (1 − ρ)·g², d = √(u + ε)/√(v + ε)·g, u ← ρ·u + (1 − ρ)·d², p ← p − lr·d; any shapes; as torch.optim.Adadelta.
 * Zeiler, 2012, algorithm 1.
 * @throws OptionError for options that cannot work.
 */
export const adadelta: OptimizerFactory<AdadeltaOptions> = defineOptimizer(adadeltaRecord());
