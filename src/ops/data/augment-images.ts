import augmentSource from "../../../shaders/data/augment.wgsl?raw";
import threefry from "../../../shaders/functions/threefry.part.wgsl?raw";
import { anyNumber } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { gridOf, input, output, perThread, specialize } from "../../core/kernel.ts";
import { defineOp, type Op, type Operand, required, type Tensor } from "../../core/op.ts";
import { threefry2x32 } from "../../core/rng.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { sameShape, showType, sizeOf } from "../../core/shape.ts";
import { exact } from "../../core/tolerance.ts";

/** How images are changed at random. */
export interface AugmentAttrs {
  /** Mirrors every other image, left to right. */
  readonly flip: boolean;
  /** Moves each image by −shift … shift pixels in either direction; zeros move in. */
  readonly shift: number;
  /** Distinguishes uses, so that each has random numbers of its own. */
  readonly layer: number;
}

/** The largest shift that the 16 random bits of a direction serve evenly enough: within 1 %. */
const MOST = 300;

/**
 * Random mirror images and shifts: out[n, c, y, x] = in[n, c, y + dy, x′ + dx], x′ = x or width − 1 − x, 0 outside.
 * Inputs: images [N, C, H, W] and counters u32 [step, seed, 0, 0]; the same counters give the same choices.
 * Source: Krizhevsky, Sutskever, Hinton, 2012, §4.1, with zero padding as in He et al., 2016, §4.2.
 */
export const augmentImages: Op<
  (images: Operand, counters: Tensor, attrs: AugmentAttrs) => Tensor,
  AugmentAttrs
> = defineOp({
  name: "augmentImages",
  operands: ["images", "counters"],
  attributes: { flip: false, shift: 0, layer: anyNumber(required) },
  infer: ([images, counters], { shift, layer }) => {
    if (images?.dtype !== "f32" || images.shape.length !== 4)
      throw new ShapeError(
        `augmentImages: images are ${images ? showType(images) : "missing"}; use f32[batch, channels, height, width].`,
      );
    if (counters?.dtype !== "u32" || !sameShape(counters.shape, [4]))
      throw new ShapeError("augmentImages: counters must be u32[4], step and seed first.");
    if (!Number.isInteger(shift) || shift < 0 || shift > MOST)
      throw new ShapeError(`augmentImages: shift is ${shift}; use a whole number from 0 to ${MOST}.`);
    if (!Number.isInteger(layer) || layer < 0 || layer >= 2 ** 32)
      throw new ShapeError(`augmentImages: layer is ${layer}; use a whole number from 0 to 2^32 - 1.`);
    return [images];
  },
  reference: ([images, counters], { flip, shift, layer }) => {
    const [batch = 0, channels = 0, height = 0, width = 0] = images.shape;
    const [step, seed] = counters.data as Uint32Array;
    const data = new Float64Array(images.data.length);
    const choices = 2 * shift + 1;
    let at = 0;
    for (let n = 0; n < batch; n++) {
      const [first, second] = threefry2x32(seed!, layer, n, step!);
      const mirrored = flip && first >>> 31 === 1;
      const dy = ((second >>> 16) % choices) - shift;
      const dx = ((second & 0xffff) % choices) - shift;
      for (let c = 0; c < channels; c++)
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++, at++) {
            const row = y + dy;
            const column = (mirrored ? width - 1 - x : x) + dx;
            if (row >= 0 && row < height && column >= 0 && column < width)
              data[at] = images.data[((n * channels + c) * height + row) * width + column]!;
          }
    }
    return [{ shape: images.shape, dtype: "f32", data }];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [images], attrs: { flip, shift, layer }, facts }) => {
      const [, channels = 1, height = 1, width = 1] = images!.shape;
      const count = sizeOf(images!.shape);
      const per = perThread(width, count, 1, facts);
      const constants = {
        THREADS: count / per,
        PER: per,
        CHANNELS: channels,
        HEIGHT: height,
        WIDTH: width,
        FLIP: flip,
        SHIFT: shift,
        LAYER: layer,
      };
      const dispatch = {
        kernel: "augmentImages",
        source: [threefry, specialize(augmentSource, constants)].join("\n"),
        bindings: [input(0), input(1), output()],
        workgroups: gridOf(Math.ceil(count / per / 64), facts),
        bytes: 8 * count,
      };
      return [{ name: "runs", dispatches: [dispatch] }];
    },
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [s.randn(5, 3, 8, 9), counters(s, 0, 0)], attrs: { flip: true, shift: 0, layer: 0 } },
    { inputs: [s.randn(7, 2, 8, 8), counters(s, 3, 1)], attrs: { flip: false, shift: 2, layer: 1 } },
    {
      inputs: [s.randn(33, 3, 11, 13), counters(s, 4e9, 4294967295)],
      attrs: { flip: true, shift: 4, layer: 7 },
    },
    { inputs: [s.randn(9, 3, 32, 32), counters(s, 7, 5)], attrs: { flip: true, shift: 4, layer: 2 } },
    {
      name: "shifts beyond the image",
      inputs: [s.randn(9, 1, 2, 3), counters(s, 1, 2)],
      attrs: { flip: true, shift: 5, layer: 0 },
    },
    { inputs: [s.randn(0, 3, 4, 4), counters(s, 1, 2)], attrs: { flip: true, shift: 1, layer: 0 } },
  ],
  errors: [
    {
      inputs: [type([2, 3, 4]), type([4], "u32")],
      attrs: { flip: true, shift: 1, layer: 0 },
      message: /augmentImages: images are f32\[2, 3, 4\]; use f32\[batch/,
    },
    {
      inputs: [type([2, 3, 4, 4]), type([4])],
      attrs: { flip: true, shift: 1, layer: 0 },
      message: /augmentImages: counters must be u32\[4\]/,
    },
    {
      inputs: [type([2, 3, 4, 4]), type([4], "u32")],
      attrs: { flip: true, shift: 1.5, layer: 0 },
      message: /augmentImages: shift is 1.5; use a whole number from 0 to 300/,
    },
    {
      inputs: [type([2, 3, 4, 4]), type([4], "u32")],
      attrs: { flip: true, shift: 1, layer: -1 },
      message: /augmentImages: layer is -1/,
    },
  ],
});

const counters = (s: Sampler, step: number, seed: number) => s.values([step, seed, 0, 0], [4], "u32");
