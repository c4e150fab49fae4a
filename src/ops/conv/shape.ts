import { show } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { type Shape, showShape, showType, type TensorType } from "../../core/shape.ts";

/** Something along the height and along the width. */
export type Pair = readonly [number, number];
/** [[top, bottom], [left, right]]. */
export type Pads = readonly [Pair, Pair];
/** Padding as a user writes it. */
export type Padding = "same" | "valid" | number | Pair | Pads;

/** A convolution's attributes, filled in. */
export interface Conv2dAttrs {
  readonly stride?: Pair;
  /** Zeros around the input, already resolved: see `resolvePadding`. */
  readonly padding?: Pads;
  readonly dilation?: Pair;
  /** Output channel o sees only the input channels of its own group. */
  readonly groups?: number;
}

/** A convolution's attributes as a user writes them. */
export interface Conv2dOptions {
  readonly stride?: number | Pair;
  /** A number, one number or [before, after] for height and width, "same" (stride 1 only) or "valid"; 0 by default. */
  readonly padding?: Padding;
  readonly dilation?: number | Pair;
  readonly groups?: number;
}

/** One for each direction. */
export const pairOf = (x: number | Pair): Pair => (typeof x === "number" ? [x, x] : x);

/** Attributes with every shorthand written out, for a weight [O, C / groups, kh, kw]. */
export function resolveConv(
  { stride = 1, padding = 0, dilation = 1, groups = 1 }: Conv2dOptions,
  weight?: { readonly shape: Shape },
): Required<Conv2dAttrs> {
  const [, , height = 1, width = 1] = weight?.shape ?? [];
  const pairs = { stride: pairOf(stride), dilation: pairOf(dilation) };
  return {
    ...pairs,
    padding: resolvePadding(padding, [height, width], pairs.stride, pairs.dilation),
    groups,
  };
}

/** A convolution with all its numbers filled in. */
export interface Geometry {
  readonly batch: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly groups: number;
  /** [height, width] of the input, the kernel and the output. */
  readonly input: Pair;
  readonly kernel: Pair;
  readonly output: Pair;
  readonly stride: Pair;
  readonly padding: Pads;
  readonly dilation: Pair;
}

/**
 * Padding as a user writes it: "valid" (none), "same" (the output is as large as the input; stride 1 only), a number, or
 * one number or [before, after] for the height and the width.
 *
 * Where "same" needs an odd amount, the larger part goes to the bottom and right, as in PyTorch.
 * @throws ShapeError when "same" meets a stride, or an amount is negative.
 */
export function resolvePadding(
  padding: Padding,
  kernel: Pair,
  stride: Pair = [1, 1],
  dilation: Pair = [1, 1],
  op = "conv2d",
): Pads {
  if (padding === "valid")
    return [
      [0, 0],
      [0, 0],
    ];
  if (padding === "same") {
    if (stride[0] !== 1 || stride[1] !== 1)
      throw new ShapeError(
        `${op}: padding "same" needs stride 1, not ${showShape(stride)}; give the padding in numbers.`,
      );
    const side = (axis: 0 | 1): Pair => {
      const total = dilation[axis] * (kernel[axis] - 1);
      return [Math.floor(total / 2), Math.ceil(total / 2)];
    };
    return [side(0), side(1)];
  }
  const two = (x: unknown) => typeof x === "number" || (Array.isArray(x) && x.length === 2);
  if (!two(padding) || (typeof padding !== "number" && !padding.every(two)))
    throw new ShapeError(
      `${op}: padding is ${show(padding)}; use a number, one number or [before, after] for height and width, "same" or "valid".`,
    );
  const [height, width] = typeof padding === "number" ? [padding, padding] : padding;
  const sides: Pads = [pairOf(height), pairOf(width)];
  if (sides.flat().some((amount) => !Number.isInteger(amount) || amount < 0))
    throw new ShapeError(`${op}: padding [${sides.flat()}] must be whole numbers of at least 0.`);
  return sides;
}

