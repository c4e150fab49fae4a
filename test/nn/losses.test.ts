import { expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { NumericArray } from "../../src/core/dtype.ts";
import { OptionError } from "../../src/core/errors.ts";
import type { Tensor } from "../../src/core/op.ts";
import { Random } from "../../src/core/rng.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed } from "../../src/graph/node.ts";
import * as losses from "../../src/losses/index.ts";
import { crossEntropy, type Loss, mse } from "../../src/losses/index.ts";
import { evaluate } from "../../src/model/compile.ts";
import { tensor } from "../../src/model/program.ts";
import { linear } from "../../src/nn/layers/index.ts";
import { Trace } from "../../src/nn/module.ts";
import { gpu } from "../support/gpu.ts";
import { arrayOf, type LossCase, oracleCases, type Stored } from "../support/oracle.ts";

const random = new Random(9);
const normals = (size: number) => Float32Array.from({ length: size }, () => random.normal());
const [STEPS, CLASSES] = [6, 5];
const logits = normals(2 * STEPS * CLASSES);
const labels = Int32Array.from({ length: 2 * STEPS }, (_, i) => i % CLASSES);
/** Some at both ends, with labels that are no class where they are left out. */
const kept = Uint32Array.from({ length: 2 * STEPS }, (_, i) => (i % 3 === 0 || i === 11 ? 0 : 1));
const torn = labels.map((label, i) => (kept[i] ? label : 99));

interface Given {
  readonly target: Tensor;
  readonly mask?: Tensor;
  readonly feeds: Record<string, NumericArray>;
}

/** A loss of logits and its gradient, on both backends, which must agree. */
async function lossOf(loss: Loss, shape: readonly number[], x: NumericArray, { target, mask, feeds }: Given) {
  const input = feed("x", shape);
  const value = loss(input, target, mask);
  const [dx] = gradients(value, [input]);
  const results: { value: number; dx: number[] }[] = [];
  for (const backend of [await gpu(), cpuBackend()]) {
    const executable = await backend.compile({ name: "loss", outputs: { value, dx } });
    executable.run({ x, ...feeds });
    results.push({
      value: (await executable.fetch("value")).data[0]!,
      dx: Array.from((await executable.fetch("dx")).data),
    });
    executable.dispose();
  }
  const [got, want] = results as [(typeof results)[0], (typeof results)[0]];
  expect(got.value).toBeCloseTo(want.value, 5);
  got.dx.forEach((g, i) => {
    expect(g).toBeCloseTo(want.dx[i]!, 5);
  });
  return got;
}

/** The rows that the mask keeps, as a batch of their own. */
const keptRows = (x: NumericArray, width: number) =>
  Float32Array.from(
    Array.from(kept).flatMap((keep, i) => (keep ? Array.from(x.slice(i * width, (i + 1) * width)) : [])),
  );
const keptLabels = labels.filter((_, i) => kept[i]);

test("cross-entropy of sequences: the mean over the labels that an ignoreIndex or a mask keeps", async () => {
  const alone = await lossOf(
    crossEntropy({ labelSmoothing: 0.1 }),
    [keptLabels.length, CLASSES],
    keptRows(logits, CLASSES),
    {
      target: feed("y", [keptLabels.length], "i32"),
      feeds: { y: keptLabels },
    },
  );
  const target = feed("y", [2, STEPS], "i32");
  const mask = feed("mask", [2, STEPS], "bool");
  const weights = feed("weights", [2, STEPS]);
  const marked = labels.map((label, i) => (kept[i] ? label : -100));
  const shape = [2, STEPS, CLASSES];
  const ways = [
    await lossOf(crossEntropy({ labelSmoothing: 0.1, ignoreIndex: -100 }), shape, logits, {
      target,
      feeds: { y: marked },
    }),
    await lossOf(crossEntropy({ labelSmoothing: 0.1 }), shape, logits, {
      target,
      mask,
      feeds: { y: torn, mask: kept },
    }),
    await lossOf(crossEntropy({ labelSmoothing: 0.1 }), shape, logits, {
      target,
      mask: weights,
      feeds: { y: torn, weights: Float32Array.from(kept, (v) => 3 * v) },
    }),
  ];
  for (const { value, dx } of ways) {
    expect(value).toBeCloseTo(alone.value, 5);
    keptRows(Float32Array.from(dx), CLASSES).forEach((g, i) => {
      expect(g).toBeCloseTo(alone.dx[i]!, 5);
    });
    dx.forEach((g, i) => {
      if (!kept[Math.floor(i / CLASSES)]) expect(g === 0).toBe(true);
    });
  }
  expect(() => crossEntropy({ ignoreIndex: 0.5 })).toThrow(OptionError);
});

test("cross-entropy with target probabilities and squared errors take a mask, too", async () => {
  const shares = normals(2 * STEPS * CLASSES).map((v, i) =>
    kept[Math.floor(i / CLASSES)] ? v * v : Number.NaN,
  );
  const shape = [2, STEPS, CLASSES];
  const mask = feed("mask", [2, STEPS], "bool");
  for (const loss of [crossEntropy({ labelSmoothing: 0.1 }), mse()]) {
    const wide = loss.name === "mse" ? feed("mask", [2, STEPS, 1], "bool") : mask;
    const masked = await lossOf(loss, shape, logits, {
      target: feed("y", shape),
      mask: wide,
      feeds: { y: shares, mask: kept },
    });
    const rows = keptLabels.length;
    const alone = await lossOf(loss, [rows, CLASSES], keptRows(logits, CLASSES), {
      target: feed("y", [rows, CLASSES]),
      feeds: { y: keptRows(shares, CLASSES) },
    });
    expect(masked.value).toBeCloseTo(alone.value, 5);
    keptRows(Float32Array.from(masked.dx), CLASSES).forEach((g, i) => {
      expect(g).toBeCloseTo(alone.dx[i]!, 5);
    });
  }
});

test("linear works along the last axis of any rank", async () => {
  const layer = linear({ in: 4, out: 3 });
  const weight = feed("weight", [3, 4]);
  const bias = feed("bias", [3]);
  const feeds = { weight: normals(12), bias: normals(3), x: normals(24) };
  const source = {
    counters: feed("counters", [4], "u32"),
    parameter: (_: unknown, name: string) => (name === "weight" ? weight : bias),
    buffer: () => weight,
  };
  const outputs = Object.fromEntries(
    [
      [6, 4],
      [2, 3, 4],
      [1, 2, 3, 4],
    ].map((shape) => {
      const x = feed("x", [6, 4]).reshape({ shape });
      return [`rank ${shape.length}`, new Trace(layer, source, false).run(layer, x)];
    }),
  );
  expect(outputs["rank 4"]!.shape).toEqual([1, 2, 3, 3]);
  const one = new Trace(layer, source, false).run(layer, feed("x", [4]));
  expect(one.shape).toEqual([3]);
  const executable = await (await gpu()).compile({ name: "linear", outputs });
  executable.run(feeds);
  const flat = (await executable.fetch("rank 2")).data;
  for (const name of ["rank 3", "rank 4"]) expect((await executable.fetch(name)).data).toEqual(flat);
  executable.dispose();
  expect(() => new Trace(layer, source, false).run(layer, feed("x", [4, 5]))).toThrow(
    /linear: takes \[..., 4\], got \[4, 5\]/,
  );
});

test("every loss gives on the adapter what the reference gives, with its gradients", async () => {
  const cases = oracleCases<LossCase>("loss");
  const names = [...new Set(cases.map(({ loss }) => loss))];
  const makers = losses as unknown as Record<string, (...args: readonly unknown[]) => Loss<any, any>>;
  // In one program: the last case of each, which has a mask, or options.
  const values = names.flatMap((name) => {
    const { args, output, target, mask } = cases.filter(({ loss }) => loss === name).at(-1)!;
    const given = (stored: Stored) => tensor(arrayOf(stored).data, stored);
    const outputs = Array.isArray(output) ? output.map(given) : given(output as Stored);
    const value = makers[name]!(...args)(outputs, target && given(target), mask && given(mask));
    return [value, ...gradients(value.sum(), Array.isArray(outputs) ? outputs : [outputs])];
  });
  const got = await evaluate(await gpu(), values);
  const want = await evaluate(cpuBackend(), values);
  want.forEach(({ data }, i) => {
    data.forEach((x, k) => {
      expect(got[i]!.data[k]).toBeCloseTo(x, 5);
    });
  });
  expect(values.length).toBeGreaterThan(2 * names.length);
});
