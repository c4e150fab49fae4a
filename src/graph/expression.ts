import type { GraphNode } from "../core/op.ts";
import { valueKey } from "./node.ts";

/** Elementwise nodes in the order in which they are evaluated. */
export type Chain = readonly GraphNode[];

export const isElementwise = (node: GraphNode) => node.op?.implementation.kind === "elementwise";
/** One number in every element; expressions write it out, kernels read it from memory. */
export const isConstant = (node: GraphNode) => node.op?.name === "constant";

function elementwise(node: GraphNode) {
  const implementation = node.op?.implementation;
  if (implementation?.kind !== "elementwise")
    throw new Error(`${node.op?.name ?? "a leaf"} is not elementwise.`);
  return implementation;
}

/**
 * WGSL statements that evaluate a chain for one element, and the function files that they may call. `names` says by their
 * keys what the chain's inputs are called, and learns what its results are; constants are written out.
 */
export function chainCode(
  chain: Chain,
  names: Map<string, string>,
  nameOf: (place: number) => string = (place) => `t${place}`,
): { lines: string[]; functions: string[] } {
  const functions: string[] = [];
  const lines = chain.map((node, i) => {
    const implementation = elementwise(node);
    const args = node.inputs.map(
      (input) => names.get(valueKey(input)) ?? elementwise(input.node).expression([], input.node.attrs, []),
    );
    const name = nameOf(i);
    names.set(`${node.id}:0`, name);
    functions.push(...(implementation.functions ?? []));
    return `  let ${name} = ${implementation.expression(args, node.attrs, node.inputs)};`;
  });
  return { lines, functions };
}
