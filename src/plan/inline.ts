import { wgslType } from "../core/dtype.ts";
import type { Dispatch } from "../core/kernel.ts";
import type { GraphNode } from "../core/op.ts";
import { broadcastStrides, sameShape } from "../core/shape.ts";
import { calledFiles, collapse, type FusedExpression, offsetCode } from "../ops/elementwise/kernel.ts";

/*
 * Elementwise chains inside other kernels. A kernel's record says which inputs it reads only as `name[i]` and whether it
 * stores its result only as `name[i] = value;`. Such an access can run a chain: the shader's text is rewritten, its
 * binding becomes the chain's first input, and the chain's other inputs are bound after the kernel's own.
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
  readonly source: string;
  /** The chain's inputs that are bound after the dispatch's own bindings. */
  readonly appended: readonly number[];
  /** The binding that a prologue frees, and the chain's input that takes it. */
  readonly taken?: { readonly binding: number; readonly input: number };
}

interface Target {
  readonly whole: string;
  readonly name: string;
  /** What the array holds, aliases resolved. */
  readonly element: string;
  /** 4 for vec4, 1 for a scalar. */
  readonly width: number;
}

/** The declaration of a binding, and whether it holds vectors (by an alias, perhaps). */
export function declarationOf(
  source: string,
  binding: number,
  access: "read" | "read_write",
): Target | undefined {
  const match = new RegExp(
    `@group\\(0\\) @binding\\(${binding}\\) var<storage, ${access}> (\\w+) *: *array<([^;]+)>;`,
  ).exec(source);
  if (!match) return undefined;
  const [whole, name, type] = match as unknown as [string, string, string];
  const alias = new RegExp(`^alias ${type} *= *([^;]+);`, "m").exec(source);
  const element = (alias ? alias[1]! : type).replace(/^vec4([fiu])$/, (_, t) => `vec4<${SCALARS[t as "f"]}>`);
  const vector = /^vec(\d)/.exec(element);
  return { whole, name, element, width: vector ? Number(vector[1]) : 1 };
}

const typeOf = (scalar: string, width: number) => (width === 1 ? scalar : `vec${width}<${scalar}>`);
const lanesOf = (width: number) => (width === 1 ? [""] : [".x", ".y", ".z", ".w"].slice(0, width));
const SCALARS = { f: "f32", i: "i32", u: "u32" };
export const withoutComments = (source: string) => source.replace(/\/\/.*$/gm, "");

function applyFunction(source: string, name: string, chain: FusedExpression): string[] {
  const parameters = chain.inputs.map((x, i) => `x${i}: ${wgslType(x.dtype)}`);
  return [
    // Two chains in one kernel may call the same functions.
    ...calledFiles(chain)
      .map(withoutComments)
      .filter((file) => !source.includes(file)),
    `fn ${name}_apply(${parameters.join(", ")}) -> ${wgslType(chain.output.dtype)} {`,
    chain.body,
    "  return result;",
    "}",
  ];
}

/** A chain's input as the code around `apply` reads it: where it is declared, how it is loaded, its value in a lane. */
interface Operand {
  readonly declarations: readonly string[];
  /** Run once for each vector `i`. */
  readonly loads: readonly string[];
  /** Run when the kernel enters a channel. */
  readonly enters: readonly string[];
  value(lane: number): string;
}

/**
 * How vector `i` of `width` elements of the chain's result reads an input from the array `array`. An input of one
 * number for each channel is loaded when the kernel enters a channel, if it says when it does; a kernel that works on
 * several channels at once says in which of its slots.
 */
function operand(
  chain: FusedExpression,
  index: number,
  width: number,
  array: string,
  name: string,
  enters: "once" | "slots" | undefined,
): Operand {
  const { shape, dtype } = chain.inputs[index]!;
  const scalar = wgslType(dtype);
  const out = chain.output.shape;
  const v = `${name}_v${index}`;
  const none = { declarations: [], loads: [], enters: [] };
  const lanes = lanesOf(width);
  if (sameShape(shape, out))
    return { ...none, loads: [`  let ${v} = ${array}[i];`], value: (lane) => `${v}${lanes[lane]}` };
  const channels = shape.length === out.length && shape.every((d, axis) => d === 1 || axis === 1);
  if (enters && (channels || shape.every((d) => d === 1))) {
    const slots = enters === "slots";
    return {
      declarations: [
        `var<private> ${v}: ${slots ? `array<${scalar}, SLOTS_${name.toUpperCase()}>` : scalar};`,
      ],
      loads: [],
      enters: [`  ${v}${slots ? "[slot]" : ""} = ${array}[${channels && shape[1]! > 1 ? "channel" : "0u"}];`],
      value: () => (slots ? `${v}[slot_${name}]` : v),
    };
  }
  const { shape: dims, strides } = collapse(out, [broadcastStrides(shape, out)]);
  const at = `${name}_at${index}`;
  const declarations = [`fn ${at}(e: u32) -> u32 { return ${offsetCode(dims, strides[0]!)}; }`];
  if (strides[0]!.at(-1) === 0 && dims.at(-1)! % width === 0)
    return {
      ...none,
      declarations,
      loads: [`  let ${v} = ${array}[${at}(i * ${width}u)];`],
      value: () => v,
    };
  return { ...none, declarations, value: (lane) => `${array}[${at}(i * ${width}u + ${lane}u)]` };
}

