import { DescentError } from "../core/errors.ts";
import type { Binding, KernelVariant } from "../core/kernel.ts";
import type { GraphNode } from "../core/op.ts";
import { showType } from "../core/shape.ts";
import { wgslElements } from "./accessors.ts";
import { kernelOf } from "./inline.ts";

/**
 * Checks the types of what a node's kernel binds by names, and what its record says of it: inputs of `loads`, `reloads`,
 * `half` and `overwrites` have names and are loaded by them, the result of `stores` and `overwrites` is stored by its name,
 * and what `overwrites` names is loaded as `load_x(i)` where `store_y(i, …)` stores the result, and of its type. That a
 * shader does nothing else with such an array the compiler sees, for whom it has another name.
 * @throws DescentError that says which kernel breaks which promise.
 */
export function checkContracts(node: GraphNode, variant: KernelVariant): void {
  const record = kernelOf(node)!;
  for (const { kernel, source, bindings } of variant.dispatches) {
    const broken = (promise: string, what: string) =>
      new DescentError(
        `${node.op!.name}: the kernel ${kernel} ${what}, but its record says ${promise}; change one of them.`,
      );
    for (const { kind, index, name, dtype = "f32" } of bindings) {
      const type = name && (kind === "input" ? node.inputs : kind === "output" ? node.outputs : [])[index];
      // Copies and fills take any words as u32.
      if (type && dtype !== "u32" && type.dtype !== dtype)
        throw new DescentError(
          `${node.op!.name}: the kernel ${kernel} binds ${kind} ${index} as ${dtype}, but it is ${showType(type)}; write ${kind}(${index}, "${name}", { dtype: "${type.dtype}" }).`,
        );
    }
    const names = bindings.flatMap(({ kind, name }) => (kind !== "chain" && name ? [name] : []));
    const unfit = names.find(
      (name, i) =>
        names.indexOf(name) !== i || !/^[a-z]\w*$/i.test(name) || /_(array|apply|(at|v)?\d+)$/.test(name),
    );
    if (unfit)
      throw new DescentError(
        `${node.op!.name}: the kernel ${kernel} binds "${unfit}", which is taken or is how generated names are made; name each binding once, without "_0" or "_array" at the end.`,
      );
    const find = (kind: Binding["kind"], index: number) =>
      bindings.find((b) => b.kind === kind && b.index === index);
    const check = ({ kind, index, access, name, slots }: Binding, promise: string) => {
      const verb = access === "read" ? "load" : "store";
      if (!name)
        throw broken(
          promise,
          `binds ${kind} ${index} without a name, as in ${kind}(${index}, "x"), to ${verb} it by`,
        );
      for (const call of slots ? [verb, "enter"] : [verb])
        if (!source.includes(`${call}_${name}(`)) throw broken(promise, `does not call ${call}_${name}`);
    };
    const result = find("output", 0);
    for (const [index, promise] of promisesOf(record)) {
      const from = find("input", index);
      if (!from) continue;
      check(from, promise);
      if (index !== record.overwrites || !result) continue;
      check(result, promise);
      const [type, other] = [from, result].map(wgslElements);
      if (type !== other)
        throw broken(promise, `loads ${from.name} as ${type} and stores ${result.name} as ${other}`);
      for (const line of source.split("\n")) {
        const [, ...calls] = line.split(`load_${from.name}(`);
        const places = calls.map((call) => /^\w+(?=\))/.exec(call)?.[0]);
        if (places.some((place) => !place || !source.includes(`store_${result.name}(${place},`)))
          throw broken(promise, `loads ${from.name} where it does not store its result, in "${line.trim()}"`);
      }
      const unnamed = bindings.slice(bindings.indexOf(from)).find((b) => !b.name);
      if (unnamed)
        throw broken(promise, `binds ${unnamed.kind} ${unnamed.index} after input ${index} without a name`);
    }
    if (record.stores && result) check(result, "stores");
  }
}

/** What a record promises of its inputs, in its own words. */
function promisesOf({
  loads,
  reloads,
  half,
  overwrites,
}: NonNullable<ReturnType<typeof kernelOf>>): Map<number, string> {
  const say = (name: string, inputs: readonly number[] = []) =>
    inputs.map((i): [number, string] => [i, `${name} ${i}`]);
  return new Map([
    ...say("half", half?.inputs),
    ...say("reloads", reloads),
    ...say("loads", loads),
    ...say("overwrites", overwrites === undefined ? [] : [overwrites]),
  ]);
}
