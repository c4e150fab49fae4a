import { InvalidArgumentError } from "commander";

/** A finite number; commander adds the option's name to the message. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value))
    throw new InvalidArgumentError(`"${text}" is not a number.`);
  return value;
}

/** A finite number above 0. */
export function positive(text: string): number {
  const value = number(text);
  if (value <= 0) throw new InvalidArgumentError(`${text} is not above 0.`);
  return value;
}

/** A whole number of at least 1. */
export function count(text: string): number {
  const value = number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError(`${text} is not a whole number of at least 1.`);
  return value;
}

/** A whole number of at least 0. */
export function whole(text: string): number {
  const value = number(text);
  if (!Number.isInteger(value) || value < 0)
    throw new InvalidArgumentError(`${text} is not a whole number of at least 0.`);
  return value;
}
