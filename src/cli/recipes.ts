// What the command line may choose of optimizers and schedules: all that there are, found by their records.
import { OptionError } from "../core/errors.ts";
import { required } from "../core/op.ts";
import { type CatalogueEntry, catalogue } from "../optim/catalogue.ts";
import { COMPOUND } from "../optim/check-options.ts";
import type { Group, Optimizer } from "../optim/optimizer.ts";
import { composed } from "../optim/schedules/schedule.ts";
import type { Rate, Schedule, ScheduleFactory } from "../optim/schedules.ts";
import * as schedules from "../optim/schedules.ts";
import { listed } from "./options.ts";

/** "one-cycle" of oneCycle. */
export const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const plain = (name: string) => name.replaceAll("-", "").toLowerCase();

/** Every optimizer by its names. */
const OPTIMIZERS: ReadonlyMap<string, CatalogueEntry> = new Map(
  [...catalogue].map(([name, entry]) => [name.toLowerCase(), entry]),
);

/** Every schedule by the name of its record, in the order of the names. */
const SCHEDULES: ReadonlyMap<string, ScheduleFactory<any>> = new Map(
  (Object.values(schedules) as object[])
    .filter((value): value is ScheduleFactory<any> => typeof value === "function" && "record" in value)
    .map((make) => [kebab(make.record.name), make] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1)),
);

export const OPTIMIZER_NAMES: readonly string[] = [...OPTIMIZERS.keys()];
export const SCHEDULE_NAMES: readonly string[] = [...SCHEDULES.keys()];

/** Options by their names, as text. */
type Parts = readonly (readonly [key: string, text: string])[];

/** Of "rmsprop:alpha=0.9,centered" the name and the options. */
interface Choice {
  readonly name: string;
  readonly options: Parts;
}

function parse(flag: string, names: readonly string[], text: string): Choice {
  const [word, ...rest] = text.split(":");
  const name = names.find((one) => plain(one) === plain(word!));
  if (name === undefined) throw new OptionError(`${flag} must be ${listed(names)}, not "${word}".`);
  return { name, options: partsOf(`${flag} ${text}`, `${name}:`, rest.join(":")) };
}

/** Of "alpha=0.9,centered" the parts; `said` is what was said, which `before` stands before. */
function partsOf(said: string, before: string, text: string): Parts {
  const parts = text === "" ? [] : text.split(",");
  return parts.map((part) => {
    const [, key, value] = /^([\w-]+)(?:=(.+))?$/.exec(part) ?? [];
    if (key === undefined)
      throw new OptionError(
        `${said}: "${part}" is no option; write ${before}key=value,key=value, lists with / between.`,
      );
    return [key, value ?? "true"] as const;
  });
}

/** "0.9", "true", "30/60/90" or "0@0/0.3@1" as what it says; words stay. */
function readValue(text: string): unknown {
  if (text.includes("/")) return text.split("/").map(readValue);
  if (text.includes("@")) return text.split("@").map(readValue);
  if (text === "true" || text === "false") return text === "true";
  const value = Number(text);
  return Number.isNaN(value) ? text : value;
}

/** Options by the names in which records have them. */
function optionsOf(parts: Parts, known: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    parts.map(([key, text]) => [known.find((one) => plain(one) === plain(key)) ?? key, readValue(text)]),
  );
}

const optimizerChoice = (text: string) => parse("--optimizer", OPTIMIZER_NAMES, text);

/** The learning rate that suits an optimizer when none is given. */
export const defaultRate = (text: string): number => OPTIMIZERS.get(optimizerChoice(text).name)!.rate;

/** An optimizer as the command line and a run's file say it. */
export interface OptimizerSettings {
  /** A name with options. */
  readonly optimizer: string;
  readonly lr: number;
  /** Of presets that have one. */
  readonly momentum: number;
  readonly weightDecay: number;
  /** 0, as with those below: none. */
  readonly clipNorm: number;
  readonly clipTensorNorm?: number;
  readonly clipValue?: number;
  readonly maxNorm?: number;
  /** Options of their own, "decay=0.999,warm-up". */
  readonly ema?: string;
  readonly swa?: string;
  readonly lookahead?: string;
  /** "*.bias:weight-decay=0; 0.**:frozen". */
  readonly groups?: string;
}

