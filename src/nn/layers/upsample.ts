import { checkNames } from "../../core/check.ts";
import { OptionError, ShapeError } from "../../core/errors.ts";
import { dataTensor, type Tensor } from "../../core/op.ts";
import { type Shape, sameShape, showShape } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";
import { type Pair, pair, positive } from "./options.ts";
import { asRow, checkAxes, fromRow, IMAGE, mix, SIGNAL, take } from "./space.ts";

/** Options of `upsample1d`: either scale or size; mode "nearest" and alignCorners false unless given. */
export interface Upsample1dOptions {
  /** So many times as long: a whole number. */
  readonly scale?: number;
  /** The length of the result. */
  readonly size?: number;
  readonly mode?: "nearest" | "linear";
  /** Of "linear": whether the first and last elements stay where they are. */
  readonly alignCorners?: boolean;
}

/** Options of `upsample2d`: either scale or size; mode "nearest" and alignCorners false unless given. */
export interface Upsample2dOptions {
  /** So many times as high and wide: whole numbers. */
  readonly scale?: Pair;
  /** Height and width of the result. */
  readonly size?: Pair;
  readonly mode?: "nearest" | "bilinear";
  /** Of "bilinear": whether the outermost rows and columns stay where they are. */
  readonly alignCorners?: boolean;
}

/** Element ⌊i·dim/size⌋ at place i. */
function nearest(x: Tensor, axis: number, size: number): Tensor {
  const dim = x.shape[axis]!;
  if (dim === size) return x;
  return take(
    x,
    axis,
    Array.from({ length: size }, (_, i) => Math.floor((i * dim) / size)),
  );
}

/** Place i lies between two elements, at (i + ½)·dim/size − ½, or at i·(dim − 1)/(size − 1) with corners aligned. */
function linear(x: Tensor, axis: number, size: number, alignCorners: boolean): Tensor {
  const dim = x.shape[axis]!;
  if (dim === size) return x;
  const rows = Array.from({ length: size }, (_, i) => {
    const at = alignCorners
      ? size > 1
        ? (i * (dim - 1)) / (size - 1)
        : 0
      : Math.max(0, ((i + 0.5) * dim) / size - 0.5);
    const low = Math.min(Math.floor(at), dim - 1);
    const high = Math.min(low + 1, dim - 1);
    const row = new Array<number>(dim).fill(0);
    row[low]! += 1 - (at - low);
    row[high]! += at - low;
    return row;
  });
  return mix(x, axis, rows);
}

/** How one element spreads over the results around it: itself so many times, or a tent 2·scale wide. */
const SPREADS = {
  nearest: (scale: number) => ({ taps: new Array<number>(scale).fill(1), cut: 0 }),
  linear: (scale: number) => {
    const length = 2 * scale - (scale % 2);
    const taps = Array.from({ length }, (_, k) => 1 - Math.abs(k - (length - 1) / 2) / scale);
    return { taps, cut: Math.floor(scale / 2) };
  },
};

/** Scales along both axes up to which one pass is less work than one for each axis, or compiles soon. */
const MOST_AT_ONCE = { nearest: 8, linear: 2 };

/** What a single pass's taps give each place along an axis of ones: less than 1 where a tent reaches over the end. */
function shares(
  dim: number,
  scale: number,
  { taps, cut }: { taps: readonly number[]; cut: number },
): number[] {
  const sums = new Array<number>(dim * scale).fill(0);
  for (let i = 0; i < dim; i++)
    taps.forEach((tap, k) => {
      const at = i * scale + k - cut;
      if (at >= 0 && at < sums.length) sums[at]! += tap;
    });
  return sums;
}

const constants = (shape: Shape, data: readonly number[]) =>
  dataTensor({ shape, dtype: "f32", data: Float64Array.from(data) });

/** A view, or the tensor itself. */
const shaped = (x: Tensor, shape: Shape) => (sameShape(x.shape, shape) ? x : f.reshape(x, { shape }));

/**
 * Larger by whole numbers, corners not aligned: a transposed convolution of each plane, which does as much as must be. Where
 * a tent reaches over the end its outermost element has the whole share.
 */
