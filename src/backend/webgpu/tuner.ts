import type { AdapterFacts } from "../../core/kernel.ts";
import { sizeOf } from "../../core/shape.ts";
import { kernelContext, reachable } from "../../graph/node.ts";
import type { Program } from "../../graph/program.ts";
import { programRoots } from "../../graph/program.ts";
import { offerMeasured } from "../../ops/measured.ts";
import { variantKey } from "../../plan/excluded.ts";
import { kernelKey } from "../../plan/plan.ts";
import type { WebGPUBackend } from "./backend.ts";
import { measure, type Tunable, type TunedKernel } from "./tuner-trial.ts";
import { adapterKey, sourcesHash, type TuningStore } from "./tuning-store.ts";

/** How kernels are measured, and where the choices are kept. */
export interface TuneOptions {
  /** Where choices are found and kept; none by default. */
  readonly store?: TuningStore | undefined;
  /** Measures what is stored already too. */
  readonly again?: boolean;
  /** Called before the first kernel and after each. */
  readonly onProgress?: (done: number, total: number, kernel?: TunedKernel) => void;
}

/** Ops that offer a choice of kernels which are not known to be wrong. */
function tunables(
  programs: readonly Program[],
  facts: AdapterFacts,
  excluded: ReadonlyMap<string, string>,
): Tunable[] {
  offerMeasured();
  const found = new Map<string, Tunable>();
  for (const program of programs)
    for (const node of reachable(programRoots(program))) {
      const { op, inputs, outputs } = node;
      if (op?.implementation.kind !== "kernel" || [...inputs, ...outputs].some((x) => sizeOf(x.shape) === 0))
        continue;
      const key = kernelKey(node);
      if (found.has(key)) continue;
      const variants = op.implementation
        .kernel(kernelContext(node, facts))
        .filter(({ name }) => !excluded.has(variantKey(op.name, name)));
      if (variants.length > 1) found.set(key, { key, node, variants });
    }
  return [...found.values()];
}

/** Kernel choices for programs that were measured on this adapter before, for `PlanOptions.choices`. */
export async function storedChoices(
  facts: AdapterFacts,
  programs: readonly Program[],
  store: TuningStore,
): Promise<Map<string, string>> {
  const stored = await store.load(adapterKey(facts));
  const choices = new Map<string, string>();
  if (stored.size === 0) return choices;
  for (const { key, variants } of tunables(programs, facts, await store.excluded(adapterKey(facts)))) {
    const entry = stored.get(key);
    if (entry?.sources === sourcesHash(variants)) choices.set(key, entry.choice);
  }
  return choices;
}

/**
 * Measures every kernel that the programs' ops may use on this adapter, at their shapes, and gives the fastest of those
 * that compute right, by `kernelKey`: for `PlanOptions.choices`.
 *
 * @example const choices = await tune(device, trainer.programs(data, 64), { store: tuningStore() });
 */
export async function tune(
  backend: WebGPUBackend,
  programs: readonly Program[],
  options: TuneOptions = {},
): Promise<Map<string, string>> {
  const { store, onProgress } = options;
  const list = tunables(programs, backend.facts, backend.excluded);
  const choices = store && !options.again ? await storedChoices(backend.facts, programs, store) : new Map();
  onProgress?.(0, list.length);
  for (const [i, tunable] of list.entries()) {
    const { key, node, variants } = tunable;
    const known: string | undefined = choices.get(key);
    const kernel = known
      ? { op: node.op!.name, key, choice: known, candidates: [] }
      : await measure(backend, tunable);
    if (!known && kernel.choice) {
      choices.set(key, kernel.choice);
      const entry = { choice: kernel.choice, sources: sourcesHash(variants) };
      await store?.save(adapterKey(backend.facts), new Map([[key, entry]]));
    }
    onProgress?.(i + 1, list.length, kernel);
  }
  return choices;
}
