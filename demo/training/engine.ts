// What the worker takes of the engine: one place that says so.
export {
  type Backend,
  type Checkpoint,
  cpuBackend,
  DataError,
  DeviceError,
  data,
  decodeTensors,
  encodeTensors,
  gpu,
  losses,
  NonFiniteError,
  nn,
  optim,
  Probe,
  Trainer,
} from "../../src/index.ts";
export type { Optimizer } from "../../src/optim/optimizers.ts";
