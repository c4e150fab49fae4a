import naiveSource from "../../../shaders/matmul/naive.wgsl?raw";
import operandsSource from "../../../shaders/matmul/operands.part.wgsl?raw";
import tileSource from "../../../shaders/matmul/tile.part.wgsl?raw";
import subgroupSource from "../../../shaders/matmul/tile-subgroup.wgsl?raw";
import threadSource from "../../../shaders/matmul/tile-thread.wgsl?raw";
import {
  type AdapterFacts,
  type Binding,
  type Dispatch,
  gridOf,
  input,
  type KernelVariant,
  output,
  scratch,
  specialize,
} from "../../core/kernel.ts";
import { type Shape, sizeOf } from "../../core/shape.ts";
import { offsetCode } from "../elementwise/kernel.ts";
import { blocksDispatch, wholeAxis } from "../layout/kernel.ts";
import { measured } from "../measured.ts";
import { type Preparation, slabbed, slabsFor } from "../product/slabs.ts";
import { evenTile, inOrder, knownSubgroups, largeTile } from "../product/tiles.ts";
import { type WorkgroupProduct, workgroupVariantsOf } from "../product/workgroup.ts";
import type { Product } from "./shape.ts";

/**
 * A product as the kernels see it: c[m, n] = Σ a[m, k] · b[k, n] with steps in elements, so that a transposed operand
 * is one with other steps. `b` is the operand whose columns lie side by side in memory, if one is.
 */
interface Layout {
  readonly a: Binding;
  readonly b: Binding;
  readonly sizes: { readonly BATCH: number; readonly M: number; readonly N: number; readonly K: number };
  readonly steps: {
    readonly A_M: number;
    readonly A_K: number;
    readonly B_K: number;
    readonly B_N: number;
  };
  readonly result: { readonly C_M: number; readonly C_N: number };
  /** Batch axes, and the steps of both operands from one matrix to the next along them. */
  readonly batch: { readonly axes: Shape; readonly a: readonly number[]; readonly b: readonly number[] };
}

function layoutOf(p: Product): Layout {
  const { m, n, k } = p;
  const layout: Layout = {
    a: input(0),
    b: input(1),
    sizes: { BATCH: sizeOf(p.batch), M: m, N: n, K: k },
    steps: {
      A_M: p.transposeA ? 1 : k,
      A_K: p.transposeA ? m : 1,
      B_K: p.transposeB ? 1 : n,
      B_N: p.transposeB ? k : 1,
    },
    result: { C_M: n, C_N: 1 },
    batch: { axes: p.batch, a: p.aBatch, b: p.bBatch },
  };
  // Both transposed: cᵀ = b · a, with neither transposed.
  return p.transposeA && p.transposeB ? exchanged(layout) : layout;
}

/** The same product with its operands' roles exchanged: cᵀ = bᵀ · aᵀ. */
function exchanged({ a, b, sizes, steps, result, batch }: Layout): Layout {
  return {
    a: b,
    b: a,
    sizes: { ...sizes, M: sizes.N, N: sizes.M },
    steps: { A_M: steps.B_N, A_K: steps.B_K, B_K: steps.A_K, B_N: steps.A_M },
    result: { C_M: result.C_N, C_N: result.C_M },
    batch: { ...batch, a: batch.b, b: batch.a },
  };
}

/** WGSL functions that say where each product's matrices begin. */
function matrixFunctions({ batch: { axes, a, b } }: Layout): string {
  const matrix = (name: string, steps: readonly number[]) =>
    `fn ${name}(e: u32) -> u32 { return ${offsetCode(axes, steps)}; }`;
  return `${matrix("aMatrix", a)}\n${matrix("bMatrix", b)}`;
}

/** Whether four neighbouring columns of b, and of c, are a vector in memory. */
const readsVectors = ({ sizes: { N }, steps: { B_N } }: Layout) => B_N === 1 && N % 4 === 0;
const writesVectors = ({ sizes: { N }, result: { C_N } }: Layout) => C_N === 1 && N % 4 === 0;

/** The operands and the result by their names, loaded and stored so many elements at a time. */
const bindingsOf = ({ a, b }: Layout, [rows, columns, stored] = [1, 1, 1]): Binding[] => [
  { ...a, name: "a", width: rows },
  { ...b, name: "b", width: columns },
  output(0, "c", { width: stored }),
];

