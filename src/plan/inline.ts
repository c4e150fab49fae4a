import type { Binding, Dispatch, Elements } from "../core/kernel.ts";
import type { GraphNode } from "../core/op.ts";
import { broadcastStrides, sameShape } from "../core/shape.ts";
import { calledFiles, collapse, type FusedExpression, offsetCode } from "../ops/elementwise/kernel.ts";
import { wgslElements } from "./accessors.ts";

/*
 * Elementwise chains inside other kernels. A kernel's record says which inputs it loads by `load_NAME(i)` and whether it
 * stores its result by `store_NAME(i, value)`. Such a function can run a chain: its binding becomes the chain's first
 * input, or its result, under another name, and the chain's other inputs are bound after the kernel's own.
 */

/** How a node's kernel computes, loads and stores; undefined for nodes that have none. */
export const kernelOf = (node: GraphNode) => {
  const implementation = node.op?.implementation;
  return implementation?.kind === "kernel" ? implementation : undefined;
};

/** Whether a kernel may run an elementwise chain on its result before it stores it. */
export function takesEpilogue(producer: GraphNode, chain: FusedExpression): boolean {
  return kernelOf(producer)?.stores === true && sameShape(producer.outputs[0]!.shape, chain.output.shape);
}

/** A dispatch with a chain inside. */
interface Inlined {
  readonly dispatch: Dispatch;
  /** The chain's inputs that are bound after the dispatch's own bindings. */
  readonly appended: readonly number[];
  /** The binding that a prologue frees, and the chain's input that takes it. */
  readonly taken?: { readonly binding: number; readonly input: number };
}

const LANES = [".x", ".y", ".z", ".w"];

/** A chain's input as the code around `apply` reads it: where it is declared, how it is loaded, its value in a lane. */
interface Operand {
  readonly declarations?: string;
  /** Run once for each vector `i`. */
  readonly loads?: string;
  /** Run when the kernel enters a channel. */
  readonly enters?: string;
  value(lane: string, e: number): string;
}

/** What one load of a chain's input gives: whole vectors where it runs with the result. */
const elementsOf = ({ inputs, output }: FusedExpression, index: number, width = 1): Elements => {
  const { shape, dtype } = inputs[index]!;
  return { dtype, width: sameShape(shape, output.shape) ? width : 1 };
};

/** A binding that a chain's input, or its result, is now loaded or stored by. */
const rebound = (b: Binding, name: string, elements: Elements): Binding => ({
  ...b,
  name,
  slots: 0,
  ...elements,
});
const appendedAt = (index: number): Binding => ({ kind: "appended", index, access: "read" });

/**
 * How vector `i` of the chain's result reads the input that is bound as `array`. An input of one number for each channel
 * is loaded when the kernel enters a channel, if it says when it does.
 */
function operand(
  chain: FusedExpression,
  index: number,
  { name, width = 1, slots }: Binding,
  array: string,
): Operand {
  const { shape, dtype } = chain.inputs[index]!;
  const out = chain.output.shape;
  const v = `${name}_v${index}`;
  const load = (place: string) => `load_${array}(${place})`;
  if (sameShape(shape, out)) return { loads: `  let ${v} = ${load("i")};`, value: (lane) => v + lane };
  const channels = shape.length === out.length && shape.every((d, axis) => d === 1 || axis === 1);
  if (slots && (channels || shape.every((d) => d === 1))) {
    const type = wgslElements({ dtype });
    const many = slots > 1;
    return {
      declarations: `var<private> ${v}: ${many ? `array<${type}, ${slots}>` : type};`,
      enters: `  ${v}${many ? "[slot]" : ""} = ${load(channels && shape[1]! > 1 ? "channel" : "0u")};`,
      value: () => (many ? `${v}[slot_${name}]` : v),
    };
  }
  const { shape: dims, strides } = collapse(out, [broadcastStrides(shape, out)]);
  const at = `${name}_at${index}`;
  const declarations = `fn ${at}(e: u32) -> u32 { return ${offsetCode(dims, strides[0]!)}; }`;
  if (strides[0]!.at(-1) === 0 && dims.at(-1)! % width === 0)
    return { declarations, loads: `  let ${v} = ${load(`${at}(i * ${width}u)`)};`, value: () => v };
  return { declarations, value: (_, e) => load(`${at}(i * ${width}u + ${e}u)`) };
}

/**
 * The chain as WGSL: `head` begins the function that runs it for vector `i`, `result` what becomes of a value. Files that the text has
 * already are left out: two chains in one kernel may call the same functions.
 */
