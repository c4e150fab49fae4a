import source from "../../../shaders/data/gather-images.wgsl?raw";
import { whole, wholes } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { gridOf, input, output, perThread, specialize } from "../../core/kernel.ts";
import { defineOp, type Op, required, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { type Shape, showType, sizeOf } from "../../core/shape.ts";
import { UNIT_ROUNDOFF, within } from "../../core/tolerance.ts";

interface GatherImagesAttrs {
  /** [channels, height, width] */
  readonly shape: Shape;
  /** Images in each chunk but the last. */
  readonly perChunk: number;
}

/**
 * A batch from a data set kept as packed bytes: out[b, c] = (byte/255 − mean[c]) / deviation[c].
 *
 * Inputs: indices u32[B], mean f32[C], deviation f32[C], then the data set as u8[n, C, H, W] chunks, each small enough
 * for one binding. An index past the end reads the last chunk's last words, as WGSL's bounds rules have it.
 * @internal
 */
export const gatherImages: Op<
  (
    indices: Tensor,
    mean: Tensor,
    deviation: Tensor,
    chunks: readonly Tensor[],
    attrs: GatherImagesAttrs,
  ) => Tensor,
  GatherImagesAttrs
> = defineOp({
  name: "gatherImages",
  operands: ["indices", "mean", "deviation", "...chunks"],
  attributes: { shape: wholes(required), perChunk: whole(required) },
  infer: ([indices, mean, deviation, ...chunks], { shape, perChunk }) => {
    if (
      indices?.dtype !== "u32" ||
      indices.shape.length !== 1 ||
      mean?.shape[0] !== shape[0] ||
      deviation?.shape[0] !== shape[0]
    )
      throw new ShapeError(`gatherImages: takes indices u32[batch] and mean and deviation f32[${shape[0]}].`);
    const size = sizeOf(shape);
    if (chunks.length === 0 || chunks.some((c) => c.dtype !== "u8" || sizeOf(c.shape) % size !== 0))
      throw new ShapeError(
        `gatherImages: ${chunks.map(showType).join(" and ") || "no chunk"} does not hold whole images of ${size} bytes as u8.`,
      );
    if (chunks.slice(0, -1).some((c) => sizeOf(c.shape) !== perChunk * size))
      throw new ShapeError(`gatherImages: every chunk but the last must hold ${perChunk} images.`);
    return [{ shape: [indices.shape[0]!, ...shape], dtype: "f32" }];
  },
  reference: ([indices, mean, deviation, ...chunks], { shape, perChunk }) => {
    const size = sizeOf(shape);
    const plane = size / shape[0]!;
    const batch = indices.data.length;
    const data = new Float64Array(batch * size);
    const scale = Math.fround(1 / 255);
    for (let b = 0; b < batch; b++) {
      const image = indices.data[b]!;
      const chunk = chunks.length === 1 ? 0 : Math.min(chunks.length - 1, Math.floor(image / perChunk));
      const bytes = chunks[chunk]!.data;
      const from = (image - chunk * perChunk) * size;
      for (let e = 0; e < size; e++) {
        const channel = Math.floor(e / plane);
        data[b * size + e] = (bytes[from + e]! * scale - mean.data[channel]!) / deviation.data[channel]!;
      }
    }
    return [{ shape: [batch, ...shape], dtype: "f32", data }];
  },
  implementation: {
    kind: "kernel",
    stores: true,
    kernel: ({ inputs, outputs: [out], attrs: { shape, perChunk }, facts }) => {
      const size = sizeOf(shape);
      const count = sizeOf(out!.shape);
      const chunks = inputs.length - 3;
      const last = chunks - 1;
      const plane = size / shape[0]!;
      const width = plane % 4 === 0 ? 4 : 1;
      const per = perThread(plane / width, count / width, width, facts);
      const declarations = [
        "@group(0) @binding(0) var<storage, read> indices: array<u32>;",
        "@group(0) @binding(1) var<storage, read> mean: array<f32>;",
        "@group(0) @binding(2) var<storage, read> deviation: array<f32>;",
        ...Array.from(
          { length: chunks },
          (_, k) => `@group(0) @binding(${3 + k}) var<storage, read> chunk${k}: array<u32>;`,
        ),
        `fn chunkOf(image: u32) -> u32 { return min(image / ${perChunk}u, ${last}u); }`,
        `fn offsetOf(image: u32) -> u32 { return (image - chunkOf(image) * ${perChunk}u) * IMAGE; }`,
        "fn word(image: u32, position: u32) -> u32 {",
        "  switch (chunkOf(image)) {",
        ...Array.from({ length: last }, (_, k) => `    case ${k}u: { return chunk${k}[position]; }`),
        `    default: { return chunk${last}[position]; }`,
        "  }",
        "}",
        "fn pixels(image: u32, element: u32) -> Vector {",
        "  let position = offsetOf(image) + element;",
        "  let bytes = word(image, position / 4u);",
        width === 4
          ? "  return Vector((vec4u(bytes) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u));"
          : "  return Vector((bytes >> (8u * (position % 4u))) & 255u);",
        "}",
      ];
      const threads = count / (width * per);
      const constants = {
        Vector: width === 4 ? "vec4<f32>" : "f32",
        WIDTH: width,
        THREADS: threads,
        PER: per,
        IMAGE: size,
        PLANE: plane,
      };
      return [
        {
          name: "bytes",
          dispatches: [
            {
              kernel: "gatherImages",
              source: [specialize(source, constants), ...declarations].join("\n"),
              bindings: [...inputs.map((_, i) => input(i)), output(0, "out", { width })],
              workgroups: gridOf(Math.ceil(threads / 64), facts),
              bytes: 5 * count,
            },
          ],
        },
      ];
    },
  },
  // byte · (1/255) − mean may cancel: each rounds by u of values below 1, the division by 2.5 ulp of the result.
  tolerance: within((y) => 8 * UNIT_ROUNDOFF + 4 * UNIT_ROUNDOFF * Math.abs(y)),
  samples: (s) => [
    {
      inputs: [
        s.integers(0, 9, [5], "u32"),
        s.uniform(0.4, 0.5, [3]),
        s.uniform(0.2, 0.3, [3]),
        s.integers(0, 255, [10, 3, 4, 4], "u8"),
      ],
      attrs: { shape: [3, 4, 4], perChunk: 10 },
    },
    {
      name: "three chunks",
      inputs: [
        s.integers(0, 10, [67], "u32"),
        s.uniform(0.4, 0.5, [3]),
        s.uniform(0.2, 0.3, [3]),
        s.integers(0, 255, [4, 3, 8, 8], "u8"),
        s.integers(0, 255, [4, 3, 8, 8], "u8"),
        s.integers(0, 255, [3, 3, 8, 8], "u8"),
      ],
      attrs: { shape: [3, 8, 8], perChunk: 4 },
    },
    {
      name: "images that are not whole words",
      inputs: [
        s.integers(0, 6, [9], "u32"),
        s.values([0]),
        s.values([1]),
        s.integers(0, 255, [7, 1, 5, 7], "u8"),
      ],
      attrs: { shape: [1, 5, 7], perChunk: 7 },
    },
  ],
  errors: [
    {
      inputs: [type([5], "u32"), type([3]), type([3]), type([10, 3, 4, 4])],
      attrs: { shape: [3, 4, 4], perChunk: 10 },
      message: /gatherImages: .* does not hold whole images of 48 bytes/,
    },
    {
      inputs: [type([5], "u32"), type([1]), type([3])],
      attrs: { shape: [3, 4, 4], perChunk: 10 },
      message: /gatherImages: takes indices/,
    },
  ],
});