/**
 * Functions that read `width` neighbouring rows of a, and read and write four neighbouring columns, as vectors where they
 * are aligned.
 */
function operandFunctions(layout: Layout, width: number): string {
  const { M } = layout.sizes;
  const rows = width > 1;
  const read = readsVectors(layout);
  const each = (make: (e: string) => string) => ["0u", "1u", "2u", "3u"].map(make);
  return [
    `alias Rows = ${rows ? `vec${width}f` : "array<f32, 1>"};`,
    "fn rowsAt(start: u32, m: u32) -> Rows {",
    rows
      ? `  return load_a((start + min(m, ${M - width}u)) / ${width}u);`
      : "  return Rows(load_a(start + min(m, M - 1u) * A_M));",
    "}",
    "fn columnsAt(start: u32, n: u32) -> vec4f {",
    read
      ? "  return load_b((start + min(n, N - 4u)) / 4u);"
      : `  return vec4f(${each((e) => `load_b(start + min(n + ${e}, N - 1u) * B_N)`).join(", ")});`,
    "}",
    "fn store(start: u32, n: u32, values: vec4f, step: u32) {",
    ...(writesVectors(layout)
      ? ["  if (n < N) { store_c((start + n) / 4u, values); }"]
      : [
          // One store in the text, so that an epilogue is there once; step, which is 1, keeps the driver from unrolling.
          "  var column = values;",
          "  for (var e = 0u; e < min(4u, N - min(n, N)); e += step) { store_c(start + (n + e) * C_N, column[e]); }",
        ]),
    "}",
  ].join("\n");
}

/** Rows of a tile, at most: they lie k apart in memory, and more of them would share too few places in a cache. */
const TILE_ROWS = 16;
/** Where rows are neighbours in memory and there is enough work. */
const HIGH_TILE_ROWS = 32;
/** Large tiles and two k a turn are faster by a third, but take a software driver thrice as long to compile. */
const WORTH_COMPILING = 2 ** 26;
/** Elements that an operand must have to be transposed first: for threads, and for lanes that share what they read. */
const TRANSPOSED = { thread: 2 ** 15, subgroup: 2 ** 16 };
/** A tile's least share of a sum, in floating-point operations: a dispatch more costs what this much work does. */
const LEAST_SHARE = 2 ** 22;

/** The product with b, which runs along k, transposed into the scratch buffer after those of `before`. */
function transposed(layout: Layout, facts: AdapterFacts, before?: Preparation) {
  const { N, K } = layout.sizes;
  const index = before?.scratch.length ?? 0;
  const blocks = blocksDispatch([wholeAxis(K, 1), wholeAxis(N, K)], "f32", facts)!;
  const [from, to] = blocks.bindings as [Binding, Binding];
  const dispatch: Dispatch = {
    ...blocks,
    kernel: "matmul/transpose",
    bindings: [
      { ...from, ...layout.b },
      { ...to, ...scratch(index) },
    ],
  };
  return {
    layout: { ...layout, b: scratch(index, "read"), steps: { ...layout.steps, B_K: N, B_N: 1 } },
    before: {
      dispatches: [...(before?.dispatches ?? []), dispatch],
      scratch: [...(before?.scratch ?? []), 4 * N * K],
    },
  };
}

interface Prepared {
  readonly layout: Layout;
  readonly before?: Preparation;
}

/**
 * A layout for lanes that read rows of a and columns of b as vectors: an operand that runs along k is transposed first
 * where enough tiles read it to make up for that.
 */
function sideBySide(layout: Layout, facts: AdapterFacts, readers: keyof typeof TRANSPOSED): Prepared {
  const turns = ({ sizes: { BATCH, N, K }, steps: { B_K } }: Layout) =>
    B_K === 1 && BATCH === 1 && K % 4 === 0 && N % 4 === 0 && 4 * N * K <= facts.maxBindingBytes;
  const { M, N } = layout.sizes;
  // Of two operands that run along k, the one with fewer rows comes first.
  const long = layout.steps.A_K === 1 && layout.steps.B_K === 1 && N > M ? exchanged(layout) : layout;
  const { sizes } = long;
  const columns: Prepared =
    turns(long) && sizes.M > 4 * TILE_ROWS && sizes.N * sizes.K >= TRANSPOSED[readers]
      ? transposed(long, facts)
      : { layout };
  const rows = exchanged(columns.layout);
  const large = cost(layout).flops >= WORTH_COMPILING && rows.sizes.M > 6 * TILE_ROWS;
  if (!large || rows.steps.A_K === 1 || rows.sizes.N <= TILE_ROWS || !turns(rows)) return columns;
  const both = transposed(rows, facts, columns.before);
  return { ...both, layout: exchanged(both.layout) };
}

