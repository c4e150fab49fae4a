/**
 * Element types. `bool` is stored as one u32 (0 or 1) per element; `u8` is storage for packed data, four elements per
 * 32-bit word, and takes part in no arithmetic.
 */
export type DType = "f32" | "i32" | "u32" | "bool" | "u8";

export type NumericArray = Float64Array | Float32Array | Int32Array | Uint32Array | Uint8Array;

/** Bytes one element takes in GPU memory. */
export function bytesPerElement(dtype: DType): number {
  return dtype === "u8" ? 1 : 4;
}

/** Bytes a tensor takes in GPU memory: whole 32-bit words, because storage is addressed in words. */
export function byteLength(size: number, dtype: DType): number {
  return Math.ceil((size * bytesPerElement(dtype)) / 4) * 4;
}

/** The typed array that holds `dtype` as the GPU stores it. */
export function storageArray(dtype: DType, size: number): NumericArray {
  if (dtype === "f32") return new Float32Array(size);
  if (dtype === "i32") return new Int32Array(size);
  if (dtype === "u8") return new Uint8Array(size);
  return new Uint32Array(size);
}

/** Views bytes (4-byte aligned) as elements of `dtype`. */
export function viewBytes(dtype: DType, buffer: ArrayBuffer, offset = 0, size?: number): NumericArray {
  const count = size ?? Math.floor((buffer.byteLength - offset) / bytesPerElement(dtype));
  if (dtype === "f32") return new Float32Array(buffer, offset, count);
  if (dtype === "i32") return new Int32Array(buffer, offset, count);
  if (dtype === "u8") return new Uint8Array(buffer, offset, count);
  return new Uint32Array(buffer, offset, count);
}

/** The WGSL scalar type that holds one storage word of `dtype`. */
export function wgslType(dtype: DType): "f32" | "i32" | "u32" {
  if (dtype === "f32" || dtype === "i32") return dtype;
  return "u32";
}
