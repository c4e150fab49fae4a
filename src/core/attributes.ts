import type { DType } from "./dtype.ts";
import { showShape } from "./shape.ts";

/*
 * What the attributes of ops may be. A record gives each a default alone, whose type the given value must then have, or
 * one of these kinds with a default: `number(0.01)`, `whole(required)`, `choice(["none", "tanh"], "none")`.
 */

/** In place of a default: the caller must give a value. */
export const required: unique symbol = Symbol("required");
/** In place of a default: to give none means something, too. */
export const optional: unique symbol = Symbol("optional");

export interface Attribute {
  readonly value: unknown;
  /** What is accepted, as it ends the sentence "axis is 1.5; use …". */
  readonly expects: string;
  readonly accepts: (given: unknown) => boolean;
}

const kinds = new WeakSet<object>();

/*#__NO_SIDE_EFFECTS__*/
export function attribute(value: unknown, expects: string, accepts: Attribute["accepts"]): Attribute {
  const kind = { value, expects, accepts };
  kinds.add(kind);
  return kind;
}

const isNumber = (x: unknown): x is number => typeof x === "number";
const isList = (x: unknown, accepts: (element: unknown) => boolean, length?: number): boolean =>
  Array.isArray(x) && (length === undefined || x.length === length) && x.every(accepts);

/*#__NO_SIDE_EFFECTS__*/
export function flag(value: unknown): Attribute {
  return attribute(value, "true or false", (x) => typeof x === "boolean");
}

/** NaN and infinities included. */
/*#__NO_SIDE_EFFECTS__*/
export function anyNumber(value: unknown): Attribute {
  return attribute(value, "a number", isNumber);
}

/*#__NO_SIDE_EFFECTS__*/
export function number(value: unknown): Attribute {
  return attribute(value, "a finite number", Number.isFinite);
}

/*#__NO_SIDE_EFFECTS__*/
export function positive(value: unknown): Attribute {
  return attribute(value, "a finite number above 0", (x) => Number.isFinite(x) && (x as number) > 0);
}

/*#__NO_SIDE_EFFECTS__*/
export function notNegative(value: unknown): Attribute {
  return attribute(value, "a finite number of at least 0", (x) => Number.isFinite(x) && (x as number) >= 0);
}

/*#__NO_SIDE_EFFECTS__*/
export function whole(value: unknown): Attribute {
  return attribute(value, "a whole number", Number.isInteger);
}

/*#__NO_SIDE_EFFECTS__*/
export function wholes(value: unknown): Attribute {
  return attribute(value, "a list of whole numbers", (x) => isList(x, Number.isInteger));
}

/*#__NO_SIDE_EFFECTS__*/
export function wholeOrWholes(value: unknown): Attribute {
  return attribute(
    value,
    "a whole number, or a list of them",
    (x) => Number.isInteger(x) || isList(x, Number.isInteger),
  );
}

/** Two numbers, or one for both. */
/*#__NO_SIDE_EFFECTS__*/
export function pair(value: unknown): Attribute {
  return attribute(
    value,
    "a number, or two for height and width",
    (x) => isNumber(x) || isList(x, isNumber, 2),
  );
}

/*#__NO_SIDE_EFFECTS__*/
export function choice(values: readonly string[], value: unknown): Attribute {
  const names = values.map((x) => JSON.stringify(x));
  const last = names.pop();
  return attribute(value, names.length > 0 ? `${names.join(", ")} or ${last}` : `${last}`, (x) =>
    values.includes(x as string),
  );
}

const DTYPES: readonly DType[] = ["f32", "f16", "i32", "u32", "bool", "u8"];
/*#__NO_SIDE_EFFECTS__*/
export function dtype(value: unknown): Attribute {
  return choice(DTYPES, value);
}

/*#__NO_SIDE_EFFECTS__*/
export function text(value: unknown): Attribute {
  return attribute(value, "a string", (x) => typeof x === "string");
}

/*#__NO_SIDE_EFFECTS__*/
export function records(value: unknown): Attribute {
  return attribute(value, "a list of objects", (x) => isList(x, (y) => typeof y === "object" && y !== null));
}

/** What a record says of an attribute, its default written out to a kind. */
export function attributeOf(declared: unknown): Attribute {
  if (typeof declared === "object" && declared !== null && kinds.has(declared)) return declared as Attribute;
  if (typeof declared === "boolean") return flag(declared);
  if (isNumber(declared)) return anyNumber(declared);
  if (typeof declared === "string") return text(declared);
  return attribute(declared, "a value", (x) => x !== null);
}

/** A value as messages name it. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return showShape(value.map(show) as never);
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  const { name } = value.constructor ?? {};
  if (!name || name === "Object") return "an object";
  return `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;
}

/** The one of `names` that was likely meant: it begins with the same letters, two at least. */
export function nearest(given: string, names: readonly string[]): string | undefined {
  const common = (name: string) => {
    let length = 0;
    while (length < name.length && name[length]!.toLowerCase() === given[length]?.toLowerCase()) length++;
    return length;
  };
  const most = Math.max(...names.map(common));
  return most >= 2 ? names.find((name) => common(name) === most) : undefined;
}
