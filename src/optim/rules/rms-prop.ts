import plainSource from "../../../shaders/step/rmsprop.part.wgsl?raw";
import centeredSource from "../../../shaders/step/rmsprop-centered.part.wgsl?raw";
import bothSource from "../../../shaders/step/rmsprop-centered-momentum.part.wgsl?raw";
import movingSource from "../../../shaders/step/rmsprop-momentum.part.wgsl?raw";
import { required } from "../../core/op.ts";
import { UNIT_ROUNDOFF } from "../../core/tolerance.ts";
import type { Elements, Numbers } from "../../ops/step/rule.ts";
import { eachElement } from "../../ops/step/update-reference.ts";
import { defineOptimizer, type OptimizerFactory } from "../define.ts";
import { isUsed, type OptimizerRecord, type OptionsOf, type RuleOf } from "../record.ts";
import type { Rate } from "../schedules.ts";

/** Hyperparameters of `rmsProp`, with PyTorch's defaults. */
export interface RmsPropHyper {
  readonly lr: Rate;
  readonly weightDecay?: Rate;
  /** The share of the old mean square: 0.99. */
  readonly alpha?: Rate;
  /** Added to the root: 1e-8. */
  readonly eps?: Rate;
  /** Of a velocity of the scaled gradients: 0. */
  readonly momentum?: Rate;
}
/** Options of `rmsProp`. */
export type RmsPropOptions = OptionsOf<RmsPropHyper> & {
  /** Divides by the deviation in place of the root of the mean square. */
  readonly centered?: boolean;
  /** Adds eps inside the root, as TensorFlow, in place of to the root. */
  readonly epsInside?: boolean;
};

/** The next v and m, the variance by which is divided, and the scaled gradient. */
function scaled(g: number, square: number, mean: number | undefined, h: Numbers) {
  const v = h.alpha! * square + h.fresh! * g * g;
  const m = mean === undefined ? 0 : h.alpha! * mean + h.fresh! * g;
  const variance = mean === undefined ? v : Math.max(v - m * m, 0);
  return { v, m, variance, moved: g / (Math.sqrt(variance + h.epsInside!) + h.eps!) };
}

/**
 * A variance is a difference, which may cancel: the move is taken at both ends of where the variance may lie, 8 roundings
 * of its terms about it, and 16 of its own are added.
 */
function centeredBounds(elements: Elements, errors: Elements, h: Numbers): Elements {
  const u = UNIT_ROUNDOFF;
  const { p, g, square_avg, grad_avg, momentum_buffer } = elements;
  const own = { p: [], square_avg: [], grad_avg: [], momentum_buffer: [] } as Record<string, number[]>;
  for (let i = 0; i < p!.length; i++) {
    const [e, x] = [errors.g![i]!, g![i]!];
    const { v, m, variance, moved } = scaled(x, square_avg![i]!, grad_avg![i]!, h);
    const off = 8 * u * (v + m * m) + 2 * h.fresh! * (Math.abs(x) + Math.abs(m)) * e;
    const ends = [Math.max(variance - off, 0), variance + off].map(
      (at) => (Math.abs(x) + e) / (Math.sqrt(at + h.epsInside!) + h.eps!),
    );
    const direction = Math.max(...ends.map((end) => Math.abs(end - Math.abs(moved)))) + 16 * u * ends[0]!;
    const old = Math.abs(h.momentum! * (momentum_buffer?.[i] ?? 0));
    own.p!.push(errors.p![i]! + 2 * u * Math.abs(p![i]!) + h.lr! * (direction + 8 * u * (old + ends[0]!)));
    own.square_avg!.push(8 * u * v + 2 * h.fresh! * Math.abs(x) * e);
    own.grad_avg!.push(8 * u * (Math.abs(h.alpha! * grad_avg![i]!) + h.fresh! * Math.abs(x)) + h.fresh! * e);
    own.momentum_buffer!.push(direction + 8 * u * (old + ends[0]!));
  }
  return Object.fromEntries(Object.entries(own).map(([name, list]) => [name, Float64Array.from(list)]));
}

/*#__NO_SIDE_EFFECTS__*/
function rmsRule(name: string, source: string, centered: boolean, moving: boolean): RuleOf {
  return {
    name,
    slots: ["square_avg", ...(centered ? ["grad_avg"] : []), ...(moving ? ["momentum_buffer"] : [])],
    numbers: ["alpha", "fresh", "eps", "epsInside", "momentum"],
    source,
    reference: eachElement(({ p, g, square_avg, grad_avg, momentum_buffer }, h) => {
      const { v, m, moved } = scaled(g!, square_avg!, grad_avg, h);
      const b = moving ? h.momentum! * momentum_buffer! + moved : moved;
      return { p: p! - h.lr! * b, square_avg: v, grad_avg: m, momentum_buffer: b };
    }),
    positive: ["square_avg"],
    ...(centered && { bounds: centeredBounds }),
    typical: { momentum: moving ? 0.9 : 0, ...(centered && { eps: 0.125 }) },
  };
}

/*#__NO_SIDE_EFFECTS__*/
function rmsPropRecord(): OptimizerRecord {
  return {
    name: "rmsProp",
    rate: 0.001,
    hyper: {
      lr: required,
      alpha: 0.99,
      eps: 1e-8,
      momentum: 0,
      weightDecay: 0,
      centered: false,
      epsInside: false,
    },
    shares: ["alpha"],
    numbersAt: (values) => {
      const { alpha, eps, momentum } = values as Readonly<Record<string, number>>;
      const inside = values.epsInside === true;
      return {
        alpha: alpha!,
        fresh: 1 - alpha!,
        eps: inside ? 0 : eps!,
        epsInside: inside ? eps! : 0,
        momentum: momentum!,
      };
    },
    rules: [
      rmsRule("rmsProp", plainSource, false, false),
      rmsRule("rmsPropMomentum", movingSource, false, true),
      rmsRule("rmsPropCentered", centeredSource, true, false),
      rmsRule("rmsPropCenteredMomentum", bothSource, true, true),
    ],
    choose: (options) => (options.centered ? 2 : 0) + (isUsed(options, "momentum") ? 1 : 0),
  };
}

/**
 * v ← α·v + (1 − α)·g², p ← p − lr·g/(√v + ε); with `centered` the variance v − m² stands for v, m ← α·m + (1 − α)·g; with
 * momentum b ← μ·b + g/(√v + ε), p ← p − lr·b; any shapes; as torch.optim.RMSprop, whose ε stands outside of the root
 * (TensorFlow's inside: `epsInside`). A variance that rounding makes negative counts as 0. Tieleman, Hinton, 2012; centred:
 * Graves, 2013, eq. 38–45.
 * @throws OptionError for options that cannot work.
 */
export const rmsProp: OptimizerFactory<RmsPropOptions> = defineOptimizer(rmsPropRecord());
