import { type AdapterFacts, bitsOf, type Dispatch } from "../../core/kernel.ts";
import type { TensorType } from "../../core/shape.ts";
import { sizeOf } from "../../core/shape.ts";
import { elementwiseDispatch } from "../elementwise/kernel.ts";

/** Copies `words` 32-bit words from one range of memory to another. */
export function copyDispatch(words: number, facts: AdapterFacts): Dispatch {
  const type: TensorType = { shape: [words], dtype: "u32" };
  return elementwiseDispatch(
    { output: type, inputs: [type], body: "  let result = x0;", functions: [], label: "copy" },
    facts,
  );
}

/** Fills a tensor with one number (NaN and infinities included, by their bits). */
export function fillDispatch(type: TensorType, value: number, facts: AdapterFacts): Dispatch {
  const words: TensorType = { shape: [sizeOf(type.shape)], dtype: "u32" };
  const literal = `${bitsOf(value, type.dtype)}u`;
  return elementwiseDispatch(
    { output: words, inputs: [], body: `  let result = ${literal};`, functions: [], label: "fill" },
    facts,
  );
}