/**
 * Checks a convolution's shapes and works out its output.
 * @throws ShapeError
 */
export function geometryOf(op: string, x: TensorType, weight: TensorType, attrs: Conv2dAttrs = {}): Geometry {
  const { stride = [1, 1], padding = resolvePadding("valid", [1, 1]), dilation = [1, 1], groups = 1 } = attrs;
  for (const [name, type] of [
    ["input", x],
    ["weight", weight],
  ] as const) {
    if (type.dtype !== "f32") throw new ShapeError(`${op}: ${name} is ${type.dtype}; cast it to f32 first.`);
    if (type.shape.length !== 4)
      throw new ShapeError(
        `${op}: ${name} ${showType(type)} has rank ${type.shape.length}; it needs 4 axes: ${name === "input" ? "[batch, channels, height, width]" : "[out, in / groups, height, width]"}.`,
      );
  }
  const [batch, inChannels, ...input] = x.shape as [number, number, number, number];
  const [outChannels, share, ...kernel] = weight.shape as [number, number, number, number];
  for (const [name, pair] of Object.entries({ stride, dilation, groups: [groups] }))
    if (pair.some((n) => !Number.isInteger(n) || n < 1))
      throw new ShapeError(`${op}: ${name} [${pair}] must be whole numbers of at least 1.`);
  if (padding.flat().some((n) => !Number.isInteger(n) || n < 0))
    throw new ShapeError(`${op}: padding [${padding.flat()}] must be whole numbers of at least 0.`);
  if (share * groups !== inChannels)
    throw new ShapeError(
      `${op}: weight ${showShape(weight.shape)} with ${groups} group${groups > 1 ? "s" : ""} takes ${share * groups} input channels, but the input ${showShape(x.shape)} has ${inChannels}.`,
    );
  if (outChannels % groups !== 0)
    throw new ShapeError(
      `${op}: ${outChannels} output channels cannot be shared out to ${groups} groups; use a multiple of ${groups}.`,
    );
  if (kernel[0] < 1 || kernel[1] < 1)
    throw new ShapeError(`${op}: weight ${showShape(weight.shape)} has an empty kernel; use at least 1 × 1.`);
  const side = (axis: 0 | 1) => {
    const padded = input[axis] + padding[axis][0] + padding[axis][1];
    const reach = dilation[axis] * (kernel[axis] - 1) + 1;
    if (reach > padded)
      throw new ShapeError(
        `${op}: the kernel reaches over ${reach} ${axis === 0 ? "rows" : "columns"}, but the padded input has ${padded}; use a smaller kernel or more padding.`,
      );
    return Math.floor((padded - reach) / stride[axis]) + 1;
  };
  const output: Pair = [side(0), side(1)];
  return { batch, inChannels, outChannels, groups, input, kernel, output, stride, padding, dilation };
}

/**
 * The same convolution over shorter rows: where every output sees one input, at its own place, a plane is a list of pixels
 * and may have rows of any length that divides it. Rows stay as they are where they cannot come in vectors.
 */
export function foldPlane(g: Geometry, longest: number): Geometry {
  const alone = [...g.kernel, ...g.stride].every((n) => n === 1) && g.padding.flat().every((n) => n === 0);
  const size = g.input[0] * g.input[1];
  const width = [32, 16, 8, 4].find((n) => n <= longest && size % n === 0);
  if (!alone || size === 0 || !width) return g;
  const plane: Pair = [size / width, width];
  return { ...g, input: plane, output: plane };
}

export const outputShape = (g: Geometry): Shape => [g.batch, g.outChannels, ...g.output];

/** First and end of the outputs along one axis whose tap `k` lies inside the input. */
export function tapRange(g: Geometry, axis: 0 | 1, k: number): Pair {
  const shift = g.padding[axis][0] - k * g.dilation[axis];
  const first = Math.max(0, Math.ceil(shift / g.stride[axis]));
  const end = Math.min(g.output[axis], Math.floor((g.input[axis] - 1 + shift) / g.stride[axis]) + 1);
  return [first, Math.max(first, end)];
}
