import lossSource from "../../../shaders/loss/cross-entropy.wgsl?raw";
import storeSource from "../../../shaders/loss/cross-entropy-store.part.wgsl?raw";
import { choice } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { type Dispatch, gridOf, input, output, specialize } from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, optional, type Tensor } from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { sameShape, showShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import { walkVariants } from "./softmax-kernel.ts";

/** Of `softmaxCrossEntropy`. */
export interface CrossEntropyAttrs {
  /** How much of each target is spread evenly over all classes; 0 by default. */
  readonly labelSmoothing?: number;
  /** What every row's loss is multiplied by; 1 by default. For a mean it is 1/N, so that the gradient needs no factor. */
  readonly scale?: number;
  /** A label whose rows count for nothing: their loss and gradient are 0. None by default (PyTorch's is −100). */
  readonly ignoreIndex?: number;
}

/** How many rows of classes there are. */
const rowsOf = (logits: TensorType) => sizeOf(logits.shape.slice(0, -1));

function checkInputs(op: string, logits: TensorType, labels: TensorType, attrs: CrossEntropyAttrs = {}) {
  if (logits.dtype !== "f32" || (logits.shape.at(-1) ?? 0) === 0)
    throw new ShapeError(`${op}: logits are ${showType(logits)}; use f32 [..., C] with at least one class.`);
  const outer = logits.shape.slice(0, -1);
  if (labels.dtype !== "i32" || !sameShape(labels.shape, outer))
    throw new ShapeError(
      `${op}: labels are ${showType(labels)} beside logits ${showType(logits)}; use i32${showShape(outer)}, one class number for each row.`,
    );
  if (attrs.ignoreIndex !== undefined && !Number.isInteger(attrs.ignoreIndex))
    throw new ShapeError(`${op}: ignoreIndex is ${attrs.ignoreIndex}; use a whole number.`);
  const smoothing = attrs.labelSmoothing ?? 0;
  if (!(smoothing >= 0 && smoothing <= 1))
    throw new ShapeError(`${op}: labelSmoothing is ${smoothing}; use a number from 0 to 1.`);
  if (!Number.isFinite(Math.fround(attrs.scale ?? 1)))
    throw new ShapeError(`${op}: scale is ${attrs.scale}; use a finite number.`);
}

const smoothingOf = (attrs: CrossEntropyAttrs = {}) => Math.fround(attrs.labelSmoothing ?? 0);

/** Calls `visit` for each row with t = logit − largest logit, and Σ exp(t). */
function forEachRow(logits: NDArray, visit: (row: number, t: Float64Array, sum: number) => void): void {
  const [rows, classes] = [rowsOf(logits), logits.shape.at(-1)!];
  const t = new Float64Array(classes);
  for (let row = 0; row < rows; row++) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let k = 0; k < classes; k++) largest = Math.max(largest, logits.data[row * classes + k]!);
    let sum = 0;
    for (let k = 0; k < classes; k++) {
      t[k] = logits.data[row * classes + k]! - largest;
      sum += Math.exp(t[k]!);
    }
    visit(row, t, sum);
  }
}

const scaleOf = (attrs: CrossEntropyAttrs = {}) => Math.fround(attrs.scale ?? 1);

const classesOf = ([logits]: readonly NDArray[]) => logits!.shape.at(-1)!;

