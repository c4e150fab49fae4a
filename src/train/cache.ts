import type { Backend, CompileProgress, Executable } from "../backend/backend.ts";
import type { TracedProgram } from "../model/program.ts";
import type { PlanOptions } from "../plan/plan.ts";

interface Entry {
  readonly traced: TracedProgram;
  compiled: Promise<Executable> | undefined;
}

/** A program that is ready to run, with what its runs need of the host. */
export interface Ready {
  readonly executable: Executable;
  readonly traced: TracedProgram;
}

/**
 * Traced and compiled programs by what they are for (a data set, say) and a name. A failed compilation is forgotten: the
 * next one tries again.
 */
export class ProgramCache {
  private readonly owners = new Map<object, Map<string, Entry>>();

  constructor(
    private readonly backend: Backend,
    private readonly planOptions: () => PlanOptions | undefined,
  ) {}

  traced(owner: object, name: string, trace: () => TracedProgram): TracedProgram {
    return this.entry(owner, name, trace).traced;
  }

  async get(
    owner: object,
    name: string,
    trace: () => TracedProgram,
    onProgress?: CompileProgress,
  ): Promise<Ready> {
    const entry = this.entry(owner, name, trace);
    entry.compiled ??= this.backend.compile(entry.traced.program, this.planOptions(), onProgress);
    try {
      return { executable: await entry.compiled, traced: entry.traced };
    } catch (error) {
      if (this.owners.get(owner)?.get(name) === entry) this.owners.get(owner)!.delete(name);
      throw error;
    }
  }

  /** What compiled; failures have been told to who asked. */
  async executables(): Promise<Executable[]> {
    const all = [...this.owners.values()].flatMap((entries) => [...entries.values()]);
    const settled = await Promise.allSettled(all.flatMap(({ compiled }) => (compiled ? [compiled] : [])));
    return settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  }

  /** Frees what was compiled for an owner. */
  async drop(owner: object): Promise<void> {
    const entries = this.owners.get(owner);
    this.owners.delete(owner);
    for (const { compiled } of entries?.values() ?? [])
      await compiled?.then(
        (executable) => executable.dispose(),
        () => {},
      );
  }

  /** Frees everything. */
  async clear(): Promise<void> {
    await Promise.all([...this.owners.keys()].map((owner) => this.drop(owner)));
  }

  private entry(owner: object, name: string, trace: () => TracedProgram): Entry {
    const entries = this.owners.get(owner) ?? new Map<string, Entry>();
    this.owners.set(owner, entries);
    const entry = entries.get(name) ?? { traced: trace(), compiled: undefined };
    entries.set(name, entry);
    return entry;
  }
}
