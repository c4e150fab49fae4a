import source from "../../../shaders/product/sum-slabs.wgsl?raw";
import {
  type AdapterFacts,
  type Dispatch,
  gridOf,
  type KernelVariant,
  output,
  scratch,
  specialize,
} from "../../core/kernel.ts";

/** What a product needs computed first: dispatches, and the bytes of the scratch buffers 0, 1, … that they write. */
export interface Preparation {
  readonly dispatches: readonly Dispatch[];
  readonly scratch: readonly number[];
}

/**
 * A kernel variant whose long sums are shared out to slabs: with one slab the product writes the result, with more it
 * writes, to scratch in its place, `size` partial results each, which a second dispatch adds up in a fixed order.
 */
export function slabbed(
  name: string,
  size: number,
  slabs: number,
  product: Dispatch,
  facts: AdapterFacts,
  before: Preparation = { dispatches: [], scratch: [] },
): KernelVariant {
  if (slabs === 1) return { name, dispatches: [...before.dispatches, product], scratch: before.scratch };
  const partial = before.scratch.length;
  const bindings = product.bindings.map((b) => (b.kind === "output" ? { ...b, ...scratch(partial) } : b));
  const sum: Dispatch = {
    kernel: "sum-slabs",
    source: specialize(source, { SIZE: size, SLABS: slabs }),
    bindings: [scratch(partial, "read", "slabs"), output(0, "out")],
    workgroups: gridOf(Math.ceil(size / 64), facts),
    flops: size * (slabs - 1),
    bytes: 4 * size * (slabs + 1),
  };
  const dispatches = [...before.dispatches, { ...product, bindings }, sum];
  return { name, dispatches, scratch: [...before.scratch, 4 * size * slabs] };
}

/** How many workgroups keep an adapter busy: two for each multiprocessor of a large GPU, a few for a processor's cores. */
export const workgroupsWanted = (facts: AdapterFacts) => (facts.software ? 4 : 264);

/** Shares `total` steps out to slabs so that `tiles` × slabs reaches `wanted`, but no slab is shorter than `least`. */
export function slabsFor(
  total: number,
  tiles: number,
  wanted: number,
  least: number,
): { slabs: number; length: number } {
  const length = Math.max(Math.min(total, least), Math.ceil(total / Math.ceil(wanted / tiles)));
  return { slabs: Math.ceil(total / length), length };
}
