import type { Backend, CompileProgress, Executable } from "../backend/backend.ts";
import type { PlanOptions } from "../plan/plan.ts";
import type { StepProgram } from "./step.ts";

interface Entry {
  readonly owner: object;
  readonly name: string;
  readonly traced: StepProgram;
  compiled: Promise<Executable> | undefined;
}

/** A program that is ready to run, with what its runs need of the host. */
export interface Ready {
  readonly executable: Executable;
  readonly traced: StepProgram;
}

/** Programs that are kept; the one that was used longest ago goes first, so run what you get before asking for many more. */
export const MOST_PROGRAMS = 32;

/**
 * Traced and compiled programs by what they are for (a data set, say) and a name. A failed compilation is forgotten: the
 * next one tries again.
 */
export class ProgramCache {
  private readonly owners = new Map<object, Map<string, Entry>>();
  /** All of them in the order of their last use. */
  private readonly recent = new Set<Entry>();

  constructor(
    private readonly backend: Backend,
    private readonly planOptions: () => PlanOptions | undefined,
  ) {}

  traced(owner: object, name: string, trace: () => StepProgram): StepProgram {
    return this.entry(owner, name, trace).traced;
  }

  async get(
    owner: object,
    name: string,
    trace: () => StepProgram,
    onProgress?: CompileProgress,
  ): Promise<Ready> {
    const entry = this.entry(owner, name, trace);
    entry.compiled ??= this.backend.compile(entry.traced.program, this.planOptions(), onProgress);
    try {
      return { executable: await entry.compiled, traced: entry.traced };
    } catch (error) {
      this.forget(entry);
      throw error;
    }
  }

  /** What compiled; failures have been told to who asked. */
  async executables(): Promise<Executable[]> {
    const all = [...this.recent].flatMap(({ compiled }) => (compiled ? [compiled] : []));
    const settled = await Promise.allSettled(all);
    return settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  }

  /** Frees what was compiled for an owner. */
  async drop(owner: object): Promise<void> {
    await this.free([...(this.owners.get(owner)?.values() ?? [])]);
  }

  /** Frees everything. */
  async clear(): Promise<void> {
    await this.free([...this.recent]);
  }

  private async free(entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) this.forget(entry);
    const settled = await Promise.allSettled(entries.map(({ compiled }) => compiled));
    for (const one of settled) if (one.status === "fulfilled") one.value?.dispose();
  }

  private forget(entry: Entry): void {
    const entries = this.owners.get(entry.owner);
    if (entries?.get(entry.name) !== entry) return;
    entries.delete(entry.name);
    if (entries.size === 0) this.owners.delete(entry.owner);
    this.recent.delete(entry);
  }

  private entry(owner: object, name: string, trace: () => StepProgram): Entry {
    const known = this.owners.get(owner)?.get(name);
    const entry = known ?? { owner, name, traced: trace(), compiled: undefined };
    const entries = this.owners.get(owner) ?? new Map<string, Entry>();
    this.owners.set(owner, entries.set(name, entry));
    this.recent.delete(entry);
    this.recent.add(entry);
    const [oldest] = this.recent;
    if (this.recent.size > MOST_PROGRAMS) void this.free([oldest!]);
    return entry;
  }
}
