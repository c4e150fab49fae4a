// Steps of several batches, and a look between gradients and update.
import { describe, expect, test, vi } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { NonFiniteError } from "../../src/core/errors.ts";
import { accumulationBound } from "../../src/core/tolerance.ts";
import { arrays } from "../../src/data/arrays.ts";
import { stream } from "../../src/data/stream.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import { f32, i32 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/layers/index.ts";
import type { Optimizer } from "../../src/optim/optimizer.ts";
import { adam, adamW, sgd } from "../../src/optim/optimizers.ts";
import { type Gradients, Trainer } from "../../src/train/trainer.ts";
import { gpu } from "../support/gpu.ts";
import { all, backends, labels, noise, rows, stateOf } from "./support.ts";

const x = noise([22, 6]);
const y = labels(22, 3);
const set = arrays({ x, y });

interface Options {
  readonly optimizer?: Optimizer;
  readonly precision?: "f32" | "mixed";
  readonly norm?: boolean;
  readonly dropout?: number;
  readonly seed?: number;
}

const makeTrainer = (device: Backend, options: Options = {}) =>
  new Trainer({
    device,
    model: nn.sequential(
      nn.linear({ in: 6, out: 8 }),
      ...(options.norm ? [nn.batchNorm(8)] : []),
      nn.tanh(),
      ...(options.dropout ? [nn.dropout(options.dropout)] : []),
      nn.linear({ in: 8, out: 3 }),
    ),
    loss: crossEntropy(),
    optimizer: options.optimizer ?? sgd({ lr: 0.1, momentum: 0.9 }),
    precision: options.precision,
    seed: options.seed ?? 4,
  });

const gradientsOf = async (gradients: Gradients) => {
  const list = [];
  for (const name of gradients.names) list.push({ name, ...(await gradients.read(name)) });
  return list;
};

