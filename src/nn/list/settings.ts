import { OptionError } from "../../core/errors.ts";
import { type Shape, showShape } from "../../core/shape.ts";
import type { Module } from "../module.ts";

/*
 * How a kind of layer is declared for lists of layers: its settings by name, in the order in which they may be given
 * without, and the module that they make. What messages and pages show of it follows from that.
 */

/** One setting of a kind of layer. */
export interface Setting<T> {
  /** What it is where nothing is said; must be said without. */
  readonly standard?: { readonly value: T };
  /** A value as one writes it, for the usage. */
  readonly shown: string;
  /** What is accepted, as it ends the sentence "kernel is big; use …". */
  readonly expects: string;
  /** Undefined for a text that is no such value. */
  readonly read: (text: string) => T | undefined;
}

type Settings = Readonly<Record<string, Setting<any>>>;
type Values<S extends Settings> = {
  readonly [Name in keyof S]: S[Name] extends Setting<infer T> ? T : never;
};

/** A kind of layer, as lists name it. */
export interface LayerKind {
  readonly settings: Settings;
  readonly make: (values: any, input: Shape) => Module;
}

/** Declares a kind of layer; `input` is what the layer before gives. */
/*#__NO_SIDE_EFFECTS__*/
export function kind<S extends Settings>(
  settings: S,
  make: (values: Values<S>, input: Shape) => Module,
): LayerKind {
  return { settings, make };
}

const readNumber = (text: string): number | undefined =>
  text !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined;

/** A number that must be given; `shown` is an example. */
/*#__NO_SIDE_EFFECTS__*/
export function needed(shown: number): Setting<number> {
  return { shown: String(shown), expects: "a number", read: readNumber };
}

/** A number with a default. */
/*#__NO_SIDE_EFFECTS__*/
export function number(value: number, shown: number = value): Setting<number> {
  return { ...needed(shown), standard: { value } };
}

/** A number, or none; `shown` is an example. */
/*#__NO_SIDE_EFFECTS__*/
export function perhaps(shown: number): Setting<number | undefined> {
  return { ...needed(shown), standard: { value: undefined } };
}

/** yes or no. */
/*#__NO_SIDE_EFFECTS__*/
export function flag(value: boolean): Setting<boolean> {
  return {
    standard: { value },
    shown: value ? "yes" : "no",
    expects: "yes or no",
    read: (text) =>
      text === "yes" || text === "true" ? true : text === "no" || text === "false" ? false : undefined,
  };
}

/** One of a few words. */
/*#__NO_SIDE_EFFECTS__*/
export function word<W extends string>(words: readonly W[], value: W, shown: W = value): Setting<W> {
  return {
    standard: { value },
    shown,
    expects: `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`,
    read: (text) => words.find((one) => one === text),
  };
}

/** A number, or one of a few words. */
/*#__NO_SIDE_EFFECTS__*/
export function numberOr<W extends string>(
  words: readonly W[],
  value: number | W,
  shown: number | W = value,
): Setting<number | W> {
  return {
    standard: { value },
    shown: String(shown),
    expects: ["a number", ...words].join(", ").replace(/, (?=[^,]*$)/, " or "),
    read: (text) => readNumber(text) ?? words.find((one) => one === text),
  };
}

/** What a layer's input must be, by its number of axes. */
const INPUTS: Readonly<Record<number, readonly [shape: string, remedy: string]>> = {
  2: ["a row of numbers", "put flatten or globalAvgPool2d before it"],
  3: ["[channels, length]", "reshape it before"],
  4: ["[channels, height, width]", "move it before flatten"],
};

/**
 * The channels, or features, of a layer's input that must have so many axes, the batch's among them.
 * @throws OptionError for another input.
 */
export function channelsOf(input: Shape, axes: 2 | 3 | 4): number {
  const [shape, remedy] = INPUTS[axes]!;
  if (input.length !== axes)
    throw new OptionError(`It takes ${shape} and gets ${showShape(input.slice(1))}; ${remedy}.`);
  return input[1]!;
}

/** How a kind is written, all settings included: `conv2d 32 kernel=3 stride=1`. */
export function usageOf(name: string, { settings }: LayerKind): string {
  const entries = Object.entries(settings);
  const words = entries.map(([key, { standard, shown }]) =>
    standard && entries.length > 1 ? `${key}=${shown}` : shown,
  );
  return [name, ...words].join(" ");
}

/**
 * Reads `32 kernel=3 padding=same` and makes the layer.
 * @throws OptionError for a setting that the kind does not have, that is missing, or whose value cannot be read.
 */
export function makeLayer(name: string, given: LayerKind, words: readonly string[], input: Shape): Module {
  const { settings, make } = given;
  const names = Object.keys(settings);
  const values = Object.fromEntries(names.map((key) => [key, settings[key]!.standard?.value]));
  const said = new Set<string>();
  let place = 0;
  for (const text of words) {
    const at = text.indexOf("=");
    const key = at >= 0 ? text.slice(0, at) : (names[place++] ?? text);
    const setting = Object.hasOwn(settings, key) ? settings[key] : undefined;
    if (!setting)
      throw new OptionError(
        `${name} has no setting "${key}"; ${names.length > 0 ? `it has ${names.join(", ")}, as in ${usageOf(name, given)}` : "it takes none"}.`,
      );
    if (said.has(key)) throw new OptionError(`${name} has ${key} twice; give it once.`);
    said.add(key);
    const value = text.slice(at + 1);
    values[key] = setting.read(value);
    if (values[key] === undefined) throw new OptionError(`${key} is ${value}; use ${setting.expects}.`);
  }
  const missing = names.find((key) => !settings[key]!.standard && !said.has(key));
  if (missing) throw new OptionError(`${name} needs ${missing}, as in ${usageOf(name, given)}.`);
  return make(values, input);
}
