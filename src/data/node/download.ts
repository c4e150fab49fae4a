import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { DataError } from "../../core/errors.ts";

/** Called after each piece of a download; `totalBytes` is undefined when the server does not say. */
export type DownloadProgress = (receivedBytes: number, totalBytes: number | undefined) => void;

/** What a download reports to, and when it gives up. */
export interface DownloadOptions {
  onProgress?: DownloadProgress;
  /** Fail when no byte arrives for this long; 30 s unless told. */
  stallMilliseconds?: number;
}

/** How much a download may bring. */
interface Limit {
  mostBytes: number;
}

/**
 * Fetches `url` into the new file `path`, holding one piece in memory at a time.
 *
 * @returns the MD5 sum of what was received, in hexadecimal
 * @throws DataError when the server cannot be reached, refuses, breaks off, stalls or sends more than `mostBytes`, or
 *   the disk cannot take the file;
 *   the unfinished file is left to the caller to remove.
 */
export async function download(
  url: string,
  path: string,
  { onProgress, stallMilliseconds = 30_000, mostBytes }: DownloadOptions & Limit,
): Promise<string> {
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(), stallMilliseconds);
  let received = 0;
  let total: number | undefined;

  const explain = (error: unknown) => {
    if (stalled.signal.aborted) {
      const seconds = stallMilliseconds / 1000;
      return new DataError(`${url} sent nothing for ${seconds} s (${progress()}): try again later.`);
    }
    const broke = received > 0 ? `broke off (${progress()})` : "could not be reached";
    return new DataError(`${url} ${broke}: ${reason(error)}.`, { cause: error });
  };
  const checkLength = (bytes: number) => {
    if (bytes > mostBytes)
      throw new DataError(`${url} sends more than ${mostBytes} bytes: check the address.`);
  };
  const progress = () => `after ${received} of ${total ?? "an unknown number of"} bytes`;

  try {
    const response = await fetch(url, { signal: stalled.signal }).catch((error) => {
      throw explain(error);
    });
    if (!response.ok || !response.body) {
      // Without this the connection would stay open until the server gives up.
      await response.body?.cancel();
      throw new DataError(`${url} answered ${response.status} ${response.statusText}: check the address.`);
    }
    // The length counts compressed bytes when the server compresses on the way; then it says nothing about ours.
    const length = Number(response.headers.get("content-length"));
    if (length > 0 && !response.headers.has("content-encoding")) total = length;
    checkLength(length);

    const reader = response.body.getReader();
    const hash = createHash("md5");
    const file = await open(path, "wx").catch((error) => {
      throw new DataError(`${path} cannot be written: ${reason(error)}.`, { cause: error });
    });
    try {
      for (;;) {
        timer.refresh();
        const { done, value } = await reader.read().catch((error) => {
          throw explain(error);
        });
        if (done) break;
        hash.update(value);
        await file.writeFile(value).catch((error) => {
          throw new DataError(`${path} cannot be written: ${reason(error)}.`, { cause: error });
        });
        received += value.length;
        checkLength(received);
        onProgress?.(received, total);
      }
    } finally {
      await file.close();
    }
    return hash.digest("hex");
  } finally {
    clearTimeout(timer);
    // Ends the connection when the disk or the caller's callback failed; nothing after a complete download.
    stalled.abort();
  }
}

/** The innermost message: fetch hides "connect ECONNREFUSED" behind "fetch failed". */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof Error) return reason(error.cause);
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}