/** The type of an input's array: whole vectors where it runs with the result. */
const arrayType = (chain: FusedExpression, index: number, width: number) => {
  const { shape, dtype } = chain.inputs[index]!;
  return typeOf(wgslType(dtype), sameShape(shape, chain.output.shape) ? width : 1);
};

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
  const at = dispatch.bindings.findIndex((b) => b.kind === "input" && b.index === index);
  if (at < 0) return undefined;
  const source = withoutComments(dispatch.source);
  const target = declarationOf(source, at, "read");
  if (!target) throw new Error(`${dispatch.kernel}: binding ${at} is not declared as a read-only array.`);
  const { whole, name, width } = target;
  const shared = chain.inputs.map((_, i) => {
    const binding = bound(i);
    const found = binding < 0 || binding === at ? undefined : declarationOf(source, binding, "read");
    return found && arrayType(chain, i, width) === found.element ? found.name : undefined;
  });
  const taken = Math.max(0, shared.indexOf(undefined));
  const hook = new RegExp(`fn enter_${name}\\(channel: u32(, slot: u32)?\\) \\{\\s*\\}`);
  const entered = hook.exec(source);
  const enters = entered ? (entered[1] ? "slots" : "once") : undefined;
  const appended: number[] = [];
  const declarations: string[] = [];
  const operands = chain.inputs.map((_, i) => {
    const array = (i !== taken && shared[i]) || `${name}_${i}`;
    if (array === `${name}_${i}`) {
      const binding = i === taken ? at : dispatch.bindings.length + appended.push(i) - 1;
      declarations.push(
        `@group(0) @binding(${binding}) var<storage, read> ${array}: array<${arrayType(chain, i, width)}>;`,
      );
    }
    return operand(chain, i, width, array, name, enters);
  });
  const type = typeOf(wgslType(chain.output.dtype), width);
  const calls = lanesOf(width).map(
    (_, lane) => `${name}_apply(${operands.map((x) => x.value(lane)).join(", ")})`,
  );
  const code = [
    ...declarations,
    ...operands.flatMap((x) => x.declarations),
    ...applyFunction(source, name, chain),
    `fn ${name}_load(i: u32) -> ${type} {`,
    ...operands.flatMap((x) => x.loads),
    `  return ${type}(${calls.join(", ")});`,
    "}",
  ].join("\n");
  const enter = [
    `fn enter_${name}(channel: u32${entered?.[1] ?? ""}) {`,
    ...operands.flatMap((x) => x.enters),
    "}",
  ].join("\n");
  const rewritten = rewriteAccesses(
    source.replace(hook, "@enter@").replace(whole, "@load@"),
    name,
    (place) => `${name}_load(u32(${place}))`,
  );
  return {
    source: rewritten.replace("@enter@", () => enter).replace("@load@", () => code),
    appended,
    taken: { binding: at, input: taken },
  };
}

