import type { DeviceTensor } from "../backend/variable.ts";
import { show } from "../core/attributes.ts";
import { OptionError } from "../core/errors.ts";
import type { Op, OpRecord, Tensor } from "../core/op.ts";
import type { Update } from "../graph/program.ts";
import { COMMON, goesByTensors, hyperSizeOf, type Numbers, type UpdateRule } from "../ops/step/rule.ts";
import { updateOp } from "../ops/step/update.ts";
import { checkAlpha, checkDecay, checkOptions, faultOf } from "./check-options.ts";
import { grad, type Minimizer, stateOf } from "./minimize.ts";
import { AVERAGE, type Group, type Optimizer, type Redirect, SLOW } from "./optimizer.ts";
import {
  type CommonOptions,
  isUsed,
  type LookaheadOptions,
  type OptimizerRecord,
  typicalOf,
} from "./record.ts";
import { type Feedback, type Rate, rateAt, type Schedule } from "./schedules.ts";
import type { Trainable } from "./state.ts";
import {
  type BackwardOptions,
  backward,
  type Minimization,
  type MinimizeOptions,
  minimize,
  step,
} from "./steps.ts";

export type {
  CommonOptions,
  EmaOptions,
  LookaheadOptions,
  OptimizerRecord,
  OptionsOf,
  SwaOptions,
} from "./record.ts";

/** Makes optimizers of one kind; carries the update op of each of its rules, for `verify`. */
export type OptimizerFactory<O> = ((options: O) => Minimizer) & {
  readonly ops: readonly Op[];
  /** @internal */
  readonly record: OptimizerRecord;
};

/** What a run's record keeps of options. */
const recorded = (value: unknown): unknown => {
  if (typeof value === "function") return "schedule";
  if (Array.isArray(value)) return value.map(recorded);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof RuleOptimizer) return { name: value.name, ...value.options };
  return Object.fromEntries(Object.entries(value).map(([key, x]) => [key, recorded(x)]));
};

/** What the schedules among options are told. */
const feedbackOf = (options: object): Feedback[] =>
  Object.values(options)
    .flat()
    .flatMap((value) => (typeof value === "function" ? ((value as Schedule).feedback ?? []) : []));

/** One optimizer, one record: gives the function that makes it, typed by its options. */
/*#__NO_SIDE_EFFECTS__*/
export function defineOptimizer<O extends object>(record: OptimizerRecord): OptimizerFactory<O> {
  const rules = record.rules.map((rule): UpdateRule => ({ ...rule, typical: typicalOf(record, rule) }));
  const ops = rules.map(updateOp);
  const others = new Map<string, Op>();
  /** The op of a rule with something around it: made when it is first asked for, for few are. */
  const opOf = (rule: UpdateRule, name: string) => {
    const op = others.get(name) ?? updateOp({ ...rule, name });
    others.set(name, op);
    return op;
  };
  const make = (given: O): Minimizer => {
    const options: unknown = given;
    checkOptions(record, options);
    const choice = record.choose?.(options) ?? 0;
    const plain = rules[choice]!;
    const { lookahead, clipTensorNorm } = options as CommonOptions;
    if (lookahead === undefined && clipTensorNorm === undefined)
      return new RuleOptimizer(record, plain, ops[choice]!, options);
    if (plain.trust && clipTensorNorm !== undefined)
      throw new OptionError(
        `${record.name}: its steps have the norms of the tensors whatever the gradients' are; leave clipTensorNorm out.`,
      );
    const rule = {
      ...plain,
      ...(lookahead !== undefined && { lookahead: true }),
      ...(clipTensorNorm !== undefined && { clipTensors: true }),
    };
    const name = `${plain.name}${lookahead === undefined ? "" : "Lookahead"}${clipTensorNorm === undefined ? "" : "Clipped"}`;
    return new RuleOptimizer(record, rule, opOf(rule, name), options);
  };
  return Object.assign(make, { ops, record });
}

