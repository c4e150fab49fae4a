/** Descent for browsers: everything but files and the command line. */
export type { Backend, Executable } from "./backend/backend.ts";
export { cpuBackend } from "./backend/cpu.ts";
export { type WebGPUBackend, webgpuBackend as gpu } from "./backend/webgpu/backend.ts";
export { adapterPeaks, type Peaks } from "./backend/webgpu/peaks.ts";
export { storedChoices, type TuneOptions, tune } from "./backend/webgpu/tuner.ts";
export type { Candidate, TunedKernel } from "./backend/webgpu/tuner-trial.ts";
export { browserTuningStore as tuningStore, type TuningStore } from "./backend/webgpu/tuning-store.ts";
export * from "./core/errors.ts";
export {
  type AdapterFacts,
  type Binding,
  type Dispatch,
  floatLiteral,
  gridOf,
  input,
  type Kernel,
  type KernelContext,
  type KernelVariant,
  output,
  scratch,
  specialize,
} from "./core/kernel.ts";
export { type NDArray, ndarray } from "./core/ndarray.ts";
export {
  type Binary,
  defineOp,
  type Op,
  type OpDefinition,
  type Operand,
  type OpRecord,
  optional,
  required,
  type Sample,
  Tensor,
  type Unary,
} from "./core/op.ts";
export type { Sampler } from "./core/samples.ts";
export type { Shape, TensorType } from "./core/shape.ts";
export { accumulated, exact, type Tolerance, ulps, within } from "./core/tolerance.ts";
export * as data from "./data/index.ts";
export { gradients } from "./graph/autodiff.ts";
export { feed, read, standalone } from "./graph/node.ts";
export type { Program } from "./graph/program.ts";
export * as nn from "./nn/index.ts";
export * as losses from "./nn/losses.ts";
export { type ElementwiseDefinition, elementwiseOp } from "./ops/elementwise/define.ts";
export * as f from "./ops/f.ts";
export { records as ops } from "./ops/index.ts";
export * as optim from "./optim/index.ts";
export { printPlan } from "./plan/print.ts";
export type { Checkpoint } from "./train/checkpoint.ts";
export type { Distribution } from "./train/distribution.ts";
export { type LayerLook, type LayerPicture, type Look, type ParameterLook, Probe } from "./train/probe.ts";
export { decodeTensors, encodeTensors, type TensorFile } from "./train/safetensors.ts";
export { type EpochMetrics, type StepMetrics, Trainer, type TrainerOptions } from "./train/trainer.ts";
export { type ParityRow, type VerifyOptions, verify } from "./verify/parity.ts";
export { byKernel, type KernelReport, keepVerdicts, verdict } from "./verify/report.ts";
