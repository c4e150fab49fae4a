import { byteLength, bytesPerElement, type NumericArray } from "../core/dtype.ts";
import { bitsOf } from "../core/kernel.ts";
import type { Arena, GraphNode, Tensor, Variable } from "../core/op.ts";
import { sameShape, sizeOf, type TensorType } from "../core/shape.ts";
import { isConstant } from "../graph/expression.ts";
import { reachable, valueKey } from "../graph/node.ts";
import { type Program, programRoots } from "../graph/program.ts";
import { kernelOf } from "./inline.ts";
import { overwrittenBy, packOffsets, resolveView, storedBy, type Unit } from "./units.ts";

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

export const bytesOf = (type: TensorType) => byteLength(sizeOf(type.shape), type.dtype);
const FEED_ALIGNMENT = 256;
const WORD_ALIGNMENT = FEED_ALIGNMENT / 4;
/** Larger constants are computed in every run rather than kept. */
const LARGEST_FILL = 2 ** 16;

const dataName = ({ id }: GraphNode) => `data ${id}`;

/** A tensor in the shared buffers. */
export interface Temporary {
  readonly id: number;
  readonly bytes: number;
  readonly first: number;
  last: number;
}

/** Where every value of a plan lives: in an arena, among the feeds, in a buffer of its own, or for a while in a shared one. */
export class Placement {
  /** Stored values: temporaries have a lifetime, others a fixed place. */
  private readonly fixed = new Map<string, { memory: Memory; offset: number }>();
  private readonly temporaries = new Map<string, Temporary>();
  readonly temporaryList: Temporary[] = [];
  /** The temporary whose place a unit's result takes. */
  readonly overwritten = new Map<Unit, Temporary>();
  readonly own: number[] = [];
  readonly fills: { slot: number; words: Uint32Array }[] = [];
  readonly feeds = new Map<string, Range & { type: TensorType }>();
  /** What the host writes among the feeds once and for all. */
  readonly data = new Map<string, NumericArray>();
  readonly arenas = new Set<Arena>();
  readonly constants = new Set<GraphNode>();
  feedBytes = 0;
  /** The words of all dispatches, which the host writes once; equal ones share a place. */
  private readonly table: number[] = [];
  private readonly wordPlaces = new Map<string, Range>();

  constructor(
    private readonly program: Program,
    private readonly inPlace: ReadonlyMap<GraphNode, readonly Variable[]>,
    private readonly fuse: boolean,
    units: readonly Unit[],
  ) {
    // Every feed gets its place, even one that nothing happens to read.
    for (const node of reachable(programRoots(this.program))) {
      if (node.leaf?.kind === "feed") this.feedRange(node.leaf.name, node.outputs[0]!);
      if (node.leaf?.kind === "data") {
        this.feedRange(dataName(node), node.outputs[0]!);
        this.data.set(dataName(node), node.leaf.data.data);
      }
    }
    this.placeInPlaceResults();
    this.placeOutputs();
    this.placePacks(units);
    this.placeConstants(units);
    this.findLifetimes(units);
  }

  /** Results of in-place updates live where their variable lives. */
  private placeInPlaceResults(): void {
    for (const { variable, value } of this.program.updates ?? [])
      for (
        let at: Tensor | undefined = value;
        at && this.inPlace.get(at.node)?.includes(variable);
        at = overwrittenBy(at)
      )
        this.fixed.set(valueKey(at), {
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
        const list = users.get(key) ?? [];
        list.push(unit);
        users.set(key, list);
      }
    for (const unit of units) {
      if (unit.kind !== "pack") continue;
      const key = valueKey({ node: unit.node, index: 0 });
      const place = this.fixed.get(key) ?? this.ownBuffer(unit.node.outputs[0]!);
      this.fixed.set(key, place);
      const offsets = packOffsets(unit.node);
      const keys = unit.inputs.map(valueKey);
      const times = new Map<string, number>();
      for (const key of keys) times.set(key, (times.get(key) ?? 0) + 1);
      const placed = new Map<string, GraphNode>();
      unit.inputs.forEach((value, i) => {
        const base = keys[i]!;
        // A tensor packed twice can be computed into neither place: the copy would read the buffer that it writes.
        if (!value.node.op || times.get(base) !== 1 || this.fixed.has(base) || bytesOf(value) === 0) return;
        this.fixed.set(base, {
          memory: place.memory,
          offset: place.offset + offsets[i]! * bytesPerElement(value.dtype),
        });
        placed.set(base, value.node);
      });
      // A unit that writes one packed tensor and reads another would bind the buffer for both: keep those apart.
      const writers = new Set(placed.values());
      for (const base of placed.keys())
        if (
          users
            .get(base)!
            .some((user) => user !== unit && storedBy(user).some((value) => writers.has(value.node)))
        )
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
        const words = new Uint32Array(Math.ceil(bytesOf(type) / 4)).fill(word);
        this.fills.push({ slot: this.own.length - 1, words });
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
      storedBy(unit).forEach((type, index) => {
        const key = valueKey(type);
        if (this.fixed.has(key) || bytesOf(type) === 0) return;
        const last = lastUse.get(key) ?? at;
        const over = index === 0 ? this.dying(unit, at, type) : undefined;
        if (over) {
          over.last = last;
          this.temporaries.set(key, over);
          this.overwritten.set(unit, over);
        } else this.temporaries.set(key, this.temporary(bytesOf(type), at, last));
      });
    });
  }

