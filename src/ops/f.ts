/** Every op that programs are made of, as functions of tensors: operands first, then an object of attributes. */
import "./methods.ts";

export { conv2d } from "./conv/conv2d.ts";
export { augmentImages } from "./data/augment-images.ts";
export * from "./everyday.ts";
export { dynamicSlice, updateSlice } from "./layout/dynamic-slice.ts";
export { iota, oneHot, scatter } from "./layout/indices.ts";
export { mse, softCrossEntropy, softmaxCrossEntropy } from "./loss/loss.ts";
export { einsum } from "./matmul/einsum.ts";
export { batchNorm, batchNormInference } from "./norm/batch-norm.ts";
export { avgPool2d, globalAvgPool2d } from "./pool/average.ts";
export { maxPool2d } from "./pool/max.ts";
export { dropout, randomUniform } from "./random/random.ts";
export { cumsum } from "./reduce/cumsum.ts";
export { sort, topK } from "./reduce/sort.ts";
