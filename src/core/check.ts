import { OptionError } from "./errors.ts";

/** @throws OptionError that begins with `what`, as "The batch size", unless `value` is a whole number from `least` to `most`. */
export function checkWhole(
  what: string,
  value: unknown,
  least: number,
  most = Number.POSITIVE_INFINITY,
): asserts value is number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return;
  const range = Number.isFinite(most) ? `from ${least} to ${most}` : `of at least ${least}`;
  throw new OptionError(`${what} is ${String(value)}; use a whole number ${range}.`);
}
