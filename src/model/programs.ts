import type { Runner } from "./runner.ts";

/** Programs that are kept for further inputs of the same shapes; the one that was used longest ago goes first. */
const MOST_PROGRAMS = 8;

interface Kept {
  readonly runner: Runner;
  /** Runs under way: a program is freed after the last of them. */
  users: Promise<unknown>;
}

/** A bounded number of compiled programs by what they are for, in the order of their last use. */
export class Programs {
  private readonly kept = new Map<string, Kept>();

  /** Runs the program of a key, made at its first use, and gives its outputs as numbers. */
  async outputsOf(key: string, make: () => Runner, inputs: unknown): Promise<unknown> {
    const entry = this.kept.get(key) ?? { runner: make(), users: Promise.resolve() };
    this.kept.delete(key);
    this.kept.set(key, entry);
    const outputs = entry.runner.read(inputs);
    // Not what they gave: each would hold the one before it, and the last all results that ever were.
    entry.users = Promise.allSettled([entry.users, outputs]).then(() => {});
    if (this.kept.size > MOST_PROGRAMS) {
      const [[oldest, { runner, users }]] = this.kept as unknown as [[string, Kept]];
      this.kept.delete(oldest);
      void users.then(() => runner.dispose());
    }
    return outputs;
  }

  get size(): number {
    return this.kept.size;
  }

  /** Frees all of them, after the runs that are under way. */
  async clear(): Promise<void> {
    const all = [...this.kept.values()];
    this.kept.clear();
    await Promise.all(all.map(({ runner, users }) => users.then(() => runner.dispose())));
  }
}
