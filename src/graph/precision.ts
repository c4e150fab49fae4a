import { applyOp, type GraphNode, type OpRecord, Tensor } from "../core/op.ts";
import { sameShape, sizeOf } from "../core/shape.ts";
import { cast } from "../ops/elementwise/unary.ts";
import { reachable, valueKey } from "./node.ts";
import { type Program, programRoots } from "./program.ts";

const halfOf = (op: OpRecord | null) =>
  op?.implementation.kind === "kernel" ? op.implementation.half : undefined;
const isView = (node: GraphNode) => node.op?.implementation.kind === "view";
const resultOf = (node: GraphNode, index: number) => new Tensor(node, index);

/** The tensors that a program keeps as f16: what its ops' records mark, and views of it. */
function halfTensors(nodes: readonly GraphNode[], roots: readonly Tensor[]): Set<string> {
  const half = new Set<string>();
  const outside = new Set(roots.map(({ node }) => node));
  const readers = new Map<GraphNode, Set<GraphNode>>();
  for (const node of nodes)
    for (const { node: from } of node.inputs) readers.set(from, (readers.get(from) ?? new Set()).add(node));
  /** What a kernel's result has become when it is stored: its bias and activation come first. */
  const stored = (value: Tensor): Tensor => {
    const [reader, ...others] = readers.get(value.node) ?? [];
    const elementwise = reader?.op?.implementation.kind === "elementwise";
    if (!elementwise || others.length > 0 || outside.has(value.node)) return value;
    const next = resultOf(reader, 0);
    const biased = reader.inputs.every((x) => x.node === value.node || sizeOf(x.shape) < sizeOf(value.shape));
    return biased && next.dtype === "f32" && sameShape(next.shape, value.shape) ? stored(next) : value;
  };
  const mark = (value: Tensor): void => {
    if (value.dtype !== "f32" || value.node.op?.name === "constant") return;
    half.add(valueKey(value));
    if (isView(value.node)) mark(value.node.inputs[0]!);
  };
  for (const node of nodes) {
    const { inputs = [], outputs = [] } = halfOf(node.op) ?? {};
    for (const i of inputs) mark(node.inputs[i]!);
    for (const i of outputs) mark(stored(resultOf(node, i)));
  }
  for (const node of nodes) if (isView(node) && half.has(valueKey(node.inputs[0]!))) mark(resultOf(node, 0));
  return half;
}

/**
 * The same program with activations, their gradients and the weights' working copies kept as f16: every tensor that
 * an op's record marks is rounded to f16 where it is made and widened where it is read. All arithmetic stays f32, and
 * so does every variable, and whatever no record marks: statistics, losses, weight gradients, updates. What is looked at
 * in a part of the same graph, `like`, does not move where that is rounded.
 *
 * The planner joins the casts to the kernels beside them, which then store and load f16.
 * Source: Micikevicius et al., "Mixed precision training", ICLR 2018, §3.
 */
export function mixedPrecision(program: Program, like: Program = program): Program {
  const nodes = reachable(programRoots(program));
  const half = halfTensors(reachable(programRoots(like)), programRoots(like));
  const rebuilt = new Map<string, Tensor>();
  const rounded = new Map<string, Tensor>();
  const roundedOf = (value: Tensor): Tensor => {
    const key = valueKey(value);
    let result = rounded.get(key);
    if (!result) {
      result = isView(value.node)
        ? applyOp(value.node.op!, [roundedOf(value.node.inputs[0]!)], value.node.attrs)[0]!
        : cast(rebuilt.get(key)!, { dtype: "f16" });
      rounded.set(key, result);
    }
    return result;
  };
  // A cast for each reader, so that each can take it in. Variables and feeds are rounded for marked inputs only.
  const read = (value: Tensor, marked: boolean): Tensor =>
    half.has(valueKey(value)) && (marked || value.node.op)
      ? cast(roundedOf(value), { dtype: "f32" })
      : rebuilt.get(valueKey(value))!;
  for (const node of nodes) {
    if (!node.op) rebuilt.set(`${node.id}:0`, resultOf(node, 0));
    else if (!isView(node) || !half.has(`${node.id}:0`)) {
      const inputs = halfOf(node.op)?.inputs ?? [];
      const results = applyOp(
        node.op,
        node.inputs.map((x, i) => read(x, inputs.includes(i))),
        node.attrs,
      );
      results.forEach((value, i) => {
        rebuilt.set(`${node.id}:${i}`, value);
      });
    }
  }
  return {
    name: program.name,
    outputs:
      program.outputs &&
      Object.fromEntries(Object.entries(program.outputs).map(([name, value]) => [name, read(value, false)])),
    updates: program.updates?.map(({ variable, value }) => ({ variable, value: read(value, false) })),
  };
}
