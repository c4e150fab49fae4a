import type { DeviceTensor } from "../backend/variable.ts";
import { checkNames } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import { type Op, type OpRecord, required, type Tensor } from "../core/op.ts";
import type { Update } from "../graph/program.ts";
import { COMMON, hyperSizeOf, type Numbers, type UpdateRule } from "../ops/step/rule.ts";
import { updateOp } from "../ops/step/update.ts";
import { grad, type Minimizer, stateOf } from "./minimize.ts";
import { AVERAGE, type Group } from "./optimizer.ts";
import { type Rate, rateAt } from "./schedules.ts";
import type { Trainable } from "./state.ts";
import {
  type BackwardOptions,
  backward,
  type Minimization,
  type MinimizeOptions,
  minimize,
  step,
} from "./steps.ts";

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

/** What every optimizer takes. */
export interface CommonOptions {
  /** Gradients are scaled down to this global L2 norm when theirs is larger; no clipping by default. */
  readonly clipNorm?: Rate;
  /** Keeps an exponential moving average of the parameters; none by default. */
  readonly ema?: EmaOptions;
}

/** Options made of hyperparameters H, which groups of parameters may have of their own. */
export type OptionsOf<H> = H & CommonOptions & { readonly groups?: readonly (Group & Partial<H>)[] };

/** A hyperparameter's default: a number, several, a switch that no group can turn, or none. */
type Default = number | readonly number[] | boolean | typeof required;
/** Hyperparameters at a step. */
export type Values = Readonly<Record<string, number | readonly number[] | boolean>>;

/** An optimizer as it is written: an update rule with hyperparameters. */
export interface OptimizerRecord {
  readonly name: string;
  /** Hyperparameters by name, with PyTorch's defaults; `weightDecay` is 0 unless it stands here. */
  readonly hyper: Readonly<Record<string, Default>>;
  /** Hyperparameters that are shares: from 0 to below 1. */
  readonly shares?: readonly string[];
  /** Hyperparameters that may be negative. */
  readonly signed?: readonly string[];
  /** The rule's own numbers at a step from 0, worked out in float64; those hyperparameters that it names by default. */
  readonly numbersAt?: (values: Values, step: number) => Numbers;
  /** One rule, or several of which `choose` takes one. */
  readonly rules: readonly RuleOf[];
  readonly choose?: (options: Readonly<Record<string, unknown>>) => number;
}

/** A rule without what the record knows. */
type RuleOf = Omit<UpdateRule, "typical"> & { readonly typical?: Values };

/** Makes optimizers of one kind; carries the update op of each of its rules, for `verify`. */
export type OptimizerFactory<O> = ((options: O) => Minimizer) & { readonly ops: readonly Op[] };

const RESERVED = ["clipNorm", "ema", "groups"] as const;

const show = (value: unknown) =>
  typeof value === "string" ? `"${value}"` : Array.isArray(value) ? `[${value.join(", ")}]` : String(value);

/** What is wrong with a number, as the end of a sentence. */
function faultOf(
  record: OptimizerRecord,
  key: string,
  value: number,
  scheduled: boolean,
): string | undefined {
  const share = record.shares?.includes(key);
  const signed = record.signed?.includes(key);
  const rounded = Math.fround(value);
  if (Number.isFinite(rounded) && (signed || rounded >= 0) && (!share || value < 1)) return undefined;
  if (scheduled)
    return `a schedule of ${share ? "numbers from 0 to below 1" : `finite float32 numbers${signed ? "" : " of at least 0"}`}`;
  if (share) return "a number from 0 to below 1";
  return `a finite number ${signed ? "" : "of at least 0 "}that float32 can hold`;
}