const LIMITS = ["clipNorm", "clipTensorNorm", "clipValue", "maxNorm"] as const;
type Compound = keyof typeof COMPOUND;
const COMPOUNDS = Object.keys(COMPOUND) as Compound[];

/** What an option with options of its own may be told, for instance: "decay=0.999,warm-up". */
export const usageOf = (key: Compound): string =>
  Object.entries(COMPOUND[key])
    .map(([part, value]) => kebab(part) + (value === true ? "" : `=${value}`))
    .join();

/** What "decay=0.999,warm-up" says, or "0.999" of the first one alone. */
function readCompound(key: Compound, text: string): Record<string, unknown> {
  const known = Object.keys(COMPOUND[key]);
  const whole = Number.isNaN(Number.parseFloat(text)) ? text : `${known[0]}=${text}`;
  return optionsOf(partsOf(`--${key} ${text}`, "", whole), known);
}

/** Groups of parameters, each a pattern of their names and its options. */
function readGroups(text: string, known: readonly string[], rateOf: (lr: number) => Rate): Group[] {
  return text.split(";").map((one) => {
    const [match, ...rest] = one.trim().split(":");
    const { lr, ...options } = optionsOf(partsOf(`--groups ${text}`, `${match}:`, rest.join(":")), [
      ...known,
      "weightDecay",
      "maxNorm",
    ]);
    const rate = lr === undefined ? {} : { lr: typeof lr === "number" ? rateOf(lr) : lr };
    return { match: match!, ...options, ...rate };
  });
}

/** The options that stand in `--optimizer` itself, by the names of the flags that say the same. */
export function ownOptions(text: string): string[] {
  const { name, options } = optimizerChoice(text);
  const known = Object.keys(OPTIMIZERS.get(name)!.make.record.hyper);
  return Object.keys(optionsOf(options, [...known, "weightDecay", ...LIMITS]));
}

/** The optimizers that `--momentum` is for. */
export const MOVING: readonly string[] = [...OPTIMIZERS].flatMap(([name, { preset }]) =>
  "momentum" in preset ? name : [],
);
export const isMoving = (text: string): boolean => MOVING.includes(optimizerChoice(text).name);

/**
 * The optimizer that a command line names; `rateOf` makes schedules of its rate, and of those of groups.
 * @throws OptionError for a name or options that there are not.
 */
export function namedOptimizer(settings: OptimizerSettings, rateOf: (lr: number) => Rate): Optimizer {
  const { optimizer, lr, momentum, weightDecay, groups } = settings;
  const { name, options } = optimizerChoice(optimizer);
  const { make, preset } = OPTIMIZERS.get(name)!;
  const known = Object.keys(make.record.hyper);
  const given: Record<string, unknown> = { lr: rateOf(lr), weightDecay };
  for (const key of LIMITS) if (settings[key]) given[key] = settings[key];
  for (const key of COMPOUNDS) {
    const text = settings[key];
    if (text !== undefined) given[key] = readCompound(key, text);
  }
  if (groups !== undefined) given.groups = readGroups(groups, known, rateOf);
  const moving = isMoving(optimizer) ? { momentum } : {};
  return make({
    ...given,
    ...preset,
    ...moving,
    ...optionsOf(options, [...known, "weightDecay", ...LIMITS]),
  });
}

/** What every schedule may be told beside its own options. */
const SHARED = ["by", "warmUp"];

/** A schedule by its name, and what was said of its time. */
function readSchedule(flag: string, text: string, from: number) {
  const choice = parse(flag, SCHEDULE_NAMES, text);
  const make = SCHEDULES.get(choice.name)!;
  const { rate, epochs = false, options } = make.record;
  // Its own warm-up goes before the one that all have.
  const shared = SHARED.filter((key) => !(key in options));
  const { by, warmUp, ...own } = optionsOf(choice.options, [...Object.keys(options), ...shared]);
  const isOwn = "warmUp" in options && warmUp !== undefined;
  if (rate !== "points" && rate in own)
    throw new OptionError(
      `${flag} ${text}: ${rate} is what ${flag === "--schedule" ? "--lr" : "--batch-size"} gives; leave it out.`,
    );
  const schedule = make({ ...inRate(rate, own, from), ...(isOwn ? { warmUp } : {}) });
  return { schedule, by, epochs, warmUp: isOwn ? undefined : (warmUp as number | undefined) };
}

