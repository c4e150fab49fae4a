import { ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/op.ts";
import { showShape } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";
import { type Pair, pair, positive } from "./options.ts";
import { asRow, checkAxes, fromRow, IMAGE, mix, part, SIGNAL } from "./space.ts";

/** Windows of `dim` elements: ⌊i·dim/count⌋ … ⌈(i + 1)·dim/count⌉ − 1, which may overlap. */
const windowsOf = (dim: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    from: Math.floor((i * dim) / count),
    to: Math.ceil(((i + 1) * dim) / count),
  }));

/** Means of windows that do not tile an axis: products with a matrix of constants. */
function unevenMean(x: Tensor, axis: number, count: number): Tensor {
  const dim = x.shape[axis]!;
  const rows = windowsOf(dim, count).map(({ from, to }) =>
    Array.from({ length: dim }, (_, i) => (i >= from && i < to ? 1 / (to - from) : 0)),
  );
  return mix(x, axis, rows);
}

/** Maxima of windows that do not tile an axis, one by one. */
function unevenMax(x: Tensor, axis: number, count: number): Tensor {
  const parts = windowsOf(x.shape[axis]!, count).map(({ from, to }) => {
    const kernel = axis === 2 ? ([to - from, 1] as const) : ([1, to - from] as const);
    return f.maxPool2d(part(x, axis, from, to), { kernel, stride: 1 });
  });
  return f.concat(parts, { axis });
}

const KINDS = { Avg: [f.avgPool2d, unevenMean], Max: [f.maxPool2d, unevenMax] } as const;

function adaptive(kind: "Avg" | "Max", axes: 1 | 2, size: Pair): Module {
  const layer = `adaptive${kind}Pool${axes}d`;
  const goal = axes === 1 ? ([1, size as number] as const) : pair(size);
  for (const n of goal) positive(layer, { size: n });
  const [pool, uneven] = KINDS[kind];
  const apply = (x: Tensor) => {
    const [height, width] = x.shape.slice(2) as [number, number];
    if (height === 0 || width === 0)
      throw new ShapeError(
        `${layer}: ${showShape(x.shape)} has nothing to pool; give it at least one element.`,
      );
    const even = [height % goal[0] === 0, width % goal[1] === 0] as const;
    const kernel = [even[0] ? height / goal[0] : 1, even[1] ? width / goal[1] : 1] as const;
    const along = even[1] ? x : uneven(x, 3, goal[1]);
    // Of equal maxima the first counts, row by row: so rows come before columns, or both at once.
    const tiled = kernel.some((n) => n > 1) ? pool(along, { kernel, stride: kernel }) : along;
    return even[0] ? tiled : uneven(tiled, 2, goal[0]);
  };
  return {
    label: `${layer}(${(axes === 1 ? goal.slice(1) : goal).join("×")})`,
    description: { layer, args: [size] },
    forward(x) {
      checkAxes(layer, x, axes === 1 ? SIGNAL : IMAGE);
      return axes === 1 ? fromRow(apply(asRow(x))) : apply(x);
    },
  };
}

/**
 * Means of so many windows, whatever the size of the image: [N, C, H, W] → [N, C, H′, W′], window i of H′ being rows
 * ⌊i·H/H′⌋ to ⌈(i + 1)·H/H′⌉ − 1, as torch.nn.AdaptiveAvgPool2d.
 */
export const adaptiveAvgPool2d = (size: Pair): Module => adaptive("Avg", 2, size);

/** Means of so many windows: [N, C, L] → [N, C, L′], windows as of adaptiveAvgPool2d; as torch.nn.AdaptiveAvgPool1d. */
export const adaptiveAvgPool1d = (size: number): Module => adaptive("Avg", 1, size);

/**
 * Maxima of so many windows: [N, C, H, W] → [N, C, H′, W′], windows as of adaptiveAvgPool2d; as torch.nn.AdaptiveMaxPool2d.
 */
export const adaptiveMaxPool2d = (size: Pair): Module => adaptive("Max", 2, size);

/** Maxima of so many windows: [N, C, L] → [N, C, L′], windows as of adaptiveAvgPool2d; as torch.nn.AdaptiveMaxPool1d. */
export const adaptiveMaxPool1d = (size: number): Module => adaptive("Max", 1, size);
