import { sameShape, type TensorType } from "../core/shape.ts";
import { reachable } from "../graph/node.ts";
import { type Program, programRoots } from "../graph/program.ts";
import type { FusedExpression } from "../ops/elementwise-kernel.ts";
import type { AdapterFacts } from "../ops/kernel.ts";
import type { GraphNode, Value, Variable } from "../ops/op.ts";
import { countStores, takesEpilogue, takesPrologue } from "./inline.ts";

/** A piece of work that the plan schedules as one: an op's kernel, a chain of elementwise ops, or a pack. */
export interface Unit {
  readonly kind: "kernel" | "elementwise" | "pack";
  /** The last node of the unit, whose results it stores. */
  readonly node: GraphNode;
  /** What it reads from memory, views resolved. */
  readonly inputs: readonly Value[];
  /** For kernels: chains that compute an input while it is loaded, by the input's place. */
  readonly prologues?: ReadonlyMap<number, Prologue>;
  /** For kernels: a chain that runs on the result before it is stored; the unit then stores the chain's result. */
  readonly epilogue?: Epilogue;
  /** For elementwise units: the nodes of the chain in order. */
  readonly chain?: readonly GraphNode[];
}

/** An elementwise chain that a kernel runs while loading one input. */
export interface Prologue {
  readonly inputs: readonly Value[];
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
export function storedBy({ node, epilogue }: Unit): Value[] {
  const value = (of: GraphNode, index: number): Value => ({ node: of, index, ...of.outputs[index]! });
  return node.outputs.map((_, index) =>
    index === 0 && epilogue ? value(epilogue.node, 0) : value(node, index),
  );
}

/** Where a pack puts its inputs. */
export function packOffsets(node: GraphNode): readonly number[] {
  const implementation = node.op!.implementation;
  if (implementation.kind !== "pack") throw new Error(`${node.op!.name} is not a pack.`);
  return implementation.offsets(node.attrs);
}

/** The value whose memory holds `value`: views share the memory of what they view. */
export function resolveView(value: Value): Value {
  let current = value;
  while (current.node.op?.implementation.kind === "view") current = current.node.inputs[0]!;
  return current;
}

const isElementwise = (node: GraphNode) => node.op?.implementation.kind === "elementwise";
/** One number in every element; expressions write it out, kernels read it from memory. */
export const isConstant = (node: GraphNode) => node.op?.name === "constant";

/**
 * Divides a program into units. With `fuse`, an elementwise node joins its consumer's unit when every consumer is in
 * that unit, shapes agree and the unit still fits the adapter's bindings: its result then never goes to memory.
 * Constants are written into the expressions that use them.
 */
export function divide(program: Program, facts: AdapterFacts, fuse: boolean): Unit[] {
  const roots = programRoots(program);
  const nodes = reachable(roots);
  const consumers = new Map<GraphNode, Set<GraphNode>>();
  for (const node of nodes)
    for (const input of node.inputs) {
      const set = consumers.get(input.node) ?? new Set();
      set.add(node);
      consumers.set(input.node, set);
    }
  const stored = new Set(roots.map((value) => value.node));

  const groupOf = new Map<GraphNode, GraphNode>();
  const members = new Map<GraphNode, Set<GraphNode>>();
  const externalInputs = (chain: Set<GraphNode>) => {
    const inputs = new Set<string>();
    for (const node of chain)
      for (const input of node.inputs)
        if (!chain.has(input.node) && !isConstant(input.node)) inputs.add(`${input.node.id}:${input.index}`);
    return inputs.size;
  };
  for (const node of [...nodes].reverse()) {
    if (!isElementwise(node)) continue;
    const users = [...(consumers.get(node) ?? [])];
    const target = users.length > 0 ? groupOf.get(users[0]!) : undefined;
    if (
      fuse &&
      target &&
      !stored.has(node) &&
      // What is made f16 is made so to be kept.
      node.outputs[0]!.dtype !== "f16" &&
      !isConstant(node) &&
      users.every((user) => groupOf.get(user) === target) &&
      sameShape(node.outputs[0]!.shape, target.outputs[0]!.shape)
    ) {
      const chain = new Set(members.get(target)!).add(node);
      if (externalInputs(chain) + 1 <= Math.min(facts.maxBindings, 8)) {
        members.set(target, chain);
        groupOf.set(node, target);
        continue;
      }
    }
    groupOf.set(node, node);
    members.set(node, new Set([node]));
  }

  const chainOf = (node: GraphNode) => [...members.get(node)!].sort((a, b) => a.id - b.id);
  const prologues = fuse
    ? findPrologues(nodes, consumers, stored, facts, (node) =>
        groupOf.get(node) === node ? chainOf(node) : undefined,
      )
    : new Map();
  const epilogues = fuse
    ? findEpilogues(nodes, consumers, stored, facts, prologues, (node) =>
        groupOf.get(node) === node ? chainOf(node) : undefined,
      )
    : new Map<GraphNode, Epilogue>();
  const absorbed = new Set<GraphNode>(
    [...prologues.values()].flatMap((list: Map<number, Prologue & { node: GraphNode }>) =>
      [...list.values()].map((p) => p.node),
    ),
  );

  for (const { node } of epilogues.values()) absorbed.add(node);

  const units: Unit[] = [];
  for (const node of nodes) {
    const implementation = node.op?.implementation;
    if (!implementation || implementation.kind === "view" || absorbed.has(node)) continue;
    if (implementation.kind === "elementwise") {
      if (groupOf.get(node) !== node) continue;
      const users = consumers.get(node);
      const inlined = isConstant(node) && !stored.has(node) && users && [...users].every(isElementwise);
      if (inlined) continue;
      const chain = chainOf(node);
      units.push({ kind: "elementwise", node, chain, inputs: chainInputs(chain) });
      continue;
    }
    const own: Map<number, Prologue> | undefined = prologues.get(node);
    const inputs = node.inputs.flatMap((value, i) => own?.get(i)?.inputs ?? [value]).map(resolveView);
    const epilogue = epilogues.get(node);
    if (epilogue) inputs.push(...epilogue.inputs.filter((_, i) => i !== epilogue.hole).map(resolveView));
    units.push({
      kind: implementation.kind === "pack" ? "pack" : "kernel",
      node,
      inputs,
      prologues: own,
      epilogue,
    });
  }
  return units;
}

/** Elementwise chains whose only user is a kernel that can run them while it loads. */
function findPrologues(
  nodes: readonly GraphNode[],
  consumers: ReadonlyMap<GraphNode, ReadonlySet<GraphNode>>,
  stored: ReadonlySet<GraphNode>,
  facts: AdapterFacts,
  chainOf: (node: GraphNode) => GraphNode[] | undefined,
): Map<GraphNode, Map<number, Prologue & { node: GraphNode }>> {
  const result = new Map<GraphNode, Map<number, Prologue & { node: GraphNode }>>();
  for (const node of nodes) {
    const chain = isElementwise(node) && !isConstant(node) && !stored.has(node) ? chainOf(node) : undefined;
    const users = [...(consumers.get(node) ?? [])];
    const user = users[0];
    if (!chain || users.length !== 1 || !user) continue;
    const places = user.inputs.flatMap((x, i) => (x.node === node ? [i] : []));
    const inputs = chainInputs(chain);
    const expression = unitExpression({ kind: "elementwise", node, chain, inputs });
    if (places.length !== 1 || !takesPrologue(user, places[0]!, expression)) continue;
    const before = result.get(user) ?? new Map();
    if (mostBindings(user, facts) + bindingsAdded(before) + inputs.length - 1 > facts.maxBindings) continue;
    result.set(user, before.set(places[0]!, { node, inputs, expression }));
  }
  return result;
}

/** How many buffers more a kernel binds for its prologues: each chain's first input takes the place of the kernel's. */
function bindingsAdded(prologues: ReadonlyMap<number, Prologue> | undefined): number {
  return [...(prologues?.values() ?? [])].reduce((sum, { inputs }) => sum + inputs.length - 1, 0);
}

/** Elementwise chains on the result of a kernel that nobody else reads. */
function findEpilogues(
  nodes: readonly GraphNode[],
  consumers: ReadonlyMap<GraphNode, ReadonlySet<GraphNode>>,
  stored: ReadonlySet<GraphNode>,
  facts: AdapterFacts,
  prologues: ReadonlyMap<GraphNode, ReadonlyMap<number, Prologue & { node: GraphNode }>>,
  chainOf: (node: GraphNode) => GraphNode[] | undefined,
): Map<GraphNode, Epilogue> {
  const taken = new Set([...prologues.values()].flatMap((list) => [...list.values()].map((p) => p.node)));
  const result = new Map<GraphNode, Epilogue>();
  for (const node of nodes) {
    const chain = isElementwise(node) && !isConstant(node) && !taken.has(node) ? chainOf(node) : undefined;
    if (!chain) continue;
    const inputs = chainInputs(chain);
    const expression = unitExpression({ kind: "elementwise", node, chain, inputs });
    const hole = inputs.findIndex((value) => {
      const producer = value.node;
      if (!takesEpilogue(producer, expression) || stored.has(producer) || result.has(producer)) return false;
      // A product of nothing is filled in, not computed.
      if (producer.inputs.some((x) => x.shape.includes(0))) return false;
      return (
        sameShape(value.shape, node.outputs[0]!.shape) &&
        value.index === 0 &&
        // Others may read the kernel's other results.
        [...consumers.get(producer)!].every(
          (user) => chain.includes(user) || user.inputs.every((x) => x.node !== producer || x.index !== 0),
        ) &&
        chain.every((user) => user.inputs.every((x) => x.node !== producer || x.index === 0)) &&
        mostBindings(producer, facts) + bindingsAdded(prologues.get(producer)) + inputs.length - 1 <=
          facts.maxBindings &&
        mostStores(producer, facts) <= (facts.software ? 1 : STORES)
      );
    });
    if (hole >= 0) result.set(inputs[hole]!.node, { node, inputs, expression, hole });
  }
  return result;
}

/** A chain is repeated at each store of a kernel's text. A software driver then compiles for seconds: one is enough. */
const STORES = 64;

/** How often the default variant of a kernel stores its result, in its text. */
function mostStores(node: GraphNode, facts: AdapterFacts): number {
  const implementation = node.op!.implementation;
  if (implementation.kind !== "kernel") return 0;
  const { inputs, outputs, attrs } = node;
  const [variant] = implementation.kernel({ inputs, outputs, attrs, facts });
  return Math.max(...variant!.dispatches.map(countStores));
}

/** The most buffers that any dispatch of a kernel binds. */
function mostBindings(node: GraphNode, facts: AdapterFacts): number {
  const implementation = node.op!.implementation;
  if (implementation.kind !== "kernel") return 0;
  const { inputs, outputs, attrs } = node;
  const variants = implementation.kernel({ inputs, outputs, attrs, facts });
  return Math.max(...variants.flatMap((v) => v.dispatches.map((d) => d.bindings.length)));
}

/** What a chain reads that it does not compute itself; a value read in two shapes counts twice. */
function chainInputs(chain: readonly GraphNode[]): Value[] {
  const inside = new Set(chain);
  const inputs = new Map<string, Value>();
  for (const node of chain)
    for (const input of node.inputs)
      if (!inside.has(input.node) && !isConstant(input.node))
        inputs.set(`${input.node.id}:${input.index}`, input);
  return [...inputs.values()];
}

/** The WGSL expression of an elementwise unit. */
export function unitExpression(unit: Unit): FusedExpression {
  const chain = unit.chain!;
  const names = new Map<string, string>();
  unit.inputs.forEach((input, i) => {
    names.set(`${input.node.id}:${input.index}`, `x${i}`);
  });
  const lines: string[] = [];
  const functions: string[] = [];
  chain.forEach((node, i) => {
    const implementation = node.op!.implementation;
    if (implementation.kind !== "elementwise") throw new Error(`${node.op!.name} is not elementwise.`);
    const args = node.inputs.map((input) => {
      const name = names.get(`${input.node.id}:${input.index}`);
      if (name) return name;
      const literal = input.node.op!.implementation;
      if (literal.kind !== "elementwise") throw new Error("Only constants are inlined.");
      return literal.expression([], input.node.attrs, []);
    });
    const name = i === chain.length - 1 ? "result" : `t${i}`;
    lines.push(`  let ${name} = ${implementation.expression(args, node.attrs, node.inputs)};`);
    names.set(`${node.id}:0`, name);
    functions.push(...(implementation.functions ?? []));
  });
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
  const reads: { variable: Variable; unit: number }[] = [];
  units.forEach((unit, i) => {
    for (const value of unit.inputs) {
      const base = resolveView(value);
      const from = producer.get(base.node);
      if (from !== undefined) edge(from, i);
      if (base.node.leaf?.kind === "variable") reads.push({ variable: base.node.leaf.variable, unit: i });
    }
  });
  for (const [node, variables] of inPlace) {
    const writer = producer.get(node)!;
    for (const { variable, unit } of reads)
      if (variables.some((v) => overlap(v, variable))) edge(unit, writer);
  }
  const order: Unit[] = [];
  const ready = units.flatMap((_, i) => (waiting[i] === 0 ? [i] : []));
  while (ready.length > 0) {
    ready.sort((a, b) => lastNode(units[a]!).id - lastNode(units[b]!).id);
    const i = ready.shift()!;
    order.push(units[i]!);
    for (const next of after[i]!) if (--waiting[next]! === 0) ready.push(next);
  }
  return order.length === units.length ? order : null;
}
