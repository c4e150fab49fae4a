import { winogradKernels } from "./conv/winograd.ts";
import { matrixProduct } from "./matmul/subgroup-matrix.ts";

/** Kernels that no adapter begins with, as far as they are offered. */
export const measured: {
  winogradKernels?: typeof winogradKernels;
  matrixProduct?: typeof matrixProduct;
} = {};

/**
 * Offers the kernels that only measuring chooses, from now on: `tune`, `storedChoices`, `verify` and Node's entry do. Other
 * programs carry none of them.
 */
export function offerMeasured(): void {
  Object.assign(measured, { winogradKernels, matrixProduct });
}
