import activations from "../../../shaders/functions/activations.part.wgsl?raw";
import math from "../../../shaders/functions/math.part.wgsl?raw";
import {
  type AdapterFacts,
  type Binding,
  gridOf,
  input,
  type KernelVariant,
  output,
  specialize,
} from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { type Shape, sizeOf } from "../../core/shape.ts";

/** The kernel of a cell, a thread for each of its units [rows, hidden]; what it binds has the shader's names. */
export function unitVariants(
  kernel: string,
  source: string,
  { inputs, outputs }: { readonly inputs: readonly string[]; readonly outputs: readonly string[] },
  units: Shape,
  facts: AdapterFacts,
): KernelVariant[] {
  const COUNT = sizeOf(units);
  const bindings: Binding[] = [
    ...inputs.map((name, i) => input(i, name)),
    ...outputs.map((name, i) => output(i, name)),
  ];
  const dispatch = {
    kernel,
    source: [specialize(source, { COUNT, HIDDEN: units[1]! }), activations, math].join("\n"),
    bindings,
    workgroups: gridOf(Math.ceil(COUNT / 64), facts),
    bytes: 4 * COUNT * (bindings.length + 3),
  };
  return [{ name: "units", dispatches: [dispatch] }];
}

/** Calls `visit` for each unit of [rows, hidden] with its place, and that of its number in a block of [rows, blocks·hidden]. */
export function forEachUnit(
  [rows = 0, hidden = 0]: Shape,
  visit: (unit: number, at: (block: number, blocks: number) => number) => void,
): void {
  for (let row = 0; row < rows; row++)
    for (let j = 0; j < hidden; j++)
      visit(row * hidden + j, (block, blocks) => (row * blocks + block) * hidden + j);
}

/** A result on the host, zeros at first. */
export const zeros = (shape: Shape): NDArray & { readonly data: Float64Array } => ({
  shape,
  dtype: "f32",
  data: new Float64Array(sizeOf(shape)),
});
