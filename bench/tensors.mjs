// Weights and batches travel to the contenders' processes in a file in the safetensors format: eight bytes of header
// length, a JSON header, raw little-endian data.
import { readFileSync, writeFileSync } from "node:fs";

const ARRAYS = { F32: Float32Array, I32: Int32Array };

/** Writes name → { shape, data }. */
export function writeTensors(file, tensors) {
  const header = {};
  let offset = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const dtype = data instanceof Int32Array ? "I32" : "F32";
    header[name] = { dtype, shape, data_offsets: [offset, (offset += data.byteLength)] };
  }
  const text = JSON.stringify(header);
  const bytes = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, " ");
  bytes.writeBigUInt64LE(BigInt(bytes.length - 8));
  bytes.write(text, 8);
  const parts = Object.values(tensors).map(({ data }) => Buffer.from(data.buffer));
  writeFileSync(file, Buffer.concat([bytes, ...parts]));
}

export function readTensors(file) {
  const { buffer, byteOffset } = readFileSync(file);
  const length = Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
  const start = byteOffset + 8;
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, start, length)));
  return Object.fromEntries(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => [
        name,
        { shape, data: new ARRAYS[dtype](buffer.slice(start + length + from, start + length + to)) },
      ],
    ),
  );
}
