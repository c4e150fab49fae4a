import reduceSource from "../../../shaders/reduce/reduce.part.wgsl?raw";
import storeSource from "../../../shaders/reduce/store.part.wgsl?raw";
import subgroupSource from "../../../shaders/reduce/subgroup.wgsl?raw";
import threadsSource from "../../../shaders/reduce/threads.wgsl?raw";
import workgroupSource from "../../../shaders/reduce/workgroup.wgsl?raw";
import { wgslType } from "../../core/dtype.ts";
import {
  type AdapterFacts,
  type Dispatch,
  gridOf,
  input,
  type KernelVariant,
  output,
  scratch,
  specialize,
} from "../../core/kernel.ts";
import { sizeOf, stridesOf, type TensorType } from "../../core/shape.ts";
import { offsetCode } from "../elementwise/kernel.ts";
import { knownSubgroups } from "../product/tiles.ts";

/** A reduction as shaders/reduce/threads.wgsl sees it: each output reduces `count` vectors. */
export interface Reduction {
  readonly outputs: number;
  readonly count: number;
  /** WGSL types of what is read and of what one slab leaves. */
  readonly vector: string;
  readonly partial: string;
  /** Neighbouring outputs are neighbours in memory. */
  readonly across: boolean;
  /** WGSL: `place` and what else `slab` calls. */
  readonly functions: string;
}

/** A way to share the work of a reduction out. */
export interface Sharing {
  readonly name: "threads" | "subgroup" | "workgroup";
  /** Of each output: what the pass leaves. */
  readonly slabs: number;
  readonly workgroups: readonly [number, number, number];
  /** The pass, completed by a file that defines `slab`, `combine` and perhaps `store`, specialised with `constants`. */
  source(part: string, constants?: Record<string, number | string | boolean>): string;
}

export const threadsGrid = (threads: number, facts: AdapterFacts) => gridOf(Math.ceil(threads / 64), facts);

const HARNESSES = { threads: threadsSource, subgroup: subgroupSource, workgroup: workgroupSource };

