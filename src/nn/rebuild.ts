import { CheckpointError, DescentError } from "../core/errors.ts";
import { type NetworkDescription, SAME } from "./describe.ts";
import * as layers from "./layers/index.ts";
import type { Module } from "./module.ts";

const isDescription = (x: unknown): x is NetworkDescription =>
  typeof x === "object" && x !== null && "layer" in x && typeof x.layer === "string";

/**
 * The network that a description says; `name` is what messages call the file that it comes from.
 * @throws CheckpointError for a layer that this version does not have, or does not take such options.
 */
export function networkOf(description: unknown, name = "The file", before: Module[] = []): Module {
  const remedy = "make the network in code and load the file into it";
  if (!isDescription(description)) throw new CheckpointError(`${name}: its network is damaged; ${remedy}.`);
  const { layer, args = [], parts = [] } = description;
  if (layer === SAME) {
    const part = before[args[0] as number];
    if (!part) throw new CheckpointError(`${name}: its network is damaged at a layer "${layer}"; ${remedy}.`);
    return part;
  }
  const [, make] = Object.entries(layers).find(([name]) => name === layer) ?? [];
  if (typeof make !== "function")
    throw new CheckpointError(
      `${name}: its network has a layer "${layer}", which this version does not have; ${remedy}.`,
    );
  if (!Array.isArray(parts) || !Array.isArray(args))
    throw new CheckpointError(`${name}: its network is damaged at a layer "${layer}"; ${remedy}.`);
  const inner = parts.map((part) => networkOf(part, name, before));
  try {
    const module = (make as (...args: unknown[]) => Module)(...inner, ...args);
    before.push(module);
    return module;
  } catch (error) {
    const why = error instanceof DescentError ? error.message : "its options are damaged";
    throw new CheckpointError(`${name}: its network has a layer "${layer}" that cannot be made: ${why}`);
  }
}
