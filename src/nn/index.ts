export { buffer, layer, module, type Part, parameter } from "./compose.ts";
export * as init from "./init.ts";
export { type LayerList, type LayerRow, layerUsages, readLayers } from "./layer-list.ts";
export * from "./layers/index.ts";
export { type ImageTask, imageModel, type ModelName, modelLayers, modelNames } from "./models.ts";
export type {
  AnyModule,
  BatchExamples,
  BufferSpec,
  Description,
  ForwardContext,
  Module,
  ParameterSpec,
  PenaltyTerm,
} from "./module.ts";
export { replacePart } from "./replace.ts";
