import concatSource from "../../../shaders/layout/concat.wgsl?raw";
import storeSource from "../../../shaders/layout/store-slice.wgsl?raw";
import stridedSource from "../../../shaders/layout/strided.wgsl?raw";
import blocksSource from "../../../shaders/layout/transpose-blocks.wgsl?raw";
import { type DType, wgslType } from "../../core/dtype.ts";
import {
  type AdapterFacts,
  bitsOf,
  type Dispatch,
  gridOf,
  input,
  type KernelVariant,
  output,
  perThread,
  specialize,
  words,
} from "../../core/kernel.ts";
import { stridesOf } from "../../core/shape.ts";
import { offsetCode } from "../elementwise/kernel.ts";

/** How one output axis walks through the input; see strided.wgsl. */
export interface Axis {
  readonly dim: number;
  readonly start: number;
  readonly step: number;
  readonly hole: number;
  readonly limit: number;
  readonly stride: number;
  /** Where the start is known only when it runs: its place among the starts. */
  readonly given?: number;
}

/** An axis that is taken as it is. */
export const wholeAxis = (dim: number, stride: number): Axis => ({
  dim,
  start: 0,
  step: 1,
  hole: 1,
  limit: dim,
  stride,
});

const product = (numbers: readonly number[]) => numbers.reduce((a, b) => a * b, 1);

const isWhole = ({ given, dim, start, step, hole, limit }: Axis) =>
  (given !== undefined || start === 0) && step === 1 && hole === 1 && dim === limit;

/** Merges neighbouring axes that are taken whole and in the input's order, and leaves out those of one element. */
function merged(axes: readonly Axis[]): Axis[] {
  const result: Axis[] = [];
  for (const axis of axes) {
    if (isWhole(axis) && axis.dim === 1) continue;
    const outer = result.at(-1);
    if (outer && isWhole(outer) && isWhole(axis) && outer.stride === axis.dim * axis.stride) {
      result[result.length - 1] = wholeAxis(outer.dim * axis.dim, axis.stride);
    } else result.push(axis);
  }
  return result.length > 0 ? result : [wholeAxis(1, 1)];
}

/** How the shader of `used` axes, the innermost first, knows its starts; those that are given come from input `starts`. */
function startsOf(used: readonly Axis[], starts?: { input: number; dtype: DType }) {
  if (starts) {
    // Clamped, so that the slice lies within: an axis that is taken whole starts at 0 anyway.
    const most = `i32(LIMIT[axis]) - i32(DIM[axis])`;
    const start = `starts[GIVEN[axis]]`;
    const clamped =
      starts.dtype === "u32" ? `i32(min(${start}, u32(${most})))` : `clamp(${start}, 0, ${most})`;
    return {
      code: [
        `const GIVEN = array<u32, ${used.length}>(${used.map((axis) => axis.given ?? 0).join(", ")});`,
        `@group(0) @binding(2) var<storage, read> starts: array<${wgslType(starts.dtype)}>;`,
        `fn start_of(axis: u32) -> i32 { return ${clamped}; }`,
      ].join("\n"),
      bindings: [input(starts.input)],
    };
  }
  if (used.every(isWhole)) return { code: "fn start_of(axis: u32) -> i32 { return 0; }", bindings: [] };
  return {
    code: [
      "@group(0) @binding(2) var<storage, read> starts: array<i32>;",
      "fn start_of(axis: u32) -> i32 { return starts[axis]; }",
    ].join("\n"),
    bindings: [words],
    words: used.map((axis) => axis.start),
  };
}

/** The same axes in vectors of four; undefined where a vector would be torn. */
function inVectors(axes: readonly Axis[]): Axis[] | undefined {
  const rows = axes.slice(0, -1);
  const { dim, start, step, hole, limit, stride, given } = axes.at(-1)!;
  const runs = given === undefined && step === 1 && hole === 1 && stride === 1;
  if (!runs || [dim, start, limit, ...rows.map((axis) => axis.stride)].some((n) => n % 4 !== 0))
    return undefined;
  return [
    ...rows.map((axis) => ({ ...axis, stride: axis.stride / 4 })),
    { dim: dim / 4, start: start / 4, step, hole, limit: limit / 4, stride },
  ];
}

/** The kernels of ops that rearrange one input; axes are the output's, the outermost first. */
export function stridedVariants(
  dtype: DType,
  all: readonly Axis[],
  fill: number,
  facts: AdapterFacts,
  given?: { input: number; dtype: DType },
): KernelVariant[] {
  const axes = merged(all);
  const element = wgslType(dtype);
  const vectors = inVectors(axes);
  const blocks = blocksDispatch(axes, dtype, facts);
  // The shader walks from the innermost axis outwards.
  const used = [...(vectors ?? axes)].reverse();
  const list = (type: string, pick: (axis: Axis) => number) =>
    `array<${type}, ${used.length}>(${used.map(pick).join(", ")})`;
  const size = product(used.map((axis) => axis.dim));
  const per = perThread(used[0]!.dim, size, vectors ? 4 : 1, facts);
  const source = specialize(stridedSource, {
    Element: element,
    Vector: vectors ? `vec4<${element}>` : element,
    THREADS: size / per,
    PER: per,
    RANK: used.length,
    FILL: bitsOf(fill, dtype),
    DIM: list("u32", (a) => a.dim),
    STEP: list("i32", (a) => a.step),
    HOLE: list("i32", (a) => a.hole),
    LIMIT: list("i32", (a) => a.limit),
    STRIDE: list("i32", (a) => a.stride),
  });
  const { code, bindings, ...rest } = startsOf(used, given);
  const strided: Dispatch = {
    kernel: "strided",
    source: `${source}\n${code}`,
    bindings: [input(0), output(), ...bindings],
    ...rest,
    workgroups: gridOf(Math.ceil(size / per / 64), facts),
    bytes: 8 * product(axes.map((axis) => axis.dim)),
  };
  return [
    ...(blocks ? [{ name: "blocks", dispatches: [blocks] }] : []),
    { name: "strided", dispatches: [strided] },
  ];
}

