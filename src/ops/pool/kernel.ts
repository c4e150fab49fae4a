import {
  type AdapterFacts,
  type Binding,
  type Constants,
  type Dispatch,
  gridOf,
  type KernelVariant,
  specialize,
} from "../../core/kernel.ts";
import { type Shape, sizeOf } from "../../core/shape.ts";
import type { Pair } from "../conv/shape.ts";
import { type PoolAttrs, pooledSize } from "./shape.ts";

const PER = 4;

/** WGSL: a run of numbers as it is stored. */
const RUNS = {
  1: `alias Vector = f32;
alias IndexVector = i32;
fn vector(v: array<f32, RUN>) -> Vector { return v[0]; }
fn index_vector(v: array<i32, RUN>) -> IndexVector { return v[0]; }`,
  4: `alias Vector = vec4<f32>;
alias IndexVector = vec4<i32>;
fn vector(v: array<f32, RUN>) -> Vector { return Vector(v[0], v[1], v[2], v[3]); }
fn index_vector(v: array<i32, RUN>) -> IndexVector { return IndexVector(v[0], v[1], v[2], v[3]); }`,
};

/** What else there is to say of a pooling dispatch: it loads and stores vectors of so many elements. */
interface PoolRest {
  readonly bindings: (from: number, to: number) => readonly Binding[];
  readonly bytes: number;
  readonly constants?: Constants;
}

/** Columns that a thread reads at most for a run of four, or written out at all: a driver compiles each of these loads. */
const MOST_COLUMNS = 16;

/**
 * The dispatch of a pooling shader that makes `result`, windows or pixels, in runs: `span` says of how many columns of
 * the other a run of some length needs to know.
 */
export function poolDispatch(
  kernel: string,
  source: string,
  result: Shape,
  image: Shape,
  attrs: PoolAttrs,
  span: (run: number) => number,
  facts: AdapterFacts,
  rest: PoolRest,
): Dispatch {
  const size: Pair = [image[2]!, image[3]!];
  const [oh, ow] = pooledSize("", size, attrs);
  const run = result[3]! % 4 === 0 && span(4) <= MOST_COLUMNS ? 4 : 1;
  const threads = sizeOf(result) / run;
  const constants = {
    THREADS: threads,
    RUN: run,
    SPAN: span(run),
    H: size[0],
    W: size[1],
    OH: oh,
    OW: ow,
    KERNEL_H: attrs.kernel[0],
    KERNEL_W: attrs.kernel[1],
    STRIDE_H: attrs.stride[0],
    STRIDE_W: attrs.stride[1],
    PAD_H: attrs.padding[0],
    PAD_W: attrs.padding[1],
    ...rest.constants,
  };
  const text = span(run) <= MOST_COLUMNS ? source : source.replaceAll(" // unroll", "");
  return {
    kernel,
    source: [specialize(text, constants), RUNS[run]].join("\n"),
    bindings: rest.bindings(1, run),
    workgroups: gridOf(Math.ceil(threads / 64), facts),
    bytes: rest.bytes,
  };
}

/** How many columns of the image lie under a run of windows. */
export const columnsUnder =
  ({ kernel, stride }: PoolAttrs) =>
  (run: number): number =>
    (run - 1) * stride[1] + kernel[1];

/** How many windows of a row a run of pixels can lie in. */
export const windowsOver =
  ({ kernel, stride }: PoolAttrs) =>
  (run: number): number =>
    Math.ceil((run - 1 + kernel[1]) / stride[1]);

/** Variants for windows two columns wide that tile the image: see shaders/pool/max-pairs.wgsl. `each` is results per item. */
export function pairsVariant(
  kernel: string,
  source: string,
  each: 2 | 4,
  image: readonly number[],
  { kernel: [kh, kw], stride, padding }: PoolAttrs,
  facts: AdapterFacts,
  rest: PoolRest,
): KernelVariant[] {
  const [h, w] = image.slice(2) as [number, number];
  const results = sizeOf(image) / (kh * kw);
  const tiles =
    kw === 2 && stride[1] === 2 && stride[0] === kh && padding[0] === 0 && padding[1] === 0 && h % kh === 0;
  if (!tiles || w % 4 !== 0 || results % 4 !== 0) return [];
  const count = results / each;
  const per = count >= 16384 ? PER : 1;
  const constants = { COUNT: count, PER: per, PAIRS: w / 4, KERNEL_H: kh };
  const dispatch: Dispatch = {
    kernel: `${kernel}/pairs`,
    source: specialize(source, { ...constants, ...rest.constants }),
    workgroups: gridOf(Math.ceil(count / (64 * per)), facts),
    bindings: rest.bindings(each, 4),
    bytes: rest.bytes,
  };
  return [{ name: "pairs", dispatches: [dispatch] }];
}