class RuleOptimizer implements Minimizer {
  readonly name: string;
  readonly slots: readonly string[];
  readonly initial: Numbers;
  readonly hyperSize: number;
  readonly options: Readonly<Record<string, unknown>>;
  readonly groups: readonly Group[];
  readonly feedback: readonly Feedback[];
  readonly byTensors: boolean;
  readonly redirect: Redirect | undefined;
  readonly rest: Optimizer | undefined;
  private readonly lookahead: LookaheadOptions | undefined;

  constructor(
    private readonly record: OptimizerRecord,
    private readonly rule: UpdateRule,
    readonly op: OpRecord,
    private readonly given: Readonly<Record<string, unknown>>,
  ) {
    this.name = record.name;
    this.lookahead = (given as CommonOptions).lookahead;
    this.redirect = record.redirect?.(given);
    this.rest = record.rest?.(given);
    this.slots = [
      ...(this.redirect?.slots ?? []),
      ...rule.slots,
      ...(this.lookahead ? [SLOW] : []),
      ...(given.ema || given.swa ? [AVERAGE] : []),
    ];
    this.initial = record.initial?.(given) ?? {};
    this.hyperSize = hyperSizeOf(rule);
    this.byTensors = goesByTensors(rule);
    this.groups = (given.groups as readonly Group[] | undefined) ?? [];
    this.feedback = [
      ...new Set([...[given, ...this.groups].flatMap(feedbackOf), ...(this.rest?.feedback ?? [])]),
    ];
    this.options = recorded(given) as Readonly<Record<string, unknown>>;
  }

  rate(step: number, total: number, group?: Group): number {
    return this.valueOf("lr", step, total, group) as number;
  }

  hyper(step: number, total: number, group?: Group): Float32Array<ArrayBuffer> {
    return Float32Array.from(this.row(step, total, group));
  }

  row(step: number, total: number, group?: Group): number[] {
    const { record, rule } = this;
    const values: Record<string, number | readonly number[] | boolean> = {};
    for (const key of Object.keys(record.hyper)) values[key] = this.valueOf(key, step, total, group);
    const common: Numbers = {
      lr: values.lr as number,
      weightDecay: this.valueOf("weightDecay", step, total, group) as number,
      maxNorm: this.valueOf("clipNorm", step, total) as number,
      maxValue: this.valueOf("clipValue", step, total) as number,
      rowNorm: this.valueOf("maxNorm", step, total, group) as number,
      averageWeight: this.freshness(step, total),
    };
    const own = record.numbersAt?.(values, step) ?? (values as Numbers);
    return [
      ...COMMON.map((name) => common[name]!),
      ...rule.numbers.map((name) => own[name]!),
      ...(this.lookahead ? [this.slowShare(step, total)] : []),
      ...(rule.clipTensors ? [this.valueOf("clipTensorNorm", step, total) as number] : []),
    ];
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

  limits(group?: Group): boolean {
    return isUsed(
      { maxNorm: (group as CommonOptions | undefined)?.maxNorm ?? this.given.maxNorm },
      "maxNorm",
    );
  }

  /** How much of the average a step's parameters make up: all of it at first. */
  private freshness(step: number, total: number): number {
    const { ema, swa } = this.given as CommonOptions;
    if (swa) {
      const start = swa.start < 1 ? Math.floor(swa.start * total) : swa.start;
      const { every = 1 } = swa;
      if (!(step > start)) return 1;
      return (step - start) % every === 0 ? 1 / ((step - start) / every + 1) : 0;
    }
    if (!ema) return 0;
    const value = rateAt(ema.decay, step, total);
    checkDecay(this.name, value, ` at step ${step + 1} of ${total}`);
    if (step === 0) return 1;
    return 1 - (ema.warmUp ? Math.min(value, (1 + step) / (10 + step)) : value);
  }

  private slowShare(step: number, total: number): number {
    const { k = 5, alpha = 0.5 } = this.lookahead!;
    if ((step + 1) % k !== 0) return 0;
    const share = rateAt(alpha, step, total);
    checkAlpha(this.name, share, ` at step ${step + 1} of ${total}`);
    return share;
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
