import naiveSource from "../../shaders/matmul-naive.wgsl?raw";
import operandsSource from "../../shaders/matmul-operands.wgsl?raw";
import subgroupSource from "../../shaders/matmul-subgroup.wgsl?raw";
import tileSource from "../../shaders/matmul-tile.wgsl?raw";
import transposeSource from "../../shaders/matmul-transpose.wgsl?raw";
import { sizeOf } from "../core/shape.ts";
import { offsetCode } from "./elementwise-kernel.ts";
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
} from "./kernel.ts";
import { evenTile, inOrder, knownSubgroups } from "./matmul-choice.ts";
import type { Product } from "./matmul-shape.ts";
import { type Preparation, slabbed, slabsFor } from "./matmul-slabs.ts";
import { type WorkgroupProduct, workgroupVariantsOf } from "./matmul-workgroup.ts";

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
  /** WGSL functions that say where each product's matrices begin. */
  readonly matrices: string;
}

function layoutOf(p: Product): Layout {
  const matrix = (name: string, steps: readonly number[]) =>
    `fn ${name}(e: u32) -> u32 { return ${offsetCode(p.batch, steps)}; }`;
  const BATCH = sizeOf(p.batch);
  const { m, n, k } = p;
  // Both transposed: cᵀ = b · a, with neither transposed.
  if (p.transposeA && p.transposeB)
    return {
      a: input(1),
      b: input(0),
      sizes: { BATCH, M: n, N: m, K: k },
      steps: { A_M: k, A_K: 1, B_K: m, B_N: 1 },
      result: { C_M: 1, C_N: n },
      matrices: `${matrix("aMatrix", p.bBatch)}\n${matrix("bMatrix", p.aBatch)}`,
    };
  return {
    a: input(0),
    b: input(1),
    sizes: { BATCH, M: m, N: n, K: k },
    steps: {
      A_M: p.transposeA ? 1 : k,
      A_K: p.transposeA ? m : 1,
      B_K: p.transposeB ? 1 : n,
      B_N: p.transposeB ? k : 1,
    },
    result: { C_M: n, C_N: 1 },
    matrices: `${matrix("aMatrix", p.aBatch)}\n${matrix("bMatrix", p.bBatch)}`,
  };
}

/** Bindings, and functions that read and write four neighbouring columns, as vectors where they are aligned. */
function columnFunctions({ sizes: { N }, steps: { B_N }, result: { C_N } }: Layout): string {
  const read = B_N === 1 && N % 4 === 0;
  const write = C_N === 1 && N % 4 === 0;
  const each = (make: (e: string) => string) => ["0u", "1u", "2u", "3u"].map(make);
  return [
    "@group(0) @binding(0) var<storage, read> a: array<f32>;",
    `@group(0) @binding(1) var<storage, read> b: array<${read ? "vec4f" : "f32"}>;`,
    `@group(0) @binding(2) var<storage, read_write> c: array<${write ? "vec4f" : "f32"}>;`,
    "fn columnsAt(start: u32, n: u32) -> vec4f {",
    read
      ? "  return b[(start + min(n, N - 4u)) / 4u];"
      : `  return vec4f(${each((e) => `b[start + min(n + ${e}, N - 1u) * B_N]`).join(", ")});`,
    "}",
    "fn store(start: u32, n: u32, values: vec4f) {",
    ...(write
      ? ["  if (n < N) { c[(start + n) / 4u] = values; }"]
      : each((e) => `  if (n + ${e} < N) { c[start + (n + ${e}) * C_N] = values[${e}]; }`)),
    "}",
  ].join("\n");
}

/**
 * A layout whose b is read by columns, where both operands run along k: the smaller one is transposed first. Null where
 * that is not so, or not worth it.
 */
function transposedFirst(
  layout: Layout,
  facts: AdapterFacts,
): { layout: Layout; before: Preparation } | null {
  const { sizes, steps, result } = layout;
  const { BATCH, M, N, K } = sizes;
  if (BATCH !== 1 || steps.A_K !== 1 || steps.B_K !== 1 || K % 4 !== 0) return null;
  const columns = [N, M].filter((n) => n % 4 === 0 && n >= 8).sort((x, y) => x - y)[0];
  if (columns === undefined) return null;
  const rowsFirst = columns === N;
  const dispatch: Dispatch = {
    kernel: "matmul/transpose",
    source: specialize(transposeSource, { ROWS: columns, COLUMNS: K }),
    bindings: [rowsFirst ? layout.b : layout.a, scratch(0)],
    workgroups: gridOf(Math.ceil((columns * K) / 16 / 64), facts),
    bytes: 8 * columns * K,
  };
  const turned = rowsFirst
    ? layout
    : {
        ...layout,
        a: layout.b,
        sizes: { ...sizes, M: N, N: M },
        result: { C_M: result.C_N, C_N: result.C_M },
      };
  return {
    layout: { ...turned, b: scratch(0, "read"), steps: { A_M: K, A_K: 1, B_K: columns, B_N: 1 } },
    before: { dispatches: [dispatch], scratch: [4 * columns * K] },
  };
}

