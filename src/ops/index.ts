import * as activations from "./activations.ts";
import * as arithmetic from "./arithmetic.ts";
import * as compare from "./compare.ts";
import * as layout from "./layout.ts";
import type { OpRecord } from "./op.ts";
import * as reduce from "./reduce.ts";
import * as unary from "./unary.ts";

/** Every op there is: parity and gradient tests, the verify command and the function table come from this list. */
export const records: readonly OpRecord[] = [arithmetic, compare, unary, activations, layout, reduce].flatMap(
  (file) => Object.values(file) as OpRecord[],
);
