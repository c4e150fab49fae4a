import { type DType, isFloat, type NumericArray, storageArray } from "./dtype.ts";
import { roundToHalf } from "./half.ts";
import { broadcastStrides, type Shape, showType, sizeOf } from "./shape.ts";

/**
 * A tensor in host memory, contiguous and row-major. Floating-point data is a Float64Array while the reference computes
 * with it and a Float32Array once it is rounded to f32 or f16; integers have the array of their dtype.
 */
export interface NDArray {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: NumericArray;
}

/** Numbers of the host: one, nested arrays of them, or a flat array. */
export type HostNumbers = number | boolean | readonly HostNumbers[] | NumericArray;

/** Makes a tensor of `dtype` from numbers, rounded to that dtype. */
export function ndarray(shape: Shape, values: ArrayLike<number>, dtype: DType = "f32"): NDArray {
  if (values.length !== sizeOf(shape))
    throw new RangeError(`${values.length} values do not fill ${showType({ shape, dtype })}.`);
  const data = storageArray(dtype, values.length);
  data.set(dtype === "f16" ? Float32Array.from(values, roundToHalf) : (values as ArrayLike<number>));
  return { shape, dtype, data };
}

/** An output buffer for a reference computation: float64 for floats, the dtype's own array for integers. */
export function referenceArray(dtype: DType, size: number): NumericArray {
  return isFloat(dtype) ? new Float64Array(size) : storageArray(dtype, size);
}

/** Rounds a reference result to what its dtype can hold. */
export function roundToDType(x: NDArray): NDArray {
  if (!(isFloat(x.dtype) && x.data instanceof Float64Array)) return x;
  return { ...x, data: Float32Array.from(x.data, x.dtype === "f16" ? roundToHalf : undefined) };
}

/** Float64 copy of a floating-point tensor, for gradient checks; integers are returned as they are. */
export function toFloat64(x: NDArray): NDArray {
  return isFloat(x.dtype) ? { ...x, data: Float64Array.from(x.data) } : x;
}

/** The data of `x` broadcast to `shape`, element by element. */
export function broadcastData(x: NDArray, shape: Shape): NumericArray {
  const size = sizeOf(shape);
  if (x.data.length === size) return x.data;
  const strides = broadcastStrides(x.shape, shape);
  const data = new (x.data.constructor as new (size: number) => NumericArray)(size);
  for (let i = 0; i < size; i++) {
    let rest = i;
    let offset = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const coordinate = rest % shape[axis]!;
      rest = (rest - coordinate) / shape[axis]!;
      offset += coordinate * strides[axis]!;
    }
    data[i] = x.data[offset]!;
  }
  return data;
}
