import type { Backend } from "../backend/backend.ts";
import { type DeviceTensor, deviceTensor } from "../backend/variable.ts";
import { OptionError, ShapeError } from "../core/errors.ts";
import { showType, type TensorType } from "../core/shape.ts";
import { kindOf } from "../core/tree.ts";
import { standalone } from "../graph/node.ts";
import { checkDevice } from "./compile.ts";
import { isType } from "./program.ts";

/** A tensor of one's own on a device. */
export interface DeviceVariable extends DeviceTensor {
  /** Frees its memory. */
  dispose(): void;
}

/**
 * A tensor that stays on a device from run to run, 0 at first: steps read its `value`, and change it among their updates.
 * @throws ShapeError for lengths that are no whole numbers.
 *
 * @example
 * const mean = variable(device, f32(16), "mean");
 * const follow = compile(device, { x: f32(16) }, ({ x }) => ({
 *   updates: { variable: mean.variable, value: mean.value.mul(0.9).add(x.mul(0.1)) } }));
 */
export function variable(device: Backend, type: TensorType, name = "variable"): DeviceVariable {
  checkDevice(device, "variable");
  if (!isType(type))
    throw new OptionError(`variable: the type is ${kindOf(type)}; give one such as f32(64, 2).`);
  const { shape, dtype } = type;
  if (shape.some((dim) => !Number.isInteger(dim) || dim < 0))
    throw new ShapeError(`variable: the type is ${showType(type)}; use whole numbers of at least 0.`);
  const own = standalone(name, shape, dtype);
  return { ...deviceTensor(device, own), dispose: () => device.release(own.arena) };
}
