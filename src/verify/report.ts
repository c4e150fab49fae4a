import type { WebGPUBackend } from "../backend/webgpu/backend.ts";
import { adapterKey, machineStore, type TuningStore } from "../backend/webgpu/tuning-store.ts";
import { variantKey } from "../plan/excluded.ts";
import type { ParityRow } from "./parity.ts";

/** The rows of one kernel of an op, and what they amount to. */
export interface KernelReport {
  readonly op: string;
  readonly kernel: string;
  readonly rows: readonly ParityRow[];
  /** The row nearest to its tolerance, or furthest beyond it. */
  readonly worst: ParityRow;
  readonly pass: boolean;
  /** Where it fails: what training on this adapter uses instead, in a sentence. */
  readonly instead?: string;
}

/** Rows of no kernel: what the planner makes of other ops, of memory as it lies, or of tensors without elements. */
const WITHOUT_KERNEL: readonly string[] = ["composition", "view", "empty"];

const severity = (row: ParityRow) =>
  row.pass ? row.worstError / (row.tolerance || 1) : Number.POSITIVE_INFINITY;

/** Rows by kernel, in the order of their first rows. */
export function byKernel(rows: readonly ParityRow[]): KernelReport[] {
  const groups = new Map<string, ParityRow[]>();
  for (const row of rows) {
    const key = variantKey(row.op, row.kernel);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const right = (group: readonly ParityRow[]) => group.every((row) => row.pass);
  return [...groups.values()].map((group) => {
    const { op, kernel } = group[0]!;
    const worst = group.reduce((a, b) => (severity(b) > severity(a) ? b : a));
    const report = { op, kernel, rows: group, worst, pass: right(group) };
    if (report.pass) return report;
    const others = [...groups.values()].filter(
      (g) => g[0]!.op === op && right(g) && !WITHOUT_KERNEL.includes(g[0]!.kernel),
    );
    const names = others.map((g) => g[0]!.kernel).join(", ");
    const instead = WITHOUT_KERNEL.includes(kernel)
      ? `No kernel of its own computes this: look which of the others is wrong, and train on the CPU reference with ${op} until it is right.`
      : names
        ? `Training here uses another kernel of ${op} instead: ${names}.`
        : `No kernel of ${op} computes right here: training with it is refused on this GPU, and the CPU reference is offered instead.`;
    return { ...report, instead };
  });
}

/** The verdict in a sentence. */
export function verdict(rows: readonly ParityRow[]): string {
  const kernels = byKernel(rows);
  const wrong = kernels.filter((kernel) => !kernel.pass);
  const checks = `${rows.length} ${rows.length === 1 ? "check" : "checks"} of ${kernels.length} ${kernels.length === 1 ? "kernel" : "kernels"}`;
  if (wrong.length === 0) return `${checks}: all right on this GPU.`;
  const failed = rows.filter((row) => !row.pass).length;
  return `${checks}: ${failed} wrong, in ${wrong.map(({ op, kernel }) => `${op} (${kernel})`).join(", ")}.`;
}

/**
 * Keeps which of the kernels in `rows` compute wrong on the backend's adapter, so that no program is compiled with them
 * here from now on; what was known of kernels that are not in `rows` stays.
 */
export async function keepVerdicts(
  backend: WebGPUBackend,
  rows: readonly ParityRow[],
  store: TuningStore = machineStore(),
): Promise<ReadonlyMap<string, string>> {
  const adapter = adapterKey(backend.facts);
  const wrong = new Map(await store.excluded(adapter));
  for (const { op, kernel, pass, rows: group } of byKernel(rows)) {
    const key = variantKey(op, kernel);
    if (pass || WITHOUT_KERNEL.includes(kernel)) wrong.delete(key);
    else wrong.set(key, group.find((row) => !row.pass)!.message ?? "wrong");
  }
  backend.excluded = wrong;
  await store.exclude(adapter, wrong);
  return wrong;
}

/** What a report says of the adapter: who made it, its driver, limits and features. */
export function adapterReport({ facts, limits, features }: WebGPUBackend) {
  const { name, vendor, architecture, device, description } = facts;
  return { adapter: { name, vendor, architecture, device, description }, limits, features };
}

/** The report as JSON: the adapter and every row. */
export function verifyReport(machine: ReturnType<typeof adapterReport>, rows: readonly ParityRow[]) {
  const failed = rows.filter((row) => !row.pass).length;
  return {
    ...machine,
    excluded: byKernel(rows).flatMap(({ op, kernel, pass, instead }) =>
      pass ? [] : [{ op, kernel, instead }],
    ),
    kernels: rows,
    passed: rows.length - failed,
    failed,
  };
}
