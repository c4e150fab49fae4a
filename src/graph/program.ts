import type { Value, Variable } from "../ops/op.ts";

/** What a run of a graph must leave behind. */
export interface Program {
  readonly name: string;
  /** Tensors that can be fetched after a run. */
  readonly outputs?: Readonly<Record<string, Value>>;
  /**
   * Variables and their next values. All of a step's other work reads the old values; updates come last, in the order
   * of their dependencies, and each may read what earlier ones wrote through their results only.
   */
  readonly updates?: readonly Update[];
}

export interface Update {
  readonly variable: Variable;
  readonly value: Value;
}
