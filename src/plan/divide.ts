import type { AdapterFacts } from "../core/kernel.ts";
import type { GraphNode, Tensor } from "../core/op.ts";
import { sameShape } from "../core/shape.ts";
import { type Chain, isConstant, isElementwise } from "../graph/expression.ts";
import { reachable, valueKey } from "../graph/node.ts";
import { type Program, programRoots } from "../graph/program.ts";
import { countStores, kernelOf, takesEpilogue } from "./inline.ts";
import type { Kernels } from "./kernels.ts";
import {
  chainInputs,
  type Epilogue,
  type Prologue,
  resolveView,
  type Unit,
  unitExpression,
} from "./units.ts";

/** Elementwise nodes that one kernel evaluates: a unit of their own, or inside the kernel that reads `root`. */
interface Group {
  readonly root: GraphNode;
  readonly nodes: Set<GraphNode>;
  /** The kernel whose input the group computes while it is loaded. */
  readonly into?: { readonly kernel: GraphNode; readonly input: number };
}

/** Who reads a value: a group of elementwise nodes, a kernel's input, or somebody who needs it in memory as it is. */
interface Reader {
  readonly group?: Group;
  readonly kernel?: GraphNode;
  readonly input?: number;
}

/** A driver compiles a chain for each store of a kernel's text. A software driver then compiles for seconds: one is enough. */
const STORES = 64;
/** Inputs of one elementwise kernel, so that every adapter can bind them. */
const MOST_INPUTS = 7;
/** Nodes of one chain: a recurrence of elementwise ops is cut into kernels that are alike, however long it is. */
const MOST_NODES = 48;

/**
 * Divides a program into units. With `fuse`, an elementwise node joins whoever reads its result when that is one unit
 * of the same shape: its result then never goes to memory. Kernels that can evaluate a chain while they load do so; a
 * cheap chain over one tensor is even evaluated again by each of its readers rather than stored for the backward pass.
 * Constants are written into the expressions that use them.
 */
export function divide(program: Program, facts: AdapterFacts, fuse: boolean, kernels: Kernels): Unit[] {
  return new Division(program, facts, fuse, kernels).units();
}

class Division {
  private readonly nodes: GraphNode[];
  /** Values that somebody outside the graph reads. */
  private readonly stored: Set<GraphNode>;
  private readonly consumers = new Map<GraphNode, Set<GraphNode>>();
  private readonly readers = new Map<string, Reader[]>();
  private readonly groups = new Map<GraphNode, Group>();
  private readonly prologues = new Map<GraphNode, Group[]>();
  private readonly cheap = new Map<GraphNode, boolean>();

  constructor(
    program: Program,
    private readonly facts: AdapterFacts,
    private readonly fuse: boolean,
    private readonly kernels: Kernels,
  ) {
    const roots = programRoots(program);
    this.nodes = reachable(roots);
    this.stored = new Set(roots.map((value) => value.node));
    for (const node of this.nodes)
      for (const input of node.inputs) {
        const set = this.consumers.get(input.node) ?? new Set();
        set.add(node);
        this.consumers.set(input.node, set);
      }
    // Backwards, so that all readers of a node are known when its turn comes.
    for (const node of [...this.nodes].reverse()) this.place(node);
  }

  private place(node: GraphNode): void {
    const implementation = node.op?.implementation;
    if (!implementation) return;
    if (!isElementwise(node)) {
      const direct = implementation.kind === "kernel";
      node.inputs.forEach((value, input) => {
        this.read(value, direct ? { kernel: node, input } : {});
      });
      return;
    }
    if (isConstant(node)) return;
    const key = `${node.id}:0`;
    const readers = this.readers.get(key) ?? [];
    const left = this.fuse && !this.stored.has(node) ? this.inlineInto(node, readers) : readers;
    this.readers.set(key, [...left]);
    if (left.length > 0 || this.stored.has(node)) {
      const group = { root: node, nodes: new Set([node]) };
      this.groups.set(node, group);
      this.readInputs(group, node);
    }
  }

  private read(value: Tensor, reader: Reader): void {
    const key = valueKey(value);
    const list = this.readers.get(key) ?? [];
    if (!reader.group || !list.some((other) => other.group === reader.group)) list.push(reader);
    this.readers.set(key, list);
  }

  private readInputs(group: Group, node: GraphNode): void {
    for (const value of node.inputs) if (!group.nodes.has(value.node)) this.read(value, { group });
  }

