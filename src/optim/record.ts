import { required } from "../core/op.ts";
import type { Numbers, UpdateRule } from "../ops/step/rule.ts";
import type { Group, Optimizer, Redirect } from "./optimizer.ts";
import type { Rate } from "./schedules.ts";

/**
 * After every step a ← decay·a + (1 − decay)·p, beginning as a copy of the first step's parameters; as
 * torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(decay). Polyak, Juditsky, 1992.
 */
export interface EmaOptions {
  /** From 0 to below 1. */
  readonly decay: Rate;
  /** Lets young averages forget faster: decay min(decay, (1 + t) / (10 + t)) at step t from 0, as TensorFlow's. */
  readonly warmUp?: boolean;
}

/**
 * Stochastic weight averaging: the equal average of the parameters after step `start` and after every `every` steps from
 * there on, a ← a + (p − a)/(n + 1); as torch.optim.swa_utils.AveragedModel. Before it begins the average is a copy of
 * the parameters. Running statistics are not averaged: `Trainer.renewStatistics` makes those of the averaged network.
 * Izmailov et al., 2018, algorithm 1.
 */
export interface SwaOptions {
  /** The step from 0 whose parameters are the first; below 1 it is a share of the run's steps. */
  readonly start: number;
  /** How many steps lie between two that are averaged: those of an epoch, for instance; 1 by default. */
  readonly every?: number;
}

/**
 * Every k steps φ ← φ + α·(θ − φ) and θ ← φ, with slow weights φ that begin as the first parameters θ; the slots stay.
 * Zhang, Lucas, Hinton, Ba, 2019, algorithm 1.
 */
export interface LookaheadOptions {
  /** Steps of the fast weights for one of the slow: 5 by default. */
  readonly k?: number;
  /** How far the slow weights follow, above 0 to 1: 0.5 by default. */
  readonly alpha?: Rate;
}

/** What every optimizer takes. */
export interface CommonOptions {
  /**
   * Gradients are scaled down to this global L2 norm when theirs is larger, as torch.nn.utils.clip_grad_norm_; no clipping
   * by default. Pascanu, Mikolov, Bengio, 2013, algorithm 1.
   */
  readonly clipNorm?: Rate;
  /**
   * The gradient of each tensor is scaled down to this L2 norm when its own is larger, after clipNorm; as
   * torch.nn.utils.clip_grad_norm_ called for each parameter. Two small dispatches measure the tensors. No clipping by default.
   */
  readonly clipTensorNorm?: Rate;
  /**
   * Each element of a gradient is brought into ±clipValue, after the norms; as
   * torch.nn.utils.clip_grad_value_. No clipping by default.
   */
  readonly clipValue?: Rate;
  /**
   * After each step the weights into a unit, a row of a parameter [units, …] of two axes and more, are scaled down to this L2 norm
   * when theirs is larger, w ← w·min(1, c/‖w‖); groups may have their own. No constraint by default. Srivastava et al., 2014, §5.1.
   */
  readonly maxNorm?: Rate;
  /** Keeps an exponential moving average of the parameters; none by default. */
  readonly ema?: EmaOptions;
  /** Keeps an equal average of the later parameters, in place of `ema`; none by default. */
  readonly swa?: SwaOptions;
  /** Lets slow weights follow, to which the parameters go back; none by default. */
  readonly lookahead?: LookaheadOptions;
}

/** Options made of hyperparameters H, which groups of parameters may have of their own. */
export type OptionsOf<H> = H &
  CommonOptions & { readonly groups?: readonly (Group & Partial<H> & Pick<CommonOptions, "maxNorm">)[] };

/** A hyperparameter's default: a number, several, a switch that no group can turn, or none. */
export type Default = number | readonly number[] | boolean | typeof required;
/** Hyperparameters at a step. */
export type Values = Readonly<Record<string, number | readonly number[] | boolean>>;

/** An optimizer as it is written: an update rule with hyperparameters. */
export interface OptimizerRecord {
  readonly name: string;
  /** Hyperparameters by name, with PyTorch's defaults; `weightDecay` is 0 unless it stands here. */
  readonly hyper: Readonly<Record<string, Default>>;
  /** A learning rate to begin with, for networks of some layers: what the command line takes where none is given. */
  readonly rate?: number;
  /** Options by which the record is known under other names: those of `adam` for "amsgrad". */
  readonly presets?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Hyperparameters that are shares: from 0 to below 1. */
  readonly shares?: readonly string[];
  /** Hyperparameters that may be negative. */
  readonly signed?: readonly string[];
  /** Hyperparameters that no schedule drives and no group has of its own. */
  readonly fixed?: readonly string[];
  /** What slots begin with, where that is not 0. */
  readonly initial?: (options: Readonly<Record<string, unknown>>) => Numbers;
  /** The rule's own numbers at a step from 0, worked out in float64; those hyperparameters that it names by default. */
  readonly numbersAt?: (values: Values, step: number) => Numbers;
  /** Options that are no hyperparameters, beside those that all have. */
  readonly others?: readonly string[];
  /** What makes other gradients before the update; and what trains parameters of fewer than two axes, if another does. */
  readonly redirect?: (options: Readonly<Record<string, unknown>>) => Redirect;
  readonly rest?: (options: Readonly<Record<string, unknown>>) => Optimizer;
  /** One rule, or several of which `choose` takes one. */
  readonly rules: readonly RuleOf[];
  readonly choose?: (options: Readonly<Record<string, unknown>>) => number;
}

/** A rule without what the record knows. */
export type RuleOf = Omit<UpdateRule, "typical"> & { readonly typical?: Values };

/** Whether a hyperparameter is, or may become, another than 0: for records that choose a rule by it. */
export const isUsed = (options: Readonly<Record<string, unknown>>, key: string): boolean =>
  [options, ...((options.groups ?? []) as readonly Readonly<Record<string, unknown>>[])].some(
    (given) => given[key] !== undefined && given[key] !== 0,
  );

/** A rule's numbers as samples have them: those of the third step, young enough for bias corrections to be far from 1. */
export function typicalOf({ hyper, numbersAt }: OptimizerRecord, rule: RuleOf): Numbers {
  const usual = Object.entries(hyper).filter(([, value]) => value !== required) as [string, number][];
  const values: Values = { ...Object.fromEntries(usual), ...rule.typical };
  return (numbersAt?.(values, 2) ?? values) as Numbers;
}
