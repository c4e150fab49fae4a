import { bytesPerElement, type NumericArray } from "../core/dtype.ts";
import { DeviceError } from "../core/errors.ts";
import type { Access, AdapterFacts, Binding, Dispatch, KernelVariant } from "../core/kernel.ts";
import type { Arena, GraphNode, Tensor, Variable } from "../core/op.ts";
import { sameShape, showType, sizeOf, type TensorType } from "../core/shape.ts";
import { halfInputs, reachable, valueKey } from "../graph/node.ts";
import { checkProgram, type Program, programRoots } from "../graph/program.ts";
import { copyDispatch, fillDispatch } from "../ops/layout/copy-kernel.ts";
import { divide } from "./divide.ts";
import { refusal, refuseExcluded, variantKey } from "./excluded.ts";
import { kernelOf } from "./inline.ts";
import { Kernels } from "./kernels.ts";
import { assignBuffers } from "./memory.ts";
import { bytesOf, type Memory, Placement, type Range } from "./placement.ts";
import {
  lastNode,
  overwrittenBy,
  packOffsets,
  resolveView,
  schedule,
  storedBy,
  type Unit,
  unitExpression,
} from "./units.ts";

/** One dispatch of a plan. */
export interface PlanStep {
  readonly kernel: string;
  readonly source: string;
  /** @internal */
  readonly bindings: readonly (Range & { readonly access: Access })[];
  readonly workgroups: readonly [number, number, number];
  /** The graph node whose results the step stores (or part of them). */
  readonly node: GraphNode;
  readonly flops: number;
  readonly bytes: number;
}

/** A program compiled for one adapter: a flat list of dispatches that is replayed as it is. */
export interface Plan {
  readonly name: string;
  readonly steps: readonly PlanStep[];
  /**
   * Bytes of each shared buffer.
   * @internal
   */
  readonly pool: readonly number[];
  /**
   * Bytes of each own buffer.
   * @internal
   */
  readonly own: readonly number[];
  /**
   * Own buffers that the host writes once: constants that kernels read, and the words of dispatches.
   * @internal
   */
  readonly fills: readonly { readonly slot: number; readonly words: Uint32Array }[];
  /** @internal */
  readonly feeds: ReadonlyMap<string, Range & { readonly type: TensorType }>;
  /** @internal */
  readonly feedBytes: number;
  /**
   * Feeds that never change, by name.
   * @internal
   */
  readonly data: ReadonlyMap<string, NumericArray>;
  /** @internal */
  readonly outputs: ReadonlyMap<string, Range & { readonly type: TensorType }>;
  /** @internal */
  readonly arenas: ReadonlySet<Arena>;
  /** The kernel variant of each op that has several, by `kernelKey`. */
  readonly choices: ReadonlyMap<string, string>;
}

/** How a program is compiled. */
export interface PlanOptions {
  /** Keep elementwise chains as one kernel; true by default. */
  readonly fuse?: boolean;
  /**
   * Kernel variant by op and shape class, as `tune` and `storedChoices` give it; the first variant otherwise, or where a program
   * in a browser names one that only measuring chooses and has called neither.
   */
  readonly choices?: ReadonlyMap<string, string>;
  /** Kernels that compute wrong on this adapter, by `variantKey`: never used, whatever was chosen. */
  readonly excluded?: ReadonlyMap<string, string>;
}

/** Names an op at given shapes, and inputs that are kept as f16: what the choice of a kernel variant depends on. */
export function kernelKey(node: GraphNode): string {
  const attrs = node.attrs === undefined ? "" : JSON.stringify(node.attrs);
  const half = halfInputs(node);
  const inputs = node.inputs.map((x, i) => showType(half.includes(i) ? { ...x, dtype: "f16" } : x));
  return `${node.op!.name}(${inputs.join(", ")})${attrs}`;
}

const mebibytes = (bytes: number) => Number((bytes / 2 ** 20).toPrecision(3));

/** Compiles a program: units, order, kernels, memory. */
export function compilePlan(program: Program, facts: AdapterFacts, options: PlanOptions = {}): Plan {
  checkProgram(program);
  refuseExcluded(program, options.excluded);
  const inPlace = inPlaceNodes(program);
  const kernels = new Kernels(facts);
  let units = divide(program, facts, options.fuse ?? true, kernels);
  let ordered = schedule(units, inPlace);
  if (!ordered) {
    // A chain that reads a variable both before and after its update cannot be one kernel.
    units = divide(program, facts, false, kernels);
    ordered = schedule(units, inPlace);
    if (!ordered) throw new Error(`${program.name}: an update depends on a value that it overwrites.`);
  }
  return new PlanBuilder(program, facts, options, inPlace, ordered, kernels).build();
}

