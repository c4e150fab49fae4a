// Mixed precision: f16 in memory, f32 arithmetic, a loss scale that the GPU keeps.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { CheckpointError, DeviceError, NonFiniteError } from "../../src/core/errors.ts";
import { shapes } from "../../src/data/shapes.ts";
import { feed, reachable, read, standalone } from "../../src/graph/node.ts";
import { mixedPrecision } from "../../src/graph/precision.ts";
import { type Program, programRoots } from "../../src/graph/program.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import { imageModel } from "../../src/nn/models.ts";
import * as f from "../../src/ops/f.ts";
import { LOSS_SCALE } from "../../src/ops/step/stats.ts";
import { adamW } from "../../src/optim/optimizers.ts";
import { oneCycle } from "../../src/optim/schedules.ts";
import { compilePlan } from "../../src/plan/plan.ts";
import { planBytes } from "../../src/plan/print.ts";
import type { Precision, StepMetrics, TrainerOptions } from "../../src/train/options.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpu } from "../support/gpu.ts";

const task = { shape: [3, 32, 32], classes: 10 } as const;
const small = shapes({ train: 64, test: 16, seed: 4 });

function makeTrainer(device: Backend, options: Partial<TrainerOptions> & { name?: string } = {}): Trainer {
  const { name = "tiny", ...rest } = options;
  return new Trainer({
    device,
    model: imageModel(name, task),
    loss: crossEntropy(),
    optimizer: adamW({ lr: 1e-3 }),
    precision: "mixed",
    ...rest,
  });
}

const parametersOf = (trainer: Trainer, device: Backend) =>
  Promise.all(trainer.model.parameters.map((v) => device.read(v)));

async function trainFor(trainer: Trainer, epochs: number): Promise<StepMetrics[]> {
  const steps: StepMetrics[] = [];
  const options = { epochs, batchSize: 16, onStep: (step: StepMetrics) => steps.push(step) };
  for await (const epoch of trainer.fit(small.train, options))
    expect(epoch.skipped).toBe(steps.filter((s) => s.epoch === epoch.epoch && s.skipped).length);
  return steps;
}

/** The flat gradients of a first step, the loss scale taken out. */
async function gradientsOf(device: Backend, precision: Precision, fuse = true): Promise<Float64Array> {
  const trainer = makeTrainer(device, { precision });
  const program = trainer.programs(small.train, 16)[0]!;
  const nodes = reachable(programRoots(program));
  const stats = nodes.find((node) => node.op?.name === "gradientStats")!;
  const outputs = { gradients: stats.inputs[2]! };
  const executable = await device.compile({ name: "gradients", outputs }, { fuse });
  executable.run({ counters: trainer.feeds(0, 0, 10).counters });
  const { data } = await executable.fetch("gradients");
  executable.dispose();
  await trainer.dispose();
  const scale = precision === "mixed" ? LOSS_SCALE.initial : 1;
  return Float64Array.from(data, (x) => x / scale);
}

const norm = (x: Float64Array) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
const distance = (a: Float64Array, b: Float64Array) => norm(a.map((v, i) => v - b[i]!)) / norm(b);

describe("a step", () => {
  // A rounding to f16 is off by 2⁻¹¹ at most; a gradient is the outcome of some ten of them, and of ReLUs and maxima
  // that they turn over.
  test("has the gradients of f32 but for the roundings to f16", async () => {
    const mixed = await gradientsOf(await gpu(), "mixed");
    const off = distance(mixed, await gradientsOf(await gpu(), "f32"));
    expect(off).toBeGreaterThan(2 ** -14);
    expect(off).toBeLessThan(0.02);
  });

  test("is the same on the CPU, and without fusion, but for which way some of them go", async () => {
    const mixed = await gradientsOf(await gpu(), "mixed");
    expect(distance(await gradientsOf(cpuBackend(), "mixed"), mixed)).toBeLessThan(0.01);
    expect(distance(await gradientsOf(await gpu(), "mixed", false), mixed)).toBeLessThan(0.01);
  });

  test("needs little more than half the temporaries, and keeps variables and arithmetic f32", async () => {
    const device = await gpu();
    const plans = (["f32", "mixed"] as const).map((precision) => {
      const trainer = makeTrainer(device, { name: "cnn", precision });
      const program = trainer.programs(small.train, 64)[0]!;
      void trainer.dispose();
      return compilePlan(program, device.facts);
    });
    const [full, half] = plans.map((plan) => planBytes(plan).temporaries) as [number, number];
    expect(half / full).toBeLessThan(0.6);
    for (const arena of plans[1]!.arenas) expect(arena.dtype).not.toBe("f16");
    for (const { node } of plans[1]!.steps)
      for (const x of node.inputs)
        if (x.dtype === "f16") expect(["cast", "reshape"], node.op!.name).toContain(node.op!.name);
  });
});

