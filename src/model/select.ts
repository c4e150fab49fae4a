import { checkNames } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import { matches } from "../core/pattern.ts";
import type { TensorFile } from "../interchange/safetensors.ts";

/** Which tensors are meant, by patterns of their names: `*` is any part of a name between dots, `**` any parts. */
export interface Selection {
  /** Those that fit this; all unless given. */
  readonly match?: string;
  /** Without those that fit this. */
  readonly except?: string;
}

/**
 * The names that are meant.
 * @throws OptionError when there are none; `who` is what the message begins with.
 */
export function select(who: string, names: readonly string[], selection: Selection): string[] {
  checkNames(who, selection, ["match", "except"]);
  const { match = "**", except } = selection;
  for (const pattern of [match, except])
    if (pattern !== undefined && typeof pattern !== "string")
      throw new OptionError(
        `${who}: the pattern is ${String(pattern)}; use a string as "0.**" or "**.bias".`,
      );
  const found = names.filter(
    (name) => matches(match, name) && !(except !== undefined && matches(except, name)),
  );
  if (found.length === 0)
    throw new OptionError(
      `${who}: no parameter fits "${match}"${except === undefined ? "" : ` and not "${except}"`}; there are ${names.join(", ") || "none"}.`,
    );
  return found;
}

/** A model's file with the tensors that are meant alone. It no longer says what the network is. */
export function partOf({ tensors, metadata }: TensorFile, selection: Selection): TensorFile {
  const names = select("The file", [...tensors.keys()], selection);
  const { network: _, parts_made_in_code: __, ...rest } = metadata;
  return {
    tensors: new Map(names.map((name) => [name, tensors.get(name)!])),
    metadata: { ...rest, part_of_model: JSON.stringify(selection) },
  };
}
