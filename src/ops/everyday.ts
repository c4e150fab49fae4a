/**
 * The everyday ops: what gradients and compositions are made of, and what tensors have as methods. A program carries
 * all of them, so what is large and not for every day (convolution, pooling, norms, losses) stays out.
 */
export * from "./elementwise/activations.ts";
export * from "./elementwise/arithmetic.ts";
export * from "./elementwise/compare.ts";
export * from "./elementwise/special.ts";
export * from "./elementwise/unary.ts";
export { gather, scatterAdd } from "./layout/gather.ts";
export { concat, pad, reshape, slice, transpose } from "./layout/layout.ts";
export { split, stack } from "./layout/parts.ts";
export { logSoftmax, softmax } from "./loss/softmax.ts";
export { matmul } from "./matmul/matmul.ts";
export { argmax, max, mean, sum } from "./reduce/reduce.ts";
