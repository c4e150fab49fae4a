import momentsSource from "../../../shaders/product/moments.part.wgsl?raw";
import noMomentsSource from "../../../shaders/product/no-moments.part.wgsl?raw";
import source from "../../../shaders/product/workgroup.wgsl?raw";
import {
  type AdapterFacts,
  type Dispatch,
  gridOf,
  type KernelVariant,
  specialize,
} from "../../core/kernel.ts";
import { slabbed, slabsFor, workgroupsWanted } from "./slabs.ts";

/** A product for workgroup memory, whose operands are WGSL functions: see shaders/product/workgroup.wgsl. */
export interface WorkgroupProduct {
  readonly products: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Whether the operand's elements lie in memory along k. */
  readonly aAlongK: boolean;
  readonly bAlongK: boolean;
  /** Whether the sum may be shared out to slabs. */
  readonly slabs: boolean;
  /** Whether somebody wants the moments of each product's rows. */
  readonly moments?: boolean;
  readonly operands: string;
  readonly constants: Readonly<Record<string, number>>;
}

const SHORTEST_SLAB = 256;

/**
 * Names of the variants to offer, and the largest tile of each (0: as the number of workgroups suggests). On a GPU the
 * best tile is found by measuring; a software driver only has to run one.
 */
export function workgroupTiles(facts: AdapterFacts): [name: string, largest: number][] {
  const suggested: [string, number] = ["workgroup", 0];
  if (facts.software) return [suggested];
  return [suggested, ...[128, 64, 32].map((size): [string, number] => [`workgroup-${size}`, size])];
}

/** Leaves out variants that another name has already. */
export const distinct = (variants: readonly KernelVariant[]): KernelVariant[] =>
  variants.filter((variant, i) => {
    const sources = (v: KernelVariant) => v.dispatches.map((d) => d.source).join();
    return variants.findIndex((other) => sources(other) === sources(variant)) === i;
  });

/**
 * The product's shader, its grid, its stores (of `put`), its slabs and how many of moments it leaves for each row; null
 * where the adapter's limits are too low.
 */
export function workgroupProduct(p: WorkgroupProduct, facts: AdapterFacts, largest = 0) {
  const { m, n, k, products } = p;
  const tiles = (tileM: number, tileN: number) => products * Math.ceil(m / tileM) * Math.ceil(n / tileN);
  let tileM = tileFor(m, 16, largest || 128);
  let tileN = tileFor(n, 32, largest || 128);
  const wanted = workgroupsWanted(facts);
  const mostSlabs = p.slabs ? Math.ceil(k / SHORTEST_SLAB) : 1;
  // Smaller tiles rather than idle multiprocessors, where slabs cannot make up for it.
  while (!largest && Math.max(tileM, tileN) > 32 && tiles(tileM, tileN) * mostSlabs < wanted)
    if (tileM > tileN) tileM /= 2;
    else tileN /= 2;
  const vectorsM = tileM >= 64 ? 2 : 1;
  const vectorsN = tileN >= 64 ? 2 : 1;
  const threads = (tileM * tileN) / (16 * vectorsM * vectorsN);
  const bytes = (tileK: number) => 4 * tileK * (tileM + tileN + 8);
  const tileK = bytes(16) <= facts.maxWorkgroupBytes ? 16 : 8;
  if (threads > facts.maxInvocations || bytes(tileK) > facts.maxWorkgroupBytes) return null;
  const count = tiles(tileM, tileN);
  const { slabs, length } = p.slabs ? slabsFor(k, count, wanted, SHORTEST_SLAB) : { slabs: 1, length: k };
  // Threads exchange their part of a row's moments where its elements were.
  const leave = p.moments === true && slabs === 1 && threads <= tileK * (tileM / 4 + 1);
  const text = specialize([source, p.operands, leave ? momentsSource : noMomentsSource].join("\n"), {
    PRODUCTS: products,
    M: m,
    N: n,
    K: k,
    TILE_M: tileM,
    TILE_N: tileN,
    TILE_K: tileK,
    VECTORS_M: vectorsM,
    VECTORS_N: vectorsN,
    THREADS: threads,
    A_ALONG_K: p.aAlongK,
    B_ALONG_K: p.bAlongK,
    // A software driver compiles for long what it unrolls.
    WHOLE_STEPS: !facts.software,
    MOMENTS: leave,
    SLABS: slabs,
    SLAB: length,
    ...p.constants,
  });
  return {
    source: text,
    workgroups: gridOf(count * slabs, facts),
    stores: 4,
    slabs,
    ...(leave && { moments: Math.ceil(n / tileN) }),
  };
}

/** The workgroup variants of a product whose sums may be shared out to slabs. */
export function workgroupVariantsOf(
  p: WorkgroupProduct,
  op: string,
  size: number,
  work: Pick<Dispatch, "bindings" | "flops" | "bytes">,
  facts: AdapterFacts,
): KernelVariant[] {
  const variants = workgroupTiles(facts).flatMap(([name, largest]) => {
    const product = workgroupProduct(p, facts, largest);
    if (!product) return [];
    const { slabs, ...dispatch } = product;
    return [slabbed(name, size, slabs, { kernel: `${op}/workgroup`, ...dispatch, ...work }, facts)];
  });
  return distinct(variants);
}

/** The power of two from `least` to `largest` that covers `size`, or the largest. */
function tileFor(size: number, least: number, largest: number): number {
  let tile = least;
  while (tile < largest && tile < size) tile *= 2;
  return tile;
}
