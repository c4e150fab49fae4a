// Gradients of ops compared with directional finite differences of the reference in float64.
import { expect } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { NumericArray } from "../../src/core/dtype.ts";
import { toFloat64 } from "../../src/core/ndarray.ts";
import { callOp, type OpRecord, type Sample, type Tensor } from "../../src/core/op.ts";
import { Random } from "../../src/core/rng.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed, reachable } from "../../src/graph/node.ts";
import * as f from "../../src/ops/f.ts";

const STEP = 1e-5;
/** Central differences err by about h²·f‴ + 1e-16/h; the rest is roundings of constants that are written as float32. */
const RELATIVE = 2e-6;

/** Weights of either sign, so that no error can cancel. */
const weightsFor = (shape: readonly number[], random: Random) =>
  Float64Array.from({ length: sizeOf(shape) }, () => random.uniform(0.5, 1.5) * (random.bits() & 1 ? 1 : -1));

/** What an op makes of a sample, weighted and summed, as a graph with its feeds. */
class Weighted {
  readonly feeds: Record<string, NumericArray> = {};
  private readonly names = new Map<Tensor, string>();

  constructor(private readonly random: Random) {}

  feed(
    name: string,
    type: { shape: readonly number[]; dtype?: Tensor["dtype"] },
    data: NumericArray,
  ): Tensor {
    const value = feed(name, type.shape, type.dtype);
    this.feeds[name] = data;
    this.names.set(value, name);
    return value;
  }

  name(value: Tensor): string {
    return this.names.get(value)!;
  }

  sum(values: readonly Tensor[], prefix: string): Tensor {
    return values
      .map((y, i) => f.sum(f.mul(y, this.feed(`${prefix}${i}`, y, weightsFor(y.shape, this.random)))))
      .reduce((a, b) => f.add(a, b));
  }

  /** The float feeds so far. */
  floats(): Tensor[] {
    return [...this.names.keys()].filter((x) => x.dtype === "f32");
  }
}

/**
 * Compares the gradients of a weighted sum of an op's results (order 1), or those of a weighted sum of these gradients
 * (order 2), with finite differences, and gives the number of gradients that it compared.
 */
export async function checkSample(
  op: OpRecord,
  sample: Sample<any>,
  number: number,
  order: 1 | 2,
): Promise<number> {
  const graph = new Weighted(new Random(7, number));
  const inputs = sample.inputs.map((x, i) => graph.feed(`x${i}`, x, toFloat64(x).data));
  const floats = callOp(op, [...inputs, sample.attrs]).filter((y) => y.dtype === "f32");
  if (floats.length === 0 || graph.floats().length === 0) return 0;
  let targets = graph.floats();
  let loss = graph.sum(floats, "w");
  if (order === 2) {
    const first = gradients(loss, targets);
    targets = graph.floats();
    loss = graph.sum(first, "v");
  }
  const grads = gradients(loss, targets);
  const backend = cpuBackend({ precision: "f64" });
  const outputs = { loss, ...Object.fromEntries(grads.map((g, i) => [`g${i}`, g])) };
  const executable = await backend.compile({ name: op.name, outputs });
  // A derivative of what is linear in an input does not read it.
  const read = new Set(
    reachable([loss, ...grads]).map((node) => node.leaf?.kind === "feed" && node.leaf.name),
  );
  const feeds = Object.entries(graph.feeds).filter(([name]) => read.has(name));
  const lossAt = async (shifted: Record<string, NumericArray>) => {
    executable.run({ ...Object.fromEntries(feeds), ...shifted });
    return (await executable.fetch("loss")).data[0]!;
  };
  await lossAt({});
  const analytic: NumericArray[] = [];
  for (let i = 0; i < grads.length; i++) analytic.push((await executable.fetch(`g${i}`)).data);
  const random = new Random(8, number);
  let checked = 0;
  for (const [k, target] of targets.entries()) {
    const name = graph.name(target);
    const x = graph.feeds[name]!;
    if (x.length === 0) continue;
    if (!read.has(name)) {
      expect(analytic[k], `${op.name} sample ${number + 1}: nothing depends on ${name}`).toEqual(
        new Float64Array(x.length),
      );
      checked++;
      continue;
    }
    const direction = Float64Array.from(x, () => random.normal());
    const moved = (sign: number) => ({
      [name]: Float64Array.from(x, (v, i) => v + sign * STEP * direction[i]!),
    });
    const difference = ((await lossAt(moved(1))) - (await lossAt(moved(-1)))) / (2 * STEP);
    let slope = 0;
    let magnitude = 1e-3;
    analytic[k]!.forEach((g, i) => {
      slope += g * direction[i]!;
      magnitude += Math.abs(g * direction[i]!);
    });
    const label = `${op.name} sample ${number + 1}, input ${name}: slope ${slope}, finite difference ${difference}`;
    expect(Math.abs(slope - difference) / magnitude, label).toBeLessThan(RELATIVE);
    checked++;
  }
  executable.dispose();
  return checked;
}
