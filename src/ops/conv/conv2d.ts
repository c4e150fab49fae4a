import { attribute, pair, wholes } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import type { NDArray } from "../../core/ndarray.ts";
import {
  defineOp,
  type ErrorCase,
  type Op,
  type Operand,
  required,
  type Sample,
  type Tensor,
} from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { type Shape, sameShape, showShape, type TensorType } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import { depthwiseVariants } from "./depthwise.ts";
import { convVariants } from "./kernel.ts";
import { convInputGradReference, convReference, convWeightGradReference } from "./reference.ts";
import {
  type Conv2dAttrs,
  type Conv2dOptions,
  foldPlane,
  type Geometry,
  geometryOf,
  outputShape,
  type Pads,
  resolveConv,
} from "./shape.ts";
import { forwardSum, inputGradSums } from "./sum.ts";
import { weightGradVariants } from "./weight-kernel.ts";

export { type Conv2dAttrs, type Padding, type Pads, type Pair, resolvePadding } from "./shape.ts";

type InputGradAttrs = Conv2dAttrs & { readonly inputShape: Shape };
type WeightGradAttrs = Conv2dAttrs & { readonly weightShape: Shape };

const f32 = (shape: Shape): TensorType => ({ shape, dtype: "f32" });

function checkGradient(op: string, dy: TensorType, g: Geometry): void {
  if (dy.dtype !== "f32") throw new ShapeError(`${op}: dy is ${dy.dtype}; cast it to f32 first.`);
  if (!sameShape(dy.shape, outputShape(g)))
    throw new ShapeError(
      `${op}: dy is ${showShape(dy.shape)}, but the convolution's output is ${showShape(outputShape(g))}; pass the gradient of that output.`,
    );
}

const forwardGeometry = ([x, w]: readonly TensorType[], attrs: Conv2dAttrs) =>
  geometryOf("conv2d", x!, w!, attrs);

function inputGradGeometry([dy, w]: readonly TensorType[], { inputShape, ...attrs }: InputGradAttrs) {
  const g = geometryOf("conv2dInputGrad", f32(inputShape), w!, attrs);
  checkGradient("conv2dInputGrad", dy!, g);
  return g;
}

function weightGradGeometry([x, dy]: readonly TensorType[], { weightShape, ...attrs }: WeightGradAttrs) {
  const g = geometryOf("conv2dWeightGrad", x!, f32(weightShape), attrs);
  checkGradient("conv2dWeightGrad", dy!, g);
  return g;
}

interface Case {
  readonly name?: string;
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly attrs?: Conv2dAttrs;
  readonly exact?: true;
  /** Numbers of very different size, so that what an algorithm cancels outweighs what it should add. */
  readonly apart?: true;
}

const pads = (top: number, bottom: number, left: number, right: number): Pads => [
  [top, bottom],
  [left, right],
];

/** Convolutions that all three ops are tried on. */
const CASES: readonly Case[] = [
  { x: [1, 1, 1, 1], w: [1, 1, 1, 1] },
  { x: [2, 4, 7, 15], w: [8, 4, 3, 3], attrs: { padding: pads(1, 1, 1, 1) } },
  { name: "integers", x: [3, 4, 9, 32], w: [19, 4, 3, 3], attrs: { padding: pads(1, 1, 1, 1) }, exact: true },
  {
    x: [3, 4, 9, 8],
    w: [6, 2, 2, 3],
    attrs: { stride: [2, 1], dilation: [1, 3], padding: pads(0, 1, 3, 1), groups: 2 },
  },
  {
    name: "depthwise",
    x: [2, 5, 6, 8],
    w: [5, 1, 3, 5],
    attrs: { padding: pads(1, 1, 2, 2), groups: 5 },
    exact: true,
  },
  {
    name: "depthwise",
    x: [23, 9, 7, 24],
    w: [9, 1, 3, 3],
    attrs: { dilation: [1, 2], padding: pads(1, 1, 2, 2), groups: 9 },
  },
  {
    name: "depthwise",
    x: [2, 7, 10, 16],
    w: [14, 1, 5, 5],
    attrs: { stride: [2, 2], padding: pads(2, 2, 2, 2), groups: 7 },
    exact: true,
  },
  {
    name: "depthwise",
    x: [2, 3, 12, 11],
    w: [6, 1, 3, 2],
    attrs: { stride: [3, 2], dilation: [2, 1], padding: pads(2, 0, 0, 1), groups: 3 },
    exact: true,
  },
  { name: "1×1", x: [11, 10, 7, 9], w: [3, 10, 1, 1], attrs: { stride: [2, 2] }, exact: true },
  { name: "1×1", x: [3, 9, 6, 14], w: [35, 9, 1, 1], exact: true },
  {
    name: "strided",
    x: [2, 5, 9, 11],
    w: [18, 5, 3, 3],
    attrs: { stride: [2, 2], padding: pads(1, 1, 1, 1) },
    exact: true,
  },
  {
    name: "a stride that parts 6×6 into 3×3",
    x: [2, 3, 11, 12],
    w: [4, 3, 6, 6],
    attrs: { stride: [2, 2], padding: pads(2, 2, 2, 2) },
    exact: true,
  },
  { name: "magnitudes apart", x: [2, 2, 6, 9], w: [5, 2, 3, 3], apart: true },
  {
    name: "3×3 in groups",
    x: [2, 10, 7, 5],
    w: [70, 5, 3, 3],
    attrs: { padding: pads(3, 0, 0, 1), groups: 2 },
    exact: true,
  },
  { name: "no images", x: [0, 3, 5, 5], w: [2, 3, 3, 3] },
];

