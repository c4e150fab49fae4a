import { show } from "../../core/attributes.ts";
import { checkNames } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import { required } from "../../core/op.ts";

/** A hyperparameter over time: the value for `step` (from 0) of `total` steps. */
export interface Schedule {
  (step: number, total: number): number;
  /** What it is told after each epoch, where it goes by what a run measures. */
  readonly feedback?: readonly Feedback[];
}
/** A number, or a schedule of it. */
export type Rate = number | Schedule;

/** What goes by measurements: a trainer tells it after each epoch, and keeps its state in checkpoints. */
export interface Feedback {
  /** The number that it wants: "loss", or the name of a metric; of the validation where there is one. */
  readonly watch: string;
  observe(value: number): void;
  /** What it knows, as JSON. */
  save(): string;
  /** @throws OptionError for a text that `save` did not give. */
  restore(saved: string): void;
  /** Forgets everything that it was told. */
  reset(): void;
}

/** The value of a rate at a step. */
export function rateAt(rate: Rate, step: number, total: number): number {
  return typeof rate === "number" ? rate : rate(step, total);
}

/** A schedule made of others, which are told what they want to know through it. */
export function composed(schedule: (step: number, total: number) => number, ...parts: Rate[]): Schedule {
  const feedback = parts.flatMap((part) => (typeof part === "number" ? [] : (part.feedback ?? [])));
  return feedback.length > 0 ? Object.assign(schedule, { feedback }) : schedule;
}

/** The share of a run that is done: 1 at its last step. */
export const progress = (step: number, total: number): number => Math.min(1, step / Math.max(1, total - 1));

/** From 1 at t = 0 to 0 at t = 1 along half a cosine. */
export const halfCosine = (t: number): number => (1 + Math.cos(Math.PI * t)) / 2;

/** What an option of a schedule may be, and how that is said. */
const KINDS = {
  number: { text: "a finite number", accepts: (x: unknown) => Number.isFinite(x) },
  "least 0": { text: "a finite number of at least 0", accepts: (x: unknown) => isNumber(x) && x >= 0 },
  "above 0": { text: "a finite number above 0", accepts: (x: unknown) => isNumber(x) && x > 0 },
  share: {
    text: "a share of the steps from 0 to below 1",
    accepts: (x: unknown) => isNumber(x) && x >= 0 && x < 1,
  },
  factor: { text: "a number above 0, below 1", accepts: (x: unknown) => isNumber(x) && x > 0 && x < 1 },
  count: {
    text: "a whole number of at least 1",
    accepts: (x: unknown) => Number.isInteger(x) && (x as number) > 0,
  },
  whole: {
    text: "a whole number of at least 0",
    accepts: (x: unknown) => Number.isInteger(x) && (x as number) >= 0,
  },
  word: { text: "a name", accepts: (x: unknown) => typeof x === "string" && x !== "" },
  milestones: {
    text: "a list of whole numbers that rise, such as [30, 60, 90]",
    accepts: (x: unknown) => isRising(x, (one) => one) && (x as number[]).every(Number.isInteger),
  },
  points: {
    text: "a list of [place, value] whose places rise, such as [[0, 0], [100, 0.1], [1000, 0]]",
    accepts: (x: unknown) =>
      isRising(x, (one) =>
        Array.isArray(one) && one.length === 2 && Number.isFinite(one[1]) ? one[0] : Number.NaN,
      ),
  },
} as const;

const isNumber = (x: unknown): x is number => Number.isFinite(x);

function isRising(list: unknown, of: (one: unknown) => unknown): boolean {
  if (!Array.isArray(list) || list.length === 0) return false;
  const places = list.map(of);
  return places.every((x, i) => isNumber(x) && x >= 0 && (i === 0 || x > (places[i - 1] as number)));
}

/** An option of a schedule: what it may be, and what it is where it is not given; undefined says that it may be left out. */
export interface ScheduleOption {
  readonly kind: keyof typeof KINDS | readonly string[];
  readonly standard: number | string | typeof required | undefined;
}

/** A schedule as it is written. */
export interface ScheduleRecord {
  readonly name: string;
  readonly options: Readonly<Record<string, ScheduleOption>>;
  /** The option that is the rate, which others are relative to. */
  readonly rate: string;
  /** Whether its options count epochs rather than steps where people write them: then the command line does. */
  readonly epochs?: boolean;
}

/** Makes schedules of one kind. */
export type ScheduleFactory<O> = ((options: O) => Schedule) & {
  /** @internal */
  readonly record: ScheduleRecord;
};

/** The options of a schedule with what is not given filled in. */
function checked({ name, options }: ScheduleRecord, given: unknown): Record<string, unknown> {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new OptionError(
      `${name}: options are ${show(given)}; use an object with ${Object.keys(options).join(", ")}.`,
    );
  checkNames(name, given, Object.keys(options));
  const result: Record<string, unknown> = {};
  for (const [key, { kind, standard }] of Object.entries(options)) {
    const value = (given as Record<string, unknown>)[key] ?? standard;
    if (value === undefined) continue;
    const { text, accepts } =
      typeof kind === "string"
        ? KINDS[kind]
        : { text: kind.map(show).join(" or "), accepts: (x: unknown) => kind.includes(x as string) };
    if (value === required) throw new OptionError(`${name}: needs ${key}; use ${text}.`);
    if (!accepts(value)) throw new OptionError(`${name}: ${key} is ${show(value)}; use ${text}.`);
    result[key] = value;
  }
  return result;
}

/** A schedule's options: `option(kind)` must be given, `option(kind, standard)` need not. */
export const option = (
  kind: ScheduleOption["kind"],
  ...standard: [(number | string | undefined)?]
): ScheduleOption => ({
  kind,
  standard: standard.length > 0 ? standard[0] : required,
});

/** One schedule, one record: gives the function that makes it, with options checked and filled in. */
/*#__NO_SIDE_EFFECTS__*/
export function defineSchedule<O extends object, Filled extends object = Required<O>>(
  record: ScheduleRecord,
  make: (options: Filled) => Schedule,
): ScheduleFactory<O> {
  return Object.assign((options: O) => make(checked(record, options) as Filled), { record });
}
