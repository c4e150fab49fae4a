import type { AdapterFacts, KernelVariant } from "../../core/kernel.ts";

/** The kernel variant that was fastest for an op at given shapes, and which candidates it was measured against. */
export interface TunedChoice {
  readonly choice: string;
  /** `sourcesHash` of the candidates: other kernels than these must be measured again. */
  readonly sources: string;
}

/** Where the tuner's choices are kept: by adapter, then by the op and shapes that `kernelKey` names. */
export interface TuningStore {
  /** For people: a path, or a database. */
  readonly place: string;
  load(adapter: string): Promise<ReadonlyMap<string, TunedChoice>>;
  /** Adds choices to those that are kept for an adapter. */
  save(adapter: string, choices: ReadonlyMap<string, TunedChoice>): Promise<void>;
  /** Kernels that compute wrong on an adapter, by `variantKey`, and what was wrong with them. */
  excluded(adapter: string): Promise<ReadonlyMap<string, string>>;
  /** Replaces what is kept of an adapter's wrong kernels. */
  exclude(adapter: string, wrong: ReadonlyMap<string, string>): Promise<void>;
}

/** Under which name an adapter's wrong kernels are kept, beside its choices. */
export const exclusionsOf = (adapter: string): string => `wrong on ${adapter}`;

let standard: () => TuningStore = browserTuningStore;

/** Where this machine keeps what it knows of its adapters: IndexedDB, or a file in Node. */
export const machineStore = (): TuningStore => standard();

/** Tells the engine where that is; Node's entry point does this at import. */
export function setMachineStore(next: typeof standard): void {
  standard = next;
}

/** Names an adapter with its driver, limits and features: everything that a kernel may depend on. */
export function adapterKey({ name: _, ...facts }: AdapterFacts): string {
  return JSON.stringify(Object.fromEntries(Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** A short name for the candidates' code. */
export function sourcesHash(variants: readonly KernelVariant[]): string {
  return textHash(JSON.stringify(variants));
}

/** 64 bits: two FNV-1a hashes, the second over the text backwards. */
export function textHash(text: string): string {
  let [forward, backward] = [0x811c9dc5, 0x811c9dc5];
  for (let i = 0, k = text.length - 1; k >= 0; i++, k--) {
    forward = Math.imul(forward ^ text.charCodeAt(i), 0x01000193);
    backward = Math.imul(backward ^ text.charCodeAt(k), 0x01000193);
  }
  return [forward, backward].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

/** The entries of `value`, read from outside, that are choices. */
export function parseChoices(value: unknown): Map<string, TunedChoice> {
  if (typeof value !== "object" || value === null) return new Map();
  return new Map(
    Object.entries(value as Record<string, Partial<TunedChoice> | null>).flatMap(([key, entry]) =>
      typeof entry?.choice === "string" && typeof entry.sources === "string"
        ? [[key, { choice: entry.choice, sources: entry.sources }] as const]
        : [],
    ),
  );
}

/** The entries of `value`, read from outside, that are sentences. */
export function parseExclusions(value: unknown): Map<string, string> {
  if (typeof value !== "object" || value === null) return new Map();
  return new Map(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

const DATABASE = "descent-gpu";
const TABLE = "tuning";

/** The browser's store: a table in IndexedDB. Without IndexedDB, in some private windows, nothing is kept. */
export function browserTuningStore(): TuningStore {
  return {
    place: `IndexedDB, ${DATABASE}/${TABLE}`,
    load: async (adapter) =>
      parseChoices(await inTable("readonly", (table) => table.get(adapter)).catch(() => undefined)),
    save: async (adapter, choices) => {
      const added = Object.fromEntries(choices);
      await inTable("readwrite", (table) => {
        const before = table.get(adapter);
        before.onsuccess = () => table.put({ ...before.result, ...added }, adapter);
        return before;
      }).catch(() => {});
    },
    excluded: async (adapter) =>
      parseExclusions(
        await inTable("readonly", (table) => table.get(exclusionsOf(adapter))).catch(() => undefined),
      ),
    exclude: async (adapter, wrong) => {
      await inTable("readwrite", (table) =>
        table.put(Object.fromEntries(wrong), exclusionsOf(adapter)),
      ).catch(() => {});
    },
  };
}

/** Runs one transaction and gives its request's result. */
async function inTable<T>(
  mode: IDBTransactionMode,
  work: (table: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(TABLE);
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  try {
    const transaction = database.transaction(TABLE, mode);
    const request = work(transaction.objectStore(TABLE));
    return await new Promise<T>((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}
