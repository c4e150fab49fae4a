import { wgslType } from "../core/dtype.ts";
import { broadcastStrides, sameShape } from "../core/shape.ts";
import { calledFiles, collapse, type FusedExpression, offsetCode } from "../ops/elementwise-kernel.ts";
import type { Dispatch } from "../ops/kernel.ts";
import type { GraphNode } from "../ops/op.ts";

/*
 * Elementwise chains inside other kernels. A kernel's record says which inputs it reads only as `name[i]` and whether it
 * stores its result only as `name[i] = value;`. Such an access can run a chain: the shader's text is rewritten, its
 * binding becomes the chain's first input, and the chain's other inputs are bound after the kernel's own.
 */

const kernelOf = (node: GraphNode) => {
  const implementation = node.op?.implementation;
  return implementation?.kind === "kernel" ? implementation : undefined;
};

/** Whether a kernel may compute an input itself from an elementwise chain while it loads it. */
export function takesPrologue(consumer: GraphNode, input: number, chain: FusedExpression): boolean {
  const { loads = [], half } = kernelOf(consumer) ?? {};
  // Widening f16 costs next to nothing, so it need not pay for itself by reads that it saves.
  const widens = chain.inputs.length === 1 && chain.inputs[0]!.dtype === "f16";
  return (
    (loads.includes(input) || (widens && half?.inputs.includes(input) === true)) &&
    // Element i of the chain must come from element i of each of its inputs.
    chain.inputs.length > 0 &&
    chain.inputs.every((x) => sameShape(x.shape, chain.output.shape))
  );
}

/** Whether a kernel may run an elementwise chain on its result before it stores it. */
export function takesEpilogue(producer: GraphNode, chain: FusedExpression): boolean {
  return kernelOf(producer)?.stores === true && sameShape(producer.outputs[0]!.shape, chain.output.shape);
}

/** A dispatch with a chain inside; the chain's inputs from `appended` on are bound after the dispatch's own bindings. */
interface Inlined {
  readonly source: string;
  readonly appended: readonly number[];
}

interface Target {
  readonly whole: string;
  readonly name: string;
  readonly type: string;
  /** 4 for vec4, 1 for a scalar. */
  readonly width: number;
}

/** The declaration of a binding, and whether it holds vectors (by an alias, perhaps). */
function declarationOf(source: string, binding: number, access: "read" | "read_write"): Target | undefined {
  const match = new RegExp(
    `@group\\(0\\) @binding\\(${binding}\\) var<storage, ${access}> (\\w+) *: *array<([^;]+)>;`,
  ).exec(source);
  if (!match) return undefined;
  const [whole, name, type] = match as unknown as [string, string, string];
  const alias = new RegExp(`^alias ${type} *= *([^;]+);`, "m").exec(source);
  const vector = /^vec(\d)/.exec(alias ? alias[1]! : type);
  return { whole, name, type, width: vector ? Number(vector[1]) : 1 };
}

const typeOf = (scalar: string, width: number) => (width === 1 ? scalar : `vec${width}<${scalar}>`);
const lanesOf = (width: number) => (width === 1 ? [""] : [".x", ".y", ".z", ".w"].slice(0, width));
const withoutComments = (source: string) => source.replace(/\/\/.*$/gm, "");

function applyFunction(source: string, name: string, chain: FusedExpression): string[] {
  const parameters = chain.inputs.map((x, i) => `x${i}: ${wgslType(x.dtype)}`);
  return [
    // Another chain of the same kernel may have brought a file.
    ...calledFiles(chain)
      .map(withoutComments)
      .filter((file) => !source.includes(file)),
    `fn ${name}_apply(${parameters.join(", ")}) -> ${wgslType(chain.output.dtype)} {`,
    chain.body,
    "  return result;",
    "}",
  ];
}

