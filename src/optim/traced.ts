import { broadcastData, type NDArray } from "../core/ndarray.ts";
import type { GraphNode, Tensor } from "../core/op.ts";
import { accumulationBound, SMALLEST_NORMAL, type Tolerance, ulp } from "../core/tolerance.ts";
import { type Chain, chainCode } from "../graph/expression.ts";
import { valueKey } from "../graph/node.ts";
import { calledFiles } from "../ops/elementwise/kernel.ts";

/** A function of numbers, traced: elementwise nodes over placeholders without a shape. */
export interface Traced {
  readonly placeholders: ReadonlyMap<string, Tensor>;
  readonly chain: Chain;
  readonly results: ReadonlyMap<string, Tensor>;
}

const LANES = ["x", "y", "z", "w"];

/**
 * WGSL of an update rule: `update` on four elements, by `element` on one. The row's numbers are read as `numbers` says,
 * the other placeholders are parameters, in order.
 */
export function updateCode(
  { placeholders, chain, results }: Traced,
  numbers: ReadonlyMap<string, string>,
): string {
  const names = new Map<string, string>();
  const parameters: string[] = [];
  for (const [name, tensor] of placeholders) {
    const number = numbers.get(name);
    // Literals that are not finite take a detour by x0.
    names.set(valueKey(tensor), number ?? `x${parameters.push(name) - 1}`);
  }
  const { lines, functions } = chainCode(chain, names);
  const values = [...results.values()].map((tensor) => names.get(valueKey(tensor))!);
  const list = (type: string) => parameters.map((_, i) => `x${i}: ${type}`).join(", ");
  const lanes = LANES.map(
    (lane) => `  let ${lane} = element(${parameters.map((_, i) => `x${i}.${lane}`).join(", ")});`,
  );
  return [
    ...calledFiles({ body: lines.join("\n"), functions }),
    "struct Element {",
    ...values.map((_, i) => `  y${i}: f32,`),
    "}",
    "",
    `fn element(${list("f32")}) -> Element {`,
    ...lines,
    `  return Element(${values.join(", ")});`,
    "}",
    "",
    `fn update(${list("vec4f")}) -> Next {`,
    ...lanes,
    `  return Next(${values.map((_, i) => `vec4f(${LANES.map((lane) => `${lane}.y${i}`).join(", ")})`).join(", ")});`,
    "}",
    "",
  ].join("\n");
}

const scalar = (value: number): NDArray => ({ shape: [], dtype: "f32", data: Float64Array.of(value) });
const run = (node: GraphNode, inputs: readonly NDArray[]) => node.op!.reference(inputs, node.attrs)[0]!;

/** What placeholders stand for: arrays of one length, or one number for all elements. */
export type Given = Readonly<Record<string, Float64Array | number>>;

/** Every value of a traced function in float64, by its key. */
function evaluate({ placeholders, chain }: Traced, given: Given): Map<string, NDArray> {
  const values = new Map<string, NDArray>();
  for (const [name, tensor] of placeholders) {
    const data = given[name]!;
    values.set(
      valueKey(tensor),
      typeof data === "number" ? scalar(data) : { shape: [data.length], dtype: "f32", data },
    );
  }
  for (const node of chain)
    values.set(
      `${node.id}:0`,
      run(
        node,
        node.inputs.map((input) => values.get(valueKey(input)) ?? run(input.node, [])),
      ),
    );
  return values;
}

/** The results of a traced function for `size` elements. */
export function runTraced(traced: Traced, given: Given, size: number): Record<string, Float64Array> {
  const values = evaluate(traced, given);
  return Object.fromEntries(
    [...traced.results].map(([name, tensor]) => [
      name,
      Float64Array.from(broadcastData(values.get(valueKey(tensor))!, [size])),
    ]),
  );
}

function nodeBound(tolerance: Tolerance, result: number, inputs: readonly number[]): number {
  if (tolerance.kind === "exact") return 0;
  if (tolerance.kind === "accumulated") return accumulationBound(1, Math.abs(result), tolerance.factor);
  return tolerance.bound(result, ...inputs) + SMALLEST_NORMAL;
}

/**
 * How far the results may be off in float32, given how far the placeholders are: each op adds its own tolerance, and
 * passes on what it makes of the errors of its inputs, by its reference at both ends of their intervals.
 */
export function boundTraced(
  traced: Traced,
  given: Given,
  errors: Readonly<Record<string, Float64Array>>,
  size: number,
): Record<string, Float64Array> {
  const values = evaluate(traced, given);
  const off = new Map<string, Float64Array>();
  for (const [name, tensor] of traced.placeholders) if (errors[name]) off.set(valueKey(tensor), errors[name]);
  for (const node of traced.chain) {
    const inputs = node.inputs.map((input): NDArray => values.get(valueKey(input)) ?? run(input.node, []));
    const spread = inputs.map((x) => broadcastData(x, [size]));
    const result = broadcastData(values.get(`${node.id}:0`)!, [size]);
    const [tolerance] = [node.op!.tolerance].flat() as readonly Tolerance[];
    const bound = Float64Array.from(result, (y: number, i: number) =>
      nodeBound(
        tolerance!,
        y,
        spread.map((x) => x[i]!),
      ),
    );
    node.inputs.forEach((input, k) => {
      const error = off.get(valueKey(input));
      if (!error) return;
      const ends = [1, -1].map((side) => {
        const data = Float64Array.from(error, (e, i) => spread[k]![i]! + side * e);
        const moved = inputs.map((x, j) => (j === k ? { ...x, shape: [size], data } : x));
        return broadcastData(run(node, moved), [size]);
      });
      // Beyond the edge of a function's domain there is nothing to compare with.
      for (let i = 0; i < size; i++)
        bound[i]! += Math.max(0, ...ends.map((end) => Math.abs(end[i]! - result[i]!) || 0));
    });
    off.set(`${node.id}:0`, bound);
  }
  return Object.fromEntries(
    [...traced.results].map(([name, tensor]) => {
      const error = off.get(valueKey(tensor));
      const result = broadcastData(values.get(valueKey(tensor))!, [size]);
      return [name, Float64Array.from(result, (y: number, i: number) => (error?.[i] ?? 0) + ulp(y))];
    }),
  );
}
