export * as init from "./init.ts";
export * from "./layers.ts";
export { imageModel, modelNames } from "./models.ts";
export type { ForwardContext, Module } from "./module.ts";
