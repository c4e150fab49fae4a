import { CheckpointError, OptionError } from "../core/errors.ts";
import { fromHalfBits } from "../core/half.ts";
import { type Shape, showShape, sizeOf } from "../core/shape.ts";

/**
 * The safetensors format: eight bytes of header length, a JSON header, raw little-endian data. PyTorch, JAX and others
 * read it. Source: https://github.com/huggingface/safetensors, "Format".
 */
export interface TensorFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A tensor as a file holds it. */
export type StoredTensor =
  | { readonly dtype: "F32"; readonly shape: Shape; readonly data: Float32Array<ArrayBuffer> }
  | { readonly dtype: "I64"; readonly shape: Shape; readonly data: BigInt64Array<ArrayBuffer> };

const BYTES: Readonly<Record<string, number>> = { F32: 4, I64: 8, F64: 8, BF16: 2, F16: 2, I32: 4 };

/** Metadata key of the CRC-32 of a file's header, without this key, and of its data. */
const CHECKSUM = "crc32";

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** CRC-32 (ISO 3309, as in gzip) of a header and of what follows it, in hexadecimal. */
function checksum(header: unknown, data: readonly Uint8Array[]): string {
  let crc = ~0;
  for (const bytes of [new TextEncoder().encode(JSON.stringify(header)), ...data])
    for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8);
  return (~crc >>> 0).toString(16).padStart(8, "0");
}

/** The header's one key that is no tensor's. */
const METADATA = "__metadata__";

/**
 * Serialises tensors, with a checksum; wide dtypes come first, so that every tensor is aligned.
 * @throws OptionError when a tensor has the name that the format keeps for its metadata.
 */
export function encodeTensors(file: TensorFile): Uint8Array<ArrayBuffer> {
  if (file.tensors.has(METADATA))
    throw new OptionError(`A safetensors file cannot hold a tensor called "${METADATA}"; rename it.`);
  const entries = [...file.tensors].sort(([, a], [, b]) => BYTES[b.dtype]! - BYTES[a.dtype]!);
  // Without a prototype, so that "__proto__" is a name like any other.
  const header: Record<string, unknown> = Object.create(null);
  header[METADATA] = file.metadata;
  let offset = 0;
  for (const [name, { dtype, shape, data }] of entries) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const parts = entries.map(([, { data }]) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  header[METADATA] = { ...file.metadata, [CHECKSUM]: checksum(header, parts) };
  let text = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8;
  if (padded > text.length) {
    const spaces = new Uint8Array(padded).fill(0x20);
    spaces.set(text);
    text = spaces;
  }
  const bytes = new Uint8Array(8 + padded + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(text, 8);
  let at = 8 + padded;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const HEADER_LIMIT = 100_000_000;

interface Entry {
  readonly key: string;
  readonly dtype: string;
  readonly shape: Shape;
  readonly from: number;
  readonly to: number;
}

/**
 * Reads a safetensors file; F64, F16 and BF16 become F32, I32 becomes I64.
 * @throws CheckpointError that names the file and what is wrong in it.
 */
export function decodeTensors(bytes: Uint8Array, name: string): TensorFile {
  const damaged = (what: string) =>
    new CheckpointError(`${name} is not a whole safetensors file: ${what}; use another copy.`);
  if (bytes.length < 8) throw damaged(`it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > HEADER_LIMIT || 8 + length > bytes.length)
    throw damaged(`its header of ${length} bytes does not fit its ${bytes.length} bytes`);
  const { header, metadata: stored, entries } = readHeader(bytes.subarray(8, 8 + length), damaged);
  const data = bytes.subarray(8 + length);
  checkLayout(entries, data.length, damaged);
  const { [CHECKSUM]: sum, ...metadata } = stored;
  if (sum !== undefined && sum !== checksum({ ...header, [METADATA]: metadata }, [data]))
    throw damaged("its checksum does not fit its data");
  const tensors = new Map<string, StoredTensor>();
  for (const { key, dtype, shape, from, to } of entries) {
    const width = BYTES[dtype];
    if (width === undefined)
      throw new CheckpointError(`${name}: "${key}" is ${dtype}; save it as float32 first.`);
    if (to - from !== sizeOf(shape) * width)
      throw damaged(`"${key}" has ${to - from} bytes for ${dtype} ${showShape(shape)}`);
    tensors.set(key, convert(dtype, shape, Uint8Array.from(data.subarray(from, to)).buffer)); // an aligned copy; slice of a Node Buffer is none
  }
  return { tensors, metadata };
}

type Damaged = (what: string) => CheckpointError;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const areSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);

function readHeader(
  bytes: Uint8Array,
  damaged: Damaged,
): { header: Record<string, unknown>; metadata: Record<string, string>; entries: Entry[] } {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw damaged("its header is not JSON");
  }
  if (!isObject(header)) throw damaged("its header is not an object");
  const { [METADATA]: metadata = {}, ...rest } = header;
  if (!isObject(metadata) || Object.values(metadata).some((value) => typeof value !== "string"))
    throw damaged("its metadata are not strings");
  const entries = Object.entries(rest).map(([key, value]): Entry => {
    const { dtype, shape, data_offsets: offsets } = isObject(value) ? value : {};
    if (typeof dtype !== "string" || !areSizes(shape) || !areSizes(offsets) || offsets.length !== 2)
      throw damaged(`its entry "${key}" has no dtype, shape and data_offsets`);
    return { key, dtype, shape, from: offsets[0]!, to: offsets[1]! };
  });
  return { header, metadata: metadata as Record<string, string>, entries };
}

/** The format wants the tensors to follow each other without a gap, an overlap or a rest. */
function checkLayout(entries: readonly Entry[], size: number, damaged: Damaged): void {
  let end = 0;
  for (const { key, from, to } of [...entries].sort((a, b) => a.from - b.from || a.to - b.to)) {
    if (to < from || to > size)
      throw damaged(`the bytes ${from} to ${to} of "${key}" do not lie in its ${size} bytes of data`);
    if (from !== end)
      throw damaged(
        `the data of "${key}" begin at byte ${from} and those of the tensor before it end at ${end}`,
      );
    end = to;
  }
  if (end !== size) throw damaged(`its tensors end at byte ${end} of ${size} bytes of data`);
}

function convert(dtype: string, shape: Shape, raw: ArrayBuffer): StoredTensor {
  if (dtype === "I64") return { dtype, shape, data: new BigInt64Array(raw) };
  if (dtype === "I32") return { dtype: "I64", shape, data: BigInt64Array.from(new Int32Array(raw), BigInt) };
  if (dtype === "F32") return { dtype, shape, data: new Float32Array(raw) };
  if (dtype === "F64") return { dtype: "F32", shape, data: Float32Array.from(new Float64Array(raw)) };
  const halves = new Uint16Array(raw);
  if (dtype === "F16") return { dtype: "F32", shape, data: Float32Array.from(halves, fromHalfBits) };
  return { dtype: "F32", shape, data: new Float32Array(Uint32Array.from(halves, (h) => h << 16).buffer) };
}
