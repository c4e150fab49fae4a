/** Descent for Node: what the browser has, with Dawn for the GPU and files for data and checkpoints. */
import "./backend/webgpu/dawn.ts";
import * as common from "./data/index.ts";
import { loadCifar10 } from "./data/node/cifar10-files.ts";

export { tuningFile as tuningStore } from "./backend/webgpu/node/tuning-file.ts";
export * from "./index.ts";
export { newestCheckpoint, readTensors, saveCheckpoint } from "./train/node/checkpoint-files.ts";
export { NodeTrainer as Trainer } from "./train/node/trainer.ts";

export const data = { ...common, cifar10: loadCifar10 };