function chainCode(
  source: string,
  { name, width = 1 }: Binding,
  chain: FusedExpression,
  operands: readonly Operand[],
  head: string,
  result: (value: string) => string,
): string {
  const part = (key: "declarations" | "loads") => operands.flatMap((x) => x[key] ?? []);
  const type = ({ dtype }: Elements, width = 1) => wgslElements({ dtype, width });
  const parameters = chain.inputs.map((x, i) => `x${i}: ${type(x)}`);
  const lanes = width === 1 ? [""] : LANES.slice(0, width);
  const calls = lanes.map((lane, e) => `${name}_apply(${operands.map((x) => x.value(lane, e)).join(", ")})`);
  return [
    source,
    ...calledFiles(chain).filter((file) => !source.includes(file)),
    ...part("declarations"),
    `fn ${name}_apply(${parameters.join(", ")}) -> ${type(chain.output)} {`,
    chain.body,
    "  return result;",
    "}",
    head,
    ...part("loads"),
    `  ${result(`${type(chain.output, width)}(${calls.join(", ")})`)};`,
    "}",
  ].join("\n");
}

/**
 * Lets a dispatch compute input `index` while loading it; undefined where it does not bind that input. `bound` names
 * the binding that holds an input of the chain already.
 */
export function withPrologue(
  dispatch: Dispatch,
  index: number,
  chain: FusedExpression,
  bound: (input: number) => number = () => -1,
): Inlined | undefined {
  const { bindings } = dispatch;
  const at = bindings.findIndex((b) => b.kind === "input" && b.index === index);
  const own = bindings[at];
  if (!own) return undefined;
  const { name, width, slots } = own;
  const shared = chain.inputs.map((_, i) => {
    const found = bindings[bound(i)];
    const fits = found && wgslElements(found) === wgslElements(elementsOf(chain, i, width));
    return fits && found !== own ? found.name : undefined;
  });
  const taken = Math.max(0, shared.indexOf(undefined));
  const appended = chain.inputs.flatMap((_, i) => (i === taken || shared[i] ? [] : [i]));
  const nameOf = (i: number) => (i !== taken && shared[i]) || `${name}_${i}`;
  const bind = (b: Binding, i: number) => rebound(b, nameOf(i), elementsOf(chain, i, width));
  const operands = chain.inputs.map((_, i) => operand(chain, i, own, nameOf(i)));
  const head = `fn load_${name}(i: u32) -> ${wgslElements({ dtype: chain.output.dtype, width })} {`;
  const code = chainCode(dispatch.source, own, chain, operands, head, (value) => `return ${value}`);
  const enter = [
    `var<private> slot_${name}: u32;`,
    `fn enter_${name}(channel: u32, slot: u32) {`,
    ...operands.flatMap((x) => x.enters ?? []),
    "}",
  ];
  return {
    dispatch: {
      ...dispatch,
      source: [code, ...(slots ? enter : [])].join("\n"),
      bindings: [
        ...bindings.map((b) => (b === own ? bind(b, taken) : b)),
        ...appended.map((i) => bind(appendedAt(i), i)),
      ],
    },
    appended,
    taken: { binding: at, input: taken },
  };
}

/** Lets a dispatch run a chain, whose input `hole` is the kernel's result, on what it stores. */
export function withEpilogue(dispatch: Dispatch, hole: number, chain: FusedExpression): Inlined | undefined {
  const own = dispatch.bindings.find(isResult);
  if (!own) return undefined;
  const { name, width } = own;
  const appended = chain.inputs.flatMap((_, i) => (i === hole ? [] : [i]));
  const operands = chain.inputs.map(
    (_, i): Operand =>
      i === hole ? { value: (lane) => `value${lane}` } : operand(chain, i, own, `${name}_${i}`),
  );
  const stored = wgslElements(elementsOf(chain, hole, width));
  const head = `fn store_${name}(i: u32, value: ${stored}) {`;
  const result = `${name}_${hole}`;
  const { dtype } = chain.output;
  return {
    dispatch: {
      ...dispatch,
      source: chainCode(
        dispatch.source,
        own,
        chain,
        operands,
        head,
        (value) => `store_${result}(i, ${value})`,
      ),
      bindings: [
        ...dispatch.bindings.map((b) => (b === own ? rebound(b, result, { dtype, width }) : b)),
        ...appended.map((i) => rebound(appendedAt(i), `${name}_${i}`, elementsOf(chain, i, width))),
      ],
    },
    appended,
  };
}

/** Lets a dispatch store output 0 over the input at `binding`, each element after it was read: it is loaded from there. */
export function overwriting(dispatch: Dispatch, binding: number): Dispatch {
  const over = dispatch.bindings[binding]!.name;
  return {
    ...dispatch,
    bindings: dispatch.bindings.flatMap((b, i) => (i === binding ? [] : [isResult(b) ? { ...b, over } : b])),
  };
}

const isResult = ({ kind, index }: Binding) => kind === "output" && index === 0;

/** How many places of a dispatch's text store its result. */
export const countStores = ({ bindings, stores = 1 }: Dispatch): number =>
  bindings.some(isResult) ? stores : 0;
