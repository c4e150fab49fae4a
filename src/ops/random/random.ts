import threefry from "../../../shaders/functions/threefry.part.wgsl?raw";
import dropoutSource from "../../../shaders/random/dropout.wgsl?raw";
import uniformSource from "../../../shaders/random/uniform.wgsl?raw";
import { anyNumber, wholes } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import {
  type AdapterFacts,
  type Binding,
  type Dispatch,
  gridOf,
  input,
  output,
  specialize,
} from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, required, type Tensor } from "../../core/op.ts";
import { threefry2x32 } from "../../core/rng.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { type Shape, sameShape, showShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { exact, ulps } from "../../core/tolerance.ts";

/** Of `dropout`. */
export interface DropoutAttrs {
  /** The share of elements that are dropped, from 0 to less than 1. */
  readonly p: number;
  /** Distinguishes layers, so that each has a mask of its own. */
  readonly layer: number;
}

/** The 24 random bits of each of `size` elements: element 2i has the first word of counter (i, step), 2i + 1 the second. */
function forEachBits(
  size: number,
  counters: NDArray,
  layer: number,
  visit: (index: number, bits: number) => void,
): void {
  const [step, seed] = counters.data as Uint32Array;
  for (let i = 0; i < size; i += 2) {
    const [first, second] = threefry2x32(seed!, layer, i / 2, step!);
    visit(i, first >>> 8);
    if (i + 1 < size) visit(i + 1, second >>> 8);
  }
}

function checkCounters(op: string, counters: TensorType, layer: number): void {
  if (counters.dtype !== "u32" || !sameShape(counters.shape, [4]))
    throw new ShapeError(`${op}: counters are ${showType(counters)}; use u32[4], step and seed first.`);
  if (!Number.isInteger(layer) || layer < 0 || layer >= 2 ** 32)
    throw new ShapeError(`${op}: layer is ${layer}; use a whole number from 0 to 2^32 - 1.`);
}

/** WGSL: the 24 random bits of the elements of vector i, four or two at a time where they come out even. */
const BITS = {
  4: `alias Bits = vec4u;
fn bits(i: u32, key: vec2u, step: u32) -> Bits {
  let first = threefry2x32(key, vec2u(2u * i, step));
  return vec4u(first, threefry2x32(key, vec2u(2u * i + 1u, step))) >> vec4u(8u);
}`,
  2: `alias Bits = vec2u;
fn bits(i: u32, key: vec2u, step: u32) -> Bits { return threefry2x32(key, vec2u(i, step)) >> vec2u(8u); }`,
  1: `alias Bits = u32;
fn bits(i: u32, key: vec2u, step: u32) -> Bits { return threefry2x32(key, vec2u(i / 2u, step))[i % 2u] >> 8u; }`,
} as const;

/** The dispatch of a shader that makes `count` elements from random bits. */
function randomDispatch(
  kernel: string,
  shader: string,
  count: number,
  constants: Readonly<Record<string, number>>,
  bindings: (width: number) => Binding[],
  bytes: number,
  facts: AdapterFacts,
): Dispatch {
  const width = count % 4 === 0 ? 4 : count % 2 === 0 ? 2 : 1;
  const vectors = count / width;
  const per = vectors >= 16384 ? 4 : 1;
  const sizes = { Vector: width > 1 ? `vec${width}<f32>` : "f32", COUNT: vectors, PER: per };
  return {
    kernel,
    bindings: bindings(width),
    bytes,
    source: [threefry, specialize(shader, { ...sizes, ...constants }), BITS[width]].join("\n"),
    workgroups: gridOf(Math.ceil(vectors / (64 * per)), facts),
  };
}

const thresholdOf = (p: number) => Math.round(p * 2 ** 24);

/**
 * Sets elements to 0 with probability p and divides the others by 1 − p. Counters are u32 [step, seed, 0, 0]: the same
 * ones give the same mask, so the gradient makes it again. Srivastava et al., 2014, in its inverted form.
 */
