import { OptionError } from "../core/errors.ts";
import type { OpRecord } from "../core/op.ts";
import * as rules from "../ops/step/update.ts";
import { HYPER, HYPER_SIZE } from "../ops/step/update.ts";
import { type Rate, rateAt } from "./schedules.ts";

/** The slot that holds the exponential moving average of the parameters. */
export const AVERAGE = "average";

/** How parameters follow their gradients: which update kernel, with which slots, and the numbers of each step. */
export interface Optimizer {
  readonly name: string;
  /** The op over flat arenas. */
  readonly op: OpRecord;
  /** Tensors kept for each parameter, by PyTorch's names, and last AVERAGE where one is kept. */
  readonly slots: readonly string[];
  /** The options it was made with, for the run's record. */
  readonly options: Readonly<Record<string, unknown>>;
  /**
   * The row of hyperparameters for `step` (from 0) of `total`; see HYPER.
   * @throws OptionError when a schedule gives a learning rate that is negative or not finite.
   */
  readonly hyperSize: number;
  hyper(step: number, total: number, group?: unknown): Float32Array<ArrayBuffer>;
  /** The learning rate at a step. */
  rate(step: number, total: number): number;
}

interface CommonOptions {
  /** A number, or a schedule. */
  readonly lr: Rate;
  readonly weightDecay?: number;
  /** Gradients are scaled down to this global L2 norm when theirs is larger; no clipping by default. */
  readonly clipNorm?: number;
  /** Keeps an exponential moving average of the parameters; none by default. */
  readonly ema?: EmaOptions;
}

/**
 * After every step a ← decay·a + (1 − decay)·p, beginning as a copy of the first step's parameters; as
 * torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(decay). Polyak, Juditsky, 1992.
 */
export interface EmaOptions {
  /** From 0 to below 1. */
  readonly decay: number;
  /** Lets young averages forget faster: decay min(decay, (1 + t) / (10 + t)) at step t from 0, as TensorFlow's. */
  readonly warmUp?: boolean;
}

export interface SgdOptions extends CommonOptions {
  readonly momentum?: number;
  readonly nesterov?: boolean;
}

export interface AdamOptions extends CommonOptions {
  readonly betas?: readonly [number, number];
  readonly eps?: number;
}

function check(name: string, options: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const list = Array.isArray(value) ? value : [value];
    for (const x of list)
      if (typeof x === "number" && !(Number.isFinite(Math.fround(x)) && x >= 0))
        throw new OptionError(
          `${name}: ${key} is ${x}; use a finite number of at least 0 that float32 can hold.`,
        );
  }
}

/** How much of the average a step's parameters make up: all of it at first. */
function freshness({ decay, warmUp }: EmaOptions, step: number): number {
  if (step === 0) return 1;
  return 1 - (warmUp ? Math.min(decay, (1 + step) / (10 + step)) : decay);
}

function make(
  base: Pick<Optimizer, "name" | "op" | "slots">,
  options: CommonOptions,
  extra: (step: number) => Partial<Record<keyof typeof HYPER, number>>,
): Optimizer {
  check(base.name, options as unknown as Record<string, unknown>);
  const { ema } = options;
  if (ema && !(ema.decay >= 0 && ema.decay < 1))
    throw new OptionError(
      `${base.name}: the decay of the average is ${ema.decay}; use a number from 0 to below 1, such as 0.999.`,
    );
  const rate = (step: number, total: number) => rateAt(options.lr, step, total);
  return {
    ...base,
    hyperSize: HYPER_SIZE,
    slots: ema ? [...base.slots, AVERAGE] : base.slots,
    options: { ...options, lr: typeof options.lr === "number" ? options.lr : "schedule" },
    rate,
    hyper(step, total) {
      const row = new Float32Array(HYPER_SIZE);
      const lr = rate(step, total);
      row[HYPER.rate] = lr;
      if (!(Number.isFinite(row[HYPER.rate]) && row[HYPER.rate]! >= 0))
        throw new OptionError(
          `${base.name}: the learning rate at step ${step + 1} of ${total} is ${lr}; use a schedule of finite float32 numbers of at least 0.`,
        );
      row[HYPER.decay] = options.weightDecay ?? 0;
      row[HYPER.maxNorm] = options.clipNorm ?? 0;
      if (ema) row[HYPER.freshAverage] = freshness(ema, step);
      for (const [key, value] of Object.entries(extra(step))) row[HYPER[key as keyof typeof HYPER]] = value;
      return row;
    },
  };
}

/** p ← p − lr·v with v ← μ·v + g (plain for μ = 0), optionally with Nesterov's look-ahead; as torch.optim.SGD. */
export function sgd(options: SgdOptions): Optimizer {
  const { momentum = 0, nesterov = false } = options;
  if (nesterov && !(momentum > 0)) throw new OptionError("sgd: nesterov needs a momentum above 0.");
  const op = momentum === 0 ? rules.sgd : nesterov ? rules.nesterov : rules.momentum;
  const slots = momentum === 0 ? [] : ["momentum_buffer"];
  return make({ name: "sgd", op, slots }, options, () => ({ momentum }));
}

function adamLike(name: string, op: OpRecord, options: AdamOptions): Optimizer {
  const [beta1, beta2] = options.betas ?? [0.9, 0.999];
  if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1))
    throw new OptionError(`${name}: betas are ${beta1} and ${beta2}; use numbers from 0 to below 1.`);
  return make({ name, op, slots: ["exp_avg", "exp_avg_sq"] }, options, (step) => ({
    beta1,
    beta2,
    epsilon: options.eps ?? 1e-8,
    correction1: 1 - beta1 ** (step + 1),
    correction2: 1 - beta2 ** (step + 1),
    fresh1: 1 - beta1,
    fresh2: 1 - beta2,
  }));
}

/** Adam; weight decay is added to the gradient, as torch.optim.Adam. Kingma, Ba, 2015. */
export const adam = (options: AdamOptions): Optimizer => adamLike("adam", rules.adam, options);

/** Adam with decoupled weight decay (0.01 by default), as torch.optim.AdamW. Loshchilov, Hutter, 2019. */
export const adamW = (options: AdamOptions): Optimizer =>
  adamLike("adamW", rules.adamW, { ...options, weightDecay: options.weightDecay ?? 0.01 });
