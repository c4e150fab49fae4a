import { OptionError } from "../core/errors.ts";
import * as layers from "./layers.ts";
import type { AnyModule, Module } from "./module.ts";

/** A network as data: a layer's name, what its function was called with, and its parts. */
export interface NetworkDescription {
  readonly layer: string;
  readonly args?: readonly unknown[];
  readonly parts?: readonly NetworkDescription[];
}

/** A network as data, or the path of the first part that only code can make. */
export function describe(module: AnyModule, path = ""): NetworkDescription | { readonly unknown: string } {
  const { description, children = {} } = module;
  if (!description) return { unknown: path === "" ? module.label : `${path}, ${module.label}` };
  const parts: NetworkDescription[] = [];
  const own = description.wraps ? [["", description.wraps] as const] : Object.entries(children);
  for (const [name, child] of own) {
    const part = describe(child, [path, name].filter(Boolean).join("."));
    if ("unknown" in part) return part;
    parts.push(part);
  }
  // Initialisers are functions, and a network that is loaded needs none.
  const args = description.args?.map((arg) =>
    typeof arg === "object" && arg !== null ? { ...arg, init: undefined } : arg,
  );
  return JSON.parse(JSON.stringify({ layer: description.layer, args, ...(parts.length > 0 && { parts }) }));
}

/**
 * The network that a description says.
 * @throws OptionError for a layer that this version does not have.
 */
export function networkOf({ layer, args = [], parts = [] }: NetworkDescription): Module {
  const make = Object.entries(layers).find(([name]) => name === layer)?.[1];
  if (typeof make !== "function")
    throw new OptionError(
      `The file's network has a layer "${layer}", which this version does not have; make the network in code and load the file into it.`,
    );
  return (make as (...args: unknown[]) => Module)(...parts.map(networkOf), ...args);
}