export const dropout: Op<(x: Operand, counters: Tensor, attrs: DropoutAttrs) => Tensor, DropoutAttrs> =
  defineOp({
    name: "dropout",
    operands: ["x", "counters"],
    attributes: { p: anyNumber(required), layer: anyNumber(required) },
    infer: ([x, counters], { p, layer }) => {
      if (x.dtype !== "f32") throw new ShapeError(`dropout: input is ${showType(x)}; cast it to f32 first.`);
      checkCounters("dropout", counters, layer);
      if (!(p >= 0 && p < 1)) throw new ShapeError(`dropout: p is ${p}; use a number from 0 to less than 1.`);
      return [{ shape: x.shape, dtype: "f32" }];
    },
    reference: ([x, counters], { p, layer }) => {
      const data = new Float64Array(x.data.length);
      const threshold = thresholdOf(p);
      forEachBits(data.length, counters, layer, (i, bits) => {
        if (bits >= threshold) data[i] = x.data[i]! / (1 - p);
      });
      return [{ shape: x.shape, dtype: "f32", data }];
    },
    grad: ({ dy, inputs: [, counters], attrs }) => [dropout(dy, counters, attrs), null],
    implementation: {
      kind: "kernel",
      half: { inputs: [0], outputs: [0] },
      kernel: ({ inputs: [x], attrs: { p, layer }, facts }) => {
        const count = sizeOf(x!.shape);
        const constants = { LAYER: layer, THRESHOLD: thresholdOf(p), SCALE: 1 / (1 - p) };
        const bindings = (width: number) => [input(0, "x", { width }), input(1), output()];
        const dispatch = randomDispatch(
          "dropout",
          dropoutSource,
          count,
          constants,
          bindings,
          8 * count,
          facts,
        );
        return [{ name: "vectors", dispatches: [dispatch] }];
      },
    },
    tolerance: ulps(2), // the rounded 1/(1 − p), and the product
    samples: (s) => [
      { inputs: [s.randn(2, 3), counters(s, 0, 0)], attrs: { p: 0, layer: 0 } },
      { inputs: [s.randn(1031), counters(s, 1, 2)], attrs: { p: 0.5, layer: 3 } },
      { inputs: [s.randn(1), counters(s, 3, 0)], attrs: { p: 0.1, layer: 1 } },
      { inputs: [s.randn(0, 3), counters(s, 3, 0)], attrs: { p: 0.1, layer: 1 } },
      { inputs: [s.randn(3, 7, 2), counters(s, 1, 2)], attrs: { p: 0.5, layer: 3 } },
      { inputs: [s.randn(67, 1021), counters(s, 4e9, 4294967295)], attrs: { p: 0.25, layer: 4294967295 } },
      { inputs: [s.randn(128, 1024), counters(s, 7, 42)], attrs: { p: 0.9, layer: 2 } },
    ],
    errors: [
      {
        inputs: [type([2]), type([4], "u32")],
        attrs: { p: 1, layer: 0 },
        message: /dropout: p is 1; use a number from 0 to less than 1/,
      },
      {
        inputs: [type([2]), type([2], "u32")],
        attrs: { p: 0.5, layer: 0 },
        message: /dropout: counters are u32\[2\]; use u32\[4\], step and seed first/,
      },
      {
        inputs: [type([2]), type([4], "u32")],
        attrs: { p: 0.5, layer: -1 },
        message: /dropout: layer is -1; use a whole number/,
      },
    ],
  });

/** Of `randomUniform`. */
export interface RandomAttrs {
  readonly shape: Shape;
  /** Distinguishes uses, so that each has numbers of its own. */
  readonly layer: number;
}

/** Uniform numbers in [0, 1) from counters u32 [step, seed, 0, 0], as core/rng.ts makes them. */
export const randomUniform: Op<(counters: Tensor, attrs: RandomAttrs) => Tensor, RandomAttrs> = defineOp({
  name: "randomUniform",
  operands: ["counters"],
  attributes: { shape: wholes(required), layer: anyNumber(required) },
  infer: ([counters], { shape, layer }) => {
    checkCounters("randomUniform", counters, layer);
    if (shape.some((dim) => !Number.isInteger(dim) || dim < 0))
      throw new ShapeError(`randomUniform: shape ${showShape(shape)} must be whole numbers of at least 0.`);
    return [{ shape, dtype: "f32" }];
  },
  reference: ([counters], { shape, layer }) => {
    const data = new Float64Array(sizeOf(shape));
    forEachBits(data.length, counters, layer, (i, bits) => {
      data[i] = bits * 2 ** -24;
    });
    return [{ shape, dtype: "f32", data }];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ outputs: [out], attrs: { layer }, facts }) => {
      const count = sizeOf(out!.shape);
      const constants = { LAYER: layer };
      const bindings = () => [input(0), output()];
      const dispatch = randomDispatch(
        "randomUniform",
        uniformSource,
        count,
        constants,
        bindings,
        4 * count,
        facts,
      );
      return [{ name: "vectors", dispatches: [dispatch] }];
    },
  },
  tolerance: exact,
  samples: (s) => [
    { inputs: [counters(s, 0, 0)], attrs: { shape: [2], layer: 0 } },
    { inputs: [counters(s, 1, 2)], attrs: { shape: [1031], layer: 3 } },
    { inputs: [counters(s, 4e9, 4294967295)], attrs: { shape: [67, 21], layer: 4294967295 } },
    { inputs: [counters(s, 1, 2)], attrs: { shape: [3, 7, 2], layer: 3 } },
    { inputs: [counters(s, 1, 2)], attrs: { shape: [260, 256], layer: 3 } },
    { inputs: [counters(s, 5, 0)], attrs: { shape: [], layer: 1 } },
    { inputs: [counters(s, 5, 0)], attrs: { shape: [0, 2], layer: 1 } },
  ],
  errors: [
    {
      inputs: [type([4])],
      attrs: { shape: [2], layer: 0 },
      message: /randomUniform: counters are f32\[4\]; use u32\[4\]/,
    },
    {
      inputs: [type([4], "u32")],
      attrs: { shape: [2, -1], layer: 0 },
      message: /randomUniform: shape \[2, -1\] must be whole numbers/,
    },
  ],
});

const counters = (s: Sampler, step: number, seed: number) => s.values([step, seed, 0, 0], [4], "u32");