function spread(x: Tensor, scale: readonly [number, number], kind: keyof typeof SPREADS): Tensor {
  const [down, along] = scale;
  if (down * along === 1) return x;
  if (down > 1 && along > 1 && Math.max(down, along) > MOST_AT_ONCE[kind])
    return spread(spread(x, [down, 1], kind), [1, along], kind);
  const [n, c, h, w] = x.shape as [number, number, number, number];
  // Planes are groups, which there must be several of; a signal's channels are rows of one, so that a lane has more to do.
  const planes = n > 1 && h === 1 && down === 1 ? [1, n, c, w] : n > 1 && c === 1 ? [1, n, h, w] : x.shape;
  const groups = planes[1]!;
  const [rows, columns] = [SPREADS[kind](down), SPREADS[kind](along)];
  const tap = rows.taps.flatMap((a) => columns.taps.map((b) => a * b));
  const weight = constants(
    [groups, 1, rows.taps.length, columns.taps.length],
    Array.from({ length: groups }, () => tap).flat(),
  );
  const y = f.convTranspose2d(shaped(x, planes), weight, {
    stride: scale,
    padding: [rows.cut, columns.cut],
    groups,
  });
  const [high, wide] = [shares(h, down, rows), shares(w, along, columns)];
  const even = [...high, ...wide].every((share) => share === 1);
  // Before the shape changes, so that the kernel stores the product.
  const whole = even
    ? y
    : y.mul(
        constants(
          [high.length, wide.length],
          high.flatMap((a) => wide.map((b) => 1 / (a * b))),
        ),
      );
  return shaped(whole, [n, c, h * down, w * along]);
}

function upsample(axes: 1 | 2, options: Upsample1dOptions | Upsample2dOptions): Module {
  const layer = `upsample${axes}d`;
  checkNames(layer, options, ["scale", "size", "mode", "alignCorners"]);
  const { scale, size, mode = "nearest", alignCorners = false } = options;
  const smooth = axes === 1 ? "linear" : "bilinear";
  if (mode !== "nearest" && mode !== smooth)
    throw new OptionError(`${layer}: mode is ${JSON.stringify(mode)}; use "nearest" or "${smooth}".`);
  if ((scale === undefined) === (size === undefined))
    throw new OptionError(
      `${layer}: ${scale === undefined ? "neither scale nor size is" : "both scale and size are"} given; use one of them.`,
    );
  if (alignCorners && mode === "nearest")
    throw new OptionError(`${layer}: alignCorners is true, which "nearest" does not know; use "${smooth}".`);
  const both = (x: Pair) => (axes === 1 ? ([1, x as number] as const) : pair(x));
  const given = both((scale ?? size)!);
  for (const n of given) positive(layer, { [scale === undefined ? "size" : "scale"]: n });
  const apply = (x: Tensor) => {
    const [height, width] = x.shape.slice(2) as [number, number];
    if (height === 0 || width === 0)
      throw new ShapeError(
        `${layer}: ${showShape(x.shape)} has nothing to enlarge; give it at least one element.`,
      );
    const [down, along] = scale === undefined ? [given[0] / height, given[1] / width] : given;
    const goal = [height * down, width * along] as const;
    const whole = Number.isInteger(down) && Number.isInteger(along);
    if (whole && !alignCorners) return spread(x, [down, along], mode === "nearest" ? "nearest" : "linear");
    if (mode === "nearest") return nearest(nearest(x, 3, goal[1]), 2, goal[0]);
    return linear(linear(x, 3, goal[1], alignCorners), 2, goal[0], alignCorners);
  };
  return {
    label: `${layer}(${scale === undefined ? "size" : "scale"} ${(axes === 1 ? given.slice(1) : given).join("×")}, ${mode})`,
    description: { layer, args: [options] },
    forward(x) {
      checkAxes(layer, x, axes === 1 ? SIGNAL : IMAGE);
      return axes === 1 ? fromRow(apply(asRow(x))) : apply(x);
    },
  };
}

/**
 * Makes images larger (or, given a size, smaller): [N, C, H, W] → [N, C, H′, W′]. "nearest": element ⌊i·H/H′⌋ at row i;
 * "bilinear": between the two rows around (i + ½)·H/H′ − ½, or around i·(H − 1)/(H′ − 1) with alignCorners, each with its
 * share, and columns alike; as torch.nn.Upsample.
 */
export const upsample2d = (options: Upsample2dOptions): Module => upsample(2, options);

/** Makes signals longer: [N, C, L] → [N, C, L′], "nearest" or "linear", as upsample2d does; as torch.nn.Upsample. */
export const upsample1d = (options: Upsample1dOptions): Module => upsample(1, options);