describe.each(backends)("a step of several batches on %s", (where, open) => {
  test.each([
    [{ lastBatch: "drop" as const }, ["training step, batch 8"]],
    [{ lastBatch: "drop" as const, accumulate: 2 }, ["gradients, batch 8", "gradients, batch 8", "update"]],
  ])("is what was compiled ahead: %o", async (options, names) => {
    const device = await open();
    // A last batch of one example has no variance.
    const odd = arrays({ x: rows(x, 0, 17), y: rows(y, 0, 17) });
    const trainer = makeTrainer(device, { norm: true });
    expect(() => trainer.programs(odd, 8)).toThrow(/one value per channel/);
    expect(trainer.programs(odd, 8, undefined, options).map(({ name }) => name)).toEqual(names);
    const compile = vi.spyOn(device, "compile");
    const compiled = () => compile.mock.calls.map(([{ name }]) => name);
    let progress = 0;
    await trainer.prepare(odd, 8, undefined, { ...options, onProgress: () => void progress++ });
    expect(compiled()).toEqual(names);
    expect(progress > 0).toBe(where === "webgpu"); // the reference has no kernels
    await all(trainer.fit(odd, { epochs: 1, batchSize: 8, ...options }));
    expect(compiled()).toEqual(names);
    compile.mockRestore();
    expect((await trainer.trainingStep(odd, 8)).plan.name).toBe("training step, batch 8");
    await trainer.dispose();
  });

  test("has the gradients of one batch as large, the uneven last one included", async () => {
    const device = await open();
    // 22 examples: 4 + 4, 4 + 4 and 4 + 2.
    const seen: Awaited<ReturnType<typeof gradientsOf>>[][] = [[], []];
    const losses: number[][] = [[], []];
    const norms: number[][] = [[], []];
    for (const [k, batches] of [{ batchSize: 8 }, { batchSize: 4, accumulate: 2 }].entries()) {
      const trainer = makeTrainer(device, { optimizer: sgd({ lr: 0 }) });
      await all(
        trainer.fit(set, {
          epochs: 1,
          ...batches,
          onGradients: async (gradients) => void seen[k]!.push(await gradientsOf(gradients)),
          onStep: ({ loss, gradientNorm }) => {
            losses[k]!.push(loss);
            norms[k]!.push(gradientNorm);
          },
        }),
      );
      expect(trainer.step).toBe(3);
      await trainer.dispose();
    }
    for (const [step, whole] of seen[0]!.entries()) {
      expect(losses[1]![step]).toBeCloseTo(losses[0]![step]!, 5);
      expect(norms[1]![step]).toBeCloseTo(norms[0]![step]!, 5);
      for (const [i, { name, data }] of whole.entries()) {
        const parts = seen[1]![step]![i]!;
        expect(parts.name).toBe(name);
        // Each element adds up 8 examples of at most 1 in each factor, through 3 classes or 8 units.
        const bound = accumulationBound(8 * 8, 1, 4);
        data.forEach((value, e) => {
          expect(Math.abs(parts.data[e]! - value), `${name} ${e}`).toBeLessThan(bound);
        });
      }
    }
  });

  test.each<[string, () => Optimizer]>([
    ["sgd", () => sgd({ lr: 0.1 })],
    ["sgd with momentum", () => sgd({ lr: 0.1, momentum: 0.9 })],
    ["sgd with Nesterov momentum", () => sgd({ lr: 0.1, momentum: 0.9, nesterov: true })],
    ["adam", () => adam({ lr: 0.01 })],
    ["adamW", () => adamW({ lr: 0.01, clipNorm: 0.5, ema: { decay: 0.9 } })],
  ])("of %s trains as one batch as large", async (_, optimizer) => {
    const device = await open();
    const states: Map<string, number[]>[] = [];
    for (const batches of [{ batchSize: 8 }, { batchSize: 4, accumulate: 2 }]) {
      const trainer = makeTrainer(device, { optimizer: optimizer() });
      await all(trainer.fit(set, { epochs: 1, ...batches }));
      states.push(await stateOf(trainer));
      await trainer.dispose();
    }
    const [whole, parts] = states as [Map<string, number[]>, Map<string, number[]>];
    expect([...parts.keys()]).toEqual([...whole.keys()]);
    // Adam divides a gradient by its size: one of 1e-4 with an error of 1e-8 moves by lr · 1e-4.
    for (const [name, values] of whole)
      values.forEach((value, i) => {
        expect(Math.abs(parts.get(name)![i]! - value), `${name} ${i}`).toBeLessThan(1e-5);
      });
  });

  test("trains as one batch as large in mixed precision but for roundings to f16", async () => {
    const device = await open();
    if (!device.facts.f16) return;
    const states: Map<string, number[]>[] = [];
    for (const batches of [{ batchSize: 8 }, { batchSize: 4, accumulate: 2 }]) {
      const trainer = makeTrainer(device, { precision: "mixed", optimizer: sgd({ lr: 0.1 }) });
      await all(trainer.fit(set, { epochs: 1, ...batches }));
      states.push(await stateOf(trainer));
      await trainer.dispose();
    }
    const [whole, parts] = states as [Map<string, number[]>, Map<string, number[]>];
    // Three steps of lr 0.1 on gradients below 1, each rounded to 2⁻¹¹ of itself in either form.
    for (const [name, values] of whole)
      values.forEach((value, i) => {
        expect(Math.abs(parts.get(name)![i]! - value), `${name} ${i}`).toBeLessThan(3 * 0.1 * 2 * 2 ** -11);
      });
  });

  test.each(["f32", "mixed"] as const)(
    "of one batch, looked at idly, has the bits of a plain step in %s: dropout, running statistics and all",
    async (precision) => {
      const device = await open();
      if (!device.facts.f16 && precision === "mixed") return;
      const options = { optimizer: adamW({ lr: 0.01, clipNorm: 0.5 }), precision, norm: true, dropout: 0.3 };
      const [plain, split] = [makeTrainer(device, options), makeTrainer(device, options)];
      const run = { epochs: 2, batchSize: 8 };
      const epochs = await all(plain.fit(set, run));
      const others = await all(split.fit(set, { ...run, onGradients: () => {} }));
      expect(others.map(({ loss, accuracy }) => [loss, accuracy])).toEqual(
        epochs.map(({ loss, accuracy }) => [loss, accuracy]),
      );
      expect(await stateOf(split)).toEqual(await stateOf(plain));
      await plain.dispose();
      await split.dispose();
    },
  );

  test("draws dropout by the seed, other numbers for each batch", async () => {
    const device = await open();
    const run = async (seed: number) => {
      const trainer = makeTrainer(device, { dropout: 0.5, seed });
      // One example, time and again: only dropout tells the losses apart.
      const one = noise([1, 6]).data;
      const repeated = arrays({
        x: { shape: [8, 6], dtype: "f32", data: Float32Array.from({ length: 48 }, (_, i) => one[i % 6]!) },
        y: { shape: [8], dtype: "i32", data: new Int32Array(8) },
      });
      const losses: number[] = [];
      await all(
        trainer.fit(repeated, {
          epochs: 2,
          batchSize: 1,
          accumulate: 3,
          onStep: ({ loss }) => losses.push(loss),
        }),
      );
      const state = await stateOf(trainer);
      await trainer.dispose();
      return { losses, state };
    };
    const first = await run(7);
    expect(await run(7)).toEqual(first);
    expect((await run(8)).losses).not.toEqual(first.losses);
  });

  test("clipping by hand is clipNorm, and a flipped sign climbs", async () => {
    const device = await open();
    const norm = 0.2;
    const clip = async (gradients: Gradients) => {
      const list = await gradientsOf(gradients);
      const size = Math.sqrt(list.flatMap(({ data }) => [...data]).reduce((sum, g) => sum + g * g, 0));
      for (const { name, data } of list)
        gradients.write(
          name,
          Array.from(data, (g) => (g * norm) / Math.max(norm, size)),
        );
    };
    const flip = async (gradients: Gradients) => {
      for (const { name, data } of await gradientsOf(gradients))
        gradients.write(
          name,
          Array.from(data, (g) => -g),
        );
    };
    const run = async (options: Options, onGradients?: (gradients: Gradients) => Promise<void>) => {
      const trainer = makeTrainer(device, options);
      const [epoch] = await all(trainer.fit(set, { epochs: 1, batchSize: 11, onGradients }));
      const state = await stateOf(trainer);
      await trainer.dispose();
      return { loss: epoch!.loss, state };
    };
    const precision = device.facts.f16 && where === "webgpu" ? "mixed" : "f32";
    const [byRule, byHand] = [
      await run({ precision, optimizer: sgd({ lr: 0.1, clipNorm: norm }) }),
      await run({ precision, optimizer: sgd({ lr: 0.1 }) }, clip),
    ];
    for (const [name, values] of byRule.state)
      values.forEach((value, i) => {
        expect(byHand.state.get(name)![i], name).toBeCloseTo(value, 5);
      });
    const first = (await run({ optimizer: sgd({ lr: 0 }) })).state;
    const down = (await run({ optimizer: sgd({ lr: 0.1 }) })).state;
    const up = (await run({ optimizer: sgd({ lr: 0.1 }) }, flip)).state;
    // The first of the two steps goes as far, the other way; the second one not quite.
    const bias = (state: Map<string, number[]>) => state.get("2.bias")!;
    bias(first).forEach((b, i) => {
      expect(Math.sign(bias(up)[i]! - b)).toBe(-Math.sign(bias(down)[i]! - b));
    });
  });
});