/**
 * The same for a subgroup's lanes, which share a tile of many columns: few columns become rows, of which a tile has as
 * many as there are.
 */
function byColumns(original: Layout, facts: AdapterFacts): Prepared {
  const prepared = sideBySide(original, facts, "subgroup");
  const { sizes, steps } = prepared.layout;
  const narrow = sizes.N <= TILE_ROWS || (steps.A_K === 1 && steps.B_K === 1);
  return narrow && sizes.M > sizes.N && !prepared.before ? { layout: exchanged(prepared.layout) } : prepared;
}

/**
 * All ways to compute a batch of matrix products, the best for this kind of adapter first; `half` says that both operands
 * hold f16 numbers.
 */
export function matmulVariants(p: Product, facts: AdapterFacts, half = false): KernelVariant[] {
  const layout = layoutOf(p);
  return inOrder(facts, {
    subgroup: knownSubgroups(facts) ? [subgroupVariant(layout, facts)] : [],
    tile: [tileVariant(layout, facts)],
    workgroup: [...workgroupVariants(layout, facts), ...matrixVariants(layout, facts, half)],
    naive: [naiveVariant(layout, facts)],
  });
}

const sizeOfResult = ({ sizes: { BATCH, M, N } }: Layout) => BATCH * M * N;

function cost(layout: Layout): { flops: number; bytes: number } {
  const { BATCH, M, N, K } = layout.sizes;
  return { flops: 2 * BATCH * M * N * K, bytes: 4 * BATCH * (M * N + M * K + K * N) };
}

function specialized(text: string, layout: Layout, more: Record<string, number> = {}): string {
  const { sizes, steps, result } = layout;
  return `${specialize(text, { ...sizes, ...steps, ...result, ...more })}\n${matrixFunctions(layout)}\n`;
}

/** How many neighbouring rows a lane reads at once, where `lanes` of them read a tile of `rows`. */
function rowWidth({ sizes: { M }, steps: { A_M } }: Layout, rows: number, lanes: number): number {
  const fits = (width: number) => A_M === 1 && M % width === 0 && rows > (width / 2) * lanes;
  return fits(4) ? 4 : fits(2) ? 2 : 1;
}

/** How lanes of a register tile work: see shaders/matmul/tile.part.wgsl. */
interface Tile {
  readonly source: string;
  /** Lanes that share a tile, and tiles of a workgroup. */
  readonly lanes: number;
  readonly tiles: number;
  readonly rows: number;
  readonly vectors: number;
  readonly group: number;
  readonly depth: number;
  /** How many tiles × slabs there should be, and the shortest slab. */
  readonly wanted: number;
  readonly least: number;
}

function registerTile(
  name: string,
  { layout, before }: Prepared,
  { source, lanes, rows: even, vectors, group, depth, ...tile }: Tile,
  facts: AdapterFacts,
): KernelVariant {
  const { BATCH, M, N, K } = layout.sizes;
  const width = rowWidth(layout, even, lanes);
  const rows = Math.ceil(even / width) * width;
  const tiles = BATCH * Math.ceil(M / rows) * Math.ceil(N / (4 * vectors * lanes));
  const { slabs, length } = slabsFor(K / depth, tiles, tile.wanted, tile.least / depth);
  const constants = {
    SHARED: lanes,
    ROWS: rows,
    WIDTH: width,
    PARTS: Math.ceil(rows / (width * lanes)),
    VECTORS: vectors,
    GROUP: group,
    GROUPS: vectors / group,
    DEPTH: depth,
    SLABS: slabs,
    SLAB: length * depth,
  };
  const dispatch = {
    kernel: `matmul/${name}`,
    source: `${specialized(source, layout, constants)}${operandFunctions(layout, width)}\n`,
    bindings: bindingsOf(layout, [width, readsVectors(layout) ? 4 : 1, writesVectors(layout) ? 4 : 1]),
    workgroups: gridOf(Math.ceil((tiles * slabs) / tile.tiles), facts),
    ...cost(layout),
  };
  return slabbed(name, sizeOfResult(layout), slabs, dispatch, facts, before);
}

