/** All layers, which `nn` exports whole. */
export * from "./activations.ts";
export * from "./adaptive-pool.ts";
export { type AttentionInput, type MultiHeadAttentionOptions, multiHeadAttention } from "./attention.ts";
export * from "./branches.ts";
export * from "./combine.ts";
export * from "./composite.ts";
export {
  type Conv1dOptions,
  type Conv2dOptions,
  conv1d,
  conv2d,
  type SeparableConv2dOptions,
  separableConv2d,
} from "./conv.ts";
export * from "./conv-transpose.ts";
export * from "./dropout.ts";
export * from "./embedding.ts";
export * from "./learned-activations.ts";
export * from "./linear.ts";
export { type LoraOptions, lora } from "./lora.ts";
export * from "./merge.ts";
export * from "./noise.ts";
export * from "./norm.ts";
export type { Pair } from "./options.ts";
export * from "./padding.ts";
export * from "./penalties.ts";
export * from "./pool.ts";
export * from "./positions.ts";
export * from "./recurrent.ts";
export * from "./shape.ts";
export type { Sides1d, Sides2d } from "./space.ts";
export * from "./transformer.ts";
export * from "./upsample.ts";