/**
 * Nodes that overwrite the variable they read, because an update stores their result there; or because a node that
 * overwrites it in turn is the only one to read their result.
 */
function inPlaceNodes(program: Program): Map<GraphNode, Variable[]> {
  const result = new Map<GraphNode, Variable[]>();
  let reads: Map<string, number> | undefined;
  const readOnce = (value: Tensor) => (reads ??= countReads(program)).get(valueKey(value)) === 1;
  for (const { variable, value } of program.updates ?? []) {
    const chain: GraphNode[] = [];
    let at: Tensor | undefined = value;
    while (at && (at === value || readOnce(at))) {
      chain.push(at.node);
      at = overwrittenBy(at);
      if (at?.node.leaf?.kind !== "variable") continue;
      if (sameVariable(at.node.leaf.variable, variable))
        for (const node of chain) result.set(node, [...(result.get(node) ?? []), variable]);
      break;
    }
  }
  return result;
}

const sameVariable = (a: Variable, b: Variable) =>
  a.arena === b.arena && a.offset === b.offset && sameShape(a.shape, b.shape);

/** How many nodes read each value, or the program outside of them. */
function countReads(program: Program): Map<string, number> {
  const roots = programRoots(program);
  const readers = reachable(roots).filter(({ op }) => op?.implementation.kind !== "view");
  const counts = new Map<string, number>();
  for (const x of [...roots, ...readers.flatMap(({ inputs }) => inputs)]) {
    const key = valueKey(resolveView(x));
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** Whether two ranges begin at the same place of an arena. */
const samePlace = (a: Range, b: Range) =>
  a.memory.kind === "arena" &&
  b.memory.kind === "arena" &&
  a.memory.arena === b.memory.arena &&
  a.offset === b.offset;

class PlanBuilder {
  private readonly steps: PlanStep[] = [];
  private readonly chosen = new Map<string, string>();
  private readonly placement: Placement;
  /** Kernels whose result's moments a later unit wants, and where that unit is. */
  private readonly momentsWanted = new Map<GraphNode, number>();
  private readonly momentsLeft = new Map<GraphNode, { range: Range; slabs: number }>();
  /** Values that a unit or somebody outside reads. */
  private read: ReadonlySet<string> | undefined;

  constructor(
    private readonly program: Program,
    private readonly facts: AdapterFacts,
    private readonly options: PlanOptions,
    private readonly inPlace: ReadonlyMap<GraphNode, readonly Variable[]>,
    private readonly units: readonly Unit[],
    private readonly kernels: Kernels,
  ) {
    this.placement = new Placement(program, inPlace, options.fuse ?? true, units);
    if (options.fuse !== false) this.findMoments();
  }

  build(): Plan {
    this.units.forEach((unit, at) => {
      this.emit(unit, at);
    });
    this.emitCopies(this.units.length);
    this.placement.finishWords();
    return this.finish();
  }

  /** Who reads only the moments of a kernel's result, as it was stored, can have them of that kernel. */
  private findMoments(): void {
    const raw = new Set(
      this.units.flatMap(({ kind, node, epilogue }) => (kind === "kernel" && !epilogue ? [node] : [])),
    );
    this.units.forEach(({ node, prologues }, at) => {
      const [x] = node.inputs;
      if (!x || !fromMoments(node) || prologues?.has(0) || x.index !== 0 || !raw.has(x.node)) return;
      if (sizeOf(x.shape) > 0 && !this.momentsWanted.has(x.node)) this.momentsWanted.set(x.node, at);
    });
  }

  private locate(value: Tensor): Range {
    return this.placement.locate(value);
  }

  private push(dispatch: Dispatch, node: GraphNode, ranges: readonly Range[]): void {
    dispatch.bindings.forEach((_, i) => {
      this.checkLimit(ranges[i]!, node);
    });
    if (dispatch.bindings.length > this.facts.maxBindings)
      throw new DeviceError(
        `${dispatch.kernel}: binds ${dispatch.bindings.length} buffers, the adapter's maxStorageBuffersPerShaderStage is ${this.facts.maxBindings}; ${dispatch.remedy ?? "use fewer tensors, or less data"}.`,
      );
    // WebGPU would refuse it at the first run; better to know while compiling, on any machine.
    const writes = dispatch.bindings.flatMap((b, i) =>
      b.access === "read" ? [] : [memoryKey(ranges[i]!.memory)],
    );
    if (
      dispatch.bindings.some((b, i) => b.access === "read" && writes.includes(memoryKey(ranges[i]!.memory)))
    )
      throw new Error(`${dispatch.kernel} binds one buffer to read and to write.`);
    this.steps.push({
      kernel: dispatch.kernel,
      source: this.kernels.source(dispatch),
      bindings: dispatch.bindings.map((binding, i) => ({ ...ranges[i]!, access: binding.access })),
      workgroups: dispatch.workgroups,
      node,
      flops: dispatch.flops ?? 0,
      bytes: dispatch.bytes ?? 0,
    });
  }

  private checkLimit(range: Range, node: GraphNode): void {
    if (range.bytes > this.facts.maxBindingBytes)
      throw new DeviceError(
        `${node.op?.name ?? "copy"}: a tensor of ${mebibytes(range.bytes)} MiB does not fit the adapter's limit maxStorageBufferBindingSize of ${mebibytes(this.facts.maxBindingBytes)} MiB; use a smaller batch or a smaller layer.`,
      );
  }

  private emit(unit: Unit, at: number): void {
    const { node } = unit;
    const outputs = storedBy(unit);
    if (unit.kind === "pack") {
      this.emitPack(unit, outputs[0]!);
      return;
    }
    if (outputs.every((type) => sizeOf(type.shape) === 0)) return;
    if (this.placement.constants.has(node)) return;
    if (unit.kind === "elementwise") {
      const expression = unitExpression(unit);
      const ranges = [...unit.inputs, outputs[0]!].map((value) => this.locate(value));
      this.push(...this.overwrite(unit, this.kernels.chain(expression), ranges));
      return;
    }
    if (node.inputs.length > 0 && node.inputs.every((x) => sizeOf(x.shape) === 0)) {
      this.emitEmpty(node, outputs);
      return;
    }
    const op = node.op!;
    op.inPlace?.forEach((source, index) => {
      if (source < 0 || index >= outputs.length || !node.inputs[source]) return;
      const from = this.locate(node.inputs[source]);
      const to = this.locate(outputs[index]!);
      if (samePlace(from, to)) return;
      this.push(copyDispatch(sizeOf(outputs[index]!.shape), this.facts), node, [from, to]);
    });
    const left = fromMoments(node) && this.momentsLeft.get(node.inputs[0]!.node);
    if (left) {
      const dispatch = fromMoments(node)!({ ...node, facts: this.facts }, left.slabs);
      const place = ({ kind, index }: Binding) =>
        kind === "moments" ? left.range : this.locate(outputs[index]!);
      this.push(dispatch, node, dispatch.bindings.map(place));
      return;
    }
    const until = this.momentsWanted.get(node);
    const variant = this.choose(node, until !== undefined);
    if (until !== undefined && variant.moments) {
      const bytes = 16 * variant.moments * outputs[0]!.shape[1]!;
      const range = this.placement.scratch(at, bytes, until);
      this.momentsLeft.set(node, { range, slabs: variant.moments });
    }
    const scratch = (variant.scratch ?? []).map((bytes) => this.placement.scratch(at, bytes));
    const chains = [...(unit.prologues?.values() ?? []), ...(unit.epilogue ? [unit.epilogue] : [])];
    for (const plain of variant.dispatches) {
      const dispatch = this.kernels.withChains(unit, chains, plain);
      const ranges = dispatch.bindings.map(({ kind, index, chain }) => {
        if (kind === "words") return this.placement.words(dispatch.words!);
        if (kind === "scratch") return scratch[index]!;
        if (kind === "moments") return this.momentsLeft.get(node)!.range;
        if (kind === "output") return this.locate(outputs[index]!);
        return this.locate((kind === "chain" ? chains[chain!]! : node).inputs[index]!);
      });
      this.push(...this.overwrite(unit, dispatch, ranges));
    }
  }

  /** Where a unit's result takes the place of an input, the dispatch that stores it binds that place once. */
  private overwrite(
    unit: Unit,
    dispatch: Dispatch,
    ranges: readonly Range[],
  ): [Dispatch, GraphNode, Range[]] {
    const over = this.placement.overwritten.get(unit);
    const stores = dispatch.bindings.some((b) => b.kind === "output" && b.index === 0);
    const binding = ranges.findIndex(
      ({ memory }, i) =>
        memory.kind === "pool" && memory.slot === over?.id && dispatch.bindings[i]!.access === "read",
    );
    const node = lastNode(unit);
    if (!stores || binding < 0) return [dispatch, node, [...ranges]];
    return [this.kernels.overwriting(dispatch, binding), node, ranges.filter((_, i) => i !== binding)];
  }

  private unread(node: GraphNode): Set<number> {
    const read = (this.read ??= new Set(
      [...programRoots(this.program), ...this.units.flatMap((unit) => unit.inputs)].map((value) =>
        valueKey(resolveView(value)),
      ),
    ));
    const values = node.outputs.map((_, index) => ({ node, index }));
    return new Set(values.filter((value) => !read.has(valueKey(value))).map(({ index }) => index));
  }

  private choose(node: GraphNode, moments: boolean): KernelVariant {
    const op = node.op!;
    if (op.implementation.kind !== "kernel") throw new Error(`${op.name} has no kernel.`);
    const variants = this.kernels
      .variants(node, { moments, unread: this.unread(node) })
      .filter((v) => !this.options.excluded?.has(variantKey(op.name, v.name)));
    if (variants.length === 0) throw refusal(op.name);
    const key = kernelKey(node);
    const wanted = this.options.choices?.get(key);
    const variant = variants.find((v) => v.name === wanted) ?? variants[0]!;
    this.kernels.check(node, variant);
    this.chosen.set(key, variant.name);
    return variant;
  }

  /** All inputs are empty, so the results do not depend on data. */
  private emitEmpty(node: GraphNode, outputs: readonly Tensor[]): void {
    const value = node.op!.empty?.(node.attrs) ?? 0;
    for (const result of outputs)
      if (sizeOf(result.shape) > 0)
        this.push(fillDispatch(result, value, this.facts), node, [this.locate(result)]);
  }

  private emitPack(unit: Unit, result: Tensor): void {
    const target = this.locate(result);
    const offsets = packOffsets(unit.node);
    unit.inputs.forEach((value, i) => {
      const bytes = bytesOf(value);
      if (bytes === 0) return;
      const offset = target.offset + offsets[i]! * bytesPerElement(result.dtype);
      const from = this.locate(value);
      if (from.memory === target.memory && from.offset === offset) return;
      this.push(copyDispatch(sizeOf(value.shape), this.facts), unit.node, [
        from,
        { memory: target.memory, offset, bytes },
      ]);
    });
  }

  /** Updates and outputs that could not be computed in place are copied at the end. */
  private emitCopies(at: number): void {
    for (const { variable, value } of this.program.updates ?? []) {
      this.placement.arenas.add(variable.arena);
      if (this.inPlace.get(value.node)?.includes(variable) || sizeOf(variable.shape) === 0) continue;
      const range: Range = {
        memory: { kind: "arena", arena: variable.arena },
        offset: variable.offset * bytesPerElement(variable.dtype),
        bytes: bytesOf(variable),
      };
      const from = this.locate(value);
      const node = value.node;
      const copy = copyDispatch(sizeOf(variable.shape), this.facts);
      if (from.memory.kind === "arena" && from.memory.arena === variable.arena) {
        const between = this.placement.scratch(at, range.bytes);
        this.push(copy, node, [from, between]);
        this.push(copy, node, [between, range]);
      } else this.push(copy, node, [from, range]);
    }
  }

  /** Temporaries that one dispatch reads and writes: by number, those that each is kept apart from. */
  private readBesideWritten(): Map<number, Set<number>> {
    const apart = new Map<number, Set<number>>();
    const add = (a: number, b: number) => apart.set(a, (apart.get(a) ?? new Set()).add(b));
    for (const { bindings } of this.steps) {
      const pool = bindings.flatMap(({ memory, access }) =>
        memory.kind === "pool" ? [{ id: memory.slot, access }] : [],
      );
      for (const read of pool)
        for (const write of pool)
          if (read.access === "read" && write.access !== "read") {
            add(read.id, write.id);
            add(write.id, read.id);
          }
    }
    return apart;
  }

  private finish(): Plan {
    const apart = this.readBesideWritten();
    const { places, sizes } = assignBuffers(this.placement.temporaryList, (id) => apart.get(id) ?? []);
    const assign = <T extends Range>(range: T): T => {
      if (range.memory.kind !== "pool") return range;
      const { slot, offset } = places[range.memory.slot]!;
      return { ...range, memory: { kind: "pool", slot }, offset: range.offset + offset };
    };
    const outputs = new Map<string, Range & { type: TensorType }>();
    for (const [name, value] of Object.entries(this.program.outputs ?? {}))
      outputs.set(name, { ...this.locate(value), type: { shape: value.shape, dtype: value.dtype } });
    return {
      name: this.program.name,
      steps: this.steps.map((step) => ({ ...step, bindings: step.bindings.map(assign) })),
      pool: sizes,
      own: this.placement.own,
      fills: this.placement.fills,
      feeds: this.placement.feeds,
      feedBytes: this.placement.feedBytes,
      data: this.placement.data,
      outputs,
      arenas: this.placement.arenas,
      choices: this.chosen,
    };
  }
}

const fromMoments = (node: GraphNode) => kernelOf(node)?.fromMoments;

/** Names a buffer, so that two ranges of one can be told from ranges of two. */
function memoryKey(memory: Memory): unknown {
  if (memory.kind === "arena") return memory.arena;
  return memory.kind === "feeds" ? "feeds" : `${memory.kind} ${memory.slot}`;
}
