export { buffer, layer, module, parameter } from "./compose.ts";
export * as init from "./init.ts";
export { type LayerList, type LayerRow, layerUsages, readLayers } from "./layer-list.ts";
export * from "./layers.ts";
export { type ImageTask, imageModel, modelLayers, modelNames } from "./models.ts";
export type { AnyModule, BufferSpec, ForwardContext, Module, ParameterSpec } from "./module.ts";
