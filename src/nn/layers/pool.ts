import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";
import { type Pair, pair } from "./options.ts";

/** Options of pooling: stride is the kernel, padding 0 and countIncludePad true unless given. */
export interface Pool2dOptions {
  readonly stride?: Pair;
  readonly padding?: Pair;
  readonly countIncludePad?: boolean;
}

/** The largest value of each window; stride is the kernel unless given. */
export function maxPool2d(kernel: Pair, options: Pool2dOptions = {}): Module {
  const attrs = {
    kernel: pair(kernel),
    stride: pair(options.stride ?? kernel),
    padding: pair(options.padding ?? 0),
  };
  return {
    label: `maxPool2d(${attrs.kernel.join("×")})`,
    description: { layer: "maxPool2d", args: [kernel, options] },
    forward: (x) => f.maxPool2d(x, attrs),
  };
}

/** The mean of each window; stride is the kernel unless given. */
export function avgPool2d(kernel: Pair, options: Pool2dOptions = {}): Module {
  const attrs = {
    kernel: pair(kernel),
    stride: pair(options.stride ?? kernel),
    padding: pair(options.padding ?? 0),
    countIncludePad: options.countIncludePad ?? true,
  };
  return {
    label: `avgPool2d(${attrs.kernel.join("×")})`,
    description: { layer: "avgPool2d", args: [kernel, options] },
    forward: (x) => f.avgPool2d(x, attrs),
  };
}

/** The mean over height and width: [N, C, H, W] → [N, C]. */
export const globalAvgPool2d = (): Module => ({
  label: "globalAvgPool2d()",
  description: { layer: "globalAvgPool2d" },
  forward: (x) => f.globalAvgPool2d(x),
});
