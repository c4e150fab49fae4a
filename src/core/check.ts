import type { DType, NumericArray } from "./dtype.ts";
import { OptionError, ShapeError } from "./errors.ts";
import { kindOf } from "./tree.ts";

/** @throws OptionError that begins with `what`, as "The batch size", unless `value` is a whole number, from `least` to `most`. */
export function checkWhole(
  what: string,
  value: unknown,
  least = Number.NEGATIVE_INFINITY,
  most = Number.POSITIVE_INFINITY,
): asserts value is number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return;
  throw new OptionError(`${what} is ${String(value)}; use a whole number${between(least, most)}.`);
}

/** As it ends the sentence "use a number". */
function between(least: number, most: number): string {
  if (Number.isFinite(most)) return ` from ${least} to ${most}`;
  return Number.isFinite(least) ? ` of at least ${least}` : "";
}

/** @throws OptionError for what is no object, or an option that is none of those allowed; `who` is what the message begins with. */
export function checkNames(who: string, given: object, allowed: readonly string[]): void {
  if (typeof given !== "object" || given === null)
    throw new OptionError(`${who}: the options are ${kindOf(given)}; give an object.`);
  const unknown = Object.keys(given).find((key) => !allowed.includes(key));
  if (unknown === undefined) return;
  const isRate = allowed.includes("lr") && /^(learning_?rate|alpha|eta|rate)$/i.test(unknown);
  const use = isRate ? "the learning rate is lr" : `use ${allowed.join(", ")}`;
  throw new OptionError(`${who}: there is no option "${unknown}"; ${use}.`);
}

/** What each integer dtype holds, and the arrays that cannot hold anything else. */
const WHOLE: Partial<Record<DType, { least: number; most: number; arrays: readonly string[] }>> = {
  i32: {
    least: -(2 ** 31),
    most: 2 ** 31 - 1,
    arrays: ["Int32Array", "Int16Array", "Int8Array", "Uint16Array", "Uint8Array", "Uint8ClampedArray"],
  },
  u32: {
    least: 0,
    most: 2 ** 32 - 1,
    arrays: ["Uint32Array", "Uint16Array", "Uint8Array", "Uint8ClampedArray"],
  },
  u8: { least: 0, most: 255, arrays: ["Uint8Array", "Uint8ClampedArray"] },
  bool: { least: 0, most: 1, arrays: [] },
};

/**
 * @throws ShapeError that begins with `what` for a number that an integer dtype does not hold. An array of a type that
 * fits is not gone through.
 */
export function checkElements(what: string, data: NumericArray | readonly number[], dtype: DType): void {
  const whole = WHOLE[dtype];
  if (!whole || whole.arrays.includes((data as NumericArray)[Symbol.toStringTag])) return;
  const { least, most } = whole;
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (Number.isInteger(value) && value >= least && value <= most) continue;
    throw new ShapeError(
      `${what} holds ${value}, as its number ${i}, and is ${dtype}; give whole numbers from ${least} to ${most}.`,
    );
  }
}

/** Which numbers: all that are finite, those above 0, or those from `least` to `most`. */
export type NumberRange = "any" | "above 0" | readonly [least: number, most?: number];

/** @throws OptionError that begins with `what`, as "celu: alpha", unless `value` is a finite number within the range. */
export function checkNumber(
  what: string,
  value: unknown,
  range: NumberRange = "any",
): asserts value is number {
  const above = range === "above 0";
  const [least, most = Number.POSITIVE_INFINITY] =
    typeof range === "string" ? [above ? 0 : Number.NEGATIVE_INFINITY] : range;
  const x = value as number;
  if (Number.isFinite(value) && x >= least && x <= most && !(above && x === 0)) return;
  const accepted = above ? " above 0" : between(least, most);
  throw new OptionError(`${what} is ${String(value)}; use a finite number${accepted}.`);
}
