/** Every op that programs are made of, as functions of tensors: operands first, then an object of attributes. */
import "./methods.ts";

export { conv2d } from "./conv/conv2d.ts";
export type { Conv2dAttrs, Conv2dOptions, Padding, Pads, Pair } from "./conv/shape.ts";
export { type ConvTranspose2dAttrs, type ConvTranspose2dOptions, convTranspose2d } from "./conv/transpose.ts";
export { type AugmentAttrs, augmentImages } from "./data/augment-images.ts";
export * from "./elementwise/piecewise.ts";
export * from "./everyday.ts";
export {
  type DynamicSliceAttrs,
  dynamicSlice,
  type UpdateSliceAttrs,
  updateSlice,
} from "./layout/dynamic-slice.ts";
export type { ScatterAddAttrs } from "./layout/gather.ts";
export { type IotaAttrs, iota, type OneHotAttrs, oneHot, scatter } from "./layout/indices.ts";
export type { PadAttrs } from "./layout/layout.ts";
export type { SplitAttrs } from "./layout/parts.ts";
export type { SliceAttrs } from "./layout/strided.ts";
export {
  type CrossEntropyAttrs,
  type MeanSquaredErrorAttrs,
  mse,
  softCrossEntropy,
  softmaxCrossEntropy,
} from "./loss/loss.ts";
export type { SoftmaxAttrs } from "./loss/softmax.ts";
export { type EinsumAttrs, einsum } from "./matmul/einsum.ts";
export type { MatmulAttrs } from "./matmul/shape.ts";
export { batchNorm, batchNormInference } from "./norm/batch-norm.ts";
export type { BatchNormAttrs } from "./norm/batch-norm-reference.ts";
export { avgPool2d, globalAvgPool2d } from "./pool/average.ts";
export { maxPool2d } from "./pool/max.ts";
export type { AveragePoolAttrs, AveragePoolOptions, PoolAttrs, PoolOptions } from "./pool/shape.ts";
export { type DropoutAttrs, dropout, type RandomAttrs, randomUniform } from "./random/random.ts";
export { type CumsumAttrs, cumsum } from "./reduce/cumsum.ts";
export type { ReduceAttrs, Reduction } from "./reduce/reduce.ts";
export { type SortAttrs, sort, type TopKAttrs, topK } from "./reduce/sort.ts";
export { type AttentionOptions, scaledDotProductAttention } from "./sequence/attention.ts";
export { type RotaryOptions, rotary } from "./sequence/positions.ts";