/**
 * The schedule that `--schedule` names, of the rate `lr`: it counts epochs where people count them, or as `by` says, and
 * begins with `warm-up` steps along a line. `epochOf` says in which epoch a step is.
 * @throws OptionError for a name or options that there are not.
 */
export function namedSchedule(
  text: string,
  lr: number,
  epochs: number,
  epochOf = (step: number, total: number) => Math.floor((step * epochs) / total),
): Rate {
  const { schedule, by, warmUp, ...usual } = readSchedule("--schedule", text, lr);
  if (by !== undefined && by !== "epoch" && by !== "step")
    throw new OptionError(`--schedule ${text}: by is ${String(by)}; use epoch or step.`);
  const perEpoch = by === undefined ? usual.epochs : by === "epoch";
  const timed = perEpoch
    ? composed((step, total) => schedule(epochOf(step, total), epochs), schedule)
    : schedule;
  return warmUp === undefined ? timed : schedules.warmUp(warmUp, timed);
}

/**
 * The schedule of the batch's size that `--batch-schedule` names, which begins with `size` and counts epochs.
 * @throws OptionError for a name or options that there are not.
 */
export function namedBatches(text: string, size: number): Schedule {
  const { schedule, by, warmUp } = readSchedule("--batch-schedule", text, size);
  if (by !== undefined && by !== "epoch")
    throw new OptionError(
      `--batch-schedule ${text}: by is ${String(by)}, and batches grow between epochs; leave it out.`,
    );
  return warmUp === undefined ? schedule : schedules.warmUp(warmUp, schedule);
}

/** Options with the rate among them; values at points are multiples of it. */
function inRate(rate: string, own: Record<string, unknown>, lr: number): object {
  if (rate !== "points") return { ...own, [rate]: lr };
  const { points } = own;
  const scaled = (point: unknown) =>
    Array.isArray(point) && point.length === 2 ? [point[0], point[1] * lr] : point;
  return { ...own, points: Array.isArray(points) ? points.map(scaled) : points };
}

/** What can be said to each, as the command's help tells it. */
export function recipesHelp(): string {
  const show = (value: unknown) =>
    value === required || value === undefined ? "" : `=${Array.isArray(value) ? value.join("/") : value}`;
  const line = (name: string, options: readonly string[]) =>
    `  ${name}${options.length > 0 ? `: ${options.join(", ")}` : ""}`;
  const optimizer = ([name, { make, preset }]: [string, CatalogueEntry]) =>
    line(
      name,
      Object.entries(make.record.hyper)
        .filter(([key]) => key !== "lr" && key !== "weightDecay")
        .map(([key, value]) => `${kebab(key)}${show(preset[key] ?? value)}`),
    );
  const schedule = ([name, { record }]: [string, ScheduleFactory<any>]) =>
    line(
      name + (record.epochs ? " (by epoch)" : ""),
      Object.entries(record.options)
        .filter(([key]) => key !== record.rate || key === "points")
        .map(([key, { standard }]) => `${kebab(key)}${show(standard)}`),
    );
  return [
    "",
    "Optimizers and their options, as --optimizer rmsprop:alpha=0.9,centered,eps=1e-6 or adam:betas=0.9/0.98:",
    ...[...OPTIMIZERS].map(optimizer),
    "",
    "Schedules of the learning rate, which --lr gives (values of points are shares of it), as",
    "--schedule multi-step:milestones=30/60,factor=0.2,warm-up=100 or piecewise:points=0@0/0.3@1/1@0,unit=share;",
    "each takes by=epoch or by=step, and warm-up=STEPS; --batch-schedule takes them for --batch-size, by epoch:",
    ...[...SCHEDULES].map(schedule),
  ].join("\n");
}