function rowSamples(s: Sampler) {
  const labels = (rows: number, classes: number) => s.integers(0, classes - 1, [rows], "i32");
  return [
    { inputs: [s.randn(5, 10), labels(5, 10)], attrs: {} },
    { inputs: [s.randn(67, 10), labels(67, 10)], attrs: { labelSmoothing: 0.1, scale: 1 / 67 } },
    { inputs: [s.randn(1, 1), labels(1, 1)], attrs: { labelSmoothing: 0.5 } },
    { inputs: [s.uniform(-30, 30, [3, 1031]), labels(3, 1031)], attrs: { labelSmoothing: 0.1 } },
    { inputs: [s.randn(5, 68), labels(5, 68)], attrs: { labelSmoothing: 0.1 } },
    { inputs: [s.randn(3, 1000), labels(3, 1000)], attrs: { labelSmoothing: 0.2 } },
    {
      name: "rising",
      inputs: [s.rising(19, 1031), labels(19, 1031)],
      attrs: { labelSmoothing: 0.1 },
      gradient: false,
    },
    { inputs: [s.randn(0, 3), labels(0, 3)], attrs: {} },
    {
      name: "extremes",
      inputs: [
        s.values([1e4, -1e4, 0, 0, 0, 0, 1e4, 1e4, 1e4, -1e4, -1e4, -1e4, 100, 99, -100], [5, 3]),
        s.values([1, 0, 2, 1, 2], [5], "i32"),
      ],
      attrs: { labelSmoothing: 0.1 },
      gradient: false,
    },
    { inputs: [s.randn(2, 2, 17), s.integers(0, 16, [2, 2], "i32")], attrs: { labelSmoothing: 0.1 } },
    { inputs: [s.randn(7), s.values([3], [], "i32")], attrs: {} },
    {
      name: "ignored",
      inputs: [s.randn(3, 2, 10), s.values([0, -100, 4, 9, -100, 1], [3, 2], "i32")],
      attrs: { ignoreIndex: -100, labelSmoothing: 0.1 },
    },
    {
      name: "ignored",
      inputs: [
        s.values([...Array(9).fill(1), Number.NaN, 3e38, -3e38, ...Array(18).keys()], [3, 10]),
        s.values([2, 2, 1], [3], "i32"),
      ],
      attrs: { ignoreIndex: 2 },
      gradient: false,
    },
    {
      name: "labels that are no class",
      inputs: [s.randn(4, 3), s.values([-1, 3, 2, -2147483648], [4], "i32")],
      attrs: {},
      gradient: false,
    },
  ];
}

const rowErrors = (op: string) => [
  {
    inputs: [type([4, 0]), type([4], "i32")],
    attrs: {},
    message: new RegExp(`${op}: logits are f32\\[4, 0\\]; use f32 \\[..., C\\]`),
  },
  {
    inputs: [type([4, 3, 2]), type([4], "i32")],
    attrs: {},
    message: new RegExp(`${op}: labels are i32\\[4\\] .* use i32\\[4, 3\\]`),
  },
  {
    inputs: [type([4, 3]), type([4], "i32")],
    attrs: { ignoreIndex: 0.5 },
    message: new RegExp(`${op}: ignoreIndex is 0.5; use a whole number`),
  },
  {
    inputs: [type([4, 3]), type([3], "i32")],
    attrs: {},
    message: new RegExp(`${op}: labels are i32\\[3\\] .* use i32\\[4\\]`),
  },
  {
    inputs: [type([4, 3]), type([4], "i32")],
    attrs: { labelSmoothing: 2 },
    message: new RegExp(`${op}: labelSmoothing is 2; use a number from 0 to 1`),
  },
  {
    inputs: [type([4, 3]), type([4], "i32")],
    attrs: { scale: Number.POSITIVE_INFINITY },
    message: new RegExp(`${op}: scale is Infinity; use a finite number`),
  },
];

/**
 * The loss of each row of logits [..., C] against its label (i32 [...]): (1 − ε)·(−log p[label]) + ε/C · Σ −log p, with
 * ε = labelSmoothing, as in PyTorch with reduction "none", times `scale`; and the gradient of each row's loss in its
 * logits [..., C], scale · (p − target), from the same pass. A label outside 0 … C−1 gives NaN, one that is `ignoreIndex`
 * loss and gradient 0.
 */
export const softmaxCrossEntropy: Op<
  (logits: Operand, labels: Operand, attrs?: CrossEntropyAttrs) => Tensor,
  CrossEntropyAttrs