/** Lets a dispatch run a chain, whose input `hole` is the kernel's result, on what it stores. */
export function withEpilogue(dispatch: Dispatch, hole: number, chain: FusedExpression): Inlined | undefined {
  const at = firstResult(dispatch);
  if (at < 0) return undefined;
  const source = withoutComments(dispatch.source);
  const target = declarationOf(source, at, "read_write");
  if (!target) throw new Error(`${dispatch.kernel}: binding ${at} is not declared as an array.`);
  const { whole, name, width } = target;
  const lanes = lanesOf(width);
  const appended = chain.inputs.flatMap((_, i) => (i === hole ? [] : [i]));
  const operands = chain.inputs.map((_, i): Operand => {
    if (i === hole)
      return { declarations: [], loads: [], enters: [], value: (lane) => `value${lanes[lane]}` };
    return operand(chain, i, width, `${name}_${i}`, name, undefined);
  });
  const type = typeOf(wgslType(chain.output.dtype), width);
  const calls = lanes.map((_, lane) => `${name}_apply(${operands.map((x) => x.value(lane)).join(", ")})`);
  const stored = typeOf(wgslType(chain.inputs[hole]!.dtype), width);
  const code = [
    `@group(0) @binding(${at}) var<storage, read_write> ${name}: array<${type}>;`,
    ...appended.map(
      (i, k) =>
        `@group(0) @binding(${dispatch.bindings.length + k}) var<storage, read> ${name}_${i}: array<${arrayType(chain, i, width)}>;`,
    ),
    ...operands.flatMap((x) => x.declarations),
    ...applyFunction(source, name, chain),
    `fn ${name}_finish(i: u32, value: ${stored}) -> ${type} {`,
    ...operands.flatMap((x) => x.loads),
    `  return ${type}(${calls.join(", ")});`,
    "}",
  ].join("\n");
  const rewritten = rewriteStores(source.replace(whole, "@@"), name);
  return { source: rewritten.replace("@@", () => code), appended };
}

/**
 * Lets a dispatch store output 0 over the input at `binding`, each element after it was read: the input's binding goes,
 * and the shader reads the output instead.
 */
export function overwriting(dispatch: Dispatch, binding: number): Dispatch {
  const source = withoutComments(dispatch.source);
  const from = declarationOf(source, binding, "read");
  const at = firstResult(dispatch);
  const to = declarationOf(source, at, "read_write");
  if (!from || from.element !== to?.element)
    throw new Error(`${dispatch.kernel} cannot store its result over binding ${binding}.`);
  const merged = source.replace(from.whole, "").replace(new RegExp(`\\b${from.name}\\[`, "g"), `${to.name}[`);
  return {
    ...dispatch,
    source: merged.replace(/@binding\((\d+)\)/g, (text, k) => (k > binding ? `@binding(${k - 1})` : text)),
    bindings: dispatch.bindings.filter((_, i) => i !== binding),
  };
}

const firstResult = (dispatch: Dispatch) =>
  dispatch.bindings.findIndex((b) => b.kind === "output" && b.index === 0);

/** How many places of a dispatch's text store its result. */
export function countStores(dispatch: Dispatch): number {
  const at = firstResult(dispatch);
  const source = withoutComments(dispatch.source);
  const target = at < 0 ? undefined : declarationOf(source, at, "read_write");
  return target ? source.split(`${target.name}[`).length - 1 : 0;
}

/** The end of the bracket that opens just before `from`. */
function closing(source: string, from: number): number {
  let depth = 1;
  let end = from;
  while (depth > 0 && end < source.length) {
    const char = source[end++];
    if (char === "[") depth++;
    else if (char === "]") depth--;
  }
  return end;
}

/** Every `name[place]` of a shader, and what follows it. */
export function placesOf(source: string, name: string): { place: string; after: string }[] {
  return [...source.matchAll(new RegExp(`\\b${name}\\[`, "g"))].map((match) => {
    const from = match.index + match[0].length;
    const end = closing(source, from);
    return { place: source.slice(from, end - 1), after: source.slice(end) };
  });
}

/** Turns every `name[place]` into what `call` makes of it. */
function rewriteAccesses(source: string, name: string, call: (place: string) => string): string {
  const access = new RegExp(`\\b${name}\\[`, "g");
  let result = "";
  let from = 0;
  for (let match = access.exec(source); match; match = access.exec(source)) {
    const end = closing(source, access.lastIndex);
    const place = rewriteAccesses(source.slice(access.lastIndex, end - 1), name, call);
    result += source.slice(from, match.index) + call(place);
    from = end;
    access.lastIndex = end;
  }
  return result + source.slice(from);
}

/** Turns every `name[place] = value;` into `name[place] = name_finish(u32(place), value);`. */
function rewriteStores(source: string, name: string): string {
  const access = new RegExp(`\\b${name}\\[`, "g");
  let result = "";
  let from = 0;
  for (let match = access.exec(source); match; match = access.exec(source)) {
    const end = closing(source, access.lastIndex);
    const place = source.slice(access.lastIndex, end - 1);
    const assignment = /^ = ([^;]+);/.exec(source.slice(end));
    if (!assignment) throw new Error(`A kernel that takes an epilogue reads its result ${name} back.`);
    result += `${source.slice(from, match.index)}${name}[${place}] = ${name}_finish(u32(${place}), ${assignment[1]});`;
    from = end + assignment[0].length;
    access.lastIndex = from;
  }
  return result + source.slice(from);
}
