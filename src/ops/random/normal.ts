import type { Tensor } from "../../core/op.ts";

/**
 * Normal numbers from uniform ones of 24 bits in [0, 1): √2·erfinv(2u − 1), from the middle of each of the 2²⁴ steps, for 0
 * would become −∞.
 */
export const normalOf = (unit: Tensor): Tensor =>
  unit
    .mul(2)
    .add(2 ** -24 - 1)
    .erfinv()
    .mul(Math.SQRT2);
