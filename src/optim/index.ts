export type { EmaOptions, OptimizerFactory, OptionsOf } from "./define.ts";
export * from "./optimizers.ts";
export { type RuleDefinition, rule } from "./rule.ts";
export * from "./schedules.ts";
export type { BackwardOptions, MinimizeOptions } from "./steps.ts";