  private temporary(bytes: number, first: number, last: number): Temporary {
    const entry = { id: this.temporaryList.length, first, last, bytes };
    this.temporaryList.push(entry);
    return entry;
  }

  /** An input that nobody reads after this unit and whose place the unit's result of that type can take. */
  private dying(unit: Unit, at: number, type: TensorType): Temporary | undefined {
    if (!this.fuse) return undefined;
    const overwrites = kernelOf(unit.node)?.overwrites;
    if (unit.kind !== "elementwise" && overwrites === undefined) return undefined;
    if ((unit.epilogue?.inputs.length ?? 1) > 1) return undefined;
    const candidates =
      overwrites === undefined
        ? unit.inputs
        : (unit.prologues?.get(overwrites)?.inputs ?? [unit.node.inputs[overwrites]!]);
    const key = (value: Tensor) => valueKey(resolveView(value));
    return candidates
      .filter((value) => sameShape(value.shape, type.shape) && value.dtype === type.dtype)
      .filter((value) => unit.inputs.filter((other) => key(other) === key(value)).length === 1)
      .map((value) => this.temporaries.get(key(value)))
      .find((temporary) => temporary?.last === at && temporary.bytes === bytesOf(type));
  }

  /** Where a dispatch finds its words. */
  words(words: readonly number[]): Range {
    const key = words.join();
    let range = this.wordPlaces.get(key);
    if (!range) {
      if (this.table.length === 0) this.own.push(0);
      const first = this.wordPlaces.values().next().value;
      const memory = first?.memory ?? { kind: "own", slot: this.own.length - 1 };
      range = { memory, offset: 4 * this.table.length, bytes: 4 * words.length };
      this.table.push(...words);
      while (this.table.length % WORD_ALIGNMENT !== 0) this.table.push(0);
      this.wordPlaces.set(key, range);
    }
    return range;
  }

  /** Makes the buffer of the words that were asked for. */
  finishWords(): void {
    const [range] = this.wordPlaces.values();
    if (range?.memory.kind !== "own") return;
    const words = Uint32Array.from(this.table);
    this.own[range.memory.slot] = words.byteLength;
    this.fills.push({ slot: range.memory.slot, words });
  }

  scratch(at: number, bytes: number, until = at): Range {
    const { id, ...entry } = this.temporary(Math.ceil(bytes / 4) * 4, at, until);
    return { memory: { kind: "pool", slot: id }, offset: 0, bytes: entry.bytes };
  }

  /** Where a value is; temporaries carry their number until buffers are assigned. */
  locate(value: Tensor): Range {
    const base = resolveView(value);
    const bytes = bytesOf(base);
    const leaf = base.node.leaf;
    if (leaf?.kind === "variable") {
      const { arena, offset, dtype } = leaf.variable;
      this.arenas.add(arena);
      return { memory: { kind: "arena", arena }, offset: offset * bytesPerElement(dtype), bytes };
    }
    if (leaf?.kind === "feed") return this.feedRange(leaf.name, base);
    if (leaf?.kind === "data") return this.feedRange(dataName(base.node), base);
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
}
