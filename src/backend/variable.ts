import { type NDArray, ndarray } from "../core/ndarray.ts";
import type { Tensor, Variable } from "../core/op.ts";
import type { TensorType } from "../core/shape.ts";
import { read } from "../graph/node.ts";
import { type Backend, checkLength } from "./backend.ts";

/** A tensor that stays on its device from run to run, of a model for instance: to read and write from the host. */
export interface DeviceTensor extends TensorType {
  readonly name: string;
  /** What updates of it name: `{ variable, value }`. */
  readonly variable: Variable;
  /** Its value within a trace, before the updates of the run. */
  readonly value: Tensor;
  /** Its numbers. */
  read(): Promise<NDArray>;
  /** @throws DescentError when there are not exactly as many numbers as it holds. */
  write(values: ArrayLike<number>): void;
}

/** A variable as its users see it; `written` is told when the host has given it numbers. */
export function deviceTensor(device: Backend, variable: Variable, written?: () => void): DeviceTensor {
  const { name, shape, dtype } = variable;
  return {
    name,
    shape,
    dtype,
    variable,
    value: read(variable),
    read: async () => ({ shape, dtype, data: await device.read(variable) }),
    write: (values) => {
      checkLength(variable, values);
      device.write(variable, ndarray(shape, values, dtype).data);
      written?.();
    },
  };
}
