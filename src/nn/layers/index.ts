/** All layers, which `nn` exports whole. */
export * from "./activations.ts";
export * from "./branches.ts";
export * from "./combine.ts";
export * from "./composite.ts";
export * from "./conv.ts";
export * from "./dropout.ts";
export * from "./embedding.ts";
export * from "./linear.ts";
export { type LoraOptions, lora } from "./lora.ts";
export * from "./merge.ts";
export * from "./noise.ts";
export * from "./norm.ts";
export type { Pair } from "./options.ts";
export * from "./pool.ts";
export * from "./shape.ts";
