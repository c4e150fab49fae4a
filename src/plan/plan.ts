import { byteLength, bytesPerElement } from "../core/dtype.ts";
import { DeviceError } from "../core/errors.ts";
import { showType, sizeOf, type TensorType } from "../core/shape.ts";
import { reachable } from "../graph/node.ts";
import { checkProgram, type Program } from "../graph/program.ts";
import { copyDispatch, fillDispatch } from "../ops/copy-kernel.ts";
import { elementwiseDispatch } from "../ops/elementwise-kernel.ts";
import { type Access, type AdapterFacts, bitsOf, type Dispatch, type KernelVariant } from "../ops/kernel.ts";
import type { Arena, GraphNode, Value, Variable } from "../ops/op.ts";
import { refusal, refuseExcluded, variantKey } from "./excluded.ts";
import { withEpilogue, withPrologue } from "./inline.ts";
import { assignBuffers, type Lifetime } from "./memory.ts";
import {
  divide,
  isConstant,
  type Prologue,
  programRoots,
  resolveView,
  schedule,
  storedBy,
  type Unit,
  unitExpression,
} from "./units.ts";

/** Which piece of memory a step binds. */
export type Memory =
  /** A shared buffer that holds different temporaries at different steps. */
  | { readonly kind: "pool"; readonly slot: number }
  /** A buffer of the plan's own: outputs and packed gradients. Zero when made. */
  | { readonly kind: "own"; readonly slot: number }
  | { readonly kind: "arena"; readonly arena: Arena }
  /** The buffer that the host writes before a run. */
  | { readonly kind: "feeds" };

export interface Range {
  readonly memory: Memory;
  /** In bytes. */
  readonly offset: number;
  readonly bytes: number;
}

export interface PlanStep {
  readonly kernel: string;
  readonly source: string;
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
  /** Bytes of each shared and each own buffer. */
  readonly pool: readonly number[];
  readonly own: readonly number[];
  /** Own buffers that hold one number throughout, as the 32-bit word the host fills them with. */
  readonly fills: readonly { readonly slot: number; readonly word: number }[];
  readonly feeds: ReadonlyMap<string, Range & { readonly type: TensorType }>;
  readonly feedBytes: number;
  readonly outputs: ReadonlyMap<string, Range & { readonly type: TensorType }>;
  readonly arenas: ReadonlySet<Arena>;
  /** Where every stored value lives, for the plan's printed form. */
  readonly choices: ReadonlyMap<string, string>;
}

export interface PlanOptions {
  /** Keep elementwise chains as one kernel; true by default. */
  readonly fuse?: boolean;
  /** Kernel variant by op and shape class, as `kernelKey` names it; the first variant otherwise. */
  readonly choices?: ReadonlyMap<string, string>;
  /** Kernels that compute wrong on this adapter, by `variantKey`: never used, whatever was chosen. */
  readonly excluded?: ReadonlyMap<string, string>;
}

/** Names an op at given shapes: what the choice of a kernel variant depends on. */
export function kernelKey(node: GraphNode): string {
  const attrs = node.attrs === undefined ? "" : JSON.stringify(node.attrs);
  return `${node.op!.name}(${node.inputs.map(showType).join(", ")})${attrs}`;
}

const valueKey = (value: Value) => `${value.node.id}:${value.index}`;
const bytesOf = (type: TensorType) => byteLength(sizeOf(type.shape), type.dtype);
const FEED_ALIGNMENT = 256;
/** Larger constants are computed in every run rather than kept. */
const LARGEST_FILL = 2 ** 16;
const mebibytes = (bytes: number) => Number((bytes / 2 ** 20).toPrecision(3));

/** Compiles a program: units, order, kernels, memory. */
export function compilePlan(program: Program, facts: AdapterFacts, options: PlanOptions = {}): Plan {
  checkProgram(program);
  refuseExcluded(program, options.excluded);
  const inPlace = inPlaceNodes(program);
  let units = divide(program, facts, options.fuse ?? true);
  let ordered = schedule(units, inPlace);
  if (!ordered) {
    // A chain that reads a variable both before and after its update cannot be one kernel.
    units = divide(program, facts, false);
    ordered = schedule(units, inPlace);
    if (!ordered) throw new Error(`${program.name}: an update depends on a value that it overwrites.`);
  }
  return new PlanBuilder(program, facts, options, inPlace).build(ordered);
}

/** Nodes that overwrite the variable they read, because an update stores their result there. */
function inPlaceNodes(program: Program): Map<GraphNode, Variable[]> {
  const result = new Map<GraphNode, Variable[]>();
  for (const { variable, value } of program.updates ?? []) {
    const source = value.node.op?.inPlace?.[value.index];
    if (source === undefined || source < 0) continue;
    const base = resolveView(value.node.inputs[source]!);
    if (base.node.leaf?.kind === "variable" && base.node.leaf.variable === variable)
      result.set(value.node, [...(result.get(value.node) ?? []), variable]);
  }
  return result;
}

