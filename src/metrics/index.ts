export * from "./classification.ts";
export * from "./counts.ts";
export type { Measure, MeasureValue, Metric, Tally } from "./metric.ts";
export * from "./regression.ts";
export * from "./scores.ts";