describe("between gradients and update", () => {
  const device = cpuBackend();

  test("wrong names and lengths are one sentence, and nothing of the step is applied", async () => {
    for (const [change, message] of [
      [
        async (g: Gradients) => void (await g.read("4.weight")),
        /^There is no gradient of "4\.weight"; there are those of 0\.weight, 0\.bias, 1\.weight/,
      ],
      [(g: Gradients) => g.write("head", [1]), /^There is no gradient of "head"; there are those of/],
      [
        (g: Gradients) => g.write("0.bias", [1, 2]),
        /^The gradient of "0\.bias" has 8 numbers, and 2 were given; give as many\.$/,
      ],
      [
        () => {
          throw new Error("enough");
        },
        /^enough$/,
      ],
    ] as const) {
      const trainer = makeTrainer(device, { norm: true });
      const before = await stateOf(trainer);
      await expect(
        all(trainer.fit(set, { epochs: 1, batchSize: 11, accumulate: 2, onGradients: change })),
      ).rejects.toThrow(message);
      expect(trainer.step).toBe(0);
      expect(await stateOf(trainer)).toEqual(before);
    }
  });

  test("numbers that are not finite change nothing, running statistics included", async () => {
    const trainer = makeTrainer(device, { norm: true });
    const before = await stateOf(trainer);
    const spoil = (g: Gradients) => g.write("0.bias", new Array(8).fill(Number.NaN));
    const error = await all(
      trainer.fit(set, { epochs: 1, batchSize: 8, accumulate: 2, onGradients: spoil }),
    ).catch((e) => e);
    expect(error).toBeInstanceOf(NonFiniteError);
    expect(error.message).toMatch(
      /^Step 1 is not finite: its gradients as onGradients left them\. Nothing of it was applied/,
    );
    expect(await stateOf(trainer)).toEqual(before);
    await all(trainer.fit(set, { epochs: 1, batchSize: 8, accumulate: 2 }));
    expect(trainer.step).toBe(2);
  });

  test("a batch whose loss is not finite is replayed to say where", async () => {
    const bad = { ...x, data: x.data.slice() };
    bad.data[15 * 6] = Number.POSITIVE_INFINITY;
    const trainer = makeTrainer(device);
    await expect(
      all(trainer.fit(arrays({ x: bad, y }), { epochs: 1, batchSize: 5, accumulate: 2, shuffle: false })),
    ).rejects.toThrow(/^Step 2 is not finite: the activations of layer 0, linear\(6 → 8\)/);
  });

  test("the batches are counted as PyTorch counts them, and more than there are rows are refused", async () => {
    const trainer = makeTrainer(device, { norm: true });
    await all(trainer.fit(set, { epochs: 2, batchSize: 4, accumulate: 4 }));
    expect(trainer.step).toBe(4);
    const { model } = await trainer.checkpoint();
    expect(model.tensors.get("1.num_batches_tracked")!.data).toEqual(BigInt64Array.of(12n));
    expect(trainer.model.batchesTracked).toBe(12);
    await expect(trainer.fit(set, { epochs: 1, batchSize: 1, accumulate: 1024 }).next()).rejects.toThrow(
      /^The number of batches to accumulate is 1024; use a whole number from 1 to 1023\.$/,
    );
  });

  test("streams go the same way", async () => {
    const source = () =>
      [0, 4, 8, 12, 16, 20].map((from) => {
        const to = Math.min(22, from + 4);
        return { input: rows(x, from, to), target: rows(y, from, to) };
      });
    const [resident, streamed] = [makeTrainer(device, { norm: true }), makeTrainer(device, { norm: true })];
    const run = { epochs: 2, accumulate: 4 };
    await all(resident.fit(set, { ...run, batchSize: 4, shuffle: false }));
    await all(streamed.fit(stream(source, { input: f32(4, 6), target: i32(4) }), run));
    expect(streamed.step).toBe(4);
    expect(await stateOf(streamed)).toEqual(await stateOf(resident));
  });
});

test("gradients under a loss scale are shown without it", async () => {
  const device = await gpu();
  if (!device.facts.f16) return;
  const seen: number[][] = [];
  for (const precision of ["f32", "mixed"] as const) {
    const trainer = makeTrainer(device, { precision, optimizer: sgd({ lr: 0 }) });
    await all(
      trainer.fit(set, {
        epochs: 1,
        batchSize: 22,
        onGradients: async (gradients) => void seen.push([...(await gradients.read("2.bias")).data]),
      }),
    );
    await trainer.dispose();
  }
  seen[0]!.forEach((g, i) => {
    // Roundings to f16 on the way.
    expect(Math.abs(seen[1]![i]! - g)).toBeLessThan(1e-2);
    expect(Math.abs(g)).toBeGreaterThan(1e-4);
  });
});
