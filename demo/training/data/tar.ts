import type { NamedBytes } from "../../../src/data/cifar10.ts";
import { DataError } from "../engine.ts";

const BLOCK = 512;

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).replace(/\0.*$/s, "");

/** Takes bytes of a stream in the sizes that are asked for. */
class ByteReader {
  private rest: Uint8Array = new Uint8Array(0);
  constructor(private readonly reader: ReadableStreamDefaultReader<Uint8Array>) {}

  /** Exactly `size` bytes, or fewer at the end of the stream. */
  async take(size: number): Promise<Uint8Array<ArrayBuffer>> {
    const result = new Uint8Array(size);
    let at = 0;
    while (at < size) {
      if (this.rest.length === 0) {
        const { done, value } = await this.reader.read();
        if (done) return result.subarray(0, at);
        this.rest = value;
      }
      const part = this.rest.subarray(0, size - at);
      result.set(part, at);
      at += part.length;
      this.rest = this.rest.subarray(part.length);
    }
    return result;
  }

  async skip(size: number): Promise<void> {
    for (let left = size; left > 0; left -= 65536) await this.take(Math.min(left, 65536));
  }
}

/**
 * Reads the wanted files of a tar archive from a stream, one after another; what is not wanted is passed over. Source:
 * POSIX.1-1988, ustar.
 * @throws DataError when the stream is no tar archive, ends in the middle, or a wanted file is larger than `limit`.
 */
export async function readTar(
  stream: ReadableStream<Uint8Array>,
  options: { readonly name: string; readonly wants: (path: string) => boolean; readonly limit: number },
): Promise<NamedBytes[]> {
  const { name, wants, limit } = options;
  const reader = new ByteReader(stream.getReader());
  const files: NamedBytes[] = [];
  for (let entries = 0; ; entries++) {
    const header = await reader.take(BLOCK);
    if (header.length === 0 || header.every((byte) => byte === 0)) return files;
    const sum = header.reduce((n, byte, i) => n + (i >= 148 && i < 156 ? 32 : byte), 0);
    if (header.length < BLOCK || Number.parseInt(text(header.subarray(148, 156)), 8) !== sum)
      throw new DataError(
        entries === 0
          ? `${name} is not a tar archive; drop the file as it was downloaded.`
          : `${name} ends in the middle or is damaged after ${entries} files; fetch it again.`,
      );
    const path = text(header.subarray(0, 100));
    const size = Number.parseInt(text(header.subarray(124, 136)), 8) || 0;
    const isFile = header[156] === 48 || header[156] === 0;
    const padded = Math.ceil(size / BLOCK) * BLOCK;
    if (!isFile || !wants(path)) {
      await reader.skip(padded);
      continue;
    }
    if (size > limit)
      throw new DataError(
        `${path} in ${name} has ${size} bytes, at most ${limit} are expected; it is another archive.`,
      );
    const bytes = await reader.take(size);
    if (bytes.length < size)
      throw new DataError(
        `${name} ends in the middle of ${path}, after ${bytes.length} of ${size} bytes; fetch it again.`,
      );
    await reader.skip(padded - size);
    files.push({ name: path.split("/").at(-1)!, bytes });
  }
}

/** A tar archive of files. */
export function writeTar(files: readonly NamedBytes[]): Blob {
  const parts: BlobPart[] = [];
  for (const { name, bytes } of files) {
    const header = new Uint8Array(BLOCK);
    const put = (at: number, value: string) => header.set(new TextEncoder().encode(value), at);
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, `${bytes.length.toString(8).padStart(11, "0")}\0`);
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    const sum = header.reduce((n, byte) => n + byte, 0);
    put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
    parts.push(
      header,
      bytes as Uint8Array<ArrayBuffer>,
      new Uint8Array((BLOCK - (bytes.length % BLOCK)) % BLOCK),
    );
  }
  parts.push(new Uint8Array(2 * BLOCK));
  return new Blob(parts, { type: "application/x-tar" });
}