class PlanBuilder {
  private readonly steps: PlanStep[] = [];
  /** Stored values: temporaries have a lifetime, others a fixed place. */
  private readonly fixed = new Map<string, { memory: Memory; offset: number }>();
  private readonly temporaries = new Map<
    string,
    { id: number; first: number; last: number; bytes: number }
  >();
  private readonly temporaryList: { first: number; last: number; bytes: number }[] = [];
  private readonly own: number[] = [];
  private readonly fills: { slot: number; word: number }[] = [];
  private readonly feeds = new Map<string, Range & { type: TensorType }>();
  private readonly arenas = new Set<Arena>();
  private readonly chosen = new Map<string, string>();
  private readonly constants = new Set<GraphNode>();
  private feedBytes = 0;

  constructor(
    private readonly program: Program,
    private readonly facts: AdapterFacts,
    private readonly options: PlanOptions,
    private readonly inPlace: ReadonlyMap<GraphNode, readonly Variable[]>,
  ) {}

  build(units: readonly Unit[]): Plan {
    // Every feed gets its place, even one that nothing happens to read.
    for (const node of reachable(programRoots(this.program)))
      if (node.leaf?.kind === "feed") this.feedRange(node.leaf.name, node.outputs[0]!);
    this.placeInPlaceResults();
    this.placeOutputs();
    this.placePacks(units);
    this.placeConstants(units);
    this.findLifetimes(units);
    units.forEach((unit, at) => {
      this.emit(unit, at);
    });
    this.emitCopies(units.length);
    return this.finish();
  }

  /** Results of in-place updates live where their variable lives. */
  private placeInPlaceResults(): void {
    for (const { variable, value } of this.program.updates ?? [])
      if (this.inPlace.get(value.node)?.includes(variable))
        this.fixed.set(valueKey(value), {
          memory: { kind: "arena", arena: variable.arena },
          offset: variable.offset * bytesPerElement(variable.dtype),
        });
  }

  private placeOutputs(): void {
    for (const value of Object.values(this.program.outputs ?? {})) {
      const base = resolveView(value);
      if (base.node.op && !this.fixed.has(valueKey(base)))
        this.fixed.set(valueKey(base), this.ownBuffer(base));
    }
  }

  private ownBuffer(type: TensorType): { memory: Memory; offset: number } {
    this.own.push(Math.max(4, bytesOf(type)));
    return { memory: { kind: "own", slot: this.own.length - 1 }, offset: 0 };
  }

  /** Lets the producers of packed tensors write into the flat result, where no dispatch would read and write it at once. */
  private placePacks(units: readonly Unit[]): void {
    const users = new Map<string, Unit[]>();
    for (const unit of units)
      for (const value of unit.inputs) {
        const key = valueKey(resolveView(value));
        users.set(key, [...(users.get(key) ?? []), unit]);
      }
    for (const unit of units) {
      if (unit.kind !== "pack") continue;
      const key = valueKey({ node: unit.node, index: 0, ...unit.node.outputs[0]! });
      const place = this.fixed.get(key) ?? this.ownBuffer(unit.node.outputs[0]!);
      this.fixed.set(key, place);
      const offsets = packOffsets(unit.node);
      const keys = unit.inputs.map(valueKey);
      const placed = new Map<string, GraphNode>();
      unit.inputs.forEach((value, i) => {
        const base = keys[i]!;
        // A tensor packed twice can be computed into neither place: the copy would read the buffer that it writes.
        const once = keys.indexOf(base) === keys.lastIndexOf(base);
        if (!value.node.op || !once || this.fixed.has(base) || bytesOf(value) === 0) return;
        this.fixed.set(base, {
          memory: place.memory,
          offset: place.offset + offsets[i]! * bytesPerElement(value.dtype),
        });
        placed.set(base, value.node);
      });
      // A unit that writes one packed tensor and reads another would bind the buffer for both: keep those apart.
      const writers = new Set(placed.values());
      for (const base of placed.keys())
        if (users.get(base)!.some((user) => user !== unit && writers.has(storedBy(user))))
          this.fixed.delete(base);
    }
  }

  /** Small constants that a kernel reads from memory are filled in once by the host; equal ones share a buffer. */
  private placeConstants(units: readonly Unit[]): void {
    const places = new Map<string, { memory: Memory; offset: number }>();
    for (const { node } of units) {
      const type = node.outputs[0]!;
      const key = `${node.id}:0`;
      if (!isConstant(node) || this.fixed.has(key) || bytesOf(type) > LARGEST_FILL) continue;
      const word = bitsOf(node.attrs.value, type.dtype);
      const size = sizeOf(type.shape);
      let place = places.get(`${word} ${size}`);
      if (!place) {
        place = this.ownBuffer(type);
        places.set(`${word} ${size}`, place);
        this.fills.push({ slot: this.own.length - 1, word });
      }
      this.fixed.set(key, place);
      this.constants.add(node);
    }
  }

