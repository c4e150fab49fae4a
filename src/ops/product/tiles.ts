import type { AdapterFacts } from "../../core/kernel.ts";

// What the kernels of products, convolutions and reductions choose by.

/** Evenly filled tiles of at most `limit`: 10 rows in tiles of at most 8 are two of 5. */
export const evenTile = (size: number, limit: number) => Math.ceil(size / Math.ceil(size / limit));

/** Subgroups of one known size: WGSL cannot ask for a size, and kernels must know how many lanes share their work. */
export const knownSubgroups = (facts: AdapterFacts) =>
  facts.subgroups && facts.subgroupMinSize === facts.subgroupMaxSize && facts.subgroupMinSize >= 4;

/**
 * How many of the sums that a register tile could hold it should: SwiftShader compiles large unrolled bodies for minutes,
 * and a browser then takes its GPU process for hung.
 */
export const tileBudget = (facts: AdapterFacts, sums: number) =>
  compilesSlowly(facts) ? Math.max(1, Math.floor(sums / 4)) : sums;
export const compilesSlowly = (facts: AdapterFacts) => facts.architecture === "swiftshader";

/**
 * A side of a register tile where there is enough work for large ones: software drivers keep what has no register in a
 * cache, which costs them less than loads do; a GPU's threads would crowd each other out.
 */
export const largeTile = (facts: AdapterFacts, side: number, large: number) =>
  facts.software && !compilesSlowly(facts) ? large : side;

/**
 * The kinds of kernel in the order in which an adapter should try them. A barrier costs a software driver more than all
 * the work of a small workgroup; a GPU wants its workgroup memory.
 */
export function inOrder<T>(
  facts: AdapterFacts,
  { subgroup, tile, workgroup, naive }: Record<"subgroup" | "tile" | "workgroup" | "naive", readonly T[]>,
): T[] {
  return facts.software
    ? [...subgroup, ...tile, ...workgroup, ...naive]
    : [...workgroup, ...subgroup, ...tile, ...naive];
}