  /** Lets readers evaluate the node themselves; returns those that still need its result in memory. */
  private inlineInto(node: GraphNode, readers: readonly Reader[]): readonly Reader[] {
    // What is made f16 is made so to be kept, unless it comes from f16 that is kept anyway.
    const kept = node.outputs[0]!.dtype === "f16";
    if (readers.length === 1 && !kept) {
      const [reader] = readers as [Reader];
      const { group } = reader;
      if (group && sameShape(node.outputs[0]!.shape, group.root.outputs[0]!.shape))
        return this.join(group, [node]) ? [] : readers;
      return this.load(reader, [node]) ? [] : readers;
    }
    const again = this.recomputable(node);
    if (!again || (kept && again.source.dtype !== "f16")) return readers;
    const able = readers.filter((reader) => this.couldLoad(reader));
    // Unless every reader evaluates the chain, it is stored anyway: then only those gain that read its source too.
    const gains = able.length === readers.length ? able : able.filter((r) => this.binds(r, again.source));
    const done = gains.filter((reader) =>
      reader.group ? this.join(reader.group, again.chain) : this.load(reader, again.chain),
    );
    return readers.filter((reader) => !done.includes(reader));
  }

  /** The chain that computes a node from one stored tensor and small ones, where that costs next to nothing. */
  private recomputable(node: GraphNode): { chain: GraphNode[]; source: Tensor } | undefined {
    const { shape } = node.outputs[0]!;
    const chain = new Set<GraphNode>();
    const visit = (at: GraphNode) => {
      chain.add(at);
      for (const { node: from } of at.inputs) {
        const alone = [...this.consumers.get(from)!].every((user) => chain.has(user));
        if (isElementwise(from) && !isConstant(from) && alone && !this.stored.has(from))
          if (sameShape(from.outputs[0]!.shape, shape)) visit(from);
      }
    };
    visit(node);
    const large = chainInputs([...chain]).filter((value) => sameShape(value.shape, shape));
    const source = large[0];
    if (large.length !== 1 || !source || ![...chain].every((at) => this.isCheap(at))) return undefined;
    // A kernel that can finish its result with the chain stores that, and its raw result is never needed.
    const others = [...this.consumers.get(source.node)!].filter((user) => !chain.has(user));
    if (kernelOf(source.node)?.stores && others.length === 0) return undefined;
    return { chain: [...chain], source };
  }

  /** Whether a reader could evaluate a chain while it loads the chain's result. */
  private couldLoad({ group, kernel, input }: Reader): boolean {
    if (group) return group.into !== undefined;
    const { loads = [], reloads = [], half } = (kernel && kernelOf(kernel)) ?? {};
    return [...loads, ...reloads, ...(half?.inputs ?? [])].includes(input!);
  }

  private binds(reader: Reader, source: Tensor): boolean {
    const kernel = reader.kernel ?? reader.group?.into?.kernel;
    const base = valueKey(resolveView(source));
    return kernel?.inputs.some((x) => valueKey(resolveView(x)) === base) ?? false;
  }

  /** Adds nodes to a group, if it then still fits the adapter. */
  private join(group: Group, chain: readonly GraphNode[]): boolean {
    const added = chain.filter((node) => !group.nodes.has(node));
    if (group.nodes.size + added.length > MOST_NODES) return false;
    for (const node of added) group.nodes.add(node);
    const fits = group.into
      ? this.suits(group)
      : chainInputs([...group.nodes]).length <= Math.min(this.facts.maxBindings - 1, MOST_INPUTS);
    if (!fits) {
      for (const node of added) group.nodes.delete(node);
      return false;
    }
    for (const node of added) this.readInputs(group, node);
    return true;
  }

  /** Starts a prologue: the kernel evaluates the chain where it loads its result. */
  private load(reader: Reader, chain: readonly GraphNode[]): boolean {
    const { kernel, input } = reader;
    if (!kernel || !this.couldLoad(reader)) return false;
    const root = chain[0]!;
    if (kernel.inputs.filter((x) => x.node === root).length !== 1) return false;
    const group: Group = { root, nodes: new Set(chain), into: { kernel, input: input! } };
    const before = this.prologues.get(kernel) ?? [];
    this.prologues.set(kernel, [...before, group]);
    if (!this.suits(group)) {
      this.prologues.set(kernel, before);
      return false;
    }
    for (const node of chain) this.readInputs(group, node);
    return true;
  }

  private suits({ root, nodes, into }: Group): boolean {
    const { kernel, input } = into!;
    const inputs = chainInputs([...nodes]);
    if (!inputs.some((x) => sameShape(x.shape, root.outputs[0]!.shape))) return false;
    const { loads = [], reloads = [] } = kernelOf(kernel)!;
    if (!loads.includes(input) && ![...nodes].every((node) => this.isCheap(node))) return false;
    // Elsewhere a kernel only widens f16.
    if (![...loads, ...reloads].includes(input) && (inputs.length > 1 || inputs[0]!.dtype !== "f16"))
      return false;
    return this.mostBindings(kernel) + this.appended(kernel) <= this.facts.maxBindings;
  }

  /** How many bindings the prologues of a kernel add to its own. */
  private appended(kernel: GraphNode): number {
    return (this.prologues.get(kernel) ?? []).reduce((n, g) => n + chainInputs([...g.nodes]).length - 1, 0);
  }

