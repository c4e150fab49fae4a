import { ShapeError } from "../core/errors.ts";
import type { Arena, Tensor, Variable } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";

/** What a run of a graph must leave behind. */
export interface Program {
  readonly name: string;
  /** Tensors that can be fetched after a run. */
  readonly outputs?: Readonly<Record<string, Tensor>>;
  /**
   * Variables and their next values. All of a step's other work reads the old values; updates come last, in the order
   * of their dependencies, and each may read what earlier ones wrote through their results only.
   */
  readonly updates?: readonly Update[];
}

/** A variable and its next value, written when the run ends. */
export interface Update {
  readonly variable: Variable;
  readonly value: Tensor;
}

/** Values that must exist in memory because somebody outside the graph reads them. */
export function programRoots(program: Program): Tensor[] {
  return [...Object.values(program.outputs ?? {}), ...(program.updates ?? []).map((update) => update.value)];
}

/** Refuses programs whose meaning would depend on the order of their updates. */
export function checkProgram({ name, updates = [] }: Program): void {
  const ranges = new Map<Arena, { from: number; to: number }[]>();
  for (const { variable } of updates) {
    const { name: of, arena, offset, shape } = variable;
    const own = { from: offset, to: offset + sizeOf(shape) };
    const others = ranges.get(arena) ?? [];
    if (others.some(({ from, to }) => own.from === from || (own.from < to && from < own.to)))
      throw new ShapeError(`${name}: ${of} is updated twice; give one update for each variable of a step.`);
    ranges.set(arena, [...others, own]);
  }
  for (const { variable, value } of updates)
    if (value.node.leaf)
      throw new ShapeError(
        `${name}: the update of ${variable.name} stores a tensor that nothing computes; compute it, for example as mul(x, 1).`,
      );
}