/** ±2ᵉ for numbers e. */
const spread = (exponents: NDArray): NDArray => ({
  ...exponents,
  data: Float32Array.from(exponents.data, (e, i) => (i % 3 === 0 ? -1 : 1) * 2 ** e),
});

/** The samples of one of the three products; `make` gives the shapes of its two inputs. */
function samplesOf<A>(
  s: Sampler,
  make: (g: Geometry, x: Shape, w: Shape, attrs: Conv2dAttrs) => { shapes: [Shape, Shape]; attrs: A },
): Sample<A>[] {
  return CASES.map(({ x, w, attrs = {}, exact, apart, name }) => {
    const { shapes, ...rest } = make(geometryOf("conv2d", f32(x), f32(w), attrs), x, w, attrs);
    const draw = (shape: Shape): NDArray =>
      exact ? s.integers(-8, 8, shape) : apart ? spread(s.uniform(-6, 4, shape)) : s.randn(...shape);
    return {
      inputs: shapes.map(draw),
      ...rest,
      ...(exact && { exact }),
      ...(apart && { gradient: false }),
      ...(name && { name }),
    };
  });
}

const PADDING = attribute(
  0,
  'a number, one number or [before, after] for height and width, "same" or "valid"',
  (x) => {
    const amount = (y: unknown) => typeof y === "number";
    const side = (y: unknown) => amount(y) || (Array.isArray(y) && y.length === 2 && y.every(amount));
    return (
      x === "same" || x === "valid" || amount(x) || (Array.isArray(x) && x.length === 2 && x.every(side))
    );
  },
);
const CONV = { stride: pair(1), padding: PADDING, dilation: pair(1), groups: 1 };

/**
 * Cross-correlation of x [N, C, H, W] with weight [O, C / groups, kh, kw], as torch.nn.functional.conv2d without a bias:
 * y[n, o, i, j] = Σ x[n, c, i·stride + kh·dilation − padding, …] · weight[o, c, kh, kw].
 */
export const conv2d: Op<(x: Operand, weight: Operand, attrs?: Conv2dOptions) => Tensor, Conv2dAttrs> =
  defineOp({
    name: "conv2d",
    operands: ["x", "weight"],
    attributes: CONV,
    resolve: (given, [, weight]) => resolveConv(given, weight),
    infer: (inputs, attrs) => [f32(outputShape(forwardGeometry(inputs, attrs)))],
    reference: ([x, w], attrs) => {
      const g = forwardGeometry([x, w], attrs);
      return [{ ...f32(outputShape(g)), data: convReference(g, x, w) }];
    },
    grad: ({ dy, inputs: [x, w], attrs }) => {
      // First, because x may not be needed after it.
      const dw = conv2dWeightGrad(x, dy, { ...attrs, weightShape: w.shape });
      return [conv2dInputGrad(dy, w, { ...attrs, inputShape: x.shape }), dw];
    },
    implementation: {
      kind: "kernel",
      reloads: [0],
      half: { inputs: [0, 1], outputs: [0] },
      stores: true,
      kernel: ({ inputs, attrs, facts, moments }) => {
        const g = foldPlane(forwardGeometry(inputs, attrs), 32);
        return [
          ...depthwiseVariants("conv2d", g, facts),
          ...convVariants("conv2d", g, [forwardSum(g)], facts, moments),
        ];
      },
    },
    tolerance: accumulated(([, w]) => w!.shape.slice(1).reduce((a, b) => a * b, 1)),
    samples: (s) => samplesOf(s, (_, x, w, attrs) => ({ shapes: [x, w], attrs })),
    errors: [
      {
        inputs: [type([2, 3, 5]), type([4, 3, 3, 3])],
        message: /conv2d: input f32\[2, 3, 5\] has rank 3; it needs 4/,
      },
      {
        inputs: [type([2, 3, 5, 5]), type([4, 2, 3, 3])],
        message: /conv2d: weight .* takes 2 input channels, but the input .* has 3/,
      },
      {
        inputs: [type([2, 4, 5, 5]), type([3, 2, 3, 3])],
        attrs: { groups: 2 },
        message: /conv2d: 3 output channels cannot be shared out to 2 groups/,
      },
      {
        inputs: [type([2, 3, 2, 5]), type([4, 3, 3, 3])],
        message: /conv2d: the kernel reaches over 3 rows, but the padded input has 2/,
      },
      {
        inputs: [type([2, 3, 5, 5]), type([4, 3, 3, 3])],
        attrs: { stride: [0, 1] },
        message: /conv2d: stride \[0,1\] must be whole numbers of at least 1/,
      },
      {
        inputs: [type([2, 3, 5, 5], "i32"), type([4, 3, 3, 3])],
        message: /conv2d: input is i32; cast it to f32/,
      },
    ] satisfies ErrorCase<Conv2dAttrs>[],
  });

