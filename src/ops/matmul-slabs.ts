import source from "../../shaders/matmul-sum-slabs.wgsl?raw";
import {
  type AdapterFacts,
  type Dispatch,
  gridOf,
  type KernelVariant,
  output,
  scratch,
  specialize,
} from "./kernel.ts";

/**
 * A kernel variant whose long sums are shared out to slabs: with one slab the product writes the result, with more it
 * writes partial results that a second dispatch adds up in a fixed order.
 */
export function slabbed(
  name: string,
  size: number,
  slabs: number,
  product: Omit<Dispatch, "bindings"> & { readonly inputs: readonly Dispatch["bindings"][number][] },
  facts: AdapterFacts,
): KernelVariant {
  const { inputs, ...dispatch } = product;
  if (slabs === 1) return { name, dispatches: [{ ...dispatch, bindings: [...inputs, output()] }] };
  const merge: Dispatch = {
    kernel: "sum-slabs",
    source: specialize(source, { SIZE: size, SLABS: slabs }),
    bindings: [scratch(0, "read"), output()],
    workgroups: gridOf(Math.ceil(size / 64), facts),
    flops: size * (slabs - 1),
    bytes: 4 * size * (slabs + 1),
  };
  return {
    name,
    dispatches: [{ ...dispatch, bindings: [...inputs, scratch(0)] }, merge],
    scratch: [4 * size * slabs],
  };
}