> = defineOp({
  name: "softmaxCrossEntropy",
  operands: ["logits", "labels"],
  attributes: { labelSmoothing: 0, scale: 1, ignoreIndex: optional },
  first: true,
  infer: ([logits, labels], attrs) => {
    checkInputs("softmaxCrossEntropy", logits!, labels!, attrs);
    return [
      { shape: labels!.shape, dtype: "f32" },
      { shape: logits!.shape, dtype: "f32" },
    ];
  },
  reference: ([logits, labels], attrs) => {
    const smoothing = smoothingOf(attrs);
    const scale = scaleOf(attrs);
    const losses = new Float64Array(labels!.data.length);
    forEachRow(logits!, (row, t, sum) => {
      const picked = t[labels!.data[row]!] ?? Number.NaN;
      const mean = smoothing > 0 ? t.reduce((a, b) => a + b, 0) / t.length : 0;
      const loss = scale * (Math.log(sum) - (1 - smoothing) * picked - smoothing * mean);
      losses[row] = labels!.data[row] === attrs.ignoreIndex ? 0 : loss;
    });
    const dlogits = new Float64Array(logits!.data.length);
    forEachGradient(logits!, labels!, attrs, (i, p, target, _, ignored) => {
      dlogits[i] = ignored ? 0 : scale * (p - target);
    });
    return [
      { shape: labels!.shape, dtype: "f32", data: losses },
      { shape: logits!.shape, dtype: "f32", data: dlogits },
    ];
  },
  grad: ({ dys: [dlosses, ddlogits], inputs: [logits, labels], outputs: [, dlogits], attrs }, f) => {
    const terms: Tensor[] = [];
    if (dlosses?.node.op?.name === "constant" && dlosses.node.attrs.value === 1) terms.push(dlogits!);
    else if (dlosses) terms.push(f.mul(dlogits, f.reshape(dlosses, { shape: [...dlosses.shape, 1] })));
    if (ddlogits) {
      // The gradient of a gradient: softmax's, scaled.
      const p = f.softmax(logits, { axis: -1 });
      const inner = f.sum(f.mul(ddlogits, p), { axes: [-1], keepdims: true });
      const term = f.mul(f.mul(p, f.sub(ddlogits, inner)), scaleOf(attrs));
      const { ignoreIndex } = attrs;
      const column = f.reshape(labels, { shape: [...labels.shape, 1] });
      terms.push(ignoreIndex === undefined ? term : f.where(f.equal(column, ignoreIndex), 0, term));
    }
    return [terms.reduce((a, b) => f.add(a, b)), null];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [logits], attrs, facts }) => {
      const [rows, classes] = [rowsOf(logits!), logits!.shape.at(-1)!];
      const { ignoreIndex } = attrs;
      const constants = {
        CLASSES: classes,
        SMOOTHING: smoothingOf(attrs),
        SCALE: scaleOf(attrs),
        ...(ignoreIndex !== undefined && { IGNORES: true, IGNORED: ignoreIndex }),
      };
      const rest = {
        bindings: [input(0), input(1), output(0), output(1)],
        bytes: 8 * rows * (classes + 1),
      };
      const plain: Dispatch = {
        ...rest,
        kernel: "softmaxCrossEntropy/row",
        source: specialize(lossSource, { ROWS: rows, ...constants }),
        workgroups: gridOf(Math.ceil(rows / 64), facts),
      };
      return [
        ...walkVariants(
          "softmaxCrossEntropy",
          { outer: rows, length: classes, inner: 1 },
          storeSource,
          constants,
          rest,
          facts,
        ),
        { name: "row", dispatches: [plain] },
      ];
    },
  },
  // Losses: as logSoftmax, and a product and a subtraction for each of the two terms. Gradients: as softmax, and two
  // subtractions, a quotient and a product.
  tolerance: accumulated(classesOf, {
    factor: 4,
    scale: ([logits, labels], attrs) => {
      const smoothing = smoothingOf(attrs);
      const factor = Math.abs(scaleOf(attrs));
      const losses = new Float64Array(labels!.data.length);
      forEachRow(logits!, (row, t, sum) => {
        const mean = smoothing > 0 ? t.reduce((a, b) => a - b, 0) / t.length : 0;
        const picked = t[labels!.data[row]!] ?? 0;
        const magnitude = factor * (1 + Math.log(sum) - (1 - smoothing) * picked + smoothing * mean);
        losses[row] = labels!.data[row] === attrs.ignoreIndex ? 0 : magnitude;
      });
      const dlogits = new Float64Array(logits!.data.length);
      forEachGradient(logits!, labels!, attrs, (i, p, target, t, ignored) => {
        dlogits[i] = ignored ? 0 : factor * (p * (1 - t) + target);
      });
      return [losses, dlogits];
    },
  }),
  samples: rowSamples,
  errors: rowErrors("softmaxCrossEntropy"),
});

