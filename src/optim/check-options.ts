import { show } from "../core/attributes.ts";
import { checkNames, checkWhole } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import { required } from "../core/op.ts";
import type { Group } from "./optimizer.ts";
import {
  type CommonOptions,
  type Default,
  type EmaOptions,
  isUsed,
  type LookaheadOptions,
  type OptimizerRecord,
  type SwaOptions,
} from "./record.ts";

/** Options that have options of their own: what each may be told, by an example. */
export const COMPOUND = {
  ema: { decay: 0.999, warmUp: true },
  swa: { start: 0.75, every: 100 },
  lookahead: { k: 5, alpha: 0.5 },
} as const;

/** Options that are no hyperparameters of the rule. */
const RESERVED = [
  "clipNorm",
  "clipTensorNorm",
  "clipValue",
  "maxNorm",
  ...Object.keys(COMPOUND),
  "groups",
] as const;

/** What is wrong with a number, as the end of a sentence. */
export function faultOf(
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
  const known = {
    weightDecay: 0,
    clipNorm: 0,
    clipTensorNorm: 0,
    clipValue: 0,
    maxNorm: 0,
    ...record.hyper,
  } as Readonly<Record<string, Default>>;
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
      const at = count > 0 ? `${key}[${i}]` : key;
      if (typeof x === "function" && !record.fixed?.includes(key)) continue;
      if (typeof x !== "number")
        throw new OptionError(
          `${who}: ${at} is ${show(x)}; use a number${record.fixed?.includes(key) ? "" : " or a schedule"}.`,
        );
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
    (key) => typeof record.hyper[key] !== "boolean" && !record.fixed?.includes(key),
  );
  for (const [i, group] of groups.entries()) {
    const match = (group as Partial<Group> | null)?.match;
    if (typeof match !== "string" || match === "")
      throw new OptionError(
        `${name}: group ${i + 1} has ${match === undefined ? "no match" : `match ${show(match)}`}; give it a pattern of parameter names such as "0.**" or "*.bias".`,
      );
    const who = `${name}, group "${match}"`;
    checkNames(who, group as object, ["match", "frozen", ...own, "maxNorm"]);
    checkValues(record, group as object, who);
    const { frozen } = group as Group;
    if (frozen !== undefined && typeof frozen !== "boolean")
      throw new OptionError(`${who}: frozen is ${show(frozen)}; use true or false.`);
  }
}

/** @throws OptionError for options that an optimizer does not take. */
export function checkOptions(
  record: OptimizerRecord,
  given: unknown,
): asserts given is Record<string, unknown> {
  const { name, hyper } = record;
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new OptionError(
      `${name}: options are ${show(given)}; use an object such as ${name}({ lr: 0.001 }).`,
    );
  const options = given as Record<string, unknown>;
  checkNames(name, options, [
    ...new Set([...Object.keys(hyper), "weightDecay", ...(record.others ?? []), ...RESERVED]),
  ]);
  for (const [key, value] of Object.entries(hyper))
    if (value === required && options[key] === undefined)
      throw new OptionError(`${name}: needs ${key}; give it, ${name}({ ${key}: 0.001 }).`);
  checkValues(record, options, name);
  if (options.groups !== undefined) checkGroups(record, options.groups);
  for (const [key, example] of Object.entries(COMPOUND)) checkCompound(name, key, options[key], example);
  const { ema, swa, lookahead } = options as CommonOptions;
  if (ema !== undefined && swa !== undefined)
    throw new OptionError(`${name}: ema and swa are two averages, and one is kept; give one of them.`);
  if ((ema ?? swa ?? lookahead) !== undefined && isUsed(options, "maxNorm"))
    throw new OptionError(
      `${name}: averages and slow weights would follow parameters before maxNorm; leave ${ema ? "ema" : swa ? "swa" : "lookahead"} or maxNorm out.`,
    );
  if (ema !== undefined) checkEma(name, ema);
  if (swa !== undefined) checkSwa(name, swa);
  if (lookahead !== undefined) checkLookahead(name, lookahead);
}

function checkCompound(name: string, key: string, given: unknown, example: object): void {
  if (given === undefined) return;
  if (typeof given !== "object" || given === null) {
    const parts = Object.entries(example).map(([part, value]) => `${part}: ${value}`);
    throw new OptionError(`${name}: ${key} is ${show(given)}; use { ${parts.join(", ")} }.`);
  }
  checkNames(`${name}, ${key}`, given, Object.keys(example));
}

function checkEma(name: string, { decay, warmUp = false }: EmaOptions): void {
  if (typeof decay !== "function") checkDecay(name, decay, "");
  if (typeof warmUp !== "boolean")
    throw new OptionError(`${name}: warmUp of ema is ${show(warmUp)}; use true or false.`);
}

function checkSwa(name: string, { start, every = 1 }: SwaOptions): void {
  if (!(typeof start === "number" && start >= 0 && (start < 1 || Number.isInteger(start))))
    throw new OptionError(
      `${name}: the average of swa starts at ${show(start)}; use a whole number of steps, or a share of them from 0 to below 1.`,
    );
  checkWhole(`${name}: every of swa`, every, 1);
}

function checkLookahead(name: string, { k = 5, alpha = 0.5 }: LookaheadOptions): void {
  checkWhole(`${name}: k of lookahead`, k, 1);
  if (typeof alpha !== "function") checkAlpha(name, alpha, "");
}

/** @throws OptionError for a share outside of its range. */
export function checkAlpha(name: string, alpha: number, at: string): void {
  if (!(typeof alpha === "number" && alpha > 0 && alpha <= 1))
    throw new OptionError(
      `${name}: alpha of lookahead${at} is ${show(alpha)}; use a number above 0, at most 1.`,
    );
}

/** @throws OptionError for a decay outside of its range. */
export function checkDecay(name: string, decay: number, at: string): void {
  if (!(typeof decay === "number" && decay >= 0 && decay < 1))
    throw new OptionError(
      `${name}: the decay of the average${at} is ${show(decay)}; use a number from 0 to below 1, such as 0.999.`,
    );
}
