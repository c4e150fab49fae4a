import { OptionError } from "../core/errors.ts";
import { HYPER, HYPER_SIZE } from "../ops/update.ts";
import { type Rate, rateAt } from "./schedules.ts";

/** How parameters follow their gradients: which update kernel, with which slots, and the numbers of each step. */
export interface Optimizer {
  readonly name: string;
  /** The op over flat arenas. */
  readonly op: "sgd" | "momentum" | "nesterov" | "adam" | "adamW";
  /** Tensors kept for each parameter, by PyTorch's names. */
  readonly slots: readonly string[];
  /** The options it was made with, for the run's record. */
  readonly options: Readonly<Record<string, unknown>>;
  /**
   * The row of hyperparameters for `step` (from 0) of `total`; see HYPER.
   * @throws OptionError when a schedule gives a learning rate that is negative or not finite.
   */
  hyper(step: number, total: number): Float32Array<ArrayBuffer>;
  /** The learning rate at a step. */
  rate(step: number, total: number): number;
}

interface CommonOptions {
  /** A number, or a schedule. */
  readonly lr: Rate;
  readonly weightDecay?: number;
  /** Gradients are scaled down to this global L2 norm when theirs is larger; no clipping by default. */
  readonly clipNorm?: number;
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

function make(
  base: Pick<Optimizer, "name" | "op" | "slots">,
  options: CommonOptions,
  extra: (step: number) => Partial<Record<keyof typeof HYPER, number>>,
): Optimizer {
  check(base.name, options as unknown as Record<string, unknown>);
  const rate = (step: number, total: number) => rateAt(options.lr, step, total);
  return {
    ...base,
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
      for (const [key, value] of Object.entries(extra(step))) row[HYPER[key as keyof typeof HYPER]] = value;
      return row;
    },
  };
}

/** p ← p − lr·v with v ← μ·v + g (plain for μ = 0), optionally with Nesterov's look-ahead; as torch.optim.SGD. */
export function sgd(options: SgdOptions): Optimizer {
  const { momentum = 0, nesterov = false } = options;
  if (nesterov && !(momentum > 0)) throw new OptionError("sgd: nesterov needs a momentum above 0.");
  const op = momentum === 0 ? "sgd" : nesterov ? "nesterov" : "momentum";
  const slots = momentum === 0 ? [] : ["momentum_buffer"];
  return make({ name: "sgd", op, slots }, options, () => ({ momentum }));
}

function adamLike(name: string, op: "adam" | "adamW", options: AdamOptions): Optimizer {
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
export const adam = (options: AdamOptions): Optimizer => adamLike("adam", "adam", options);

/** Adam with decoupled weight decay (0.01 by default), as torch.optim.AdamW. Loshchilov, Hutter, 2019. */
export const adamW = (options: AdamOptions): Optimizer =>
  adamLike("adamW", "adamW", { ...options, weightDecay: options.weightDecay ?? 0.01 });
