import { wgslType } from "../core/dtype.ts";
import { sameShape } from "../core/shape.ts";
import type { FusedExpression } from "../ops/elementwise-kernel.ts";
import type { Dispatch } from "../ops/kernel.ts";
import type { GraphNode } from "../ops/op.ts";

/** Whether a kernel may compute an input itself from an elementwise chain while it loads it. */
export function takesPrologue(consumer: GraphNode, input: number, chain: FusedExpression): boolean {
  const implementation = consumer.op?.implementation;
  return (
    implementation?.kind === "kernel" &&
    (implementation.loads ?? []).includes(input) &&
    // Element i of the chain must come from element i of each of its inputs.
    chain.inputs.length > 0 &&
    chain.inputs.every((x) => sameShape(x.shape, chain.output.shape))
  );
}

/**
 * Rewrites a dispatch so that it computes input `index` while loading it: the binding of that input becomes the chain's
 * first input, the others are appended, and every access `name[i]` becomes a call.
 */
export function withPrologue(
  dispatch: Dispatch,
  index: number,
  chain: FusedExpression,
): { source: string; bound: number; extra: number } | undefined {
  const at = dispatch.bindings.findIndex((b) => b.kind === "input" && b.index === index);
  if (at < 0) return undefined;
  const declaration = new RegExp(
    `@group\\(0\\) @binding\\(${at}\\) var<storage, read> (\\w+): array<([^;]+)>;`,
  );
  const match = declaration.exec(dispatch.source);
  if (!match) throw new Error(`${dispatch.kernel}: binding ${at} is not declared as a read-only array.`);
  const [whole, name, type] = match as unknown as [string, string, string];
  const width = vectorWidth(dispatch.source, type);
  const own = (scalar: string) => (width === 1 ? scalar : `vec${width}<${scalar}>`);
  const first = dispatch.bindings.length;
  const inputs = chain.inputs.map((x, i) => ({
    name: `${name}_${i}`,
    binding: i === 0 ? at : first + i - 1,
    scalar: wgslType(x.dtype),
  }));
  const result = wgslType(chain.output.dtype);
  const lanes = width === 1 ? [""] : [".x", ".y", ".z", ".w"].slice(0, width);
  const calls = lanes.map((lane) => `${name}_apply(${inputs.map((x) => `v_${x.name}${lane}`).join(", ")})`);
  const code = [
    ...inputs.map(
      (x) => `@group(0) @binding(${x.binding}) var<storage, read> ${x.name}: array<${own(x.scalar)}>;`,
    ),
    ...new Set(chain.functions),
    `fn ${name}_apply(${inputs.map((x, i) => `x${i}: ${x.scalar}`).join(", ")}) -> ${result} {`,
    chain.body,
    "  return result;",
    "}",
    `fn ${name}_load(i: u32) -> ${own(result)} {`,
    ...inputs.map((x) => `  let v_${x.name} = ${x.name}[i];`),
    `  return ${width === 1 ? calls[0] : `${own(result)}(${calls.join(", ")})`};`,
    "}",
  ].join("\n");
  const source = callsFor(dispatch.source.replace(whole, "@@"), name).replace("@@", () => code);
  return { source, bound: at, extra: chain.inputs.length - 1 };
}

/** 4 for `vec4<f32>` or an alias of it, 1 for a scalar. */
function vectorWidth(source: string, type: string): number {
  const alias = new RegExp(`^alias ${type} *= *([^;]+);`, "m").exec(source);
  const resolved = alias ? alias[1]! : type;
  const vector = /^vec(\d)/.exec(resolved);
  return vector ? Number(vector[1]) : 1;
}

/** Turns every `name[index]` into `name_load(u32(index))`. */
function callsFor(source: string, name: string): string {
  const access = new RegExp(`\\b${name}\\[`, "g");
  let result = "";
  let from = 0;
  for (let match = access.exec(source); match; match = access.exec(source)) {
    let depth = 1;
    let end = access.lastIndex;
    while (depth > 0) {
      const char = source[end++];
      if (char === "[") depth++;
      else if (char === "]") depth--;
    }
    const index = callsFor(source.slice(access.lastIndex, end - 1), name);
    result += `${source.slice(from, match.index)}${name}_load(u32(${index}))`;
    from = end;
    access.lastIndex = end;
  }
  return result + source.slice(from);
}
