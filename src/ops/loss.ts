import lossSource from "../../shaders/cross-entropy.wgsl?raw";
import gradSource from "../../shaders/cross-entropy-grad.wgsl?raw";
import { ShapeError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import { sameShape, showType, sizeOf, type TensorType } from "../core/shape.ts";
import { accumulated } from "../core/tolerance.ts";
import { gridOf, input, type Kernel, output, specialize } from "./kernel.ts";
import { defineOp } from "./op.ts";
import { type Sampler, type } from "./samples.ts";

export interface CrossEntropyAttrs {
  /** How much of each target is spread evenly over all classes; 0 by default. */
  readonly labelSmoothing?: number;
}

function checkInputs(op: string, logits: TensorType, labels: TensorType, attrs: CrossEntropyAttrs = {}) {
  if (logits.dtype !== "f32" || logits.shape.length !== 2 || logits.shape[1] === 0)
    throw new ShapeError(`${op}: logits are ${showType(logits)}; use f32 [N, C] with at least one class.`);
  if (labels.dtype !== "i32" || !sameShape(labels.shape, [logits.shape[0]!]))
    throw new ShapeError(
      `${op}: labels are ${showType(labels)} beside logits ${showType(logits)}; use i32[${logits.shape[0]}], one class number for each row.`,
    );
  const smoothing = attrs.labelSmoothing ?? 0;
  if (!(smoothing >= 0 && smoothing <= 1))
    throw new ShapeError(`${op}: labelSmoothing is ${smoothing}; use a number from 0 to 1.`);
}

const smoothingOf = (attrs: CrossEntropyAttrs = {}) => Math.fround(attrs.labelSmoothing ?? 0);

/** Calls `visit` for each row with t = logit − largest logit, and Σ exp(t). */
function forEachRow(logits: NDArray, visit: (row: number, t: Float64Array, sum: number) => void): void {
  const [rows, classes] = logits.shape as [number, number];
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

function kernel(name: string, source: string, inputs: number): Kernel<CrossEntropyAttrs | undefined> {
  return ({ inputs: [logits], outputs: [out], attrs, facts }) => {
    const [rows, classes] = logits!.shape as [number, number];
    const dispatch = {
      kernel: `${name}/row`,
      source: specialize(source, { ROWS: rows, CLASSES: classes, SMOOTHING: smoothingOf(attrs) }),
      bindings: [...Array.from({ length: inputs }, (_, i) => input(i)), output()],
      workgroups: gridOf(Math.ceil(rows / 64), facts),
      bytes: 4 * (rows * classes + (inputs - 1) * rows + sizeOf(out!.shape)),
    };
    return [{ name: "row", dispatches: [dispatch] }];
  };
}

const classesOf = ([logits]: readonly NDArray[]) => logits!.shape[1]!;

function rowSamples(s: Sampler) {
  const labels = (rows: number, classes: number) => s.integers(0, classes - 1, [rows], "i32");
  return [
    { inputs: [s.randn(5, 10), labels(5, 10)], attrs: {} },
    { inputs: [s.randn(67, 10), labels(67, 10)], attrs: { labelSmoothing: 0.1 } },
    { inputs: [s.randn(1, 1), labels(1, 1)], attrs: { labelSmoothing: 0.5 } },
    { inputs: [s.uniform(-30, 30, [3, 1031]), labels(3, 1031)], attrs: { labelSmoothing: 0.1 } },
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
    {
      name: "labels that are no class",
      inputs: [s.randn(4, 3), s.values([-1, 3, 2, -2147483648], [4], "i32")],
      attrs: {},
      gradient: false,
    },
  ];
}

const rowErrors = (op: string, rest: readonly TensorType[]) => [
  {
    inputs: [type([4, 3, 2]), type([4], "i32"), ...rest],
    attrs: {},
    message: new RegExp(`${op}: logits are f32\\[4, 3, 2\\]; use f32 \\[N, C\\]`),
  },
  {
    inputs: [type([4, 3]), type([3], "i32"), ...rest],
    attrs: {},
    message: new RegExp(`${op}: labels are i32\\[3\\] .* use i32\\[4\\]`),
  },
  {
    inputs: [type([4, 3]), type([4], "i32"), ...rest],
    attrs: { labelSmoothing: 2 },
    message: new RegExp(`${op}: labelSmoothing is 2; use a number from 0 to 1`),
  },
];

/**
 * The loss of each row of logits [N, C] against its label (i32 [N]): (1 − ε)·(−log p[label]) + ε/C · Σ −log p, with
 * ε = labelSmoothing, as in PyTorch with reduction "none". A label outside 0 … C−1 gives NaN.
 */
export const softmaxCrossEntropy = defineOp<CrossEntropyAttrs | undefined>({
  name: "softmaxCrossEntropy",
  infer: ([logits, labels], attrs) => {
    checkInputs("softmaxCrossEntropy", logits!, labels!, attrs);
    return [{ shape: labels!.shape, dtype: "f32" }];
  },
  reference: ([logits, labels], attrs) => {
    const smoothing = smoothingOf(attrs);
    const data = new Float64Array(labels!.data.length);
    forEachRow(logits!, (row, t, sum) => {
      const picked = t[labels!.data[row]!] ?? Number.NaN;
      const mean = t.reduce((a, b) => a + b, 0) / t.length;
      data[row] = Math.log(sum) - (1 - smoothing) * picked - smoothing * mean;
    });
    return [{ shape: labels!.shape, dtype: "f32", data }];
  },
  grad: ({ dy, inputs: [logits, labels], attrs }, f) => [
    f.softmaxCrossEntropyGrad!(logits, labels, dy, attrs ?? {}),
    null,
  ],
  implementation: { kind: "kernel", kernel: kernel("softmaxCrossEntropy", lossSource, 2) },
  // As logSoftmax, and a product and a subtraction for each of the two terms.
  tolerance: accumulated(classesOf, {
    factor: 4,
    scale: ([logits, labels], attrs) => {
      const smoothing = smoothingOf(attrs);
      const scale = new Float64Array(labels!.data.length);
      forEachRow(logits!, (row, t, sum) => {
        const mean = t.reduce((a, b) => a - b, 0) / t.length;
        scale[row] = 1 + Math.log(sum) - (1 - smoothing) * (t[labels!.data[row]!] ?? 0) + smoothing * mean;
      });
      return [scale];
    },
  }),
  samples: rowSamples,
  errors: rowErrors("softmaxCrossEntropy", []),
});

/** Gradient of softmaxCrossEntropy in the logits, for gradients dlosses [N] of its results. */
export const softmaxCrossEntropyGrad = defineOp<CrossEntropyAttrs | undefined>({
  name: "softmaxCrossEntropyGrad",
  infer: ([logits, labels, dlosses], attrs) => {
    checkInputs("softmaxCrossEntropyGrad", logits!, labels!, attrs);
    if (dlosses!.dtype !== "f32" || !sameShape(dlosses!.shape, labels!.shape))
      throw new ShapeError(
        `softmaxCrossEntropyGrad: dlosses are ${showType(dlosses!)}; use f32[${labels!.shape}], one for each row.`,
      );
    return [{ shape: logits!.shape, dtype: "f32" }];
  },
  reference: ([logits, labels, dlosses], attrs) => {
    const data = new Float64Array(logits!.data.length);
    forEachGradient(logits!, labels!, attrs, (i, row, p, target) => {
      data[i] = (p - target) * dlosses!.data[row]!;
    });
    return [{ shape: logits!.shape, dtype: "f32", data }];
  },
  implementation: { kind: "kernel", kernel: kernel("softmaxCrossEntropyGrad", gradSource, 3) },
  // As softmax, and two subtractions, a quotient and a product.
  tolerance: accumulated(classesOf, {
    factor: 4,
    scale: ([logits, labels, dlosses], attrs) => {
      const scale = new Float64Array(logits!.data.length);
      forEachGradient(logits!, labels!, attrs, (i, row, p, target, t) => {
        scale[i] = (p * (1 - t) + target) * Math.abs(dlosses!.data[row]!);
      });
      return [scale];
    },
  }),
  samples: (s) =>
    rowSamples(s).map(({ inputs: [logits, labels], ...rest }) => ({
      inputs: [logits!, labels!, s.randn(labels!.shape[0]!)],
      ...rest,
    })),
  errors: [
    ...rowErrors("softmaxCrossEntropyGrad", [type([4])]),
    {
      inputs: [type([4, 3]), type([4], "i32"), type([])],
      attrs: {},
      message: /softmaxCrossEntropyGrad: dlosses are f32\[\]; use f32\[4\]/,
    },
  ],
});

/** Calls `visit` for each logit with its row, probability and target; a bad label makes its row's targets NaN. */
function forEachGradient(
  logits: NDArray,
  labels: NDArray,
  attrs: CrossEntropyAttrs | undefined,
  visit: (index: number, row: number, probability: number, target: number, t: number) => void,
): void {
  const smoothing = smoothingOf(attrs);
  forEachRow(logits, (row, t, sum) => {
    const label = labels.data[row]!;
    const even = label >= 0 && label < t.length ? smoothing / t.length : Number.NaN;
    t.forEach((value, k) => {
      const target = even + (k === label ? 1 - smoothing : 0);
      visit(row * t.length + k, row, Math.exp(value) / sum, target, value);
    });
  });
}

function checkAlike(op: string, [a, b]: readonly TensorType[]): void {
  if (a!.dtype !== "f32" || b!.dtype !== "f32" || !sameShape(a!.shape, b!.shape))
    throw new ShapeError(
      `${op}: inputs are ${showType(a!)} and ${showType(b!)}; use f32 tensors of one shape, so that nothing is broadcast by accident.`,
    );
}

/** −Σ targets · logSoftmax(logits) for each row of [N, C]: cross-entropy against a distribution over the classes. */
export const softCrossEntropy = defineOp({
  name: "softCrossEntropy",
  infer: (inputs) => {
    checkAlike("softCrossEntropy", inputs);
    const [logits] = inputs;
    if (logits!.shape.length !== 2 || logits!.shape[1] === 0)
      throw new ShapeError(
        `softCrossEntropy: logits are ${showType(logits!)}; use f32 [N, C] with at least one class.`,
      );
    return [{ shape: [logits!.shape[0]!], dtype: "f32" }];
  },
  reference: ([logits, targets]) => {
    const data = new Float64Array(logits!.shape[0]!);
    forEachRow(logits!, (row, t, sum) => {
      for (let k = 0; k < t.length; k++)
        data[row]! -= targets!.data[row * t.length + k]! * (t[k]! - Math.log(sum));
    });
    return [{ shape: [data.length], dtype: "f32", data }];
  },
  implementation: {
    kind: "composition",
    compose: ([logits, targets], _, f) => [
      f.neg!(f.sum!(f.mul!(targets, f.logSoftmax!(logits, { axis: 1 })), { axes: [1] })),
    ],
  },
  // As logSoftmax, a product, and once more a sum over the classes.
  tolerance: accumulated(classesOf, {
    factor: 5,
    scale: ([logits, targets]) => {
      const scale = new Float64Array(logits!.shape[0]!);
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
    { inputs: [s.randn(0, 3), s.randn(0, 3)] },
  ],
  errors: [
    {
      inputs: [type([4, 3]), type([4])],
      message: /softCrossEntropy: inputs are f32\[4, 3\] and f32\[4\]; use/,
    },
    { inputs: [type([4]), type([4])], message: /softCrossEntropy: logits are f32\[4\]; use f32 \[N, C\]/ },
  ],
});

export interface MeanSquaredErrorAttrs {
  /** "mean" over all elements (the default) or "none": one number for each. */
  readonly reduction?: "mean" | "none";
}

/** (a − b)², its mean unless the reduction is "none". */
export const mse = defineOp<MeanSquaredErrorAttrs | undefined>({
  name: "mse",
  infer: (inputs, attrs) => {
    checkAlike("mse", inputs);
    return [{ shape: attrs?.reduction === "none" ? inputs[0]!.shape : [], dtype: "f32" }];
  },
  reference: (inputs, attrs) => [meanSquares(inputs, attrs)],
  implementation: {
    kind: "composition",
    compose: ([a, b], attrs, f) => {
      const squares = f.square!(f.sub!(a, b));
      return [attrs?.reduction === "none" ? squares : f.mean!(squares)];
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
