import source from "../../shaders/matmul-matrix.wgsl?raw";
import { type AdapterFacts, gridOf, specialize } from "./kernel.ts";
import { knownSubgroups } from "./matmul-choice.ts";
import { slabsFor, workgroupsWanted } from "./matmul-slabs.ts";

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
 * f32 matrices or the product is smaller than one. Others (f16 ones, on many GPUs) would need operands that are f16 in
 * the shader, and the engine's are widened where they are loaded.
 */
export function matrixProduct(sizes: MatrixProduct, steps: Record<string, number>, facts: AdapterFacts) {
  const { BATCH, M, N, K } = sizes;
  const config = facts.subgroupMatrices.find(
    ({ input, result, m, n, k }) => input === "f32" && result === "f32" && m === n && n === k,
  );
  if (!config || !knownSubgroups(facts) || Math.min(M, N, K) < config.m) return null;
  const size = config.m;
  const subgroup = facts.subgroupMinSize;
  const wanted = workgroupsWanted(facts);
  const tilesOf = (blocks: number) =>
    BATCH * Math.ceil(M / (2 * blocks * size)) * Math.ceil(N / (2 * blocks * size));
  const slabsAt = (blocks: number) => slabsFor(K, tilesOf(blocks), wanted, SHORTEST_SLAB);
  // Smaller tiles rather than idle multiprocessors, where slabs cannot make up for it.
  const blocks = tilesOf(4) * slabsAt(4).slabs >= wanted ? 4 : 2;
  const { slabs, length } = slabsAt(blocks);
  const tile = 2 * blocks * size;
  const depth = 2 * size;
  const bytes = 4 * (2 * tile * depth + 4 * size * size);
  if (4 * subgroup > facts.maxInvocations || bytes > facts.maxWorkgroupBytes) return null;
  const text = specialize(source, {
    ...sizes,
    ...steps,
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
