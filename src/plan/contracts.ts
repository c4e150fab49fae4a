import { DescentError } from "../core/errors.ts";
import type { Dispatch, KernelVariant } from "../core/kernel.ts";
import type { Implementation } from "../core/op.ts";
import { declarationOf, placesOf, withoutComments } from "./inline.ts";

type KernelRecord = Extract<Implementation<any>, { kind: "kernel" }>;

/**
 * Checks, as far as a shader's text tells, what a record says of its kernel and the planner builds upon: inputs of `loads`,
 * `reloads`, `half` and `overwrites` are read as `name[place]` only, the result of `stores` is stored as
 * `name[place] = value;` only, and what `overwrites` names is read where the result is stored and of its type.
 * @throws DescentError that says which kernel breaks which promise.
 */
export function checkContracts(op: string, record: KernelRecord, variant: KernelVariant): void {
  for (const dispatch of variant.dispatches) {
    const source = withoutComments(dispatch.source);
    const result = bindingOf(dispatch, "output", 0);
    const broken = (promise: string, what: string) =>
      new DescentError(
        `${op}: the kernel ${dispatch.kernel} ${what}, but its record says ${promise}; change one of them.`,
      );
    const targetOf = (binding: number, access: "read" | "read_write", promise: string) => {
      const target = declarationOf(source, binding, access);
      const form = `@group(0) @binding(${binding}) var<storage, ${access}> name: array<…>;`;
      if (!target) throw broken(promise, `does not declare binding ${binding} as "${form}"`);
      const other = otherUse(source, target.name, target.whole);
      if (other)
        throw broken(promise, `uses ${target.name} other than as ${target.name}[place], in "${other}"`);
      return target;
    };
    for (const [index, promise] of promisesOf(record)) {
      const binding = bindingOf(dispatch, "input", index);
      if (binding < 0) continue;
      const { name, element } = targetOf(binding, "read", promise);
      if (index !== record.overwrites || result < 0) continue;
      const to = targetOf(result, "read_write", promise);
      if (to.element !== element)
        throw broken(promise, `reads ${name} as ${element} and stores ${to.name} as ${to.element}`);
      const stored = placesOf(source, to.name).map(({ place }) => place);
      const apart = placesOf(source, name).find(({ place }) => !stored.includes(place));
      if (apart) throw broken(promise, `reads ${name}[${apart.place}], where it does not store its result`);
    }
    if (!record.stores || result < 0) continue;
    const { name } = targetOf(result, "read_write", "stores");
    const back = placesOf(source, name).find(({ after }) => !/^ = [^;=][^;]*;/.test(after));
    if (back) throw broken("stores", `does more with ${name}[${back.place}] than store its result there`);
  }
}

/** What a record promises of its inputs, in its own words. */
function promisesOf({ loads = [], reloads = [], half, overwrites }: KernelRecord): Map<number, string> {
  const promises = new Map<number, string>();
  const say = (inputs: readonly number[], name: string) => {
    for (const i of inputs) promises.set(i, `${name} ${i}`);
  };
  say(half?.inputs ?? [], "half");
  say(reloads, "reloads");
  say(loads, "loads");
  say(overwrites === undefined ? [] : [overwrites], "overwrites");
  return promises;
}

const bindingOf = ({ bindings }: Dispatch, kind: string, index: number) =>
  bindings.findIndex((b) => b.kind === kind && b.index === index);

/** A line that takes an array's address, or whose brackets stand apart; nothing else can be done with such an array. */
function otherUse(source: string, name: string, declaration: string): string | undefined {
  const text = source.replace(declaration, "");
  const match = new RegExp(`^.*(?:&\\s*${name}\\b(?!\\[)|(?<![.\\w])${name}\\s+\\[).*$`, "m").exec(text);
  return match?.[0].trim();
}
