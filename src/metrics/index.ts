export * from "./classification.ts";
export * from "./counts.ts";
export type { Measure, MeasureValue, Metric, Tally, TallyDefinition } from "./metric.ts";
export * from "./regression.ts";
export * from "./scores.ts";
export { tally } from "./tally.ts";
