export type {
  CommonOptions,
  EmaOptions,
  LookaheadOptions,
  OptimizerFactory,
  OptionsOf,
  SwaOptions,
} from "./define.ts";
export type { Minimizer } from "./minimize.ts";
export * from "./optimizers.ts";
export { type RuleDefinition, type RuleHyper, type RuleInputs, rule } from "./rule.ts";
export * from "./schedules.ts";
export * from "./second-order.ts";
export type { Trainable } from "./state.ts";
export type { BackwardOptions, Minimization, MinimizeOptions } from "./steps.ts";
