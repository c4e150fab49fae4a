/** Puts the everyday ops on tensors, as methods, and gives them to gradients and compositions. */
import { type Operand, type OpTable, provideOps, Tensor } from "../core/op.ts";
import * as everyday from "./everyday.ts";

type Everyday = typeof everyday;
/** Ops whose first operand is not what they are about. */
type Functions = "constant" | "where" | "concat" | "stack";
/** An op as a method: the tensor is its first operand. */
type Methods = {
  [Name in Exclude<keyof Everyday, Functions>]: Everyday[Name] extends (
    x: Operand,
    ...rest: infer Rest
  ) => infer Result
    ? (...rest: Rest) => Result
    : never;
};

declare module "../core/op.ts" {
  interface OpTable extends Everyday {}
  interface Tensor extends Methods {}
}

const functions: readonly string[] = ["constant", "where", "concat", "stack"] satisfies Functions[];

for (const [name, op] of Object.entries(everyday))
  if (!functions.includes(name))
    Object.defineProperty(Tensor.prototype, name, {
      value(this: Tensor, ...rest: unknown[]) {
        return (op as (...args: unknown[]) => unknown)(this, ...rest);
      },
    });
provideOps(everyday as OpTable);