/**
 * Calls `visit` for each logit with its probability and target, and whether its row is ignored; a bad label makes its
 * row's targets NaN.
 */
function forEachGradient(
  logits: NDArray,
  labels: NDArray,
  attrs: CrossEntropyAttrs | undefined,
  visit: (index: number, probability: number, target: number, t: number, ignored: boolean) => void,
): void {
  const smoothing = smoothingOf(attrs);
  forEachRow(logits, (row, t, sum) => {
    const label = labels.data[row]!;
    const even = label >= 0 && label < t.length ? smoothing / t.length : Number.NaN;
    t.forEach((value, k) => {
      const target = even + (k === label ? 1 - smoothing : 0);
      visit(row * t.length + k, Math.exp(value) / sum, target, value, label === attrs?.ignoreIndex);
    });
  });
}

function checkAlike(op: string, [a, b]: readonly TensorType[]): void {
  if (a!.dtype !== "f32" || b!.dtype !== "f32" || !sameShape(a!.shape, b!.shape))
    throw new ShapeError(
      `${op}: inputs are ${showType(a!)} and ${showType(b!)}; use f32 tensors of one shape, so that nothing is broadcast by accident.`,
    );
}

/** −Σ targets · logSoftmax(logits) for each row of [..., C]: cross-entropy against a distribution over the classes. */
export const softCrossEntropy: Op<(logits: Operand, targets: Operand) => Tensor> = defineOp({
  name: "softCrossEntropy",
  operands: ["logits", "targets"],
  infer: (inputs) => {
    checkAlike("softCrossEntropy", inputs);
    const [logits] = inputs;
    if ((logits!.shape.at(-1) ?? 0) === 0)
      throw new ShapeError(
        `softCrossEntropy: logits are ${showType(logits!)}; use f32 [..., C] with at least one class.`,
      );
    return [{ shape: logits!.shape.slice(0, -1), dtype: "f32" }];
  },
  reference: ([logits, targets]) => {
    const data = new Float64Array(rowsOf(logits!));
    forEachRow(logits!, (row, t, sum) => {
      for (let k = 0; k < t.length; k++)
        data[row]! -= targets!.data[row * t.length + k]! * (t[k]! - Math.log(sum));
    });
    return [{ shape: logits!.shape.slice(0, -1), dtype: "f32", data }];
  },
  implementation: {
    kind: "composition",
    compose: ([logits, targets], _, f) => [
      f.neg(f.sum(f.mul(targets, f.logSoftmax(logits, { axis: -1 })), { axes: [-1] })),
    ],
  },
  // As logSoftmax, a product, and once more a sum over the classes.
  tolerance: accumulated(classesOf, {
    factor: 5,
    scale: ([logits, targets]) => {
      const scale = new Float64Array(rowsOf(logits!));
      forEachRow(logits!, (row, t, sum) => {
        for (let k = 0; k < t.length; k++)
          scale[row]! += Math.abs(targets!.data[row * t.length + k]!) * (1 - t[k]! + Math.log(sum));
      });
      return [scale];
    },
  }),
  samples: (s) => [
    { inputs: [s.randn(5, 10), s.uniform(0, 0.2, [5, 10])] },
    { inputs: [s.randn(1, 1), s.uniform(0, 1, [1, 1])] },
    { inputs: [s.uniform(-20, 20, [3, 257]), s.uniform(0, 0.01, [3, 257])] },
    { inputs: [s.randn(2, 3, 7), s.uniform(0, 0.2, [2, 3, 7])] },
    { inputs: [s.randn(5), s.uniform(0, 0.2, [5])] },
    { inputs: [s.randn(0, 3), s.randn(0, 3)] },
  ],
  errors: [
    {
      inputs: [type([4, 3]), type([4])],
      message: /softCrossEntropy: inputs are f32\[4, 3\] and f32\[4\]; use/,
    },
    {
      inputs: [type([4, 0]), type([4, 0])],
      message: /softCrossEntropy: logits are f32\[4, 0\]; use f32 \[..., C\]/,
    },
  ],
});