  private findLifetimes(units: readonly Unit[]): void {
    const lastUse = new Map<string, number>();
    units.forEach((unit, at) => {
      for (const value of unit.inputs) lastUse.set(valueKey(resolveView(value)), at);
    });
    for (const value of programRoots(this.program)) lastUse.set(valueKey(resolveView(value)), units.length);
    units.forEach((unit, at) => {
      const node = storedBy(unit);
      node.outputs.forEach((type, index) => {
        const key = `${node.id}:${index}`;
        if (this.fixed.has(key) || bytesOf(type) === 0) return;
        const entry = {
          id: this.temporaryList.length,
          first: at,
          last: lastUse.get(key) ?? at,
          bytes: bytesOf(type),
        };
        this.temporaries.set(key, entry);
        this.temporaryList.push(entry);
      });
    });
  }

  private scratch(at: number, bytes: number): Range {
    const entry = { first: at, last: at, bytes: Math.ceil(bytes / 4) * 4 };
    this.temporaryList.push(entry);
    return { memory: { kind: "pool", slot: this.temporaryList.length - 1 }, offset: 0, bytes: entry.bytes };
  }

  /** Where a value is; temporaries carry their number until buffers are assigned. */
  private locate(value: Value): Range {
    const base = resolveView(value);
    const bytes = bytesOf(base);
    const leaf = base.node.leaf;
    if (leaf?.kind === "variable") {
      const { arena, offset, dtype } = leaf.variable;
      this.arenas.add(arena);
      return { memory: { kind: "arena", arena }, offset: offset * bytesPerElement(dtype), bytes };
    }
    if (leaf?.kind === "feed") return this.feedRange(leaf.name, base);
    const place = this.fixed.get(valueKey(base));
    if (place) {
      if (place.memory.kind === "arena") this.arenas.add(place.memory.arena);
      return { ...place, bytes };
    }
    return { memory: { kind: "pool", slot: this.temporaries.get(valueKey(base))!.id }, offset: 0, bytes };
  }

  private feedRange(name: string, type: TensorType): Range {
    let range = this.feeds.get(name);
    if (!range) {
      const bytes = bytesOf(type);
      range = { memory: { kind: "feeds" }, offset: this.feedBytes, bytes, type };
      this.feedBytes += Math.ceil(Math.max(4, bytes) / FEED_ALIGNMENT) * FEED_ALIGNMENT;
      this.feeds.set(name, range);
    }
    return range;
  }