/** All ways to compute a batch of matrix products, the best for this kind of adapter first. */
export function matmulVariants(p: Product, facts: AdapterFacts): KernelVariant[] {
  const layout = layoutOf(p);
  return inOrder(facts, {
    subgroup: knownSubgroups(facts) ? [subgroupVariant(layout, facts)] : [],
    tile: [tileVariant(layout, facts)],
    workgroup: workgroupVariants(layout, facts),
    naive: [naiveVariant(layout, facts)],
  });
}

const sizeOfResult = ({ sizes: { BATCH, M, N } }: Layout) => BATCH * M * N;

function cost(layout: Layout): { flops: number; bytes: number } {
  const { BATCH, M, N, K } = layout.sizes;
  return { flops: 2 * BATCH * M * N * K, bytes: 4 * BATCH * (M * N + M * K + K * N) };
}

function specialized(
  text: string,
  { sizes, steps, result, matrices }: Layout,
  more: Record<string, number> = {},
): string {
  return `${specialize(text, { ...sizes, ...steps, ...result, ...more })}\n${matrices}\n`;
}

function subgroupVariant(original: Layout, facts: AdapterFacts): KernelVariant {
  const { layout, before } = transposedFirst(original, facts) ?? { layout: original, before: undefined };
  const { BATCH, M, N, K } = layout.sizes;
  const lanes = facts.subgroupMinSize;
  const rows = evenTile(M, Number(process.env.R ?? 16));
  const vectors = Number(process.env.VV ?? (N > 4 * lanes ? 2 : 1));
  const tiles = BATCH * Math.ceil(M / rows) * Math.ceil(N / (vectors * 4 * lanes));
  const { slabs, length } = slabsFor(K, tiles, 8, 128);
  const constants = { SUBGROUP: lanes, ROWS: rows, VECTORS: vectors, SLABS: slabs, SLAB: length };
  return slabbed(
    "subgroup",
    sizeOfResult(layout),
    slabs,
    {
      kernel: "matmul/subgroup",
      source: `${specialized(subgroupSource, layout, constants)}${columnFunctions(layout)}\n`,
      inputs: [layout.a, layout.b],
      workgroups: gridOf(tiles * slabs, facts),
      ...cost(layout),
    },
    facts,
    before,
  );
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
    operands: `${operandsSource}\n${layout.matrices}\n`,
    constants: { ...layout.steps, ...layout.result },
  };
  const work = { inputs: [layout.a, layout.b], ...cost(layout) };
  return workgroupVariantsOf(product, "matmul", sizeOfResult(layout), work, facts);
}

function tileVariant(layout: Layout, facts: AdapterFacts): KernelVariant {
  const { BATCH, M, N, K } = layout.sizes;
  const rows = Math.min(8, M);
  const columns = Math.min(8, N);
  const tiles = BATCH * Math.ceil(M / rows) * Math.ceil(N / columns);
  const { slabs, length } = slabsFor(K, tiles, 1024, 64);
  const constants = { ROWS: rows, COLUMNS: columns, SLABS: slabs, SLAB: length };
  return slabbed(
    "tile",
    sizeOfResult(layout),
    slabs,
    {
      kernel: "matmul/tile",
      source: specialized(tileSource, layout, constants),
      inputs: [layout.a, layout.b],
      workgroups: gridOf(Math.ceil((tiles * slabs) / 64), facts),
      ...cost(layout),
    },
    facts,
  );
}

function naiveVariant(layout: Layout, facts: AdapterFacts): KernelVariant {
  const dispatch: Dispatch = {
    kernel: "matmul/naive",
    source: specialized(naiveSource, layout),
    bindings: [layout.a, layout.b, output()],
    workgroups: gridOf(Math.ceil(sizeOfResult(layout) / 64), facts),
    ...cost(layout),
  };
  return { name: "naive", dispatches: [dispatch] };
}
