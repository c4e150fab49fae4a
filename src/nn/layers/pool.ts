import { checkNames, checkWhole } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";
import { type Pair, pair, positive } from "./options.ts";
import { asRow, checkAxes, fromRow, IMAGE, SIGNAL } from "./space.ts";

/** Options of pooling: stride is the kernel, padding 0, ceilMode false and countIncludePad true unless given. */
export interface Pool2dOptions {
  readonly stride?: Pair;
  /** Rows and columns around the image, at most half the kernel; nothing for a maximum, zeros for a mean. */
  readonly padding?: Pair;
  /** Keep a last window that reaches over the end, unless it starts in the padding there. */
  readonly ceilMode?: boolean;
  /** Of means: whether padding counts as zeros. */
  readonly countIncludePad?: boolean;
}

/** Options of pooling of signals, as those of images. */
export interface Pool1dOptions {
  readonly stride?: number;
  readonly padding?: number;
  readonly ceilMode?: boolean;
  readonly countIncludePad?: boolean;
}

/** The op is given, so that a bundle carries that alone. */
function pool(
  kind: "max" | "avg",
  op: typeof f.avgPool2d,
  axes: 1 | 2,
  kernel: Pair,
  options: Pool2dOptions,
): Module {
  const layer = `${kind}Pool${axes}d`;
  const names = ["stride", "padding", "ceilMode"];
  checkNames(layer, options, kind === "avg" ? [...names, "countIncludePad"] : names);
  // Of signals, numbers for the width of an image of one row.
  const both = (x: Pair, height: number) => (axes === 1 ? ([height, x as number] as const) : pair(x));
  const attrs = {
    kernel: both(kernel, 1),
    stride: both(options.stride ?? kernel, 1),
    padding: both(options.padding ?? 0, 0),
    ceilMode: options.ceilMode ?? false,
  };
  for (const name of ["kernel", "stride"] as const)
    for (const n of attrs[name]) positive(layer, { [name]: n });
  attrs.padding.forEach((n, axis) => {
    checkWhole(`${layer}: padding`, n, 0);
    if (2 * n > attrs.kernel[axis]!)
      throw new OptionError(
        `${layer}: padding is ${n}; use at most half the kernel, ${attrs.kernel[axis]}, so that no window holds padding only.`,
      );
  });
  const { countIncludePad } = options;
  const all = countIncludePad === undefined ? attrs : { ...attrs, countIncludePad };
  return {
    label: `${layer}(${(axes === 1 ? attrs.kernel.slice(1) : attrs.kernel).join("×")})`,
    description: { layer, args: [kernel, options] },
    forward(x) {
      checkAxes(layer, x, axes === 1 ? SIGNAL : IMAGE);
      return axes === 1 ? fromRow(op(asRow(x), all)) : op(x, all);
    },
  };
}

/**
 * The largest value of each window: [N, C, H, W] → [N, C, H′, W′], H′ = ⌊(H + 2·padding − kernel)/stride⌋ + 1 (⌈…⌉ with
 * ceilMode), as torch.nn.MaxPool2d.
 */
export const maxPool2d = (kernel: Pair, options: Omit<Pool2dOptions, "countIncludePad"> = {}): Module =>
  pool("max", f.maxPool2d, 2, kernel, options);

/** The mean of each window: [N, C, H, W] → [N, C, H′, W′], H′ as of maxPool2d; as torch.nn.AvgPool2d. */
export const avgPool2d = (kernel: Pair, options: Pool2dOptions = {}): Module =>
  pool("avg", f.avgPool2d, 2, kernel, options);

/**
 * The largest value of each window: [N, C, L] → [N, C, L′], L′ = ⌊(L + 2·padding − kernel)/stride⌋ + 1 (⌈…⌉ with
 * ceilMode), as torch.nn.MaxPool1d.
 */
export const maxPool1d = (kernel: number, options: Omit<Pool1dOptions, "countIncludePad"> = {}): Module =>
  pool("max", f.maxPool2d, 1, kernel, options);

/** The mean of each window: [N, C, L] → [N, C, L′], L′ as of maxPool1d; as torch.nn.AvgPool1d. */
export const avgPool1d = (kernel: number, options: Pool1dOptions = {}): Module =>
  pool("avg", f.avgPool2d, 1, kernel, options);

/** The mean over height and width: [N, C, H, W] → [N, C], as torch.nn.AdaptiveAvgPool2d(1) and flatten. */
export const globalAvgPool2d = (): Module => ({
  label: "globalAvgPool2d()",
  description: { layer: "globalAvgPool2d" },
  forward: (x) => f.globalAvgPool2d(x),
});

const overSpace = (layer: string, axes: readonly string[], reduce: f.Reduction): Module => ({
  label: `${layer}()`,
  description: { layer },
  forward(x) {
    checkAxes(layer, x, axes);
    return reduce(x, { axes: axes.slice(2).map((_, i) => i + 2) });
  },
});

/** The mean over the length: [N, C, L] → [N, C], as torch.nn.AdaptiveAvgPool1d(1) and flatten. */
export const globalAvgPool1d = (): Module => overSpace("globalAvgPool1d", SIGNAL, f.mean);

/** The largest value over height and width: [N, C, H, W] → [N, C]; equal ones share the gradient, as torch.amax. */
export const globalMaxPool2d = (): Module => overSpace("globalMaxPool2d", IMAGE, f.max);

/** The largest value over the length: [N, C, L] → [N, C]; equal ones share the gradient, as torch.amax. */
export const globalMaxPool1d = (): Module => overSpace("globalMaxPool1d", SIGNAL, f.max);
