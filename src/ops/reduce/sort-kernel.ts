import keySource from "../../../shaders/reduce/sort-key.part.wgsl?raw";
import loadSource from "../../../shaders/reduce/sort-load.wgsl?raw";
import mergeSource from "../../../shaders/reduce/sort-merge.wgsl?raw";
import rankSource from "../../../shaders/reduce/sort-rank.wgsl?raw";
import storeSource from "../../../shaders/reduce/sort-store.wgsl?raw";
import {
  type AdapterFacts,
  type Binding,
  type Dispatch,
  gridOf,
  input,
  type KernelVariant,
  output,
  scratch,
  specialize,
  words,
} from "../../core/kernel.ts";
import { sizeOf, type TensorType } from "../../core/shape.ts";
import { rowsAlong } from "./rows.ts";

/** Longer rows are merged; up to here counting is as fast. */
const SHORT = 128;

/** The kernels that sort along an axis. */
export function sortVariants(
  x: TensorType,
  axis: number,
  descending: boolean,
  facts: AdapterFacts,
): KernelVariant[] {
  const { length, inner } = rowsAlong("sort", x, axis);
  const count = sizeOf(x.shape);
  const workgroups = gridOf(Math.ceil(count / 64), facts);
  const rows = { COUNT: count, LENGTH: length, INNER: inner };
  const key = `${keySource}\nfn key(bits: u32) -> u32 { return ${descending ? "~" : ""}key_of_${x.dtype}(bits); }`;
  const dispatch = (kernel: string, source: string, bindings: readonly Binding[]): Dispatch => ({
    kernel: `sort/${kernel}`,
    source,
    bindings,
    workgroups,
    bytes: 16 * count,
  });
  const rank: KernelVariant = {
    name: "rank",
    dispatches: [
      dispatch("rank", `${specialize(rankSource, rows)}\n${key}`, [input(0), output(0), output(1)]),
    ],
  };
  const merge = specialize(mergeSource, { COUNT: count, LENGTH: length });
  const passes: Dispatch[] = [];
  for (let run = 1; run < length; run *= 2) {
    const from = passes.length % 2;
    passes.push({
      ...dispatch("merge", merge, [scratch(from, "read"), scratch(1 - from), words]),
      words: [run],
    });
  }
  const merged: KernelVariant = {
    name: "merge",
    scratch: [8 * count, 8 * count],
    dispatches: [
      dispatch("load", `${specialize(loadSource, rows)}\n${key}`, [input(0), scratch(0)]),
      ...passes,
      dispatch("store", specialize(storeSource, rows), [
        input(0),
        scratch(passes.length % 2, "read"),
        output(0),
        output(1),
      ]),
    ],
  };
  return length <= SHORT ? [rank, merged] : [merged, rank];
}
