import { describe, expect, test } from "vitest";
import type { WebGPUBackend } from "../src/backend/webgpu/backend.ts";
import type { OpRecord } from "../src/core/op.ts";
import { sizeOf } from "../src/core/shape.ts";
import type { Range } from "../src/plan/placement.ts";
import { compilePlan, type Plan, type PlanStep } from "../src/plan/plan.ts";
import { casesOf, compareResults, type ParityCase, type ParityVariant } from "../src/verify/parity.ts";
import { records } from "../src/verify/records.ts";
import { gpu } from "./support/gpu.ts";

/**
 * Three faults that any kernel could have: its last element is never written, every element goes one place too far, and
 * its loops stop one turn early. All are seeded into the shader's own text at once, so that it is compiled once; a number
 * that it reads says which of them is there. The parity suite must notice each, and must find nothing at 0.
 */
const FAULTS = ["last element dropped", "index shifted", "last turn dropped"] as const;
type Fault = (typeof FAULTS)[number];
const numberOf = (fault: Fault) => 1 + FAULTS.indexOf(fault);
/** The condition that a fault is there, in a shader. */
const there = (fault: Fault) => `seeded_fault[0] == ${numberOf(fault)}u`;

/** A shader with all faults that it has places for, and which those are. */
function seedFaults(source: string, binding: number): { source: string; places: ReadonlySet<Fault> } {
  const places = new Set<Fault>();
  let text = source.replace(/\/\/.*$/gm, "");
  text = text.replace(
    /for \(var (\w+)(: u32)? = ([^;]+); \1 < ([^;]+); /g,
    (_, i: string, type = "", from: string, to: string) => {
      places.add("last turn dropped");
      return `for (var ${i}${type} = ${from}; select(${i} < ${to}, ${i} + 1 < ${to}, ${there("last turn dropped")}); `;
    },
  );
  // An atomic maximum is a store that does not depend on the order.
  text = text.replace(/atomicMax\(&(\w+)\[([^;]*?)\], ([^;]+)\);/g, (whole, array: string, index: string) => {
    places.add("last element dropped").add("index shifted");
    const last = `arrayLength(&${array}) - 1u`;
    const place = `select(u32(${index}), min(u32(${index}) + 1u, ${last}), ${there("index shifted")})`;
    const store = whole.replace(`[${index}]`, `[${place}]`);
    return `if (!(${there("last element dropped")} && u32(${index}) == ${last})) { ${store} }`;
  });
  for (const [, array, type] of text.matchAll(/var<storage, read_write> (\w+)\s*: *([\w<>]+);/g)) {
    const row = new RegExp(`struct ${type} \\{([^}]*)\\}`).exec(text)?.[1];
    if (row) {
      // The elements of a row have names.
      const names = [...row.matchAll(/(\w+)\s*:/g)].map(([, name]) => name!);
      text = text.replace(
        new RegExp(`\\b${array}\\.(\\w+) = ([^;]+);`, "g"),
        (_, name: string, value: string) => {
          places.add("last element dropped").add("index shifted");
          const next = names[Math.min(names.indexOf(name) + 1, names.length - 1)]!;
          const dropped = name === names.at(-1) ? there("last element dropped") : "false";
          return `if (${there("index shifted")}) { ${array}.${next} = ${value}; } else if (!(${dropped})) { ${array}.${name} = ${value}; }`;
        },
      );
      continue;
    }
    const store = new RegExp(`(^|[;{}])(\\s*)${array}\\[([^;]*?)\\] = ([^;]+);`, "gm");
    text = text.replace(store, (_, before: string, space: string, index: string, value: string) => {
      places.add("last element dropped").add("index shifted");
      const last = `arrayLength(&${array}) - 1u`;
      const place = `select(u32(${index}), min(u32(${index}) + 1u, ${last}), ${there("index shifted")})`;
      return `${before}${space}if (!(${there("last element dropped")} && u32(${index}) == ${last})) { ${array}[${place}] = ${value}; }`;
    });
  }
  const declaration = `@group(0) @binding(${binding}) var<storage, read> seeded_fault: array<u32>;\n`;
  const extensions = /^(?:enable \w+;\n)*/.exec(text)![0];
  return { source: extensions + declaration + text.slice(extensions.length), places };
}

/** A plan whose steps of one kernel are seeded, the fault's number being a feed; and the faults that all of them have places for. */
function seededPlan(
  plan: Plan,
  kernel: string,
  alignment: number,
): { plan: Plan; places: ReadonlySet<Fault> } {
  const offset = Math.ceil(plan.feedBytes / alignment) * alignment;
  const range: Range = { memory: { kind: "feeds" }, offset, bytes: 4 };
  const seeds = plan.steps
    .filter((step) => step.kernel === kernel)
    .map((step) => seedFaults(step.source, step.bindings.length));
  let next = 0;
  const steps = plan.steps.map((step): PlanStep => {
    if (step.kernel !== kernel) return step;
    const bindings = [...step.bindings, { ...range, access: "read" as const }];
    return { ...step, source: seeds[next++]!.source, bindings };
  });
  const feeds = new Map(plan.feeds).set("seeded fault", { ...range, type: { shape: [1], dtype: "u32" } });
  return {
    plan: { ...plan, steps, feeds, feedBytes: offset + 4 },
    places: new Set(FAULTS.filter((fault) => seeds.every(({ places }) => places.has(fault)))),
  };
}

const HOMES = new Map([
  ["elementwise/copy", "pack"],
  ["elementwise/fill", "pad"],
]);

interface KernelCase {
  readonly parity: ParityCase;
  readonly variant: ParityVariant;
}

/** Each kernel of an op: a case that runs it, the smallest first. */
function kernelsOf(op: OpRecord, backend: WebGPUBackend): Map<string, KernelCase[]> {
  const kernels = new Map<string, KernelCase[]>();
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

const size = (parity: ParityCase) => parity.sample.inputs.reduce((n, x) => n + sizeOf(x.shape), 0);
const CASES_TRIED = 6;

/** Runs a kernel's cases until each fault that it has places for is noticed, and returns those that are not. */
async function unnoticed(
  backend: WebGPUBackend,
  kernel: string,
  cases: readonly KernelCase[],
): Promise<Fault[]> {
  // One element alone cannot be told from its neighbour: begin with cases of some size.
  const tried = [...cases.filter(({ parity }) => size(parity) > 8), ...cases].slice(0, CASES_TRIED);
  // A result of one element has no next place.
  const scalar = cases.every(({ parity }) =>
    Object.values(parity.program.outputs!).every((y) => y.shape.length === 0),
  );
  const possible = new Set<Fault>();
  const noticed = new Set<Fault>();
  for (const { parity, variant } of tried) {
    const { plan, places } = seededPlan(
      compilePlan(parity.program, backend.facts, variant.options),
      kernel,
      backend.facts.offsetAlignment,
    );
    const open = [...places].filter((fault) => !noticed.has(fault) && !(scalar && fault === "index shifted"));
    for (const fault of places) possible.add(fault);
    if (open.length === 0) continue;
    const passes = async (number: number) => {
      const executable = await backend.load(plan); // anew, for results without what the run before stored
      try {
        executable.run({ ...parity.feeds, "seeded fault": Uint32Array.of(number) });
        const results = [];
        for (const name of Object.keys(parity.program.outputs!)) results.push(await executable.fetch(name));
        return compareResults(parity, results, variant.magnified).pass;
      } finally {
        executable.dispose();
      }
    };
    for (const fault of open) if (!(await passes(numberOf(fault)))) noticed.add(fault);
    // Last, because memory for temporaries is shared: nothing right lies there while a fault is tried.
    expect(await passes(0), `${kernel} fails parity without a fault`).toBe(true);
  }
  // Every kernel stores something; not every kernel loops.
  expect(possible, `${kernel} has no store of the form array[index] = value;`).toContain("index shifted");
  if (scalar) possible.delete("index shifted");
  return [...possible].filter((fault) => !noticed.has(fault));
}

describe("a fault seeded into any kernel fails parity", () => {
  const withKernels = records.filter((op) =>
    ["kernel", "elementwise", "pack"].includes(op.implementation.kind),
  );
  test.each(withKernels.map((op) => [op.name, op] as const))("%s", async (_, op) => {
    const backend = await gpu();
    for (const [kernel, cases] of kernelsOf(op, backend))
      expect(await unnoticed(backend, kernel, cases), `${kernel} passes parity with a fault`).toEqual([]);
  });
});