/**
 * The dispatch that puts input `index` into the output where a slice with these axes would take it from, or adds it there.
 */
export function storeSliceDispatch(
  index: number,
  dtype: DType,
  all: readonly Axis[],
  add: boolean,
  facts: AdapterFacts,
  given?: { input: number; dtype: DType },
): Dispatch {
  const axes = merged(all);
  const element = wgslType(dtype);
  const vectors = inVectors(axes);
  const used = [...(vectors ?? axes)].reverse();
  const list = (type: string, pick: (axis: Axis) => number) =>
    `array<${type}, ${used.length}>(${used.map(pick).join(", ")})`;
  const size = product(used.map((axis) => axis.dim));
  const per = perThread(used[0]!.dim, size, vectors ? 4 : 1, facts);
  const source = specialize(storeSource, {
    Vector: vectors ? `vec4<${element}>` : element,
    THREADS: size / per,
    PER: per,
    RANK: used.length,
    ADD: add,
    DIM: list("u32", (a) => a.dim),
    STEP: list("i32", (a) => a.step),
    STRIDE: list("i32", (a) => a.stride),
    LIMIT: list("i32", (a) => a.limit),
  });
  const { code, bindings, ...rest } = startsOf(used, given);
  return {
    kernel: add ? "slice/add" : "slice/store",
    source: `${source}\n${code}`,
    bindings: [input(index), output(), ...bindings],
    ...rest,
    workgroups: gridOf(Math.ceil(size / per / 64), facts),
    bytes: (add ? 12 : 8) * product(axes.map((axis) => axis.dim)),
  };
}

/** The dispatch that permutes axes by blocks of 4 × 4; undefined where it cannot. See transpose-blocks.wgsl. */
export function blocksDispatch(
  axes: readonly Axis[],
  dtype: DType,
  facts: AdapterFacts,
): Dispatch | undefined {
  const dims = axes.map((axis) => axis.dim);
  const inner = axes.findIndex((axis) => axis.stride === 1);
  const last = axes.length - 1;
  if (!axes.every(isWhole) || inner < 0 || inner === last) return undefined;
  if (dims[inner]! % 4 !== 0 || dims[last]! % 4 !== 0) return undefined;
  const outStrides = stridesOf(dims);
  const counts = dims.map((dim, axis) => (axis === inner || axis === last ? dim / 4 : dim));
  // In vectors: four elements of x's innermost axis are one, as are four of out's.
  const from = axes.map(({ stride }, axis) => (axis === inner ? 1 : axis === last ? stride : stride / 4));
  const to = outStrides.map((stride, axis) => (axis === last ? 1 : axis === inner ? stride : stride / 4));
  const sizes = {
    Vector: `vec4<${wgslType(dtype)}>`,
    BLOCKS: product(counts),
    ROW: axes[last]!.stride / 4,
    OUT_ROW: outStrides[inner]! / 4,
  };
  return {
    kernel: "transpose/blocks",
    source: [
      specialize(blocksSource, sizes),
      `fn source_of(e: u32) -> u32 { return ${offsetCode(counts, from)}; }`,
      `fn target_of(e: u32) -> u32 { return ${offsetCode(counts, to)}; }`,
    ].join("\n"),
    bindings: [input(0, "x", { dtype, width: 4 }), output(0, "out", { dtype, width: 4 })],
    workgroups: gridOf(Math.ceil(sizes.BLOCKS / 64), facts),
    bytes: 8 * product(dims),
  };
}

/** Copies input `index`, (outer, length) elements, to column `from` of the output (outer, total). */
export function concatDispatch(
  index: number,
  dtype: DType,
  { outer, length, total, from }: Record<"outer" | "length" | "total" | "from", number>,
  facts: AdapterFacts,
): Dispatch {
  const element = wgslType(dtype);
  const width = [length, total, from].every((n) => n % 4 === 0) ? 4 : 1;
  const count = (outer * length) / width;
  const per = perThread(length / width, count, width, facts);
  return {
    kernel: "concat",
    source: specialize(concatSource, {
      Vector: width === 4 ? `vec4<${element}>` : element,
      THREADS: count / per,
      PER: per,
      LENGTH: length / width,
      TOTAL: total / width,
    }),
    bindings: [input(index), output(), words],
    words: [from / width],
    workgroups: gridOf(Math.ceil(count / per / 64), facts),
    bytes: 8 * outer * length,
  };
}