function subgroupVariant(original: Layout, facts: AdapterFacts): KernelVariant {
  const prepared = byColumns(original, facts);
  const { sizes, steps } = prepared.layout;
  const { flops } = cost(original);
  const lanes = facts.subgroupMinSize;
  const large = flops >= WORTH_COMPILING;
  const high = large && steps.A_M === 1;
  const vectors = sizes.N > 8 * lanes ? 2 : 1;
  const tile = {
    source: `${subgroupSource}${tileSource.replace("rowOf(", "subgroupBroadcast(")}`,
    lanes,
    tiles: 1,
    rows: evenTile(sizes.M, high ? largeTile(facts, TILE_ROWS, HIGH_TILE_ROWS) : TILE_ROWS),
    vectors,
    group: vectors,
    depth: large && sizes.K % 2 === 0 ? 2 : 1,
    wanted: Math.min(8, Math.max(2, Math.round(flops / LEAST_SHARE))),
    least: 128,
  };
  return registerTile("subgroup", prepared, tile, facts);
}

function tileVariant(original: Layout, facts: AdapterFacts): KernelVariant {
  const prepared = sideBySide(original, facts, "thread");
  const { layout } = prepared;
  const { BATCH, M, N } = layout.sizes;
  const most = BATCH * Math.ceil(M / 16) * Math.ceil(N / 16);
  const large = cost(layout).flops >= WORTH_COMPILING && most >= 512 && readsVectors(layout);
  const side = large ? largeTile(facts, 8, 16) : 8;
  const vectors = Math.ceil(evenTile(N, side) / 4);
  const tile = {
    source: `${tileSource}${threadSource}`,
    lanes: 1,
    tiles: 64,
    rows: evenTile(M, side),
    vectors,
    // Columns read one element at a time are used at once: llvmpipe has no registers to keep them all in.
    group: readsVectors(layout) ? vectors : 1,
    depth: 1,
    wanted: facts.software ? 256 : 1024,
    least: 64,
  };
  return registerTile("tile", prepared, tile, facts);
}

function workgroupVariants(layout: Layout, facts: AdapterFacts): KernelVariant[] {
  const { BATCH, M, N, K } = layout.sizes;
  const product: WorkgroupProduct = {
    products: BATCH,
    m: M,
    n: N,
    k: K,
    aAlongK: layout.steps.A_K === 1,
    bAlongK: layout.steps.B_K === 1,
    slabs: true,
    operands: `${operandsSource}\n${matrixFunctions(layout)}\n`,
    constants: { ...layout.steps, ...layout.result },
  };
  const work = { bindings: bindingsOf(layout), ...cost(layout) };
  return workgroupVariantsOf(product, "matmul", sizeOfResult(layout), work, facts);
}

function matrixVariants(layout: Layout, facts: AdapterFacts, half: boolean): KernelVariant[] {
  const product = measured.matrixProduct?.(layout.sizes, { ...layout.steps, ...layout.result }, facts, half);
  if (!product) return [];
  const { slabs, source, workgroups } = product;
  const dispatch = {
    kernel: "matmul/matrix",
    source: `${source}\n${matrixFunctions(layout)}\n`,
    bindings: bindingsOf(layout),
    workgroups,
    ...cost(layout),
  };
  return [slabbed("matrix", sizeOfResult(layout), slabs, dispatch, facts)];
}

function naiveVariant(layout: Layout, facts: AdapterFacts): KernelVariant {
  const dispatch: Dispatch = {
    kernel: "matmul/naive",
    source: specialized(naiveSource, layout),
    bindings: bindingsOf(layout),
    workgroups: gridOf(Math.ceil(sizeOfResult(layout) / 64), facts),
    ...cost(layout),
  };
  return { name: "naive", dispatches: [dispatch] };
}