/** Of `mse`. */
export interface MeanSquaredErrorAttrs {
  /** "mean" over all elements (the default) or "none": one number for each. */
  readonly reduction?: "mean" | "none";
}

/** (a − b)², its mean unless the reduction is "none". */
export const mse: Op<
  (a: Operand, b: Operand, attrs?: MeanSquaredErrorAttrs) => Tensor,
  Required<MeanSquaredErrorAttrs>
> = defineOp({
  name: "mse",
  operands: ["a", "b"],
  attributes: { reduction: choice(["mean", "none"], "mean") },
  infer: (inputs, attrs) => {
    checkAlike("mse", inputs);
    return [{ shape: attrs?.reduction === "none" ? inputs[0]!.shape : [], dtype: "f32" }];
  },
  reference: (inputs, attrs) => [meanSquares(inputs, attrs)],
  implementation: {
    kind: "composition",
    compose: ([a, b], attrs, f) => {
      const squares = f.square(f.sub(a, b));
      return [attrs?.reduction === "none" ? squares : f.mean(squares)];
    },
  },
  // All terms are positive, so the result is its own scale; difference (twice), square and quotient: 5.5 ulp.
  tolerance: accumulated(([a], attrs) => (attrs?.reduction === "none" ? 1 : a!.data.length), {
    factor: 2,
    scale: (inputs, attrs) => [meanSquares(inputs, attrs).data],
  }),
  samples: (s) => [
    { inputs: [s.randn(5, 7), s.randn(5, 7)] },
    { inputs: [s.randn(1031), s.randn(1031)], attrs: { reduction: "mean" } },
    { inputs: [s.randn(3, 5), s.randn(3, 5)], attrs: { reduction: "none" } },
    { inputs: [s.randn(), s.randn()] },
    { inputs: [s.randn(0), s.randn(0)], gradient: false },
    { name: "integers", inputs: [s.integers(-8, 8, [256]), s.integers(-8, 8, [256])], exact: true },
  ],
  errors: [{ inputs: [type([4, 1]), type([4])], message: /mse: inputs are f32\[4, 1\] and f32\[4\]; use/ }],
});

function meanSquares([a, b]: readonly NDArray[], attrs?: MeanSquaredErrorAttrs): NDArray {
  const squares = new Float64Array(a!.data.length);
  let sum = 0;
  for (let i = 0; i < squares.length; i++) sum += squares[i] = (a!.data[i]! - b!.data[i]!) ** 2;
  if (attrs?.reduction === "none") return { shape: a!.shape, dtype: "f32", data: squares };
  return { shape: [], dtype: "f32", data: Float64Array.of(sum / squares.length) };
}