  private push(dispatch: Dispatch, node: GraphNode, ranges: readonly Range[]): void {
    dispatch.bindings.forEach((_, i) => {
      this.checkLimit(ranges[i]!, node);
    });
    if (dispatch.bindings.length > this.facts.maxBindings)
      throw new DeviceError(
        `${dispatch.kernel}: binds ${dispatch.bindings.length} buffers, the adapter's maxStorageBuffersPerShaderStage is ${this.facts.maxBindings}; use fewer tensors, or less data.`,
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
      source: dispatch.source,
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
    const stored = storedBy(unit);
    const outputs = stored.outputs.map((type, index): Value => ({ node: stored, index, ...type }));
    if (unit.kind === "pack") {
      this.emitPack(unit, outputs[0]!);
      return;
    }
    if (outputs.every((type) => sizeOf(type.shape) === 0)) return;
    if (this.constants.has(node)) return;
    if (unit.kind === "elementwise") {
      const expression = unitExpression(unit);
      this.push(elementwiseDispatch(expression, this.facts), node, [
        ...unit.inputs.map((value) => this.locate(value)),
        this.locate(outputs[0]!),
      ]);
      return;
    }
    if (node.inputs.length > 0 && node.inputs.every((x) => sizeOf(x.shape) === 0)) {
      this.emitEmpty(node, outputs);
      return;
    }
    const op = node.op!;
    op.inPlace?.forEach((source, index) => {
      if (source < 0 || this.inPlace.get(node)?.length) return;
      const from = this.locate(node.inputs[source]!);
      this.push(copyDispatch(sizeOf(outputs[index]!.shape), this.facts), node, [
        from,
        this.locate(outputs[index]!),
      ]);
    });
    const variant = this.choose(node);
    const scratch = (variant.scratch ?? []).map((bytes) => this.scratch(at, bytes));
    for (const dispatch of variant.dispatches) {
      const ranges = dispatch.bindings.map((binding) => {
        if (binding.kind === "scratch") return scratch[binding.index]!;
        if (binding.kind === "output") return this.locate(outputs[binding.index]!);
        return this.locate(unit.prologues?.get(binding.index)?.inputs[0] ?? node.inputs[binding.index]!);
      });
      this.push(...this.inline(unit, dispatch, ranges));
    }
  }

  /** Puts a unit's elementwise chains into one of its dispatches. */
  private inline(unit: Unit, dispatch: Dispatch, ranges: readonly Range[]): [Dispatch, GraphNode, Range[]] {
    let result = dispatch;
    const all = [...ranges];
    const add = (inlined: ReturnType<typeof withPrologue>, chain: Prologue, kernel: string) => {
      if (!inlined) return;
      all.push(...inlined.appended.map((i) => this.locate(chain.inputs[i]!)));
      const bindings = [
        ...result.bindings,
        ...inlined.appended.map((index) => ({ kind: "input", index, access: "read" }) as const),
      ];
      result = { ...result, kernel, source: inlined.source, bindings };
    };
    for (const [index, chain] of unit.prologues ?? [])
      add(
        withPrologue(result, index, chain.expression),
        chain,
        `${result.kernel}(${chain.expression.label})`,
      );
    if (unit.epilogue) {
      const { hole, expression } = unit.epilogue;
      add(withEpilogue(result, hole, expression), unit.epilogue, `${result.kernel}+${expression.label}`);
    }
    return [result, storedBy(unit), all];
  }

  private choose(node: GraphNode): KernelVariant {
    const op = node.op!;
    if (op.implementation.kind !== "kernel") throw new Error(`${op.name} has no kernel.`);
    const { inputs, outputs, attrs } = node;
    const variants = op.implementation
      .kernel({ inputs, outputs, attrs, facts: this.facts })
      .filter((v) => !this.options.excluded?.has(variantKey(op.name, v.name)));
    if (variants.length === 0) throw refusal(op.name);
    const key = kernelKey(node);
    const wanted = this.options.choices?.get(key);
    const variant = variants.find((v) => v.name === wanted) ?? variants[0]!;
    this.chosen.set(key, variant.name);
    return variant;
  }

  /** All inputs are empty, so the result does not depend on data: the reference says what it is. */
  private emitEmpty(node: GraphNode, outputs: readonly Value[]): void {
    const inputs = node.inputs.map((x) => ({ shape: x.shape, dtype: x.dtype, data: new Float64Array(0) }));
    const results = node.op!.reference(inputs, node.attrs);
    outputs.forEach((value, i) => {
      if (sizeOf(value.shape) > 0)
        this.push(fillDispatch(value, results[i]!.data[0]!, this.facts), node, [this.locate(value)]);
    });
  }

  private emitPack(unit: Unit, result: Value): void {
    const target = this.locate(result);
    const offsets = packOffsets(unit.node);
    unit.inputs.forEach((value, i) => {
      const bytes = bytesOf(value);
      if (bytes === 0) return;
      const offset = target.offset + offsets[i]! * 4;
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
      this.arenas.add(variable.arena);
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
        const between = this.scratch(at, range.bytes);
        this.push(copy, node, [from, between]);
        this.push(copy, node, [between, range]);
      } else this.push(copy, node, [from, range]);
    }
  }

  private finish(): Plan {
    const { slots, sizes } = assignBuffers(this.temporaryList as Lifetime[]);
    const assign = <T extends Range>(range: T): T =>
      range.memory.kind === "pool"
        ? { ...range, memory: { kind: "pool", slot: slots[range.memory.slot]! } }
        : range;
    const outputs = new Map<string, Range & { type: TensorType }>();
    for (const [name, value] of Object.entries(this.program.outputs ?? {}))
      outputs.set(name, { ...this.locate(value), type: { shape: value.shape, dtype: value.dtype } });
    return {
      name: this.program.name,
      steps: this.steps.map((step) => ({ ...step, bindings: step.bindings.map(assign) })),
      pool: sizes,
      own: this.own,
      fills: this.fills,
      feeds: this.feeds,
      feedBytes: this.feedBytes,
      outputs,
      arenas: this.arenas,
      choices: this.chosen,
    };
  }
}

/** Names a buffer, so that two ranges of one can be told from ranges of two. */
function memoryKey(memory: Memory): unknown {
  if (memory.kind === "arena") return memory.arena;
  return memory.kind === "feeds" ? "feeds" : `${memory.kind} ${memory.slot}`;
}

function packOffsets(node: GraphNode): readonly number[] {
  const implementation = node.op!.implementation;
  if (implementation.kind !== "pack") throw new Error(`${node.op!.name} is not a pack.`);
  return implementation.offsets(node.attrs);
}
