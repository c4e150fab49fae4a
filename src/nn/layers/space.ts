/** What layers over signals [N, C, L] and images [N, C, H, W] share. */
import { OptionError, ShapeError } from "../../core/errors.ts";
import { dataTensor, type Tensor } from "../../core/op.ts";
import { type Shape, showShape, sizeOf } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";

/** @throws ShapeError unless the axes of x are those named; a number is what an axis must be. */
export function checkAxes(layer: string, x: Tensor, axes: readonly (string | number)[]): void {
  if (x.shape.length === axes.length && axes.every((a, i) => typeof a === "string" || x.shape[i] === a))
    return;
  throw new ShapeError(
    `${layer}: takes [${axes.join(", ")}], got ${showShape(x.shape)}; change its options or the layer before.`,
  );
}

/** The axes of signals and of images. */
export const SIGNAL = ["batch", "channels", "length"] as const;
export const IMAGE = ["batch", "channels", "height", "width"] as const;

/** A signal [N, C, L] as an image of one row, which is what the kernels know: a view. */
export const asRow = (x: Tensor): Tensor =>
  f.reshape(x, { shape: [x.shape[0]!, x.shape[1]!, 1, x.shape[2]!] });
/** Back from asRow. */
export const fromRow = (y: Tensor): Tensor =>
  f.reshape(y, { shape: [y.shape[0]!, y.shape[1]!, y.shape[3]!] });

/** `from` … `to` − 1 along one axis. */
export const part = (x: Tensor, axis: number, from: number, to: number): Tensor =>
  f.slice(x, {
    starts: x.shape.map((_, a) => (a === axis ? from : 0)),
    ends: x.shape.map((dim, a) => (a === axis ? to : dim)),
  });

/** The elements of x at `indices` along an axis. */
export function take(x: Tensor, axis: number, indices: readonly number[]): Tensor {
  const table = dataTensor({ shape: [indices.length], dtype: "i32", data: Int32Array.from(indices) });
  const perm = [axis, ...x.shape.flatMap((_, a) => (a === axis ? [] : [a]))];
  const rows = f.gather(f.transpose(x, { perm }), table);
  return f.transpose(rows, { perm: perm.map((_, a) => perm.indexOf(a)) });
}

/** Sums of x along one of its last two axes, weighted by the rows of a matrix of constants. */
export function mix(x: Tensor, axis: number, rows: readonly (readonly number[])[]): Tensor {
  const shape = [rows.length, rows[0]!.length];
  const weights = dataTensor({ shape, dtype: "f32", data: Float64Array.from(rows.flat()) });
  if (axis === x.shape.length - 1) {
    const product = f.matmul(f.reshape(x, { shape: [-1, shape[1]!] }), weights, { transposeB: true });
    return f.reshape(product, { shape: [...x.shape.slice(0, -1), shape[0]!] });
  }
  const [height, width] = x.shape.slice(-2) as [number, number];
  const outer = sizeOf(x.shape.slice(0, -2));
  const y = f.matmul(weights, f.reshape(x, { shape: [outer, height, width] }));
  return f.reshape(y, { shape: [...x.shape.slice(0, -2), shape[0]!, width] });
}

/** How much goes before and after each axis of space, the last axis first, as in torch: left, right, top, bottom. */
export type Sides1d = number | readonly [left: number, right: number];
/** As Sides1d, for images. */
export type Sides2d = number | readonly [left: number, right: number, top: number, bottom: number];

/** [before, after] for each axis of a tensor, zeros for batch and channels. */
export function sidesOf(layer: string, sides: Sides1d | Sides2d, axes: 1 | 2): (readonly [number, number])[] {
  const list = typeof sides === "number" ? Array<number>(2 * axes).fill(sides) : sides;
  if (!Array.isArray(list) || list.length !== 2 * axes || list.some((n) => !Number.isInteger(n) || n < 0))
    throw new OptionError(
      `${layer}: the amounts are ${Array.isArray(list) ? showShape(list as Shape) : String(list)}; use one whole number of at least 0, or ${axes === 1 ? "two: left, right" : "four: left, right, top, bottom"}.`,
    );
  const pairs = Array.from({ length: axes }, (_, i): [number, number] => [list[2 * i]!, list[2 * i + 1]!]);
  return [[0, 0], [0, 0], ...pairs.reverse()];
}
