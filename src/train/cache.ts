import type { Backend, CompileProgress, Executable } from "../backend/backend.ts";
import type { PlanOptions } from "../plan/plan.ts";
import type { StepProgram } from "./step.ts";

/** A program that can be traced, by what it is for (a data set, say) and a name. */
export interface Recipe {
  readonly owner: object;
  readonly name: string;
  readonly make: () => StepProgram;
}

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

/** Traced and compiled programs. A failed compilation is forgotten: the next one tries again. */
export class ProgramCache {
  /** In the order of their last use. */
  private readonly entries = new Set<Entry>();

  constructor(
    private readonly backend: Backend,
    private readonly planOptions: () => PlanOptions | undefined,
  ) {}

  traced(recipe: Recipe): StepProgram {
    return this.entry(recipe).traced;
  }

  async get(recipe: Recipe, onProgress?: CompileProgress): Promise<Ready> {
    const entry = this.entry(recipe);
    entry.compiled ??= this.backend.compile(entry.traced.program, this.planOptions(), onProgress);
    try {
      return { executable: await entry.compiled, traced: entry.traced };
    } catch (error) {
      this.entries.delete(entry);
      throw error;
    }
  }

  /** What compiled; failures have been told to who asked. */
  executables(): Promise<Executable[]> {
    return compiledOf([...this.entries]);
  }

  /** Frees what was compiled for an owner. */
  async drop(owner: object): Promise<void> {
    await this.free([...this.entries].filter((entry) => entry.owner === owner));
  }

  /** Frees everything. */
  async clear(): Promise<void> {
    await this.free([...this.entries]);
  }

  private async free(entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) this.entries.delete(entry);
    for (const executable of await compiledOf(entries)) executable.dispose();
  }

  private entry({ owner, name, make }: Recipe): Entry {
    const known = [...this.entries].find((entry) => entry.owner === owner && entry.name === name);
    const entry = known ?? { owner, name, traced: make(), compiled: undefined };
    this.entries.delete(entry);
    this.entries.add(entry);
    const [oldest] = this.entries;
    if (this.entries.size > MOST_PROGRAMS) void this.free([oldest!]);
    return entry;
  }
}

async function compiledOf(entries: readonly Entry[]): Promise<Executable[]> {
  const settled = await Promise.allSettled(entries.map(({ compiled }) => compiled));
  return settled.flatMap((one) => (one.status === "fulfilled" && one.value ? [one.value] : []));
}
