import { pair } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { defineOp, type ErrorCase, type Op, type Operand, type Sample, type Tensor } from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { type Shape, showShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import { conv2dInputGrad } from "./conv2d.ts";
import { type Pair, pairOf } from "./shape.ts";

/** A transposed convolution's attributes, filled in. */
export interface ConvTranspose2dAttrs {
  readonly stride: Pair;
  /** Rows and columns cut from both sides of the result. */
  readonly padding: Pair;
  /** Rows and columns added below and to the right; less than the stride or the dilation. */
  readonly outputPadding: Pair;
  readonly dilation: Pair;
  readonly groups: number;
}

/** A transposed convolution's attributes as a user writes them; 1 unless given, the paddings 0. */
export interface ConvTranspose2dOptions {
  readonly stride?: number | Pair;
  readonly padding?: number | Pair;
  readonly outputPadding?: number | Pair;
  readonly dilation?: number | Pair;
  readonly groups?: number;
}

/** The shape of the result. */
function outputOf(x: TensorType, weight: TensorType, attrs: ConvTranspose2dAttrs): Shape {
  const op = "convTranspose2d";
  for (const [name, { dtype, shape }, axes] of [
    ["input", x, "[batch, channels, height, width]"],
    ["weight", weight, "[in, out / groups, height, width]"],
  ] as const)
    if (dtype !== "f32" || shape.length !== 4)
      throw new ShapeError(`${op}: ${name} is ${showType({ dtype, shape })}; use f32 ${axes}.`);
  const { groups, outputPadding, ...rest } = attrs;
  const { stride, dilation, padding } = rest;
  for (const [name, amounts, least] of [
    ["stride", stride, 1],
    ["dilation", dilation, 1],
    ["groups", [groups], 1],
    ["padding", padding, 0],
    ["outputPadding", outputPadding, 0],
  ] as const)
    if (amounts.some((n) => !Number.isInteger(n) || n < least))
      throw new ShapeError(`${op}: ${name} [${amounts}] must be whole numbers of at least ${least}.`);
  if (outputPadding.some((n, axis) => n >= Math.max(stride[axis]!, dilation[axis]!)))
    throw new ShapeError(
      `${op}: outputPadding [${outputPadding}] must be below the stride [${stride}] or the dilation [${dilation}].`,
    );
  const [from, share, ...kernel] = weight.shape as [number, number, number, number];
  if (x.shape[1] !== from || from % groups !== 0)
    throw new ShapeError(
      `${op}: weight ${showShape(weight.shape)} takes ${from} input channels in ${groups} group${groups > 1 ? "s" : ""}, but the input ${showShape(x.shape)} has ${x.shape[1]}; use equal numbers that ${groups} divides.`,
    );
  const sides = kernel.map(
    (taps, axis) =>
      (x.shape[axis + 2]! - 1) * stride[axis]! -
      2 * padding[axis]! +
      dilation[axis]! * (taps - 1) +
      outputPadding[axis]! +
      1,
  );
  if ([...sides, ...kernel, x.shape[2]!, x.shape[3]!].some((n) => n < 1))
    throw new ShapeError(
      `${op}: input ${showShape(x.shape)} and kernel ${kernel.join("×")} give a result of ${sides.join("×")}; use less padding.`,
    );
  return [x.shape[0]!, share * groups, ...sides];
}

const CASES: readonly { name?: string; x: Shape; w: Shape; attrs?: ConvTranspose2dOptions; exact?: true }[] =
  [
    { x: [1, 1, 1, 1], w: [1, 1, 1, 1] },
    { x: [2, 3, 5, 4], w: [3, 4, 3, 3], attrs: { stride: 2, padding: 1, outputPadding: 1 } },
    { name: "integers", x: [2, 6, 4, 5], w: [6, 2, 4, 2], attrs: { stride: [2, 1], groups: 3 }, exact: true },
    {
      name: "output padding beyond the stride",
      x: [1, 2, 3, 4],
      w: [2, 3, 2, 3],
      attrs: { stride: [1, 2], dilation: [3, 4], padding: [0, 1], outputPadding: [2, 3] },
      exact: true,
    },
    { name: "depthwise", x: [2, 4, 4, 8], w: [4, 1, 4, 4], attrs: { stride: 2, padding: 1, groups: 4 } },
  ];

const samples = (s: Sampler): Sample<ConvTranspose2dOptions>[] =>
  CASES.map(({ x, w, exact, ...rest }) => {
    const draw = (shape: Shape) => (exact ? s.integers(-8, 8, shape) : s.randn(...shape));
    return { inputs: [draw(x), draw(w)], ...rest, ...(exact && { exact }) };
  });

/**
 * The transpose of `conv2d` in its input, as torch.nn.functional.conv_transpose2d without a bias: every element of
 * x [N, C, H, W] spreads over the result [N, O, H′, W′] by weight [C, O / groups, kh, kw],
 * y[n, o, i·stride + kh·dilation − padding, …] += x[n, c, i, …] · weight[c, o, kh, …], with
 * H′ = (H − 1)·stride − 2·padding + dilation·(kh − 1) + outputPadding + 1. Dumoulin, Visin, 2016, §4.
 */
export const convTranspose2d: Op<
  (x: Operand, weight: Operand, attrs?: ConvTranspose2dOptions) => Tensor,
  ConvTranspose2dAttrs
> = defineOp({
  name: "convTranspose2d",
  operands: ["x", "weight"],
  attributes: { stride: pair(1), padding: pair(0), outputPadding: pair(0), dilation: pair(1), groups: 1 },
  resolve: ({ stride, padding, outputPadding, dilation, groups }: Required<ConvTranspose2dOptions>) => ({
    stride: pairOf(stride),
    padding: pairOf(padding),
    outputPadding: pairOf(outputPadding),
    dilation: pairOf(dilation),
    groups,
  }),
  infer: ([x, weight], attrs) => [{ shape: outputOf(x, weight, attrs), dtype: "f32" }],
  reference: ([x, weight], attrs) => {
    const shape = outputOf(x, weight, attrs) as [number, number, number, number];
    const [images, channels, height, width] = x.shape as [number, number, number, number];
    const [, share, taps, columns] = weight.shape as [number, number, number, number];
    const { stride, padding, dilation, groups } = attrs;
    const data = new Float64Array(sizeOf(shape));
    x.data.forEach((value, i) => {
      const column = i % width;
      const row = Math.floor(i / width) % height;
      const plane = Math.floor(i / width / height);
      const channel = plane % channels;
      const first = Math.floor(channel / (channels / groups)) * share;
      for (let o = 0; o < share; o++)
        for (let k = 0; k < taps; k++)
          for (let l = 0; l < columns; l++) {
            const y = row * stride[0] + k * dilation[0] - padding[0];
            const z = column * stride[1] + l * dilation[1] - padding[1];
            if (y < 0 || y >= shape[2] || z < 0 || z >= shape[3]) continue;
            const to = Math.floor(plane / channels) * shape[1] + first + o;
            data[(to * shape[2] + y) * shape[3] + z]! +=
              value * weight.data[((channel * share + o) * taps + k) * columns + l]!;
          }
    });
    return [{ shape: [images, ...shape.slice(1)], dtype: "f32", data }];
  },
  implementation: {
    kind: "composition",
    compose: ([x, weight], attrs, f) => {
      const { stride, padding, outputPadding, dilation, groups } = attrs;
      const shape = outputOf(x, weight, attrs);
      // The convolution that this is the transpose of may leave over less than a stride; no tap reaches what is further.
      const over = outputPadding.map((n, axis) => Math.max(0, n - padding[axis]!));
      const beyond = over.map((n, axis) => Math.max(0, n - stride[axis]! + 1));
      const sides = padding.map((n, axis): Pair => [n, Math.max(0, n - outputPadding[axis]!)]);
      const y = conv2dInputGrad(x, weight, {
        stride,
        dilation,
        groups,
        padding: sides as unknown as readonly [Pair, Pair],
        inputShape: shape.map((dim, axis) => dim - (beyond[axis - 2] ?? 0)),
      });
      if (beyond.every((n) => n === 0)) return [y];
      return [f.pad(y, { low: [0, 0, 0, 0], high: [0, 0, ...beyond] })];
    },
  },
  tolerance: accumulated(
    ([, weight], { groups }) => (weight!.shape[0]! / groups) * weight!.shape[2]! * weight!.shape[3]!,
  ),
  samples: samples as (s: Sampler) => Sample<Partial<ConvTranspose2dAttrs>>[],
  errors: [
    {
      inputs: [type([2, 3, 4]), type([3, 2, 3, 3])],
      message: /convTranspose2d: input is f32\[2, 3, 4\]; use/,
    },
    {
      inputs: [type([2, 3, 4, 4]), type([2, 3, 3, 3])],
      message: /convTranspose2d: weight \[2, 3, 3, 3\] takes 2 input channels in 1 group, but .* has 3/,
    },
    {
      inputs: [type([2, 3, 4, 4]), type([3, 2, 3, 3])],
      attrs: { stride: [2, 2], outputPadding: [2, 0] },
      message: /convTranspose2d: outputPadding \[2,0\] must be below the stride \[2,2\]/,
    },
    {
      inputs: [type([2, 3, 4, 4]), type([3, 2, 3, 3])],
      attrs: { stride: [0, 1] },
      message: /convTranspose2d: stride \[0,1\] must be whole numbers of at least 1/,
    },
    {
      inputs: [type([2, 3, 1, 1]), type([3, 2, 3, 3])],
      attrs: { padding: [2, 0] },
      message: /convTranspose2d: .* give a result of -1×3; use less padding/,
    },
  ] satisfies ErrorCase<Partial<ConvTranspose2dAttrs>>[],
});
