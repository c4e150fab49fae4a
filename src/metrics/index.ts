export * from "./classification.ts";
export type { Metric } from "./metric.ts";
export * from "./regression.ts";
