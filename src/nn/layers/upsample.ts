import { OptionError, ShapeError } from "../../core/errors.ts";
import { dataTensor, type Tensor } from "../../core/op.ts";
import { showShape } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";
import { type Pair, pair, positive } from "./options.ts";
import { asRow, checkAxes, fromRow, IMAGE, mix, part, SIGNAL, take } from "./space.ts";

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

/** Every element so many times along height and width. */
function repeated(x: Tensor, [down, along]: readonly [number, number]): Tensor {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const apart = f.reshape(x, { shape: [n * c, h, 1, w, 1] });
  const all = f.broadcastTo(apart, { shape: [n * c, h, down, w, along] });
  return f.reshape(all, { shape: [n, c, h * down, w * along] });
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

/** The weights with which one element spreads over the results around it: a tent 2·scale wide. */
function tent(scale: number): number[] {
  const length = 2 * scale - (scale % 2);
  return Array.from({ length }, (_, k) => 1 - Math.abs(k - (length - 1) / 2) / scale);
}

/**
 * Bilinear by whole numbers, corners not aligned: every element spreads a tent over the result, which is a transposed
 * convolution of each channel. Beyond the image its outermost elements go on.
 */
function spread(x: Tensor, scale: readonly [number, number]): Tensor {
  const [, channels, ...plane] = x.shape as [number, number, number, number];
  const [down, along] = scale.map(tent) as [number[], number[]];
  const shape = [channels, 1, down.length, along.length];
  const one = down.flatMap((a) => along.map((b) => a * b));
  const data = Float64Array.from({ length: channels * one.length }, (_, i) => one[i % one.length]!);
  const wide = scale.reduce((y, factor, i) => {
    if (factor === 1) return y;
    const axis = i + 2;
    return f.concat([part(y, axis, 0, 1), y, part(y, axis, plane[i]! - 1, plane[i]!)], { axis });
  }, x);
  const cut = (n: number) => (n === 1 ? 0 : n + Math.floor(n / 2));
  return f.convTranspose2d(wide, dataTensor({ shape, dtype: "f32", data }), {
    stride: scale,
    padding: [cut(scale[0]), cut(scale[1])],
    groups: channels,
  });
}

function upsample(axes: 1 | 2, options: Upsample1dOptions | Upsample2dOptions): Module {
  const layer = `upsample${axes}d`;
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
    if (mode === "nearest")
      return whole ? repeated(x, [down, along]) : nearest(nearest(x, 3, goal[1]), 2, goal[0]);
    if (!alignCorners && whole) return down * along === 1 ? x : spread(x, [down, along]);
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
