import { Option } from "commander";
import { OptionError } from "../core/errors.ts";

/** A set of numbers and its name in messages. */
interface Kind {
  readonly text: string;
  readonly accepts: (value: number) => boolean;
}

const isWhole = (value: number) => Number.isSafeInteger(value);

export const NUMBER: Kind = { text: "a number of at least 0", accepts: (x) => x >= 0 };
export const POSITIVE: Kind = { text: "a number above 0", accepts: (x) => x > 0 };
export const SHARE: Kind = { text: "a number from 0 to 1", accepts: (x) => x >= 0 && x <= 1 };
export const COUNT: Kind = { text: "a whole number of at least 1", accepts: (x) => isWhole(x) && x >= 1 };
export const SEED: Kind = {
  text: "a whole number from 0 to 4294967295",
  accepts: (x) => isWhole(x) && x >= 0 && x < 2 ** 32,
};

/** Whether a value, of a file for instance, is a number of this kind, and finite on the device, in float32. */
export const isOfKind = (value: unknown, kind: Kind): boolean =>
  typeof value === "number" && Number.isFinite(Math.fround(value)) && kind.accepts(value);

/** An option whose value is a number of a kind. */
export function numeric(flags: string, description: string, kind: Kind, standard?: number): Option {
  const option = new Option(flags, description).argParser((text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (!isOfKind(value, kind)) {
      const limit = Number.isFinite(value) && kind.accepts(value) ? " that float32 can hold" : "";
      throw new OptionError(`${option.long} must be ${kind.text}${limit}, not "${text}".`);
    }
    return value;
  });
  return standard === undefined ? option : option.default(standard);
}

/** An option whose value is one of a few words. */
export function choice(
  flags: string,
  description: string,
  words: readonly string[],
  standard: string,
): Option {
  const option = new Option(flags, description).choices(words).default(standard);
  return option.argParser((text) => {
    if (!words.includes(text))
      throw new OptionError(`${option.long} must be ${listed(words)}, not "${text}".`);
    return text;
  });
}

/** "a, b or c". */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