/** Checks the hyperparameters of an optimizer or of one of its groups. */
function checkValues(record: OptimizerRecord, given: object, who: string): void {
  const known = { weightDecay: 0, clipNorm: 0, ...record.hyper } as Readonly<Record<string, Default>>;
  for (const [key, value] of Object.entries(given)) {
    const like = known[key];
    if (value === undefined || like === undefined) continue;
    if (typeof like === "boolean") {
      if (typeof value !== "boolean")
        throw new OptionError(`${who}: ${key} is ${show(value)}; use true or false.`);
      continue;
    }
    const count = Array.isArray(like) ? like.length : 0;
    if (count > 0 && !(Array.isArray(value) && value.length === count))
      throw new OptionError(`${who}: ${key} is ${show(value)}; use ${count} numbers, such as ${show(like)}.`);
    for (const [i, x] of (count > 0 ? (value as unknown[]) : [value]).entries()) {
      if (typeof x === "function") continue;
      const at = count > 0 ? `${key}[${i}]` : key;
      if (typeof x !== "number")
        throw new OptionError(`${who}: ${at} is ${show(x)}; use a number or a schedule.`);
      const fault = faultOf(record, key, x, false);
      if (fault) throw new OptionError(`${who}: ${at} is ${x}; use ${fault}.`);
    }
  }
}

function checkGroups(record: OptimizerRecord, groups: unknown): void {
  const { name } = record;
  if (!Array.isArray(groups))
    throw new OptionError(
      `${name}: groups are ${show(groups)}; use a list such as [{ match: "*.bias", weightDecay: 0 }].`,
    );
  const own = Object.keys({ weightDecay: 0, ...record.hyper }).filter(
    (key) => typeof record.hyper[key] !== "boolean",
  );
  for (const [i, group] of groups.entries()) {
    const match = (group as Partial<Group> | null)?.match;
    if (typeof match !== "string" || match === "")
      throw new OptionError(
        `${name}: group ${i + 1} has ${match === undefined ? "no match" : `match ${show(match)}`}; give it a pattern of parameter names such as "0.**" or "*.bias".`,
      );
    const who = `${name}, group "${match}"`;
    checkNames(who, group as object, ["match", "frozen", ...own]);
    checkValues(record, group as object, who);
    const { frozen } = group as Group;
    if (frozen !== undefined && typeof frozen !== "boolean")
      throw new OptionError(`${who}: frozen is ${show(frozen)}; use true or false.`);
  }
}

function checkOptions(record: OptimizerRecord, given: unknown): asserts given is Record<string, unknown> {
  const { name, hyper } = record;
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new OptionError(
      `${name}: options are ${show(given)}; use an object such as ${name}({ lr: 0.001 }).`,
    );
  const options = given as Record<string, unknown>;
  checkNames(name, options, [...new Set([...Object.keys(hyper), "weightDecay", ...RESERVED])]);
  for (const [key, value] of Object.entries(hyper))
    if (value === required && options[key] === undefined)
      throw new OptionError(`${name}: needs ${key}; give it, ${name}({ ${key}: 0.001 }).`);
  checkValues(record, options, name);
  if (options.groups !== undefined) checkGroups(record, options.groups);
  const { ema } = options as CommonOptions;
  if (ema === undefined) return;
  if (typeof ema !== "object" || ema === null)
    throw new OptionError(`${name}: ema is ${show(ema)}; use { decay: 0.999 }.`);
  checkNames(`${name}, ema`, ema, ["decay", "warmUp"]);
  if (typeof ema.decay !== "function") checkDecay(name, ema.decay, "");
}

function checkDecay(name: string, decay: number, at: string): void {
  if (!(decay >= 0 && decay < 1))
    throw new OptionError(
      `${name}: the decay of the average${at} is ${show(decay)}; use a number from 0 to below 1, such as 0.999.`,
    );
}

/** What a run's record keeps of options. */
const recorded = (value: unknown): unknown => {
  if (typeof value === "function") return "schedule";
  if (Array.isArray(value)) return value.map(recorded);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, x]) => [key, recorded(x)]));
};

/** A rule's numbers as samples have them: those of the third step, young enough for bias corrections to be far from 1. */
function typicalOf({ hyper, numbersAt }: OptimizerRecord, rule: RuleOf): Numbers {
  const usual = Object.entries(hyper).filter(([, value]) => value !== required) as [string, number][];
  const values: Values = { ...Object.fromEntries(usual), ...rule.typical };
  return (numbersAt?.(values, 2) ?? values) as Numbers;
}

