// What the command line may choose of optimizers and schedules: all that there are, found by their records.
import { OptionError } from "../core/errors.ts";
import { required } from "../core/op.ts";
import { type CatalogueEntry, catalogue } from "../optim/catalogue.ts";
import type { CommonOptions } from "../optim/define.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { Rate, Schedule, ScheduleFactory } from "../optim/schedules.ts";
import * as schedules from "../optim/schedules.ts";
import { listed } from "./options.ts";

/** "one-cycle" of oneCycle. */
const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
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

/** Of "rmsprop:alpha=0.9,centered" the name, and the options as text. */
interface Choice {
  readonly name: string;
  readonly options: readonly (readonly [key: string, text: string])[];
}

function parse(flag: string, names: readonly string[], text: string): Choice {
  const [word, ...rest] = text.split(":");
  const name = names.find((one) => plain(one) === plain(word!));
  if (name === undefined) throw new OptionError(`${flag} must be ${listed(names)}, not "${word}".`);
  const options = rest.join(":");
  const parts = options === "" ? [] : options.split(",");
  return {
    name,
    options: parts.map((part) => {
      const [, key, value] = /^([\w-]+)(?:=(.+))?$/.exec(part) ?? [];
      if (key === undefined)
        throw new OptionError(
          `${flag} ${text}: "${part}" is no option; write ${name}:key=value,key=value, lists with / between.`,
        );
      return [key, value ?? "true"] as const;
    }),
  };
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
function optionsOf({ options }: Choice, known: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    options.map(([key, text]) => [known.find((one) => plain(one) === plain(key)) ?? key, readValue(text)]),
  );
}

const optimizerChoice = (text: string) => parse("--optimizer", OPTIMIZER_NAMES, text);
const scheduleChoice = (text: string) => parse("--schedule", SCHEDULE_NAMES, text);

/** The learning rate that suits an optimizer when none is given. */
export const defaultRate = (text: string): number => OPTIMIZERS.get(optimizerChoice(text).name)!.rate;

/**
 * The optimizer that `--optimizer` names. `momentum` is that of presets which have one.
 * @throws OptionError for a name or options that there are not.
 */
export function namedOptimizer(
  text: string,
  momentum: number,
  common: CommonOptions & { readonly lr: Rate; readonly weightDecay: number },
): Optimizer {
  const choice = optimizerChoice(text);
  const { make, preset } = OPTIMIZERS.get(choice.name)!;
  const { hyper } = make.record;
  const moving = "momentum" in preset ? { momentum } : {};
  return make({ ...common, ...preset, ...moving, ...optionsOf(choice, Object.keys(hyper)) });
}

/** What every schedule may be told beside its own options. */
const SHARED = ["by", "warmUp"];

/**
 * The schedule that `--schedule` names, of the rate `lr`: it counts epochs where people count them, or as `by` says, and
 * begins with `warm-up` steps along a line.
 * @throws OptionError for a name or options that there are not.
 */
export function namedSchedule(text: string, lr: number, epochs: number): Rate {
  const choice = scheduleChoice(text);
  const make = SCHEDULES.get(choice.name)!;
  const { rate, epochs: counts, options } = make.record;
  // Its own warm-up goes before the one that all have.
  const shared = SHARED.filter((key) => !(key in options));
  const { by, warmUp, ...own } = optionsOf(choice, [...Object.keys(options), ...shared]);
  const ownWarmUp = "warmUp" in options && warmUp !== undefined ? { warmUp } : {};
  if (by !== undefined && by !== "epoch" && by !== "step")
    throw new OptionError(`--schedule ${text}: by is ${String(by)}; use epoch or step.`);
  const schedule = make({ ...inRate(rate, own, lr), ...ownWarmUp });
  const perEpoch = by === undefined ? counts === true : by === "epoch";
  const timed = perEpoch ? everyEpoch(schedule, epochs) : schedule;
  return warmUp !== undefined && !("warmUp" in options) ? schedules.warmUp(warmUp as number, timed) : timed;
}

/** Options with the rate among them; values at points are multiples of it. */
function inRate(rate: string, own: Record<string, unknown>, lr: number): object {
  if (rate !== "points") return { ...own, [rate]: lr };
  const { points } = own;
  const scaled = (point: unknown) =>
    Array.isArray(point) && point.length === 2 ? [point[0], point[1] * lr] : point;
  return { ...own, points: Array.isArray(points) ? points.map(scaled) : points };
}

/** A schedule of epochs, for a run of so many: their number of steps is known when it is asked. */
function everyEpoch(schedule: Schedule, epochs: number): Schedule {
  const follow = (step: number, total: number) => schedule(Math.floor((step * epochs) / total), epochs);
  return schedule.feedback ? Object.assign(follow, { feedback: schedule.feedback }) : follow;
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
    "each takes by=epoch or by=step, and warm-up=STEPS:",
    ...[...SCHEDULES].map(schedule),
  ].join("\n");
}
