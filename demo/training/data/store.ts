/** Files in the browser's private file system (OPFS), for a worker. */

/** What this file needs of the file system's handles, which the types of a page lack. */
interface SyncAccess {
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

async function folderOf(path: string, create: boolean): Promise<[FileSystemDirectoryHandle, string]> {
  const parts = path.split("/");
  const name = parts.pop()!;
  let folder = await navigator.storage.getDirectory();
  for (const part of parts) folder = await folder.getDirectoryHandle(part, { create });
  return [folder, name];
}

const isMissing = (error: unknown) => error instanceof DOMException && error.name === "NotFoundError";

/** Writes parts one after another; the file is replaced. */
export async function writeFile(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const [folder, name] = await folderOf(path, true);
  const file = await folder.getFileHandle(name, { create: true });
  const access: SyncAccess = await (file as any).createSyncAccessHandle();
  try {
    access.truncate(0);
    let at = 0;
    for (const part of parts) {
      const written = access.write(part, { at });
      if (written < part.length) throw new DOMException("The disk is full.", "QuotaExceededError");
      at += written;
    }
    access.flush();
  } finally {
    access.close();
  }
}

/** A file's bytes; nothing when there is none. */
export async function readFile(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    const [folder, name] = await folderOf(path, false);
    const file = await (await folder.getFileHandle(name)).getFile();
    return new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export async function removeFile(path: string): Promise<void> {
  try {
    const [folder, name] = await folderOf(path, false);
    await folder.removeEntry(name, { recursive: true });
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** Names of the files in a folder. */
export async function listFiles(path: string): Promise<string[]> {
  try {
    const [folder, name] = await folderOf(path, false);
    const names: string[] = [];
    for await (const key of (await folder.getDirectoryHandle(name)).keys()) names.push(key);
    return names.sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, [new TextEncoder().encode(JSON.stringify(value))]);
}

/** A JSON file's value; nothing when there is none or it is damaged. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  const bytes = await readFile(path);
  if (!bytes) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as T;
  } catch {
    return undefined;
  }
}

/** What a failure to keep something means to the visitor. */
export function storageSentence(what: string, error: unknown): string {
  if (error instanceof DOMException && error.name === "QuotaExceededError")
    return `The browser has no room left to keep ${what}: the disk or this page's share of it is full. Training goes on; "Save checkpoint" downloads the run, and room is found by removing kept files, earlier runs or other sites' data.`;
  const why = error instanceof Error ? error.message : String(error);
  return `This browser did not keep ${what} (${why}); it lasts until the page is closed.`;
}
