export * from "./binary.ts";
export {
  type ClassOptions,
  type CrossEntropyOptions,
  crossEntropy,
  nll,
} from "./cross-entropy.ts";
export * from "./divergence.ts";
export * from "./embedding.ts";
export type { Loss } from "./loss.ts";
export {
  hinge,
  type MultiMarginOptions,
  multiMargin,
  squaredHinge,
} from "./margin.ts";
export type { Reduction } from "./masks.ts";
export {
  type HuberOptions,
  huber,
  l1,
  type MseOptions,
  mse,
  type ReductionOptions,
  type SmoothL1Options,
  smoothL1,
} from "./regression.ts";
