import { ShapeError } from "../../core/errors.ts";
import { showType, type TensorType } from "../../core/shape.ts";
import { type Pair, pairOf } from "../conv/shape.ts";

/** Windows, filled in: height first, then width, as everywhere. */
export interface PoolAttrs {
  readonly kernel: Pair;
  readonly stride: Pair;
  /** Rows and columns added on both sides; at most half the kernel. */
  readonly padding: Pair;
  /** Keep a last window that reaches over the end, unless it starts in the padding there. */
  readonly ceilMode?: boolean;
}

/** Windows of an average, filled in. */
export interface AveragePoolAttrs extends PoolAttrs {
  /** Count padding as zeros (the default, as in PyTorch) or average over the part of a window within the image. */
  readonly countIncludePad?: boolean;
}

/** Attributes as a user writes them: numbers stand for both directions, and the stride is the kernel unless given. */
export interface PoolOptions {
  readonly kernel: number | Pair;
  readonly stride?: number | Pair;
  readonly padding?: number | Pair;
  /** Keep a last window that reaches over the end, unless it starts in the padding there; false unless given. */
  readonly ceilMode?: boolean;
}

/** Windows of an average as a user writes them. */
export interface AveragePoolOptions extends PoolOptions {
  readonly countIncludePad?: boolean;
}

/** Attributes with every shorthand written out. */
export function resolvePool<Options extends PoolOptions>({
  kernel,
  stride = kernel,
  padding = 0,
  ...rest
}: Options) {
  return { ...rest, kernel: pairOf(kernel), stride: pairOf(stride), padding: pairOf(padding) };
}

/** What a gradient needs beside the forward attributes: height and width of the image. */
export interface PoolGradAttrs extends PoolAttrs {
  readonly size: Pair;
}

export interface AveragePoolGradAttrs extends AveragePoolAttrs {
  readonly size: Pair;
}

function checkAttrs(op: string, { kernel, stride, padding }: PoolAttrs): void {
  const whole = (pair: Pair, least: number) =>
    pair.length === 2 && pair.every((n) => Number.isInteger(n) && n >= least);
  if (!whole(kernel, 1) || !whole(stride, 1) || !whole(padding, 0))
    throw new ShapeError(
      `${op}: kernel [${kernel}], stride [${stride}] and padding [${padding}] must be two whole numbers each, at least 1, 1 and 0.`,
    );
  if (padding.some((pad, axis) => pad > kernel[axis]! / 2))
    throw new ShapeError(
      `${op}: padding [${padding}] is more than half the kernel [${kernel}]; some windows would hold padding only.`,
    );
}

/** Height and width of the result. */
export function pooledSize(op: string, size: Pair, attrs: PoolAttrs): [number, number] {
  checkAttrs(op, attrs);
  const { kernel, stride, padding, ceilMode } = attrs;
  const [h, w] = size.map((dim, axis) => {
    const steps = (dim + 2 * padding[axis]! - kernel[axis]!) / stride[axis]!;
    const last = ceilMode ? Math.ceil(steps) : Math.floor(steps);
    if (dim === 0 || last < 0) return 0;
    return last * stride[axis]! < dim + padding[axis]! ? last + 1 : last;
  });
  if (h === 0 || w === 0)
    throw new ShapeError(
      `${op}: a window of ${kernel.join("×")} does not fit an image of ${size.join("×")} with padding [${padding}]; use a smaller kernel or more padding.`,
    );
  return [h!, w!];
}

export function inferPool(op: string, x: TensorType, attrs: PoolAttrs): TensorType {
  if (x.dtype !== "f32" || x.shape.length !== 4)
    throw new ShapeError(`${op}: input is ${showType(x)}; use f32 [N, C, H, W].`);
  const [n, c, h, w] = x.shape as [number, number, number, number];
  return { shape: [n, c, ...pooledSize(op, [h, w], attrs)], dtype: "f32" };
}

export function inferPoolGrad(op: string, dy: TensorType, attrs: PoolGradAttrs): TensorType {
  const [oh, ow] = pooledSize(op, attrs.size, attrs);
  const [n, c, h, w] = dy.shape;
  if (dy.dtype !== "f32" || dy.shape.length !== 4 || h !== oh || w !== ow)
    throw new ShapeError(
      `${op}: dy is ${showType(dy)}; an image of ${attrs.size.join("×")} has a gradient of f32 [N, C, ${oh}, ${ow}].`,
    );
  return { shape: [n!, c!, ...attrs.size], dtype: "f32" };
}

/** Calls `visit` for each window of each plane with its place in the result and its bounds within the image. */
export function forEachWindow(
  x: readonly number[],
  attrs: PoolAttrs,
  visit: (o: number, base: number, top: number, bottom: number, left: number, right: number) => void,
): void {
  const [n, c, h, w] = x as [number, number, number, number];
  const [kh, kw] = attrs.kernel;
  const [sh, sw] = attrs.stride;
  const [ph, pw] = attrs.padding;
  const [oh, ow] = pooledSize("", [h, w], attrs);
  let o = 0;
  for (let plane = 0; plane < n * c; plane++)
    for (let r = 0; r < oh; r++)
      for (let q = 0; q < ow; q++) {
        const top = r * sh - ph;
        const left = q * sw - pw;
        visit(
          o++,
          plane * h * w,
          Math.max(top, 0),
          Math.min(top + kh, h),
          Math.max(left, 0),
          Math.min(left + kw, w),
        );
      }
}

/** Height and width of images [N, C, H, W]. */
export const planeOf = ({ shape }: TensorType): Pair => [shape[2]!, shape[3]!];