test("a variable that a product reads in f16 keeps its own digits", async () => {
  const device = await gpu();
  const w = standalone("w", [2, 2]);
  const start = Float32Array.of(1.0001, 2.0003, -3.0007, 4.0011);
  device.write(w, start);
  const value = read(w);
  const program: Program = {
    name: "update",
    outputs: { y: f.matmul(feed("x", [2, 2]), value) },
    updates: [{ variable: w, value: f.mul(value, 1) }],
  };
  const executable = await device.compile(mixedPrecision(program));
  executable.run({ x: Float32Array.of(1, 0, 0, 1) });
  const { data: y } = await executable.fetch("y");
  start.forEach((v, i) => {
    expect(y[i]).not.toBe(v);
    expect(Math.abs(y[i]! - v)).toBeLessThan(2 ** -10 * Math.abs(v));
  });
  expect(await device.read(w)).toEqual(start);
  executable.dispose();
  device.release(w.arena);
});

describe("the loss scale", () => {
  test("halves when a gradient overflows, and the step changes nothing", async () => {
    const device = await gpu();
    const trainer = makeTrainer(device);
    trainer.state.resetStats({ scale: LOSS_SCALE.largest, good: 5, skipped: 2 });
    // Gradients of the mean over a batch of 1 times 2²⁴ are far beyond 65504.
    const before = await parametersOf(trainer, device);
    const step = await trainer.trainingStep(small.train, 16);
    step.run(trainer.feeds(0, 0, 10));
    expect(await parametersOf(trainer, device)).toEqual(before);
    const half = LOSS_SCALE.largest / 2;
    expect(await trainer.state.lossScaler()).toEqual({ scale: half, good: 0, skipped: 3 });
    await trainer.dispose();
  });

  test("is found within a run, which reports what it skipped and trains on", async () => {
    const device = await gpu();
    const trainer = makeTrainer(device);
    trainer.state.resetStats({ scale: LOSS_SCALE.largest, good: 0, skipped: 0 });
    const steps = await trainFor(trainer, 4);
    const { scale, good, skipped } = await trainer.state.lossScaler();
    expect(skipped).toBeGreaterThan(0);
    expect(steps.filter((s) => s.skipped)).toHaveLength(skipped);
    expect(scale).toBe(LOSS_SCALE.largest / 2 ** skipped);
    expect(steps.slice(-good).some((s) => s.skipped)).toBe(false);
    expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss);
    for (const s of steps) expect(Number.isFinite(s.gradientNorm)).toBe(!s.skipped);
    await trainer.dispose();
  });

  test("doubles after enough good steps", async () => {
    const device = await gpu();
    const trainer = makeTrainer(device);
    trainer.state.resetStats({ scale: 1024, good: LOSS_SCALE.interval - 2, skipped: 0 });
    await trainFor(trainer, 1);
    expect(await trainer.state.lossScaler()).toEqual({ scale: 2048, good: 2, skipped: 0 });
    await trainer.dispose();
  });

  test("cannot help where activations leave the range of f16: training halts and says where", async () => {
    const device = await gpu();
    const normalization = { mean: [0, 0, 0], std: [1e-6, 1e-6, 1e-6] };
    const trainer = makeTrainer(device, { normalization });
    const before = await parametersOf(trainer, device);
    const training = trainFor(trainer, 1);
    await expect(training).rejects.toThrow(NonFiniteError);
    await expect(training).rejects.toThrow(/Step 1 is not finite: the activations of layer 0, conv2d/);
    expect(await parametersOf(trainer, device)).toEqual(before);
    await trainer.dispose();
  });
});

