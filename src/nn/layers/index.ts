/** All layers, which `nn` exports whole. */
export * from "./activations.ts";
export * from "./combine.ts";
export * from "./conv.ts";
export * from "./dropout.ts";
export * from "./embedding.ts";
export * from "./linear.ts";
export * from "./norm.ts";
export type { Pair } from "./options.ts";
export * from "./penalties.ts";
export * from "./pool.ts";
export * from "./shape.ts";
