import { fromHalfBits, halfBits } from "./half.ts";

/**
 * Element types. `bool` is stored as one u32 (0 or 1) per element; `u8` is storage for packed data, four elements per
 * 32-bit word; f16 is storage for floats where the adapter has `shader-f16`. Neither takes part in arithmetic: u8 is
 * gathered to f32, f16 is cast to f32.
 */
export type DType = "f32" | "f16" | "i32" | "u32" | "bool" | "u8";

/** Numbers in host memory. */
export type NumericArray = Float64Array | Float32Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

export const isFloat = (dtype: DType): boolean => dtype === "f32" || dtype === "f16";

/** Bytes one element takes in GPU memory. */
export function bytesPerElement(dtype: DType): number {
  if (dtype === "f16") return 2;
  return dtype === "u8" ? 1 : 4;
}

/** Bytes a tensor takes in GPU memory: whole 32-bit words, because storage is addressed in words. */
export function byteLength(size: number, dtype: DType): number {
  return Math.ceil((size * bytesPerElement(dtype)) / 4) * 4;
}

/** The typed array that holds `dtype` on the host: as the GPU stores it, but f16 as float32. */
export function storageArray(dtype: DType, size: number): NumericArray {
  if (dtype === "f32" || dtype === "f16") return new Float32Array(size);
  if (dtype === "i32") return new Int32Array(size);
  if (dtype === "u8") return new Uint8Array(size);
  return new Uint32Array(size);
}

/** Views bytes (4-byte aligned) as elements of `dtype` as the GPU stores them: f16 as its bits. */
export function viewBytes(dtype: DType, buffer: ArrayBuffer, offset = 0, size?: number): NumericArray {
  const count = size ?? Math.floor((buffer.byteLength - offset) / bytesPerElement(dtype));
  if (dtype === "f32") return new Float32Array(buffer, offset, count);
  if (dtype === "f16") return new Uint16Array(buffer, offset, count);
  if (dtype === "i32") return new Int32Array(buffer, offset, count);
  if (dtype === "u8") return new Uint8Array(buffer, offset, count);
  return new Uint32Array(buffer, offset, count);
}

/** Elements as the host holds them, from elements as the GPU stores them. */
export function fromStorage(dtype: DType, data: NumericArray): NumericArray {
  return dtype === "f16" ? Float32Array.from(data, fromHalfBits) : data;
}

/** Elements as the GPU stores them, from elements as the host holds them. */
export function toStorage(dtype: DType, data: NumericArray): NumericArray {
  return dtype === "f16" ? Uint16Array.from(data, halfBits) : data;
}

/** Whether an array of the host's, in memory of its thread alone, holds elements bit by bit as the GPU stores them. */
export const isStored = (dtype: DType, data: NumericArray): boolean =>
  dtype !== "f16" &&
  data.constructor === storageArray(dtype, 0).constructor &&
  data.buffer instanceof ArrayBuffer;

/** The WGSL scalar type that holds one element of `dtype`, or one word of packed data. */
export function wgslType(dtype: DType): "f32" | "f16" | "i32" | "u32" {
  if (dtype === "f32" || dtype === "f16" || dtype === "i32") return dtype;
  return "u32";
}
