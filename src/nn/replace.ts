import { OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import { type AnyModule, type Module, modulesOf } from "./module.ts";

/**
 * The network with other parts where `choose` gives some for a part and its path, the rest being what it was. What is used
 * in several places is in the same ones afterwards.
 * @throws OptionError for a part inside of something that only code can make again; `who` is what the message begins with.
 */
export function replaceParts(
  root: AnyModule,
  choose: (part: AnyModule, path: string) => AnyModule | undefined,
  who: string,
): AnyModule {
  const made = new Map<AnyModule, AnyModule>();
  const replaced = (module: AnyModule, path: string): AnyModule => {
    const next = made.get(module) ?? choose(module, path) ?? withParts(module, path);
    made.set(module, next);
    return next;
  };
  const withParts = (module: AnyModule, path: string): AnyModule => {
    const before = Object.entries(module.children ?? {});
    const after = before.map(
      ([name, part]) => [name, replaced(part, path === "" ? name : `${path}.${name}`)] as const,
    );
    if (after.every(([, part], i) => part === before[i]![1])) return module;
    // A form of a network that has all that the network has, this too, would be lost.
    const inherited = module.description?.wraps?.remake;
    if (!module.remake || module.remake === inherited)
      throw new OptionError(
        `${who}: the parts of ${path === "" ? module.label : `${path}, ${module.label},`} cannot be replaced, for it is not made of nn.module or a layer of nn; make the network anew.`,
      );
    return module.remake(Object.fromEntries(after));
  };
  return replaced(root, "");
}

/**
 * The network with another part at a path, the rest being what it was: a new head, for instance. Shapes are checked when it
 * is traced.
 * @throws OptionError for a path at which there is no part.
 *
 * @example nn.replacePart(network, "2", nn.linear({ in: 16, out: 3 }))
 */
export function replacePart<In = Tensor, Out = Tensor>(
  network: Module<In, Out>,
  path: string,
  part: AnyModule,
): Module<In, Out> {
  const paths = modulesOf(network).map((named) => named.path);
  if (path === "" || !paths.includes(path))
    throw new OptionError(
      `replacePart: there is no part "${path}"; there are ${paths.filter(Boolean).join(", ") || "none"}.`,
    );
  if (typeof part !== "object" || part === null || typeof part.forward !== "function")
    throw new OptionError(
      `replacePart: the part for ${path} is no layer or network; give one, nn.relu() for instance.`,
    );
  return replaceParts(network, (_, at) => (at === path ? part : undefined), "replacePart") as Module<In, Out>;
}
