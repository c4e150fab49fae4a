import { open, rename, rm } from "node:fs/promises";

/** What went wrong with a file, for people: "no space left on device". */
export function fileReason(error: unknown): string {
  const { message } = error as Error;
  return /^E[A-Z0-9]+: ([^,]+)/.exec(message)?.[1] ?? message;
}

/** Writes a file and waits until the disk has it. */
export async function writeSynced(path: string, data: Uint8Array | string): Promise<void> {
  const file = await open(path, "w");
  try {
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Replaces a file in one step: whatever happens, it holds the old data or the new. */
export async function replaceFile(path: string, data: Uint8Array | string): Promise<void> {
  const temporary = `${path}.partial`;
  try {
    await writeSynced(temporary, data);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Syncs a folder's entries; some file systems cannot, and a rename is then as durable as they make it. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch {}
}