test("a resumed run goes on to the same bits, its loss scale included", async () => {
  const device = await gpu();
  const whole = makeTrainer(device);
  const first = makeTrainer(device);
  for (const trainer of [whole, first])
    trainer.state.resetStats({ scale: LOSS_SCALE.largest, good: 0, skipped: 0 });
  await trainFor(whole, 3);
  await trainFor(first, 1);
  const second = makeTrainer(device);
  const checkpoint = await first.checkpoint();
  second.restore(checkpoint, "here");
  expect(await second.state.lossScaler()).toEqual(await first.state.lossScaler());
  await trainFor(second, 3);
  expect(await second.checkpoint()).toEqual(await whole.checkpoint());
  const inF32 = makeTrainer(device, { precision: "f32" });
  expect(() => inF32.restore(checkpoint, "here")).toThrow(CheckpointError);
  expect(() => inF32.restore(checkpoint, "here")).toThrow(
    /here was trained in mixed precision, this run is in f32/,
  );
  for (const trainer of [whole, first, second, inF32]) await trainer.dispose();
});

test("an adapter without shader-f16 is told so, by the trainer and by the planner", async () => {
  const device = await gpu();
  const facts = { ...device.facts, f16: false };
  const without: Backend = Object.create(device, { facts: { value: facts } });
  expect(() => makeTrainer(without)).toThrow(DeviceError);
  expect(() => makeTrainer(without)).toThrow(
    /Mixed precision needs shader-f16, which the adapter .* train in f32/,
  );
  const x = feed("x", [4]);
  const program: Program = { name: "cast", outputs: { y: f.cast(x, { dtype: "f16" }) } };
  expect(() => compilePlan(program, facts)).toThrow(DeviceError);
  expect(() => compilePlan(program, facts)).toThrow(/elementwise\/cast: uses f16, which the adapter/);
});

test("f16 tensors go to the device and come back", async () => {
  const values = Float32Array.of(0, -0, 1, -2.5, 65504, 2 ** -24, Number.POSITIVE_INFINITY);
  for (const device of [await gpu(), cpuBackend()]) {
    const variable = standalone("half", [7], "f16");
    device.write(variable, values);
    expect(await device.read(variable)).toEqual(values);
    const outputs = {
      wide: f.cast(read(variable), { dtype: "f32" }),
      same: f.cast(feed("x", [7], "f16"), { dtype: "f16" }),
    };
    const executable = await device.compile({ name: "round trip", outputs });
    executable.run({ x: values });
    expect((await executable.fetch("wide")).data).toEqual(values);
    expect((await executable.fetch("same")).data).toEqual(values);
    executable.dispose();
    device.release(variable.arena);
  }
});

test("the small CNN learns the generated set in mixed precision as it does in f32", {
  timeout: 300_000,
}, async () => {
  const device = await gpu();
  const split = shapes();
  const accuracy = async (precision: Precision) => {
    const trainer = makeTrainer(device, {
      name: "cnn",
      precision,
      optimizer: adamW({ lr: oneCycle({ peak: 3e-3 }), weightDecay: 5e-4 }),
    });
    let last = 0;
    for await (const epoch of trainer.fit(split.train, { epochs: 3, batchSize: 64, validation: split.test }))
      last = epoch.validation!.accuracy!;
    await trainer.dispose();
    return last;
  };
  const [full, mixed] = [await accuracy("f32"), await accuracy("mixed")];
  expect(mixed).toBeGreaterThanOrEqual(0.9);
  // Three seeds of either lie within 0.03 of each other.
  expect(Math.abs(mixed - full)).toBeLessThan(0.03);
});
