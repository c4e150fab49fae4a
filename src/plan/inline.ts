import type { Binding, Dispatch, Elements } from "../core/kernel.ts";
import type { GraphNode } from "../core/op.ts";
import { broadcastStrides, type Shape, sameShape, type TensorType } from "../core/shape.ts";
import { calledFiles, collapse, type FusedExpression, offsetCode } from "../ops/elementwise/kernel.ts";
import { enterCode, wgslElements } from "./accessors.ts";

/*
 * Elementwise chains inside other kernels. A kernel's record says which inputs it loads by `load_NAME(i)` and whether it
 * stores its result by `store_NAME(i, value)`. Such a function can run a chain: its binding becomes that of the first of the
 * chain's inputs that the kernel does not bind already, or of the chain's result, under another name, and the chain's other
 * inputs are bound after the kernel's own.
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

/** A chain's input as the code around `apply` reads it: where it is declared, how it is loaded, its value in a lane. */
interface Operand {
  readonly declarations?: string;
  /** Run once for each vector `i`. */
  readonly loads?: string;
  /** Run when the kernel enters a channel. */
  readonly enters?: string;
  value(lane: string, e: number): string;
}

/** Whether each vector of a chain's result meets a whole vector of an input that is repeated along axes before the last. */
function inVectors(shape: Shape, out: Shape, width: number): boolean {
  if (sameShape(shape, out)) return true;
  const { shape: dims, strides } = collapse(out, [broadcastStrides(shape, out)]);
  const own = strides[0]!;
  return (
    own.at(-1) === 1 && dims.at(-1)! % width === 0 && own.slice(0, -1).every((stride) => stride % width === 0)
  );
}

/**
 * How vector `i` of the chain's result reads the input that is bound as `array`. An input of one number for each channel
 * is loaded when the kernel enters a channel, if it says when it does.
 */
function operand(
  { inputs, output: { shape: out } }: FusedExpression,
  index: number,
  { name, width = 1, slots = 0 }: Binding,
  array: string,
): Operand {
  const { shape, dtype } = inputs[index]!;
  const v = `${name}_v${index}`;
  const load = (place: string) => `load_${array}(${place})`;
  if (sameShape(shape, out)) return { loads: `  let ${v} = ${load("i")};`, value: (lane) => v + lane };
  const channels = shape.length === out.length && shape.every((d, axis) => d === 1 || axis === 1);
  if (slots > 0 && (channels || shape.every((d) => d === 1))) {
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
  if (inVectors(shape, out, width))
    return {
      declarations,
      loads: `  let ${v} = ${load(width > 1 ? `${at}(i * ${width}u) / ${width}u` : `${at}(i)`)};`,
      value: (lane) => v + lane,
    };
  if (strides[0]!.at(-1) === 0 && dims.at(-1)! % width === 0)
    return { declarations, loads: `  let ${v} = ${load(`${at}(i * ${width}u)`)};`, value: () => v };
  return { declarations, value: (_, e) => load(`${at}(i * ${width}u + ${e}u)`) };
}

/**
 * Lets a dispatch run a chain, of which number it is, where it loads input `at`, or on what it stores, which is the chain's
 * input `at.hole`; undefined where it does not bind that. `bound` finds the binding that holds an input of the chain already.
 */
export function withChain(
  dispatch: Dispatch,
  number: number,
  chain: FusedExpression,
  at: number | { readonly hole: number },
  bound: (input: number) => Binding | undefined,
): Dispatch | undefined {
  const { source, bindings } = dispatch;
  const stores = typeof at === "object";
  const own = bindings.find(stores ? isResult : ({ kind, index }) => kind === "input" && index === at);
  if (!own) return undefined;
  const { name, width = 1, slots } = own;
  const { inputs, output } = chain;
  /** What one load or store of a tensor moves: whole vectors where it runs with the result. */
  const elementsOf = ({ shape, dtype }: TensorType): Elements => ({
    dtype,
    width: inVectors(shape, output.shape, width) ? width : 1,
  });
  const typeOf = (x: TensorType) => wgslElements(elementsOf(x));
  const scalarOf = ({ dtype }: TensorType) => wgslElements({ dtype });
  const shared = inputs.map((x, i) => {
    const found = stores ? undefined : bound(i);
    return found && found !== own && wgslElements(found) === typeOf(x) ? found.name : undefined;
  });
  /** The input that takes the place of what was loaded or stored. */
  const taken = stores ? at.hole : Math.max(0, shared.indexOf(undefined));
  const nameOf = (i: number) => (i !== taken && shared[i]) || `${name}_${i}`;
  const bind = (index: number): Binding => ({
    kind: "chain",
    chain: number,
    index,
    access: "read",
    name: nameOf(index),
    ...elementsOf(inputs[index]!),
  });
  const result = { ...own, name: nameOf(taken), ...elementsOf(output) };
  const operands = inputs.map(
    (_, i): Operand =>
      stores && i === taken ? { value: (lane) => `value${lane}` } : operand(chain, i, own, nameOf(i)),
  );
  const part = (key: "declarations" | "loads" | "enters") => operands.flatMap((x) => x[key] ?? []);
  const lanes = width === 1 ? [""] : [".x", ".y", ".z", ".w"].slice(0, width);
  const calls = lanes.map((lane, e) => `${name}_apply(${operands.map((x) => x.value(lane, e)).join(", ")})`);
  const value = `${typeOf(output)}(${calls.join(", ")})`;
  const code = [
    source,
    // Two chains in one kernel may call the same functions.
    ...calledFiles(chain).filter((file) => !source.includes(file)),
    ...part("declarations"),
    `fn ${name}_apply(${inputs.map((x, i) => `x${i}: ${scalarOf(x)}`).join(", ")}) -> ${scalarOf(output)} {`,
    chain.body,
    "  return result;",
    "}",
    stores
      ? `fn store_${name}(i: u32, value: ${typeOf(inputs[taken]!)}) {`
      : `fn load_${name}(i: u32) -> ${typeOf(output)} {`,
    ...part("loads"),
    stores ? `  store_${nameOf(taken)}(i, ${value});` : `  return ${value};`,
    "}",
    ...(slots ? enterCode(name!, part("enters")) : []),
  ];
  return {
    ...dispatch,
    kernel: dispatch.kernel + (stores ? `+${chain.label}` : `(${chain.label})`),
    source: code.join("\n"),
    bindings: [
      ...bindings.map((b) => (b !== own ? b : stores ? result : bind(taken))),
      ...inputs.flatMap((_, i) => (i === taken || shared[i] ? [] : [bind(i)])),
    ],
  };
}

/** Lets a dispatch store output 0 over the input at `binding`, each element after it was read: it is loaded from there. */
export function overwriting(dispatch: Dispatch, binding: number): Dispatch {
  const { name, slots } = dispatch.bindings[binding]!;
  return {
    ...dispatch,
    bindings: dispatch.bindings.flatMap((b, i) =>
      i === binding ? [] : [isResult(b) ? { ...b, over: { name, slots } } : b],
    ),
  };
}

const isResult = ({ kind, index }: Binding) => kind === "output" && index === 0;

/** How many calls in a dispatch's text store its result. */
export const countStores = ({ bindings, stores = 1 }: Dispatch): number =>
  bindings.some(isResult) ? stores : 0;
