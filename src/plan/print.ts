import { byteLength } from "../core/dtype.ts";
import { showShape } from "../core/shape.ts";
import type { Range } from "./placement.ts";
import type { Plan, PlanStep } from "./plan.ts";

/** Bytes of GPU memory a plan's buffers take: temporaries, outputs, feeds, and the arenas it binds. */
export function planBytes(plan: Plan): {
  temporaries: number;
  own: number;
  feeds: number;
  arenas: number;
  total: number;
} {
  const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
  const arenas = sum([...plan.arenas].map(({ size, dtype }) => byteLength(size, dtype)));
  const parts = { temporaries: sum(plan.pool), own: sum(plan.own), feeds: plan.feedBytes, arenas };
  return { ...parts, total: parts.temporaries + parts.own + parts.feeds + parts.arenas };
}

function showRange(range: Range): string {
  const { memory } = range;
  const place =
    memory.kind === "pool"
      ? `t${memory.slot}`
      : memory.kind === "own"
        ? `own${memory.slot}`
        : memory.kind === "arena"
          ? memory.arena.name
          : "feeds";
  return range.offset > 0 ? `${place}+${range.offset}` : place;
}

function showStep(step: PlanStep, index: number): string {
  const reads = step.bindings.filter((b) => b.access === "read").map(showRange);
  const writes = step.bindings.filter((b) => b.access === "read_write").map(showRange);
  const shapes = step.node.outputs.map((type) => showShape(type.shape)).join(" ");
  const grid = step.workgroups.filter((n, axis) => axis === 0 || n > 1).join("×");
  return [
    String(index + 1).padStart(3),
    step.kernel.padEnd(34),
    shapes.padEnd(22),
    `grid ${grid}`.padEnd(14),
    `${reads.join(" ")} → ${writes.join(" ")}`,
  ].join("  ");
}

/** The plan as text: one line per dispatch with its kernel, result shapes, grid and buffers, then the bytes. */
export function printPlan(plan: Plan): string {
  const bytes = planBytes(plan);
  const mb = (n: number) => `${(n / 1e6).toFixed(2)} MB`;
  return [
    `${plan.name}: ${plan.steps.length} dispatches, peak ${mb(bytes.total)} (temporaries ${mb(bytes.temporaries)} in ${plan.pool.length} buffers, own ${mb(bytes.own)}, arenas ${mb(bytes.arenas)}, feeds ${mb(bytes.feeds)})`,
    ...plan.steps.map(showStep),
  ].join("\n");
}
