import augmentSource from "../../../shaders/data/augment.wgsl?raw";
import turnedAlternating from "../../../shaders/data/turned-alternating.part.wgsl?raw";
import turnedRandom from "../../../shaders/data/turned-random.part.wgsl?raw";
import threefry from "../../../shaders/functions/threefry.part.wgsl?raw";
import { anyNumber, attribute, choice, whole } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { gridOf, input, output, perThread, specialize } from "../../core/kernel.ts";
import { defineOp, type Op, type Operand, required, type Tensor } from "../../core/op.ts";
import { threefry2x32 } from "../../core/rng.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { sameShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { exact } from "../../core/tolerance.ts";

/** How images are changed at random. */
export interface AugmentAttrs {
  /**
   * Mirrors every other image, left to right: at random (true), or each image every other time that it is seen
   * ("alternating"), for which the third operand says what images they are.
   */
  readonly flip: boolean | "alternating";
  /** Moves each image by −shift … shift pixels in either direction. */
  readonly shift: number;
  /** What moves in: zeros, or the image mirrored at its edge, as torch.nn.ReflectionPad2d. */
  readonly padding: "zeros" | "reflect";
  /** With alternating mirrors: of how many examples these images are. */
  readonly examples: number;
  /** Distinguishes uses, so that each has random numbers of its own. */
  readonly layer: number;
}

/** The largest shift that the 16 random bits of a direction serve evenly enough: within 1 %. */
const MOST = 300;

function check(
  [images, counters, indices]: readonly TensorType[],
  { flip, shift, padding, examples, layer }: AugmentAttrs,
): void {
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
  const room = Math.min(...images.shape.slice(2));
  if (padding === "reflect" && shift >= room)
    throw new ShapeError(
      `augmentImages: shift is ${shift}; mirrored at their edge, images of ${images.shape.slice(2).join("×")} can be moved by less than ${room}.`,
    );
  if (flip !== "alternating") {
    if (indices)
      throw new ShapeError('augmentImages: takes indices only where flip is "alternating"; leave them out.');
    return;
  }
  if (indices?.dtype !== "u32" || !sameShape(indices.shape, images.shape.slice(0, 1)))
    throw new ShapeError(
      `augmentImages: the images' indices are ${indices ? showType(indices) : "missing"}; alternating mirrors need them as u32[${images.shape[0]}].`,
    );
  if (!(examples >= 1 && examples < 2 ** 32))
    throw new ShapeError(
      `augmentImages: examples is ${examples}; alternating mirrors need the size of the data set, from 1.`,
    );
}

/** A place in a row of `size`, mirrored at its ends. */
const reflected = (at: number, size: number) => (at < 0 ? -at : at >= size ? 2 * (size - 1) - at : at);

/**
 * Random mirror images and shifts: out[n, c, y, x] = in[n, c, y + dy, x′ + dx], x′ = x or width − 1 − x; outside 0, or
 * the image mirrored at its edge. Inputs: images [N, C, H, W], counters u32 [step, seed, position over all epochs, 0], and
 * for alternating mirrors the images' indices u32 [N] among `examples`; the same numbers give the same choices.
 * Sources: Krizhevsky, Sutskever, Hinton, 2012, §4.1, with zero padding as in He et al., 2016, §4.2; alternating: Jordan,
 * 2024, arXiv 2404.00498, §3.6.
 */
export const augmentImages: Op<
  (
    images: Operand,
    counters: Tensor,
    indices: readonly Tensor[],
    attrs: Partial<AugmentAttrs> & { readonly layer: number },
  ) => Tensor,
  AugmentAttrs
