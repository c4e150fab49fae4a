import { type Arena, type GraphNode, Tensor, type Variable } from "../core/op.ts";
import type { TensorType } from "../core/shape.ts";
import { type Chain, chainCode, isConstant } from "../graph/expression.ts";
import { valueKey } from "../graph/node.ts";
import type { FusedExpression } from "../ops/elementwise/kernel.ts";
import { Heap } from "./heap.ts";

/** A piece of work that the plan schedules as one: an op's kernel, a chain of elementwise ops, or a pack. */
export interface Unit {
  readonly kind: "kernel" | "elementwise" | "pack";
  /** The last node of the unit, whose results it stores. */
  readonly node: GraphNode;
  /** What it reads from memory, views resolved. */
  readonly inputs: readonly Tensor[];
  /** For kernels: chains that compute an input while it is loaded, by the input's place. */
  readonly prologues?: ReadonlyMap<number, Prologue>;
  /** For kernels: a chain that runs on the result before it is stored; the unit then stores the chain's result. */
  readonly epilogue?: Epilogue;
  /** For elementwise units: the nodes of the chain in order. */
  readonly chain?: Chain;
}

/** An elementwise chain that a kernel runs while loading one input. */
export interface Prologue {
  readonly inputs: readonly Tensor[];
  readonly expression: FusedExpression;
}

/** An elementwise chain that a kernel runs on its result. */
export interface Epilogue extends Prologue {
  readonly node: GraphNode;
  /** Which of the chain's inputs is the kernel's result. */
  readonly hole: number;
}

/** The node that a unit computes last. */
export const lastNode = (unit: Unit): GraphNode => unit.epilogue?.node ?? unit.node;

/** What a unit leaves in memory, in the order of its kernel's results: an epilogue's result stands for its input. */
export function storedBy({ node, epilogue }: Unit): Tensor[] {
  return node.outputs.map((_, index) =>
    index === 0 && epilogue ? new Tensor(epilogue.node) : new Tensor(node, index),
  );
}

/** Where a pack puts its inputs. */
export function packOffsets(node: GraphNode): readonly number[] {
  const implementation = node.op!.implementation;
  if (implementation.kind !== "pack") throw new Error(`${node.op!.name} is not a pack.`);
  return implementation.offsets(node.attrs);
}

/** The value whose memory holds `value`: views share the memory of what they view. */
export function resolveView(value: Tensor): Tensor {
  let current = value;
  while (current.node.op?.implementation.kind === "view") current = current.node.inputs[0]!;
  return current;
}

/** The value that a result may overwrite, where its op's record names one. */
export function overwrittenBy({ node, index }: Tensor): Tensor | undefined {
  const source = node.op?.inPlace?.[index] ?? -1;
  const input = node.inputs[source];
  return input && resolveView(input);
}

/** What a chain reads that it does not compute itself; a value read in two shapes counts twice. */
export function chainInputs(chain: Chain): Tensor[] {
  const inside = new Set(chain);
  const inputs = new Map<string, Tensor>();
  for (const node of chain)
    for (const input of node.inputs)
      if (!inside.has(input.node) && !isConstant(input.node)) inputs.set(valueKey(input), input);
  return [...inputs.values()];
}

/** The WGSL expression of an elementwise unit. */
export function unitExpression(unit: Unit): FusedExpression {
  const chain = unit.chain!;
  const names = new Map<string, string>();
  unit.inputs.forEach((input, i) => {
    names.set(valueKey(input), `x${i}`);
  });
  const last = chain.length - 1;
  const { lines, functions } = chainCode(chain, names, (i) => (i === last ? "result" : `t${i}`));
  const inputs: TensorType[] = unit.inputs.map(({ shape, dtype }) => ({ shape, dtype }));
  const label = chain
    .filter((node) => !isConstant(node) || chain.length === 1)
    .map((node) => node.op!.name)
    .join("+");
  return { output: unit.node.outputs[0]!, inputs, body: lines.join("\n"), functions, label };
}

/** Whether two variables share memory. */
function overlap(a: Variable, b: Variable): boolean {
  if (a.arena !== b.arena) return false;
  const end = (v: Variable) => v.offset + v.shape.reduce((x, y) => x * y, 1);
  return a.offset < end(b) && b.offset < end(a);
}

/**
 * Orders units: inputs first, and whoever reads a variable before the unit that overwrites it in place.
 * Among units that are ready, the one traced first runs first, so the order is deterministic.
 */
export function schedule(
  units: readonly Unit[],
  inPlace: ReadonlyMap<GraphNode, readonly Variable[]>,
): Unit[] | null {
  const producer = new Map<GraphNode, number>();
  units.forEach((unit, i) => {
    for (const { node } of storedBy(unit)) producer.set(node, i);
  });
  const after: Set<number>[] = units.map(() => new Set());
  const waiting = units.map(() => 0);
  const edge = (from: number, to: number) => {
    if (from === to || after[from]!.has(to)) return;
    after[from]!.add(to);
    waiting[to]!++;
  };
  const reads = new Map<Arena, { variable: Variable; unit: number }[]>();
  units.forEach((unit, i) => {
    for (const value of unit.inputs) {
      const base = resolveView(value);
      const from = producer.get(base.node);
      if (from !== undefined) edge(from, i);
      if (base.node.leaf?.kind !== "variable") continue;
      const { variable } = base.node.leaf;
      const list = reads.get(variable.arena) ?? [];
      list.push({ variable, unit: i });
      reads.set(variable.arena, list);
    }
  });
  for (const [node, variables] of inPlace) {
    const writer = producer.get(node)!;
    for (const written of variables)
      for (const { variable, unit } of reads.get(written.arena) ?? [])
        if (overlap(written, variable)) edge(unit, writer);
  }
  const order: Unit[] = [];
  const ids = units.map((unit) => lastNode(unit).id);
  const ready = new Heap((unit) => ids[unit]!);
  units.forEach((_, i) => {
    if (waiting[i] === 0) ready.push(i);
  });
  for (let i = ready.pop(); i !== undefined; i = ready.pop()) {
    order.push(units[i]!);
    for (const next of after[i]!) if (--waiting[next]! === 0) ready.push(next);
  }
  return order.length === units.length ? order : null;
}