/** Cuts the vectors of each output into at most `slabs` slabs, one for each thread, subgroup or workgroup. */
export function share(
  name: Sharing["name"],
  { outputs, count, vector, partial, across, functions }: Reduction,
  slabs: number,
  facts: AdapterFacts,
): Sharing {
  const slab = Math.ceil(count / Math.max(1, Math.min(slabs, count)));
  const used = Math.ceil(count / slab);
  const sizes = {
    Vector: vector,
    Partial: partial,
    OUTPUTS: outputs,
    COUNT: count,
    SLABS: used,
    SLAB: slab,
    ...(name === "threads" ? { ACROSS: across } : {}),
    ...(name === "subgroup" ? { LANES: facts.subgroupMinSize } : {}),
  };
  return {
    name,
    slabs: used,
    workgroups: name === "threads" ? threadsGrid(outputs * used, facts) : gridOf(outputs * used, facts),
    source: (part, constants) =>
      [
        specialize([HARNESSES[name], part, ...(/^fn store\(/m.test(part) ? [] : [storeSource])].join("\n"), {
          ...sizes,
          ...constants,
        }),
        functions,
      ].join("\n"),
  };
}

/** How many slabs of an output keep the adapter busy; a thread or workgroup gets at least `least` vectors. */
export function slabsFor(
  name: "threads" | "workgroup",
  { outputs, count }: Reduction,
  facts: AdapterFacts,
  least: number,
): number {
  const wanted = name === "workgroup" ? 1024 : facts.software ? 2048 : 65536;
  return Math.max(1, Math.min(Math.ceil(wanted / outputs), Math.floor(count / least)));
}

/** Whether workgroups can share an output: there must be work for all of their threads, and outputs far apart. */
export const suitsWorkgroups = ({ count, across }: Reduction, facts: AdapterFacts) =>
  !across && count >= 512 && facts.maxInvocations >= 256;

/** On a processor a few outputs keep its cores busy; lanes that share one need neither a barrier nor a second pass. */
export const suitsSubgroups = ({ outputs, count, across }: Reduction, facts: AdapterFacts) =>
  facts.software && knownSubgroups(facts) && !across && outputs >= 8 && count >= 64;

type Axes = [dim: number, stride: number][];

/** Dims and strides of the kept and of the reduced axes, neighbours that are contiguous merged. */
export function splitAxes(x: TensorType, axes: readonly number[]): { kept: Axes; reduced: Axes } {
  const strides = stridesOf(x.shape);
  const merge = (wanted: boolean) => {
    const list: Axes = [];
    x.shape.forEach((dim, axis) => {
      if (axes.includes(axis) !== wanted || dim === 1) return;
      const last = list.at(-1);
      if (last && last[1] === dim * strides[axis]!) list[list.length - 1] = [last[0] * dim, strides[axis]!];
      else list.push([dim, strides[axis]!]);
    });
    return list;
  };
  return { kept: merge(false), reduced: merge(true) };
}

/** Takes four elements at once where the innermost axis allows it; all other strides are then multiples of four. */
function inVectors(
  kept: Axes,
  reduced: Axes,
): { kept: Axes; reduced: Axes; wide: "kept" | "reduced" | null } {
  const narrow = (list: Axes): Axes =>
    list.map(([dim, stride]) => (stride === 1 ? [dim / 4, 1] : [dim, stride / 4]));
  const innermost = (list: Axes) => {
    const last = list.at(-1);
    return last !== undefined && last[1] === 1 && last[0] % 4 === 0;
  };
  const wide = innermost(reduced) ? "reduced" : innermost(kept) ? "kept" : null;
  return wide ? { kept: narrow(kept), reduced: narrow(reduced), wide } : { kept, reduced, wide };
}

/** WGSL of `fn name(a: T, b: T) -> T`: addition, or the maximum, which NaN wins. */
function joinCode(name: string, type: string, kind: "sum" | "mean" | "max"): string {
  const head = `fn ${name}(a: ${type}, b: ${type}) -> ${type}`;
  if (kind !== "max") return `${head} { return a + b; }`;
  if (!type.includes("f32")) return `${head} { return max(a, b); }`;
  const bits = type.replace("f32", "u32");
  const nan = `((bitcast<${bits}>(b) & ${bits}(0x7fffffffu)) > ${bits}(0x7f800000u))`;
  return `${head} { return select(a, b, (b > a) | ${nan}); }`;
}

const product = (list: Axes) => list.reduce((n, [dim]) => n * dim, 1);

function offsetFunction(name: string, list: Axes): string {
  const code = offsetCode(
    list.map(([dim]) => dim),
    list.map(([, stride]) => stride),
  );
  return `fn ${name}(e: u32) -> u32 { return ${code}; }`;
}

/** What each output of a reduction of x over `axes` reduces, and which axis its vectors run along; `place` is defined. */
export function reductionOf(
  x: TensorType,
  axes: readonly number[],
): Omit<Reduction, "partial"> & { wide: "kept" | "reduced" | null } {
  const split = splitAxes(x, axes);
  const { kept, reduced, wide } = inVectors(split.kept, split.reduced);
  const element = wgslType(x.dtype);
  return {
    outputs: product(kept),
    count: product(reduced),
    vector: wide ? `vec4<${element}>` : element,
    across: kept.at(-1)?.[1] === 1,
    functions: [
      offsetFunction("output_base", kept),
      offsetFunction("reduced_offset", reduced),
      "fn place(output: u32, i: u32) -> u32 { return output_base(output) + reduced_offset(i); }",
    ].join("\n"),
    wide,
  };
}

/** The kernels of sum, mean and max over `axes`. */
export function reduceVariants(
  kind: "sum" | "mean" | "max",
  x: TensorType,
  axes: readonly number[],
  facts: AdapterFacts,
): KernelVariant[] {
  const { wide, vector, ...walk } = reductionOf(x, axes);
  const element = wgslType(x.dtype);
  const partial = wide === "kept" ? vector : element;
  const reduction: Reduction = {
    ...walk,
    vector,
    partial,
    functions: [
      walk.functions,
      joinCode("join", vector, kind),
      joinCode("combine", partial, kind),
      vector === partial
        ? "fn total(v: Vector) -> Partial { return v; }"
        : "fn total(v: Vector) -> Partial { return combine(combine(v.x, v.y), combine(v.z, v.w)); }",
    ].join("\n"),
  };
  const partialBytes = wide === "kept" ? 16 : 4;
  const size = sizeOf(x.shape);
  const constants = { Element: element, MAXIMUM: kind === "max" };
  const divisor = kind === "mean" ? axes.reduce((n, axis) => n * x.shape[axis]!, 1) : 1;
  const last = { ...constants, DIVISOR: divisor };
  const from = input(0, "x", { dtype: x.dtype, width: wide ? 4 : 1 });

  const variant = (name: Sharing["name"], slabs: number): KernelVariant => {
    const first = share(name, reduction, slabs, facts);
    const bytes = partialBytes * reduction.outputs * first.slabs;
    if (first.slabs === 1) {
      const dispatch: Dispatch = {
        kernel: `${kind}/${name}`,
        source: first.source(reduceSource, last),
        bindings: [output(), from],
        workgroups: first.workgroups,
        bytes: 4 * size + bytes,
      };
      return { name: name === "threads" ? "single" : name, dispatches: [dispatch] };
    }
    const rest: Reduction = {
      ...reduction,
      count: first.slabs,
      vector: partial,
      across: false,
      functions: [
        `fn place(output: u32, i: u32) -> u32 { return output * ${first.slabs}u + i; }`,
        joinCode("join", partial, kind),
        joinCode("combine", partial, kind),
        "fn total(v: Vector) -> Partial { return v; }",
      ].join("\n"),
    };
    const second = share(first.slabs > 64 && !facts.software ? "workgroup" : "threads", rest, 1, facts);
    return {
      name,
      scratch: [bytes],
      dispatches: [
        {
          kernel: `${kind}/${name}`,
          source: first.source(reduceSource, constants),
          bindings: [scratch(0), from],
          workgroups: first.workgroups,
          bytes: 4 * size + bytes,
        },
        {
          kernel: `${kind}/merge`,
          source: second.source(reduceSource, last),
          bindings: [output(), scratch(0, "read", "x", { dtype: x.dtype, width: partialBytes / 4 })],
          workgroups: second.workgroups,
          bytes: bytes + partialBytes * reduction.outputs,
        },
      ],
    };
  };

  return waysToShare(reduction, facts, ["threads", "subgroup", "workgroup"], variant);
}

/** The variants of a reduction that make sense on an adapter, of those that share the work in the given ways. */
export function waysToShare(
  reduction: Reduction,
  facts: AdapterFacts,
  ways: readonly Sharing["name"][],
  variant: (name: Sharing["name"], slabs: number) => KernelVariant,
): KernelVariant[] {
  const single = variant("threads", 1);
  const { outputs, count } = reduction;
  const slabs = slabsFor("threads", reduction, facts, 16);
  // On a processor a second dispatch costs what one of its cores does of this, with lanes that have no output idle.
  const worthSharing = facts.software
    ? outputs < 128 && Math.max(8, outputs) * count >= 32768
    : outputs < 16384 && outputs * count >= 8192;
  const subgroups = ways.includes("subgroup") && suitsSubgroups(reduction, facts);
  const shared =
    worthSharing && slabs > 1
      ? [...(subgroups ? [variant("subgroup", 1)] : []), variant("threads", slabs)]
      : [];
  // Without slabs there are outputs enough for a processor, or too little work for any sharing.
  if (!suitsWorkgroups(reduction, facts) || (facts.software && shared.length === 0))
    return [...shared, single];
  const workgroup = variant("workgroup", slabsFor("workgroup", reduction, facts, 2048));
  return facts.software ? [...shared, workgroup, single] : [workgroup, ...shared, single];
}
