import type { AnyModule } from "./module.ts";

/** A network as data: a layer's name, what its function was called with, and its parts. */
export interface NetworkDescription {
  readonly layer: string;
  readonly args?: readonly unknown[];
  readonly parts?: readonly NetworkDescription[];
}

/** Stands for a part that was described before: its number in the order in which descriptions were finished. */
export const SAME = "same";

/** A network as data, or the path of the first part that only code can make; rebuild.ts makes it again. */
export function describe(
  module: AnyModule,
  path = "",
  before = new Map<AnyModule, number>(),
): NetworkDescription | { readonly unknown: string } {
  const place = before.get(module);
  if (place !== undefined) return { layer: SAME, args: [place] };
  const { description, children = {} } = module;
  if (!description) return { unknown: path === "" ? module.label : `${path}, ${module.label}` };
  const parts: NetworkDescription[] = [];
  const own = description.wraps
    ? [["", description.wraps] as const]
    : Object.entries(description.whole ? {} : children);
  for (const [name, child] of own) {
    const part = describe(child, [path, name].filter(Boolean).join("."), before);
    if ("unknown" in part) return part;
    parts.push(part);
  }
  before.set(module, before.size);
  const args = description.args?.map(withoutInit);
  return JSON.parse(JSON.stringify({ layer: description.layer, args, ...(parts.length > 0 && { parts }) }));
}

/** Initialisers are functions, and a network that is loaded needs none. */
function withoutInit(arg: unknown): unknown {
  if (typeof arg !== "object" || arg === null || Array.isArray(arg)) return arg;
  return { ...arg, init: undefined };
}
