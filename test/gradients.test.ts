import { describe, expect, test } from "vitest";
import { cpuBackend } from "../src/backend/cpu.ts";
import type { NumericArray } from "../src/core/dtype.ts";
import { toFloat64 } from "../src/core/ndarray.ts";
import { callOp, type Tensor } from "../src/core/op.ts";
import { Random } from "../src/core/rng.ts";
import { Sampler } from "../src/core/samples.ts";
import { sizeOf } from "../src/core/shape.ts";
import { gradients } from "../src/graph/autodiff.ts";
import { feed } from "../src/graph/node.ts";
import * as f from "../src/ops/f.ts";
import { records } from "../src/verify/records.ts";

const STEP = 1e-5;
/** Central differences err by about h²·f‴ + 1e-16/h; the rest is roundings of constants that are written as float32. */
const RELATIVE = 2e-6;

describe("gradients: directional finite differences of the reference in float64", () => {
  for (const op of records) {
    // A composition has the gradients of its parts.
    if (!op.grad && op.implementation.kind !== "composition") continue;
    test(op.name, async () => {
      const backend = cpuBackend({ precision: "f64" });
      const samples = op.samples(new Sampler(op.name)).filter((s) => s.gradient !== false);
      let checked = 0;
      for (const [number, sample] of samples.entries()) {
        if (sample.inputs.reduce((n, x) => n + x.data.length, 0) > 60_000) continue;
        const random = new Random(7, number);
        const inputs = sample.inputs.map((x, i) => feed(`x${i}`, x.shape, x.dtype));
        const outputs = callOp(op, [...inputs, sample.attrs]);
        const floats = outputs.filter((y) => y.dtype === "f32");
        const targets = inputs.filter((x) => x.dtype === "f32");
        if (floats.length === 0 || targets.length === 0) continue;
        // A random weighting of all results, so that no error can cancel.
        const weights = floats.map((y, i) => feed(`w${i}`, y.shape));
        const loss = floats.map((y, i) => f.sum(f.mul(y, weights[i]!))).reduce((a, b) => f.add(a, b));
        const grads = gradients(loss, targets);
        const program = {
          name: op.name,
          outputs: { loss, ...Object.fromEntries(grads.map((g, i) => [`g${i}`, g])) },
        };
        const executable = await backend.compile(program);
        const feeds: Record<string, NumericArray> = {};
        sample.inputs.forEach((x, i) => {
          feeds[`x${i}`] = toFloat64(x).data;
        });
        weights.forEach((w, i) => {
          feeds[`w${i}`] = Float64Array.from(
            { length: sizeOf(w.shape) },
            () => random.uniform(0.5, 1.5) * (random.bits() & 1 ? 1 : -1),
          );
        });
        const lossAt = async (shifted: Record<string, NumericArray>) => {
          executable.run({ ...feeds, ...shifted });
          return (await executable.fetch("loss")).data[0]!;
        };
        await lossAt({});
        const analytic: NumericArray[] = [];
        for (let i = 0; i < grads.length; i++) analytic.push((await executable.fetch(`g${i}`)).data);
        for (const [k, target] of targets.entries()) {
          const name = `x${inputs.indexOf(target as Tensor)}`;
          const x = feeds[name]!;
          if (x.length === 0) continue;
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
      }
      const differentiable = samples.some((s) => s.inputs.some((x) => x.dtype === "f32"));
      if (differentiable)
        expect(checked, `${op.name} has a gradient that no sample checks`).toBeGreaterThan(0);
    });
  }
});