/** One optimizer, one record: gives the function that makes it, typed by its options. */
/*#__NO_SIDE_EFFECTS__*/
export function defineOptimizer<O extends object>(record: OptimizerRecord): OptimizerFactory<O> {
  const { rules } = record;
  const ops = rules.map((rule) => updateOp({ ...rule, typical: typicalOf(record, rule) }));
  const make = (given: O): Minimizer => {
    const options: unknown = given;
    checkOptions(record, options);
    const choice = record.choose?.(options) ?? 0;
    return new RuleOptimizer(record, rules[choice]!, ops[choice]!, options);
  };
  return Object.assign(make, { ops });
}

class RuleOptimizer implements Minimizer {
  readonly name: string;
  readonly slots: readonly string[];
  readonly hyperSize: number;
  readonly options: Readonly<Record<string, unknown>>;
  readonly groups: readonly Group[];

  constructor(
    private readonly record: OptimizerRecord,
    private readonly rule: RuleOf,
    readonly op: OpRecord,
    private readonly given: Readonly<Record<string, unknown>>,
  ) {
    this.name = record.name;
    this.slots = given.ema ? [...rule.slots, AVERAGE] : rule.slots;
    this.hyperSize = hyperSizeOf(rule);
    this.groups = (given.groups as readonly Group[] | undefined) ?? [];
    this.options = recorded(given) as Readonly<Record<string, unknown>>;
  }

  rate(step: number, total: number, group?: Group): number {
    return this.valueOf("lr", step, total, group) as number;
  }

  hyper(step: number, total: number, group?: Group): Float32Array<ArrayBuffer> {
    const { record, rule, given } = this;
    const values: Record<string, number | readonly number[] | boolean> = {};
    for (const key of Object.keys(record.hyper)) values[key] = this.valueOf(key, step, total, group);
    const ema = given.ema as EmaOptions | undefined;
    const common: Numbers = {
      lr: values.lr as number,
      weightDecay: this.valueOf("weightDecay", step, total, group) as number,
      maxNorm: this.valueOf("clipNorm", step, total) as number,
      averageWeight: ema ? this.freshness(ema, step, total) : 0,
    };
    const own = record.numbersAt?.(values, step) ?? (values as Numbers);
    const row = new Float32Array(this.hyperSize);
    COMMON.forEach((name, i) => {
      row[i] = common[name]!;
    });
    rule.numbers.forEach((name, i) => {
      row[COMMON.length + i] = own[name]!;
    });
    return row;
  }

  minimize(loss: Tensor, model: Trainable, options?: MinimizeOptions): Minimization {
    return minimize(stateOf(this, model), loss, options);
  }

  backward(loss: Tensor, model: Trainable, options?: BackwardOptions): readonly Update[] {
    return backward(stateOf(this, model), loss, options);
  }

  step(model: Trainable, options?: MinimizeOptions): Minimization {
    return step(stateOf(this, model), options);
  }

  grad(model: Trainable, name: string): DeviceTensor {
    return grad(this, model, name);
  }

  /** How much of the average a step's parameters make up: all of it at first. */
  private freshness({ decay, warmUp }: EmaOptions, step: number, total: number): number {
    const value = rateAt(decay, step, total);
    checkDecay(this.name, value, ` at step ${step + 1} of ${total}`);
    if (step === 0) return 1;
    return 1 - (warmUp ? Math.min(value, (1 + step) / (10 + step)) : value);
  }

  /** A hyperparameter at a step, schedules followed. */
  private valueOf(
    key: string,
    step: number,
    total: number,
    group?: Group,
  ): number | readonly number[] | boolean {
    const own = (group as Readonly<Record<string, unknown>> | undefined)?.[key];
    const who = own === undefined ? this.name : `${this.name}, group "${group!.match}"`;
    const value = (own ?? this.given[key] ?? this.record.hyper[key] ?? 0) as Rate | readonly Rate[] | boolean;
    if (typeof value === "number" || typeof value === "boolean") return value;
    const follow = (rate: Rate, at: string) => {
      if (typeof rate === "number") return rate;
      const result = rate(step, total);
      const fault = faultOf(this.record, key, result, true);
      if (fault)
        throw new OptionError(
          `${who}: ${at} at step ${step + 1} of ${total} is ${show(result)}; use ${fault}.`,
        );
      return result;
    };
    return typeof value === "function"
      ? follow(value, key)
      : value.map((rate, i) => follow(rate, `${key}[${i}]`));
  }
}
