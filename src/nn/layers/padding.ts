import { checkNumber } from "../../core/check.ts";
import { ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/op.ts";
import { showShape } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";
import { checkAxes, IMAGE, part, SIGNAL, type Sides1d, type Sides2d, sidesOf, take } from "./space.ts";

type Sides = readonly (readonly [before: number, after: number])[];

/** A layer that treats the sides of signals or images. */
function atSides(
  layer: string,
  axes: 1 | 2,
  sides: Sides1d | Sides2d,
  apply: (x: Tensor, sides: Sides) => Tensor,
  ...more: unknown[]
): Module {
  const pairs = sidesOf(layer, sides, axes);
  return {
    label: `${layer}(${[sides, ...more].map((x) => JSON.stringify(x)).join(", ")})`,
    description: { layer, args: [sides, ...more] },
    forward(x) {
      checkAxes(layer, x, axes === 1 ? SIGNAL : IMAGE);
      return apply(x, pairs);
    },
  };
}

const filled =
  (value: number) =>
  (x: Tensor, sides: Sides): Tensor =>
    f.pad(x, { low: sides.map(([low]) => low), high: sides.map(([, high]) => high), value });

/** Adds what `make` gives of the count of elements at both ends of every axis that has sides. */
function extended(
  x: Tensor,
  sides: Sides,
  make: (x: Tensor, axis: number, count: number, end: boolean) => Tensor,
): Tensor {
  return sides.reduce((y, [low, high], axis) => {
    const parts = [
      ...(low > 0 ? [make(y, axis, low, false)] : []),
      y,
      ...(high > 0 ? [make(y, axis, high, true)] : []),
    ];
    return parts.length > 1 ? f.concat(parts, { axis }) : y;
  }, x);
}

/** The first or last element of an axis, `count` times. */
function repeated(x: Tensor, axis: number, count: number, end: boolean): Tensor {
  const at = end ? x.shape[axis]! - 1 : 0;
  const edge = part(x, axis, at, at + 1);
  return count === 1
    ? edge
    : f.broadcastTo(edge, { shape: x.shape.map((dim, a) => (a === axis ? count : dim)) });
}

/** The elements next to the first or last one, in the other order. */
function mirrored(x: Tensor, axis: number, count: number, end: boolean): Tensor {
  const from = end ? x.shape[axis]! - 1 - count : 1;
  const piece = part(x, axis, from, from + count);
  return count === 1
    ? piece
    : take(
        piece,
        axis,
        Array.from({ length: count }, (_, i) => count - 1 - i),
      );
}

const reflected = (layer: string) => (x: Tensor, sides: Sides) => {
  sides.forEach(([low, high], axis) => {
    if (Math.max(low, high) > 0 && Math.max(low, high) >= x.shape[axis]!)
      throw new ShapeError(
        `${layer}: ${Math.max(low, high)} elements cannot be mirrored along axis ${axis} of ${showShape(x.shape)}; use at most ${x.shape[axis]! - 1}.`,
      );
  });
  return extended(x, sides, mirrored);
};

const replicated = (layer: string) => (x: Tensor, sides: Sides) => {
  sides.forEach(([low, high], axis) => {
    if (low + high > 0 && x.shape[axis] === 0)
      throw new ShapeError(
        `${layer}: axis ${axis} of ${showShape(x.shape)} has no element to repeat; give it at least one.`,
      );
  });
  return extended(x, sides, repeated);
};

const cut = (layer: string) => (x: Tensor, sides: Sides) => {
  sides.forEach(([low, high], axis) => {
    if (low + high > 0 && low + high >= x.shape[axis]!)
      throw new ShapeError(
        `${layer}: ${low} + ${high} elements leave nothing of axis ${axis} of ${showShape(x.shape)}; cut less than ${x.shape[axis]}.`,
      );
  });
  return f.slice(x, {
    starts: sides.map(([low]) => low),
    ends: x.shape.map((dim, axis) => dim - sides[axis]![1]),
  });
};

/** Zeros before and after each signal: [N, C, L] → [N, C, L + left + right], as torch.nn.ZeroPad1d. */
export const zeroPad1d = (sides: Sides1d): Module => atSides("zeroPad1d", 1, sides, filled(0));

/** Zeros around each image: [N, C, H, W] → [N, C, H + top + bottom, W + left + right], as torch.nn.ZeroPad2d. */
export const zeroPad2d = (sides: Sides2d): Module => atSides("zeroPad2d", 2, sides, filled(0));

/** A number before and after each signal: [N, C, L] → [N, C, L + left + right], as torch.nn.ConstantPad1d. */
export function constantPad1d(sides: Sides1d, value: number): Module {
  checkNumber("constantPad1d: value", value);
  return atSides("constantPad1d", 1, sides, filled(value), value);
}

/** A number around each image: [N, C, H, W] → [N, C, H + top + bottom, W + left + right], as torch.nn.ConstantPad2d. */
export function constantPad2d(sides: Sides2d, value: number): Module {
  checkNumber("constantPad2d: value", value);
  return atSides("constantPad2d", 2, sides, filled(value), value);
}

/**
 * The signal mirrored at its first and last element, which are not repeated, x₋ᵢ = xᵢ:
 * [N, C, L] → [N, C, L + left + right], as torch.nn.ReflectionPad1d. A ShapeError where a side is not below L.
 */
export const reflectionPad1d = (sides: Sides1d): Module =>
  atSides("reflectionPad1d", 1, sides, reflected("reflectionPad1d"));

/**
 * The image mirrored at its outermost rows and columns, which are not repeated: [N, C, H, W] →
 * [N, C, H + top + bottom, W + left + right], as torch.nn.ReflectionPad2d. A ShapeError where a side is not below H or W.
 */
export const reflectionPad2d = (sides: Sides2d): Module =>
  atSides("reflectionPad2d", 2, sides, reflected("reflectionPad2d"));

/** The first and last element repeated: [N, C, L] → [N, C, L + left + right], as torch.nn.ReplicationPad1d. */
export const replicationPad1d = (sides: Sides1d): Module =>
  atSides("replicationPad1d", 1, sides, replicated("replicationPad1d"));

/**
 * The outermost rows and columns repeated: [N, C, H, W] → [N, C, H + top + bottom, W + left + right], as
 * torch.nn.ReplicationPad2d.
 */
export const replicationPad2d = (sides: Sides2d): Module =>
  atSides("replicationPad2d", 2, sides, replicated("replicationPad2d"));

/**
 * Cuts elements off both ends of each signal: [N, C, L] → [N, C, L − left − right], as torch.nn.ConstantPad1d of negative
 * amounts. A ShapeError where nothing is left.
 */
export const crop1d = (sides: Sides1d): Module => atSides("crop1d", 1, sides, cut("crop1d"));

/**
 * Cuts rows and columns off each image: [N, C, H, W] → [N, C, H − top − bottom, W − left − right], as
 * torch.nn.ZeroPad2d of negative amounts. A ShapeError where nothing is left.
 */
export const crop2d = (sides: Sides2d): Module => atSides("crop2d", 2, sides, cut("crop2d"));
