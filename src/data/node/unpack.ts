import { createReadStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Parser, type ReadEntry } from "tar";

/** What is taken from an archive. */
export interface Wanted {
  /** The name that a file of the archive gets, by its path there; undefined for what is left out. */
  readonly name: (path: string) => string | undefined;
  /** The largest file that is taken. */
  readonly fileBytes: number;
  /** The most that the archive may hold in all, with what is left out. */
  readonly totalBytes: number;
}

const FILES: readonly string[] = ["File", "OldFile", "ContiguousFile"];

/** Why an entry cannot be taken, from its header alone: nothing of it has been written then. */
function objection({ path, type, size }: ReadEntry, { fileBytes }: Wanted): string | undefined {
  if (!FILES.includes(type)) return `${path} is no file in it but a ${type.replace(/\B[A-Z]/, " $&")}`;
  if (size > fileBytes) return `${path} has ${size} bytes in it, ${fileBytes} are the most`;
  return undefined;
}

/**
 * Writes the wanted files of a tar archive, compressed or not, into the folder `into`, which it makes.
 *
 * Only regular files of declared sizes within the limits are written, each under the name that `wanted` gives it:
 * links, devices and paths of the archive's own choosing never reach the disk.
 *
 * @throws Error that says what is wrong with the archive; what was written before is left to the caller to remove.
 */
export async function unpack(archive: string, into: string, wanted: Wanted): Promise<void> {
  await mkdir(into);
  let failure: Error | undefined;
  let total = 0;
  let written: Promise<void>[] = [];
  const parser = new Parser({ strict: true, maxDecompressionRatio: Infinity, onReadEntry: take });
  const closed = new Promise<void>((resolve) => {
    parser.on("close", resolve);
    parser.on("error", (error: Error) => {
      failure ??= error;
      resolve();
    });
  });

  function take(entry: ReadEntry): void {
    total += entry.size;
    const name = wanted.name(entry.path);
    if (total > wanted.totalBytes) refuse(`it holds more than ${wanted.totalBytes} bytes`);
    else if (name !== undefined) refuse(objection(entry, wanted));
    if (failure || name === undefined) {
      entry.resume();
      return;
    }
    const pieces: Buffer[] = [];
    entry.on("data", (piece: Buffer) => pieces.push(piece));
    entry.on("end", () => written.push(writeFile(join(into, name), Buffer.concat(pieces))));
  }
  function refuse(reason: string | undefined): void {
    if (reason !== undefined) failure ??= new Error(reason);
  }

  // Piece by piece, so that no more is decompressed once something is wrong.
  for await (const piece of createReadStream(archive)) {
    parser.write(piece);
    await Promise.all(written);
    written = [];
    if (failure) throw failure;
  }
  parser.end();
  await closed;
  await Promise.all(written);
  if (failure) throw failure;
}
