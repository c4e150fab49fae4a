import source from "../../../shaders/matmul/matrix.wgsl?raw";
import { type AdapterFacts, gridOf, specialize } from "../../core/kernel.ts";
import { slabsFor, workgroupsWanted } from "../product/slabs.ts";
import { knownSubgroups } from "../product/tiles.ts";

/** The sizes of a batch of products. */
export interface MatrixProduct {
  readonly BATCH: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

const SHORTEST_SLAB = 256;

/**
 * The product's shader through subgroup matrices, its grid and its slabs; null where the adapter multiplies no square
 * matrices of these numbers or the product is smaller than one. Operands that hold f16 numbers are multiplied as such
 * where the adapter adds such products in f32, as many GPUs do: each is exact there, so nothing is lost.
 */
export function matrixProduct(
  sizes: MatrixProduct,
  steps: Record<string, number>,
  facts: AdapterFacts,
  half: boolean,
) {
  const { BATCH, M, N, K } = sizes;
  const configOf = (element: string) =>
    facts.subgroupMatrices.find(
      ({ input, result, m, n, k }) => input === element && result === "f32" && m === n && n === k,
    );
  const config = (half && facts.f16 && configOf("f16")) || configOf("f32");
  if (!config || !knownSubgroups(facts) || Math.min(M, N, K) < config.m) return null;
  const size = config.m;
  const subgroup = facts.subgroupMinSize;
  const wanted = workgroupsWanted(facts);
  const depth = 2 * size;
  const bytes = (blocks: number) =>
    (config.input === "f16" ? 2 : 4) * 2 * (2 * blocks * size) * depth + 4 * 4 * size * size;
  const tilesOf = (blocks: number) =>
    BATCH * Math.ceil(M / (2 * blocks * size)) * Math.ceil(N / (2 * blocks * size));
  const slabsAt = (blocks: number) => slabsFor(K, tilesOf(blocks), wanted, SHORTEST_SLAB);
  // Smaller tiles rather than idle multiprocessors, where slabs cannot make up for it.
  const busy = tilesOf(4) * slabsAt(4).slabs >= wanted;
  const blocks = busy && bytes(4) <= facts.maxWorkgroupBytes ? 4 : 2;
  const { slabs, length } = slabsAt(blocks);
  if (4 * subgroup > facts.maxInvocations || bytes(blocks) > facts.maxWorkgroupBytes) return null;
  const text = specialize(source, {
    ...sizes,
    ...steps,
    Element: config.input,
    SUBGROUP: subgroup,
    SIZE: size,
    BLOCKS_M: blocks,
    BLOCKS_N: blocks,
    BLOCKS: blocks * blocks,
    TILE_K: depth,
    STEPS: 2,
    SLABS: slabs,
    SLAB: length,
  });
  return { source: text, workgroups: gridOf(tilesOf(blocks) * slabs, facts), slabs };
}