/**
 * The gradient of conv2d in its input, of shape `inputShape`: every output spreads over the inputs that it saw.
 * @internal
 */
export const conv2dInputGrad: Op<
  (dy: Operand, weight: Operand, attrs: InputGradAttrs) => Tensor,
  InputGradAttrs
> = defineOp({
  name: "conv2dInputGrad",
  operands: ["dy", "weight"],
  attributes: { ...CONV, inputShape: wholes(required) },
  resolve: (given, [, weight]) => ({ ...resolveConv(given, weight), inputShape: given.inputShape }),
  infer: (inputs, attrs) => {
    inputGradGeometry(inputs, attrs);
    return [f32(attrs.inputShape)];
  },
  reference: ([dy, w], attrs) => {
    const g = inputGradGeometry([dy, w], attrs);
    return [{ ...f32(attrs.inputShape), data: convInputGradReference(g, dy, w) }];
  },
  // Bilinear like the convolution itself: the three products are each other's gradients.
  grad: ({ dy: dx, inputs: [dy, w], attrs: { inputShape, ...attrs } }) => [
    conv2d(dx, w, attrs),
    conv2dWeightGrad(dx, dy, { ...attrs, weightShape: w.shape }),
  ],
  implementation: {
    kind: "kernel",
    reloads: [0],
    half: { inputs: [0, 1], outputs: [0] },
    stores: true,
    kernel: ({ inputs, attrs, facts }) => {
      const g = foldPlane(inputGradGeometry(inputs, attrs), 32);
      return [
        ...depthwiseVariants("conv2dInputGrad", g, facts),
        ...convVariants("conv2dInputGrad", g, inputGradSums(g), facts),
      ];
    },
  },
  tolerance: accumulated(([, w], { groups = 1 }: InputGradAttrs) => {
    const [out, , height, width] = w!.shape as [number, number, number, number];
    return (out / groups) * height * width;
  }),
  samples: (s) =>
    samplesOf(s, (g, x, w, attrs) => ({ shapes: [outputShape(g), w], attrs: { ...attrs, inputShape: x } })),
  errors: [
    {
      inputs: [type([2, 4, 5, 5]), type([4, 3, 3, 3])],
      attrs: { inputShape: [2, 3, 5, 5] },
      message: /conv2dInputGrad: dy is \[2, 4, 5, 5\], but the convolution's output is \[2, 4, 3, 3\]/,
    },
  ],
});

/**
 * The gradient of conv2d in its weight, of shape `weightShape`.
 * @internal
 */
export const conv2dWeightGrad: Op<
  (x: Operand, dy: Operand, attrs: WeightGradAttrs) => Tensor,
  WeightGradAttrs
> = defineOp({
  name: "conv2dWeightGrad",
  operands: ["x", "dy"],
  attributes: { ...CONV, weightShape: wholes(required) },
  resolve: (given) => ({
    ...resolveConv(given, { shape: given.weightShape }),
    weightShape: given.weightShape,
  }),
  infer: (inputs, attrs) => {
    weightGradGeometry(inputs, attrs);
    return [f32(attrs.weightShape)];
  },
  reference: ([x, dy], attrs) => {
    const g = weightGradGeometry([x, dy], attrs);
    return [{ ...f32(attrs.weightShape), data: convWeightGradReference(g, x, dy) }];
  },
  grad: ({ dy: dw, inputs: [x, dy], attrs: { weightShape, ...attrs } }) => [
    conv2dInputGrad(dy, dw, { ...attrs, inputShape: x.shape }),
    conv2d(x, dw, attrs),
  ],
  implementation: {
    kind: "kernel",
    reloads: [0],
    // The sum goes to the optimizer as it is.
    half: { inputs: [0, 1], outputs: [] },
    // A lane that walks down rows of one vector uses up each cache line before it goes on.
    kernel: ({ inputs, attrs, facts }) =>
      weightGradVariants(foldPlane(weightGradGeometry(inputs, attrs), 4), facts),
  },
  tolerance: accumulated(([, dy]) => dy!.data.length / Math.max(1, dy!.shape[1]!)),
  samples: (s) =>
    samplesOf(s, (g, x, w, attrs) => ({ shapes: [x, outputShape(g)], attrs: { ...attrs, weightShape: w } })),
  errors: [
    {
      inputs: [type([2, 3, 5, 5]), type([2, 4, 5, 5])],
      attrs: { weightShape: [4, 3, 3, 3] },
      message: /conv2dWeightGrad: dy is \[2, 4, 5, 5\], but the convolution's output is \[2, 4, 3, 3\]/,
    },
  ],
});