> = defineOp({
  name: "augmentImages",
  operands: ["images", "counters", "...indices"],
  attributes: {
    flip: attribute(
      false,
      'true, false or "alternating"',
      (x) => typeof x === "boolean" || x === "alternating",
    ),
    shift: 0,
    padding: choice(["zeros", "reflect"], "zeros"),
    examples: whole(0),
    layer: anyNumber(required),
  },
  infer: (inputs, attrs) => {
    check(inputs, attrs);
    return [inputs[0]!];
  },
  reference: ([images, counters, indices], { flip, shift, padding, examples, layer }) => {
    const [batch = 0, channels = 0, height = 0, width = 0] = images!.shape;
    const [step, seed, position] = counters!.data as Uint32Array;
    const data = new Float64Array(images!.data.length);
    const choices = 2 * shift + 1;
    const turned = (n: number, word: number) => {
      if (flip !== "alternating") return flip && word >>> 31 === 1;
      const [first] = threefry2x32(seed!, layer, indices!.data[n]!, 0);
      return ((first >>> 31) + Math.floor(position! / examples)) % 2 === 1;
    };
    let at = 0;
    for (let n = 0; n < batch; n++) {
      const [first, second] = threefry2x32(seed!, layer, n, step!);
      const mirrored = turned(n, first);
      const dy = ((second >>> 16) % choices) - shift;
      const dx = ((second & 0xffff) % choices) - shift;
      for (let c = 0; c < channels; c++)
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++, at++) {
            const moved = [y + dy, (mirrored ? width - 1 - x : x) + dx] as const;
            const [row, column] =
              padding === "reflect" ? [reflected(moved[0], height), reflected(moved[1], width)] : moved;
            if (row >= 0 && row < height && column >= 0 && column < width)
              data[at] = images!.data[((n * channels + c) * height + row) * width + column]!;
          }
    }
    return [{ shape: images!.shape, dtype: "f32", data }];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [images], attrs: { flip, shift, padding, examples, layer }, facts }) => {
      const [, channels = 1, height = 1, width = 1] = images!.shape;
      const count = sizeOf(images!.shape);
      const per = perThread(width, count, 1, facts);
      const alternating = flip === "alternating";
      const constants = {
        THREADS: count / per,
        PER: per,
        CHANNELS: channels,
        HEIGHT: height,
        WIDTH: width,
        FLIP: flip !== false,
        SHIFT: shift,
        REFLECT: padding === "reflect",
        EXAMPLES: examples,
        LAYER: layer,
      };
      const dispatch = {
        kernel: "augmentImages",
        source: [
          threefry,
          specialize(augmentSource, constants),
          alternating ? turnedAlternating : turnedRandom,
        ].join("\n"),
        bindings: [input(0), input(1), output(), ...(alternating ? [input(2)] : [])],
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
    {
      name: "reflected",
      inputs: [s.randn(19, 2, 5, 7), counters(s, 6, 1)],
      attrs: { flip: true, shift: 4, padding: "reflect", layer: 3 },
    },
    ...[0, 100, 2 ** 32 - 100].map((position) => ({
      name: "alternating",
      inputs: [s.randn(9, 2, 3, 4), s.values([8, 1, position, 0], [4], "u32"), s.integers(0, 99, [9], "u32")],
      attrs: { flip: "alternating", shift: 1, padding: "reflect", examples: 100, layer: 3 } as const,
    })),
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
    {
      inputs: [type([2, 3, 4, 5]), type([4], "u32")],
      attrs: { shift: 4, padding: "reflect", layer: 0 },
      message: /augmentImages: shift is 4; mirrored at their edge, images of 4×5 can be moved by less than 4/,
    },
    {
      inputs: [type([2, 3, 4, 4]), type([4], "u32")],
      attrs: { flip: "alternating", layer: 0 },
      message: /augmentImages: the images' indices are missing; alternating mirrors need them as u32\[2\]/,
    },
    {
      inputs: [type([2, 3, 4, 4]), type([4], "u32"), type([2], "u32")],
      attrs: { flip: "alternating", layer: 0 },
      message: /augmentImages: examples is 0; alternating mirrors need the size of the data set/,
    },
    {
      inputs: [type([2, 3, 4, 4]), type([4], "u32"), type([2], "u32")],
      attrs: { flip: true, layer: 0 },
      message: /augmentImages: takes indices only where flip is "alternating"/,
    },
  ],
});

const counters = (s: Sampler, step: number, seed: number) => s.values([step, seed, 0, 0], [4], "u32");