/** Lets a dispatch compute input `index` while loading it; undefined where it does not bind that input. */
export function withPrologue(dispatch: Dispatch, index: number, chain: FusedExpression): Inlined | undefined {
  const at = dispatch.bindings.findIndex((b) => b.kind === "input" && b.index === index);
  if (at < 0) return undefined;
  const source = withoutComments(dispatch.source);
  const target = declarationOf(source, at, "read");
  if (!target) throw new Error(`${dispatch.kernel}: binding ${at} is not declared as a read-only array.`);
  const { whole, name, width } = target;
  const own = dispatch.bindings.length;
  const inputs = chain.inputs.map((x, i) => ({
    name: `${name}_${i}`,
    binding: i === 0 ? at : own + i - 1,
    scalar: wgslType(x.dtype),
  }));
  const type = typeOf(wgslType(chain.output.dtype), width);
  const calls = lanesOf(width).map(
    (lane) => `${name}_apply(${inputs.map((x) => `v_${x.name}${lane}`).join(", ")})`,
  );
  const code = [
    ...inputs.map(
      (x) =>
        `@group(0) @binding(${x.binding}) var<storage, read> ${x.name}: array<${typeOf(x.scalar, width)}>;`,
    ),
    ...applyFunction(source, name, chain),
    `fn ${name}_load(i: u32) -> ${type} {`,
    ...inputs.map((x) => `  let v_${x.name} = ${x.name}[i];`),
    `  return ${type}(${calls.join(", ")});`,
    "}",
  ].join("\n");
  const rewritten = rewriteAccesses(
    source.replace(whole, "@@"),
    name,
    (place) => `${name}_load(u32(${place}))`,
  );
  return {
    source: rewritten.replace("@@", () => code),
    appended: chain.inputs.slice(1).map((_, i) => i + 1),
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
  const others = chain.inputs.flatMap((_, i) => (i === hole ? [] : [i]));
  const { shape, strides } = collapse(
    chain.output.shape,
    others.map((i) => broadcastStrides(chain.inputs[i]!.shape, chain.output.shape)),
  );
  const inner = shape.at(-1)!;
  const declarations: string[] = [];
  const loads: string[] = [];
  const lanes = lanesOf(width);
  const value = (lane: number, i: number): string => {
    if (i === hole) return `value${lanes[lane]}`;
    const k = others.indexOf(i);
    const steps = strides[k]!;
    const same = sameShape(chain.inputs[i]!.shape, chain.output.shape);
    if (same && width > 1) return `v${i}${lanes[lane]}`;
    return steps.at(-1) === 0 && inner % width === 0
      ? `v${i}`
      : `${name}_${i}[at_${i}(i * ${width}u + ${lane}u)]`;
  };
  others.forEach((i, k) => {
    const scalar = wgslType(chain.inputs[i]!.dtype);
    const same = sameShape(chain.inputs[i]!.shape, chain.output.shape) && width > 1;
    declarations.push(
      `@group(0) @binding(${dispatch.bindings.length + k}) var<storage, read> ${name}_${i}: array<${same ? typeOf(scalar, width) : scalar}>;`,
      `fn at_${i}(e: u32) -> u32 { return ${offsetCode(shape, strides[k]!)}; }`,
    );
    if (same) loads.push(`  let v${i} = ${name}_${i}[i];`);
    else if (strides[k]!.at(-1) === 0 && inner % width === 0)
      loads.push(`  let v${i} = ${name}_${i}[at_${i}(i * ${width}u)];`);
  });
  const type = typeOf(wgslType(chain.output.dtype), width);
  const calls = lanes.map(
    (_, lane) => `${name}_apply(${chain.inputs.map((_, i) => value(lane, i)).join(", ")})`,
  );
  const stored = typeOf(wgslType(chain.inputs[hole]!.dtype), width);
  const code = [
    `@group(0) @binding(${at}) var<storage, read_write> ${name}: array<${type}>;`,
    ...declarations,
    ...applyFunction(source, name, chain),
    `fn ${name}_finish(i: u32, value: ${stored}) -> ${type} {`,
    ...loads,
    `  return ${type}(${calls.join(", ")});`,
    "}",
  ].join("\n");
  const rewritten = rewriteStores(source.replace(whole, "@@"), name);
  return { source: rewritten.replace("@@", () => code), appended: others };
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
