import { describe, expect, test } from "vitest";
import type { WebGPUBackend } from "../src/backend/webgpu/backend.ts";
import type { Magnified } from "../src/core/kernel.ts";
import type { OpRecord } from "../src/core/op.ts";
import { records } from "../src/ops/index.ts";
import { compilePlan, type Plan } from "../src/plan/plan.ts";
import { casesOf, compareResults, type ParityCase, type ParityVariant } from "../src/verify/parity.ts";
import { gpu } from "./support/gpu.ts";

/**
 * Three faults that any kernel could have: its last element is never written, every element goes one place too far, and
 * its loops stop one turn early. They are seeded into the shader's own text; the parity suite must notice each.
 */
const STORES = {
  "last element dropped": (array: string, index: string, value: string) =>
    `if (u32(${index}) + 1u != arrayLength(&${array})) { ${array}[${index}] = ${value}; }`,
  "index shifted": (array: string, index: string, value: string) =>
    `${array}[min(u32(${index}) + 1u, arrayLength(&${array}) - 1u)] = ${value};`,
};
type Fault = keyof typeof STORES | "last turn dropped";
const FAULTS: readonly Fault[] = ["last element dropped", "index shifted", "last turn dropped"];

/** Rewrites a shader; null when it has no place for the fault. */
function seedFault(source: string, fault: Fault): string | null {
  let changed = false;
  let result = source.replace(/\/\/.*$/gm, "");
  if (fault === "last turn dropped") {
    result = result.replace(
      /for \(var (\w+)(: u32)? = ([^;]+); \1 < ([^;]+); /g,
      (_, i: string, type = "", from: string, to: string) => {
        changed = true;
        return `for (var ${i}${type} = ${from}; ${i} + 1 < ${to}; `;
      },
    );
    return changed ? result : null;
  }
  // An atomic maximum is a store that does not depend on the order.
  result = result.replace(/atomicMax\(&(\w+)\[([^;]*?)\], ([^;]+)\);/g, (text, array, index) => {
    changed = true;
    const last = `arrayLength(&${array}) - 1u`;
    if (fault === "last element dropped") return `if (u32(${index}) != ${last}) { ${text} }`;
    return text.replace(`[${index}]`, `[min(u32(${index}) + 1u, ${last})]`);
  });
  for (const [, array] of result.matchAll(/var<storage, read_write> (\w+)\s*:/g)) {
    const store = new RegExp(`(^|[;{}])(\\s*)${array}\\[([^;]*?)\\] = ([^;]+);`, "gm");
    result = result.replace(store, (_, before: string, space: string, index: string, value: string) => {
      changed = true;
      return before + space + STORES[fault](array!, index, value);
    });
  }
  return changed ? result : null;
}

async function caught(
  backend: WebGPUBackend,
  parity: ParityCase,
  plan: Plan,
  magnified?: Magnified,
): Promise<boolean> {
  const executable = await backend.load(plan);
  try {
    executable.run(parity.feeds);
    const results = [];
    for (const name of Object.keys(parity.program.outputs!)) results.push(await executable.fetch(name));
    return !compareResults(parity, results, magnified).pass;
  } finally {
    executable.dispose();
  }
}

const HOMES = new Map([
  ["elementwise/copy", "pack"],
  ["elementwise/fill", "pad"],
]);

/** Each kernel of an op: a case that runs it, the smallest first. */
function kernelsOf(
  op: OpRecord,
  backend: WebGPUBackend,
): Map<string, { parity: ParityCase; variant: ParityVariant }[]> {
  const kernels = new Map<string, { parity: ParityCase; variant: ParityVariant }[]>();
  const cases = casesOf(op).sort((a, b) => size(a) - size(b));
  for (const parity of cases)
    for (const variant of parity.variants(backend.facts))
      for (const step of compilePlan(parity.program, backend.facts, variant.options).steps) {
        // The planner's own copies and fills appear in many ops; each is tried where all of a result comes from it.
        const home = HOMES.get(step.kernel);
        if (home && home !== op.name) continue;
        const list = kernels.get(step.kernel) ?? [];
        list.push({ parity, variant });
        kernels.set(step.kernel, list);
      }
  return kernels;
}

const size = (parity: ParityCase) => parity.sample.inputs.reduce((n, x) => n + x.data.length, 0);
const CASES_TRIED = 6;

describe("a fault seeded into any kernel fails parity", () => {
  const withKernels = records.filter((op) =>
    ["kernel", "elementwise", "pack"].includes(op.implementation.kind),
  );
  test.each(withKernels.map((op) => [op.name, op] as const))("%s", async (_, op) => {
    const backend = await gpu();
    for (const [kernel, cases] of kernelsOf(op, backend))
      for (const fault of FAULTS) {
        // A result of one element has no next place.
        const scalar = cases.every(({ parity }) =>
          Object.values(parity.program.outputs!).every((y) => y.shape.length === 0),
        );
        if (fault === "index shifted" && scalar) continue;
        let noticed = false;
        // One element alone cannot be told from its neighbour: begin with cases of some size.
        const tried = [...cases.filter(({ parity }) => size(parity) > 8), ...cases].slice(0, CASES_TRIED);
        let possible = false;
        for (const { parity, variant } of tried) {
          const plan = compilePlan(parity.program, backend.facts, variant.options);
          const seeded = plan.steps.map((step) =>
            step.kernel === kernel ? seedFault(step.source, fault) : step.source,
          );
          if (seeded.includes(null)) continue;
          possible = true;
          const steps = plan.steps.map((step, i) => ({ ...step, source: seeded[i]! }));
          noticed = await caught(backend, parity, { ...plan, steps }, variant.magnified);
          if (noticed) break;
        }
        // Every kernel stores something; not every kernel loops.
        if (fault !== "last turn dropped")
          expect(possible, `${kernel} has no store of the form array[index] = value;`).toBe(true);
        if (!possible) continue;
        expect(noticed, `${kernel}: "${fault}" passes parity`).toBe(true);
      }
  });
});
