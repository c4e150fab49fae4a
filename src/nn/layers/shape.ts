import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";

/** [N, …] → [N, product of the rest]. */
export const flatten = (): Module => ({
  label: "flatten()",
  description: { layer: "flatten" },
  forward: (x) => f.reshape(x, { shape: [x.shape[0]!, x.shape.slice(1).reduce((n, dim) => n * dim, 1)] }),
});
