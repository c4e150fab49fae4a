/** Descent for browsers: everything but files and the command line. */
export type { Backend, CompileProgress, Executable, Feeds, Resident } from "./backend/backend.ts";
export { cpuBackend } from "./backend/cpu.ts";
export type { DeviceTensor } from "./backend/variable.ts";
export { type WebGPUBackend, webgpuBackend as gpu } from "./backend/webgpu/backend.ts";
export type { DeviceRequest } from "./backend/webgpu/device.ts";
export { adapterPeaks, type Peaks } from "./backend/webgpu/peaks.ts";
export { storedChoices, type TuneOptions, tune } from "./backend/webgpu/tuner.ts";
export type { Candidate, TunedKernel } from "./backend/webgpu/tuner-trial.ts";
export {
  browserTuningStore as tuningStore,
  type TunedChoice,
  type TuningStore,
} from "./backend/webgpu/tuning-store.ts";
export type { DType, NumericArray } from "./core/dtype.ts";
export * from "./core/errors.ts";
export {
  type Access,
  type AdapterFacts,
  type Binding,
  type Constants,
  type Dispatch,
  type Elements,
  floatLiteral,
  gridOf,
  input,
  type Kernel,
  type KernelContext,
  type KernelVariant,
  type Magnified,
  output,
  type SubgroupMatrix,
  scratch,
  specialize,
} from "./core/kernel.ts";
export { type HostNumbers, type NDArray, ndarray } from "./core/ndarray.ts";
export {
  type Arena,
  type Attributes,
  type Binary,
  type ElementwiseExpression,
  type ErrorCase,
  type Gradient,
  type GradientContext,
  type GraphNode,
  type Implementation,
  type Leaf,
  type Op,
  type OpDefinition,
  type Operand,
  type OperandsOf,
  type OpInputs,
  type OpRecord,
  type OpTable,
  optional,
  required,
  type Sample,
  type Signature,
  Tensor,
  type Unary,
  type Variable,
} from "./core/op.ts";
export type { Random } from "./core/rng.ts";
export type { Sampler } from "./core/samples.ts";
export type { Shape, TensorType } from "./core/shape.ts";
export { accumulated, exact, type Tolerance, ulps, within } from "./core/tolerance.ts";
export type { Mapped, Tree } from "./core/tree.ts";
export * as data from "./data/index.ts";
export { gradients } from "./graph/autodiff.ts";
export type { Program, Update } from "./graph/program.ts";
export { grad, gvp, hessian, hvp, jacobian, jvp, valueAndGrad, vjp } from "./graph/transform.ts";
export {
  decodeTensors,
  encodeTensors,
  type StoredTensor,
  type TensorFile,
} from "./interchange/safetensors.ts";
export * as losses from "./losses/index.ts";
export * as metrics from "./metrics/index.ts";
export {
  type Compiled,
  type CompileOptions,
  compile,
  evaluate,
  type HostInput,
  type HostInputs,
  Result,
} from "./model/compile.ts";
export type {
  DeviceExamples,
  EvaluateOptions,
  Examples,
  HostExamples,
  ImageExamples,
  Means,
  MetricRecord,
} from "./model/evaluate.ts";
export type { LoadReport } from "./model/files.ts";
export { loadModel } from "./model/load.ts";
export { mergeLora } from "./model/lora.ts";
export {
  type MinimizeProgress,
  type Minimum,
  minimize,
  type SearchOptions,
  type Start,
  type StartNumbers,
} from "./model/minimize.ts";
export {
  type Guess,
  Model,
  type ModelInput,
  type ModelOptions,
  type Normalization,
  type Substitutes,
} from "./model/model.ts";
export {
  type InputsOf,
  type OutputsOf,
  type Precision,
  type Traced,
  type Types,
  tensor,
  type Updates,
} from "./model/program.ts";
export type { Selection } from "./model/select.ts";
export type { Summary, SummaryRow } from "./model/summary.ts";
export { bool, f32, i32, type TraceContext, type Tracing, u8, u32 } from "./model/tracing.ts";
export { type DeviceVariable, variable } from "./model/variable.ts";
export * as nn from "./nn/index.ts";
export { type ElementwiseDefinition, elementwiseOp } from "./ops/elementwise/define.ts";
export { stopGradient } from "./ops/elementwise/special.ts";
export * as f from "./ops/f.ts";
export * as optim from "./optim/index.ts";
export * as penalties from "./optim/penalties.ts";
export { defineOp } from "./plan/define.ts";
export type { Plan, PlanOptions, PlanStep } from "./plan/plan.ts";
export { printPlan } from "./plan/print.ts";
export { type BiasVariance, biasVariance, type ErrorShares } from "./train/bias-variance.ts";
export type { Checkpoint } from "./train/checkpoint.ts";
export type { AnyDataset } from "./train/data-sets.ts";
export type { Distribution } from "./train/distribution.ts";
export { type EarlyStoppingOptions, earlyStopping } from "./train/early-stopping.ts";
export type { EvaluationOptions } from "./train/evaluate.ts";
export { type LrFinderOptions, type LrPoint, type LrRange, lrFinder } from "./train/lr-finder.ts";
export {
  type InspectOptions,
  type LayerLook,
  type LayerPicture,
  type Look,
  type ParameterLook,
  Probe,
} from "./train/probe.ts";
export type { Timeline } from "./train/profile.ts";
export type { EarlyStopping, Stopped } from "./train/stopping.ts";
export {
  type EpochMetrics,
  type EpochNumbers,
  type Evaluation,
  type EvaluationNumbers,
  type FitOptions,
  type Gradients,
  type LastBatch,
  type Measured,
  type MeasuredStep,
  type Metrics,
  type NoMetrics,
  type ProfileOptions,
  type Progress,
  type ReportedLoss,
  type StepMetrics,
  type StepNumbers,
  type StopSignal,
  Trainer,
  type TrainerOptions,
  type TrainingData,
  type Weights,
} from "./train/trainer.ts";
export { type ParityRow, type VerifyOptions, verify } from "./verify/parity.ts";
export { records as ops } from "./verify/records.ts";
