import { pair } from "../../core/attributes.ts";
import { optional, required } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import type { TensorType } from "../../core/shape.ts";
import type { Pair } from "../conv/shape.ts";
import type { PoolAttrs } from "./shape.ts";

/** Geometries on which the pools are tried: the usual ones, vectors of several channels, overlap, padding, strides past the kernel, one element. */
export const GEOMETRIES: readonly { shape: readonly number[]; attrs: PoolAttrs }[] = [
  { shape: [2, 3, 8, 8], attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } },
  { shape: [2, 4, 2, 4], attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } },
  { shape: [2, 3, 7, 5], attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } },
  { shape: [2, 3, 9, 11], attrs: { kernel: [3, 3], stride: [2, 2], padding: [1, 1] } },
  { shape: [1, 2, 13, 7], attrs: { kernel: [3, 2], stride: [1, 3], padding: [0, 1] } },
  { shape: [2, 1, 2, 40], attrs: { kernel: [1, 20], stride: [1, 1], padding: [0, 0] } },
  { shape: [1, 1, 1, 1], attrs: { kernel: [1, 1], stride: [1, 1], padding: [0, 0] } },
  { shape: [5, 4, 7, 7], attrs: { kernel: [7, 7], stride: [7, 7], padding: [3, 3] } },
  { shape: [0, 3, 4, 4], attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } },
  { shape: [2, 3, 8, 9], attrs: { kernel: [3, 2], stride: [2, 2], padding: [1, 0], ceilMode: true } },
  { shape: [1, 2, 7, 8], attrs: { kernel: [2, 5], stride: [3, 4], padding: [1, 2], ceilMode: true } },
  { shape: [2, 1, 3, 4], attrs: { kernel: [4, 3], stride: [2, 3], padding: [0, 1], ceilMode: true } },
  { shape: [16, 16, 32, 32], attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } },
];

const GEOMETRY_ERRORS: readonly { attrs: PoolAttrs; message: string }[] = [
  {
    attrs: { kernel: [2, 2], stride: [0, 1], padding: [0, 0] },
    message: "kernel .* stride \\[0,1\\] .* must be two whole numbers",
  },
  {
    attrs: { kernel: [3, 3], stride: [1, 1], padding: [2, 1] },
    message: "padding \\[2,1\\] is more than half the kernel",
  },
  {
    attrs: { kernel: [5, 5], stride: [1, 1], padding: [0, 0] },
    message: "a window of 5×5 does not fit an image of 4×4 .* use a smaller kernel",
  },
];

export const poolErrors = (name: string) => [
  ...GEOMETRY_ERRORS.map(({ attrs, message }) => ({
    inputs: [type([1, 1, 4, 4])],
    attrs,
    message: new RegExp(`${name}: ${message}`),
  })),
  {
    inputs: [type([4, 4])],
    attrs: GEOMETRIES[0]!.attrs,
    message: new RegExp(`${name}: input is f32\\[4, 4\\]; use f32 \\[N, C, H, W\\]`),
  },
];

/** The attributes of every pool. */
export const POOL = { kernel: pair(required), stride: pair(optional), padding: pair(0), ceilMode: false };

export const gradErrors = (name: string, before: readonly TensorType[]) => [
  {
    inputs: [...before, type([1, 1, 3, 3])],
    attrs: { ...GEOMETRIES[0]!.attrs, size: [4, 4] as Pair },
    message: new RegExp(
      `${name}: dy is f32\\[1, 1, 3, 3\\]; an image of 4×4 has a gradient of f32 \\[N, C, 2, 2\\]`,
    ),
  },
];
