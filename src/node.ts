/** Descent for Node: what the browser has, with Dawn for the GPU and files for data, models and checkpoints. */
import "./backend/webgpu/dawn.ts";

export { tuningFile as tuningStore } from "./backend/webgpu/node/tuning-file.ts";
export * as data from "./data/node/index.ts";
export * from "./index.ts";
export { newestCheckpoint, readTensors, saveCheckpoint } from "./train/node/checkpoint-files.ts";
export { loadModel, type ModelFile, NodeModel as Model } from "./train/node/model.ts";
export { NodeTrainer as Trainer } from "./train/node/trainer.ts";
