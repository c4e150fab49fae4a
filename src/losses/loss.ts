import type { Tensor } from "../core/op.ts";

/**
 * What training minimises: a scalar from the network's output and the targets. With a mask (bool, or f32 weights) it is a
 * mean over what the mask keeps, whatever stands in the targets elsewhere; NaN where it keeps nothing.
 */
export interface Loss {
  readonly name: string;
  (output: Tensor, target: Tensor, mask?: Tensor): Tensor;
}

/** A function with the name of its loss. */
export function loss(name: string, compute: (output: Tensor, target: Tensor, mask?: Tensor) => Tensor): Loss {
  return Object.defineProperty(compute, "name", { value: name }) as Loss;
}
