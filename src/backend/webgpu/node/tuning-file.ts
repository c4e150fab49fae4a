import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { FileError } from "../../../core/errors.ts";
import { exclusionsOf, parseChoices, parseExclusions, type TuningStore } from "../tuning-store.ts";

const VERSION = 1;

/** `tuning.json` in $DESCENT_CACHE, or in the user's folder for caches. */
export function tuningPath(): string {
  const { DESCENT_CACHE, XDG_CACHE_HOME } = process.env;
  return join(
    DESCENT_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "descent-gpu"),
    "tuning.json",
  );
}

/**
 * A JSON file with the tuner's choices for every adapter that this machine has had. A damaged file counts as empty, and
 * `onNote` is told; it is replaced at the next save.
 */
export function tuningFile(path = tuningPath(), onNote: (text: string) => void = console.warn): TuningStore {
  const read = async (): Promise<Record<string, unknown>> => {
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT")
        onNote(`${path} cannot be read (${(error as Error).message}): kernels are chosen without it.`);
      return {};
    }
    try {
      const { version, adapters } = JSON.parse(text);
      if (version === VERSION && typeof adapters === "object" && adapters !== null) return adapters;
    } catch {}
    onNote(`${path} is damaged or of another version: kernels are chosen without it.`);
    return {};
  };
  const write = async (name: string, change: (before: unknown) => unknown): Promise<void> => {
    const adapters = await read();
    const next = { ...adapters, [name]: change(adapters[name]) };
    const text = JSON.stringify({ version: VERSION, adapters: next }, null, 1);
    const temporary = `${path}.${process.pid}.partial`;
    try {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(temporary, `${text}\n`);
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw new FileError(
        `What is known of this machine's kernels cannot be saved as ${path} (${(error as Error).message}); make room or make it writable, or name another folder in DESCENT_CACHE.`,
        { cause: error },
      );
    }
  };
  return {
    place: path,
    load: async (adapter) => parseChoices((await read())[adapter]),
    save: (adapter, choices) =>
      write(adapter, (before) => ({
        ...Object.fromEntries(parseChoices(before)),
        ...Object.fromEntries(choices),
      })),
    excluded: async (adapter) => parseExclusions((await read())[exclusionsOf(adapter)]),
    exclude: (adapter, wrong) => write(exclusionsOf(adapter), () => Object.fromEntries(wrong)),
  };
}
