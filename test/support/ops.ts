import { callOp, type Op, type Tensor } from "../../src/core/op.ts";
import { records } from "../../src/verify/records.ts";

/** An op by name, the engine's internal ones included. */
export function opNamed(name: string): Op {
  const op = records.find((record) => record.name === name);
  if (!op) throw new Error(`There is no op ${name}.`);
  return op;
}

/** All results of an op, those included that its callers do not get. */
export const resultsOf = (name: string, ...args: readonly unknown[]): Tensor[] => callOp(opNamed(name), args);
