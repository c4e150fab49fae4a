export type { EmaOptions, OptimizerFactory, OptionsOf } from "./define.ts";
export * from "./optimizers.ts";
export * from "./schedules.ts";
