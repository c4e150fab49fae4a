import { DeviceError } from "../core/errors.ts";
import { reachable } from "../graph/node.ts";
import { type Program, programRoots } from "../graph/program.ts";

/** Names one kernel of an op at all shapes; the kind of implementation stands for ops without variants. */
export const variantKey = (op: string, variant: string): string => `${op} ${variant}`;

/** What is said where no kernel of an op is left. */
export const refusal = (op: string): DeviceError =>
  new DeviceError(
    `${op}: no kernel of it computes right on this GPU, as the verify suite found, so it is not used for training here; train on the CPU reference, or update the graphics driver and verify again.`,
  );

/**
 * Refuses a program with an op whose only way to compute is excluded; among several variants the planner chooses.
 * @throws DeviceError
 */
export function refuseExcluded(program: Program, excluded: ReadonlyMap<string, string> | undefined): void {
  if (!excluded || excluded.size === 0) return;
  for (const { op } of reachable(programRoots(program)))
    if (op && excluded.has(variantKey(op.name, op.implementation.kind))) throw refusal(op.name);
}
