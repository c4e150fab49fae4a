import harnessSource from "../../../shaders/elementwise/elementwise.wgsl?raw";
import { byteLength, wgslType } from "../../core/dtype.ts";
import {
  type AdapterFacts,
  type Dispatch,
  gridOf,
  input,
  output,
  perThread,
  specialize,
} from "../../core/kernel.ts";
import { broadcastStrides, type Shape, sizeOf, type TensorType } from "../../core/shape.ts";

/** A chain of elementwise ops over inputs that broadcast to one shape. */
export interface FusedExpression {
  readonly output: TensorType;
  readonly inputs: readonly TensorType[];
  /** WGSL statements that define `result` from scalars x0, x1, … (of which there is always one). */
  readonly body: string;
  /** Function files that the body may call. */
  readonly functions: readonly string[];
  readonly label: string;
}

/** The function files that an expression calls, and those that they call. */
export function calledFiles({ body, functions }: Pick<FusedExpression, "body" | "functions">): string[] {
  const files = new Set(functions);
  const called = new Set<string>();
  const visit = (text: string) => {
    for (const file of files)
      if (!called.has(file) && calls(text, file)) {
        called.add(file);
        visit(file);
      }
  };
  visit(body);
  return [...called];
}

/** Whether a text calls a function of a file. */
const calls = (text: string, file: string) =>
  [...file.matchAll(/^fn (\w+)\(/gm)].some(([, name]) => new RegExp(`\\b${name}\\(`).test(text));

/** Merges neighbouring axes that every input walks through alike, so that index arithmetic stays short. */
export function collapse(shape: Shape, strides: number[][]): { shape: number[]; strides: number[][] } {
  const dims: number[] = [];
  const steps: number[][] = strides.map(() => []);
  for (let axis = 0; axis < shape.length; axis++) {
    const dim = shape[axis]!;
    if (dim === 1) continue;
    const last = dims.length - 1;
    if (last >= 0 && strides.every((s, i) => steps[i]![last] === s[axis]! * dim)) {
      dims[last]! *= dim;
      strides.forEach((s, i) => {
        steps[i]![last] = s[axis]!;
      });
    } else {
      dims.push(dim);
      strides.forEach((s, i) => {
        steps[i]!.push(s[axis]!);
      });
    }
  }
  if (dims.length === 0) {
    dims.push(1);
    for (const s of steps) s.push(0);
  }
  return { shape: dims, strides: steps };
}

/** WGSL that computes the offset of element `index` of an input with `strides` (in elements) within `shape`. */
export function offsetCode(shape: readonly number[], strides: readonly number[]): string {
  const terms: string[] = [];
  let below = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const stride = strides[axis]!;
    const divided = below === 1 ? "e" : `(e / ${below}u)`;
    const coordinate = axis === 0 ? divided : `${divided} % ${shape[axis]}u`;
    if (stride !== 0) terms.push(stride === 1 ? `(${coordinate})` : `(${coordinate}) * ${stride}u`);
    below *= shape[axis]!;
  }
  return terms.length > 0 ? terms.join(" + ") : "0u";
}

/** The dispatch that evaluates an elementwise expression. */
export function elementwiseDispatch(expression: FusedExpression, facts: AdapterFacts): Dispatch {
  const { output: out, inputs } = expression;
  const size = sizeOf(out.shape);
  const { shape, strides } = collapse(
    out.shape,
    inputs.map((x) => broadcastStrides(x.shape, out.shape)),
  );
  const inner = shape[shape.length - 1]!;
  const rows = strides.map((s) => s.slice(0, -1));
  const vector =
    inner % 4 === 0 &&
    strides.every((s, i) => s.at(-1) === 0 || (s.at(-1) === 1 && rows[i]!.every((r) => r % 4 === 0)));

  const outType = wgslType(out.dtype);
  const width = vector ? 4 : 1;
  const bindings = inputs.map((x, i) =>
    input(i, `in${i}`, { dtype: x.dtype, width: strides[i]!.at(-1) === 1 ? width : 1 }),
  );
  const lines = [
    `fn apply(${inputs.map((x, i) => `x${i}: ${wgslType(x.dtype)}`).join(", ")}) -> ${outType} {`,
    // What a literal that is not finite refers to.
    ...(inputs.length === 0 ? ["  let x0 = 0u;"] : []),
    expression.body,
    "  return result;",
    "}",
    "",
  ];
  // Along a row a broadcast input stays the same, and the others' offsets run with the output's.
  const members: string[] = [];
  const values: string[] = [];
  const reads: string[] = [];
  inputs.forEach((x, i) => {
    const code = offsetCode(shape, strides[i]!);
    if (strides[i]!.at(-1) === 0) {
      members.push(`  v${i}: ${wgslType(x.dtype)},`);
      values.push(`load_in${i}(${code})`);
    } else if (shape.length === 1) reads.push(`  let v${i} = load_in${i}(i);`);
    else {
      members.push(`  base${i}: u32,`);
      values.push(`(${code}) / ${width}u - i`);
      reads.push(`  let v${i} = load_in${i}(shared_row.base${i} + i);`);
    }
  });
  if (members.length === 0) {
    members.push("  nothing: u32,");
    values.push("0u");
  }
  const calls = (vector ? [".x", ".y", ".z", ".w"] : [""]).map(
    (lane) =>
      `apply(${inputs.map((_, i) => (strides[i]!.at(-1) === 0 ? `shared_row.v${i}` : `v${i}${lane}`)).join(", ")})`,
  );
  const result = vector ? `vec4<${outType}>` : outType;
  lines.push(
    "struct Row {",
    ...members,
    "}",
    "",
    "fn row(i: u32) -> Row {",
    `  let e = i * ${width}u;`,
    `  return Row(${values.join(", ")});`,
    "}",
    "",
    `fn fused(i: u32, shared_row: Row) -> ${result} {`,
    ...reads,
    `  return ${result}(${calls.join(", ")});`,
    "}",
  );

  const count = size / width;
  const length = inner / width;
  const run = vector || shape.length === 1 ? 1 : perThread(length, count, width, facts);
  const groups = run > 1 ? run : count >= 65536 ? 4 : 1;
  const workgroup = count >= 256 ? 256 : 64;
  const harness = specialize(harnessSource, {
    COUNT: count,
    GROUPS: groups,
    WORKGROUP: workgroup,
    SAME_ROW: shape.length === 1 || length % groups === 0,
  });
  return {
    kernel: `elementwise/${expression.label}`,
    source: [harness, ...calledFiles(expression), lines.join("\n")].join("\n"),
    bindings: [...bindings, output(0, "out", { dtype: out.dtype, width })],
    workgroups: gridOf(Math.ceil(count / (groups * workgroup)), facts),
    bytes: [out, ...inputs].reduce((sum, x) => sum + byteLength(sizeOf(x.shape), x.dtype), 0),
  };
}
