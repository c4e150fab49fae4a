import type { Resident } from "../backend/backend.ts";
import type { DeviceTensor } from "../backend/variable.ts";
import { checkElements } from "../core/check.ts";
import type { NumericArray } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import type { HostNumbers, NDArray } from "../core/ndarray.ts";
import { sameShape, showShape, showType, sizeOf, type TensorType } from "../core/shape.ts";
import { kindOf, leavesBeside, type Mapped } from "../core/tree.ts";
import { hostArray, inputName, isFlat, isType, type Types } from "./program.ts";
import { Result } from "./result.ts";

/** What the host gives for one input: numbers, nested or flat, an array with its shape, or a tensor on the device. */
export type HostInput =
  | number
  | boolean
  | readonly HostNumbers[]
  | NumericArray
  | NDArray
  | Result
  | DeviceTensor;
/** What the host gives, in the form of the declared inputs. */
export type HostInputs<T> = Mapped<T, TensorType, HostInput>;

/** Inputs of a run by their names: numbers to feed, and tensors that are on the device already. */
export interface GivenInputs {
  readonly feeds: Record<string, NumericArray>;
  readonly resident: Record<string, Resident>;
}

/**
 * Sorts what a caller gives into numbers to feed and tensors that are on the device already.
 * @throws ShapeError that names the input which is missing, not declared, of another shape or dtype, or with a number that
 * its dtype does not hold.
 */
export function inputsOf(name: string, inputs: Types, given: unknown): GivenInputs {
  const feeds: Record<string, NumericArray> = {};
  const resident: Record<string, Resident> = {};
  for (const { path, leaf: type, value } of leavesBeside(inputs, isType, given, name)) {
    const key = inputName(path);
    const label = path ? `${name}: the input "${path}"` : `${name}: the input`;
    const taken = inputOf(type, value, label);
    if ("feed" in taken) feeds[key] = taken.feed;
    else resident[key] = taken.resident;
  }
  return { feeds, resident };
}

function inputOf(
  type: TensorType,
  value: unknown,
  label: string,
): { feed: NumericArray } | { resident: Resident } {
  if (value === undefined || value === null)
    throw new ShapeError(`${label} is missing; give ${showType(type)}.`);
  const declared = `it was declared as ${showType(type)}`;
  if (value instanceof Result || isDeviceTensor(value)) {
    if (!sameShape(value.shape, type.shape) || value.dtype !== type.dtype)
      throw new ShapeError(`${label} is ${showType(value)}; ${declared}.`);
    return { resident: value instanceof Result ? value.resident : { variable: value.variable } };
  }
  if (isFlat(value)) {
    if (value.length !== sizeOf(type.shape))
      throw new ShapeError(
        `${label} has ${value.length} numbers; ${showType(type)} has ${sizeOf(type.shape)}.`,
      );
    checkElements(label, value, type.dtype);
    return { feed: value };
  }
  const isOne = typeof value === "number" || (typeof value === "boolean" && type.dtype === "bool");
  if (!isOne && !Array.isArray(value) && !isNDArray(value))
    throw new ShapeError(`${label} is ${kindOf(value)}; give numbers for ${showType(type)}.`);
  const { shape, dtype, data } = isNDArray(value)
    ? value
    : hostArray(value as number, { dtype: type.dtype, name: label });
  if (!sameShape(shape, type.shape))
    throw new ShapeError(`${label} has the shape ${showShape(shape)}; ${declared}.`);
  if (data.length !== sizeOf(shape))
    throw new ShapeError(`${label} has ${data.length} numbers; ${showType(type)} has ${sizeOf(shape)}.`);
  if (dtype !== type.dtype) throw new ShapeError(`${label} is ${showType({ shape, dtype })}; ${declared}.`);
  if (isNDArray(value)) checkElements(label, data, dtype);
  return { feed: data };
}

export const isNDArray = (x: unknown): x is NDArray =>
  typeof x === "object" && x !== null && "data" in x && "shape" in x;
const isDeviceTensor = (x: unknown): x is DeviceTensor =>
  typeof x === "object" && x !== null && "variable" in x;