  units(): Unit[] {
    const epilogues = this.fuse ? this.findEpilogues() : new Map<GraphNode, Epilogue>();
    const absorbed = new Set([...epilogues.values()].map(({ node }) => node));
    const units: Unit[] = [];
    for (const node of this.nodes) {
      const implementation = node.op?.implementation;
      if (!implementation || implementation.kind === "view" || absorbed.has(node)) continue;
      if (isConstant(node)) {
        const users = [...(this.consumers.get(node) ?? [])];
        if (!this.stored.has(node) && users.length > 0 && users.every(isElementwise)) continue;
        units.push({ kind: "elementwise", node, chain: [node], inputs: [] });
      } else if (isElementwise(node)) {
        const group = this.groups.get(node);
        if (!group) continue;
        const chain = inOrder(group.nodes);
        units.push({ kind: "elementwise", node, chain, inputs: chainInputs(chain) });
      } else units.push(this.kernelUnit(node, epilogues.get(node)));
    }
    return units;
  }

  private kernelUnit(node: GraphNode, epilogue: Epilogue | undefined): Unit {
    const prologues = new Map(
      (this.prologues.get(node) ?? []).map((group): [number, Prologue] => [
        group.into!.input,
        prologueOf(group.root, inOrder(group.nodes)),
      ]),
    );
    const inputs = node.inputs.flatMap((value, i) => prologues.get(i)?.inputs ?? [value]);
    if (epilogue) inputs.push(...epilogue.inputs.filter((_, i) => i !== epilogue.hole));
    return {
      kind: node.op!.implementation.kind === "pack" ? "pack" : "kernel",
      node,
      inputs: inputs.map(resolveView),
      prologues,
      epilogue,
    };
  }

  /** Groups that finish the result of a kernel which nobody else reads. */
  private findEpilogues(): Map<GraphNode, Epilogue> {
    const result = new Map<GraphNode, Epilogue>();
    for (const group of [...this.groups.values()].reverse()) {
      const { root } = group;
      const chain = inOrder(group.nodes);
      const prologue = prologueOf(root, chain);
      const hole = prologue.inputs.findIndex((value) => {
        const producer = value.node;
        if (!takesEpilogue(producer, prologue.expression) || this.stored.has(producer)) return false;
        // A product of nothing is filled in, not computed.
        if (result.has(producer) || producer.inputs.some((x) => x.shape.includes(0))) return false;
        if (prologue.inputs.some((x) => x.node === producer && x.index !== 0)) return false;
        const bindings = this.mostBindings(producer) + this.appended(producer) + prologue.inputs.length - 1;
        return (
          sameShape(value.shape, root.outputs[0]!.shape) &&
          this.readers.get(valueKey(value))!.every((reader) => reader.group === group) &&
          bindings <= this.facts.maxBindings &&
          this.mostStores(producer) <= (this.facts.software ? 1 : STORES)
        );
      });
      if (hole >= 0) result.set(prologue.inputs[hole]!.node, { node: root, ...prologue, hole });
    }
    return result;
  }

  private isCheap(node: GraphNode): boolean {
    let cheap = this.cheap.get(node);
    if (cheap === undefined) this.cheap.set(node, (cheap = isCheap(node)));
    return cheap;
  }

  /** How many calls in the text of a kernel's default variant store its result. */
  private mostStores(node: GraphNode): number {
    return Math.max(0, ...(this.kernels.variants(node)[0]?.dispatches ?? []).map(countStores));
  }

  /** The most buffers that any dispatch of a kernel binds. */
  private mostBindings(node: GraphNode): number {
    return Math.max(
      0,
      ...this.kernels.variants(node).flatMap((v) => v.dispatches.map((d) => d.bindings.length)),
    );
  }
}

const inOrder = (nodes: ReadonlySet<GraphNode>) => [...nodes].sort((a, b) => a.id - b.id);

function prologueOf(node: GraphNode, chain: Chain): Prologue {
  const inputs = chainInputs(chain);
  return { inputs, expression: unitExpression({ kind: "elementwise", node, chain, inputs }) };
}

const CHEAP = new Set(["abs", "bitcast", "clamp", "f16", "f32", "fma", "max", "min", "select", "to_half"]);

/** Whether evaluating an op again costs about as little as an addition. */
function isCheap(node: GraphNode): boolean {
  const implementation = node.op!.implementation;
  if (implementation.kind !== "elementwise") return false;
  const text = implementation.expression(
    node.inputs.map((_, i) => `x${i}`),
    node.attrs,
    node.inputs,
  );
  const called = [...text.matchAll(/\b(\w+)\(/g)].map(([, name]) => name!);
  return !text.includes("/") && called.every((name) => CHEAP.has(name));
}
