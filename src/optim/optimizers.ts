export type { Group, Optimizer } from "./optimizer.ts";
export * from "./rules/adagrad.ts";
export { type AdamHyper, type AdamOptions, adam, adamW } from "./rules/adam.ts";
export * from "./rules/adam-kin.ts";
export * from "./rules/lamb.ts";
export * from "./rules/lion.ts";
export { type MuonHyper, type MuonOptions, muon } from "./rules/muon.ts";
export * from "./rules/rms-prop.ts";
export * from "./rules/sgd.ts";
