import { expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { adapterPeaks } from "../../src/backend/webgpu/peaks.ts";
import type { TunedChoice, TuningStore } from "../../src/backend/webgpu/tuning-store.ts";
import { shapes } from "../../src/data/shapes.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { adamW } from "../../src/optim/optimizers.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { chromeTrace, profileRows, profileTable, type Timeline } from "../../src/train/profile.ts";
import { Trainer, type TrainerOptions } from "../../src/train/trainer.ts";
import { gpu } from "../support/gpu.ts";

const { train } = shapes({ train: 96, test: 8 });
const make = (device: TrainerOptions["device"]) =>
  new Trainer({
    device,
    model: nn.sequential(
      nn.flatten(),
      nn.linear({ in: 3072, out: 32 }),
      nn.relu(),
      nn.linear({ in: 32, out: 10 }),
    ),
    loss: crossEntropy(),
    optimizer: adamW({ lr: 1e-3 }),
  });

test("profiling times every dispatch of some steps and leaves the same bits", async () => {
  const device = await gpu();
  const profiled = make(device);
  const plain = make(device);
  const seen: { plan: Plan; timelines: readonly Timeline[] }[] = [];
  const options = { epochs: 1, batchSize: 16 };
  const profile = {
    steps: 3,
    onProfile: (plan: Plan, timelines: readonly Timeline[]) => seen.push({ plan, timelines }),
  };
  for await (const _epoch of profiled.fit(train, { ...options, profile }));
  for await (const _epoch of plain.fit(train, options));
  const [a, b] = [await profiled.checkpoint(), await plain.checkpoint()];
  for (const [name, tensor] of a.model.tensors)
    expect(tensor.data, name).toEqual(b.model.tensors.get(name)!.data);

  expect(seen.length).toBe(1);
  const { plan, timelines } = seen[0]!;
  expect(timelines.length).toBe(3);
  for (const timeline of timelines) {
    expect(timeline.length).toBe(plan.steps.length);
    for (const [begin, end] of timeline) expect(end).toBeGreaterThanOrEqual(begin);
  }
  const rows = profileRows(plan, timelines);
  expect(rows.reduce((n, row) => n + row.share, 0)).toBeCloseTo(1, 6);
  expect(profileTable(plan, timelines).split("\n").length).toBe(plan.steps.length + 3);
  const { traceEvents } = JSON.parse(chromeTrace(plan, timelines));
  expect(traceEvents.length).toBe(3 * plan.steps.length);
  expect(traceEvents[0]).toMatchObject({ ph: "X", name: plan.steps[0]!.kernel });
  await profiled.dispose();
  await plain.dispose();
});

test("the CPU reference says that it has no profile", async () => {
  const trainer = make(cpuBackend());
  const fit = trainer.fit(train, { epochs: 1, batchSize: 16, profile: { steps: 1, onProfile: () => {} } });
  await expect(fit.next()).rejects.toThrow(/CPU reference has no profile; use the WebGPU backend/);
});

test("times below the clock's resolution are marked, and make no rate", () => {
  const node = { outputs: [{ shape: [4], dtype: "f32" }] } as never;
  const step = (kernel: string) =>
    ({ kernel, source: "", bindings: [], workgroups: [1, 1, 1], node, flops: 1e6, bytes: 1e3 }) as const;
  const plan = { name: "plan", steps: [step("slow"), step("quick")] } as unknown as Plan;
  const timelines: Timeline[] = [
    [
      [0, 2],
      [2, 2],
    ],
    [
      [0, 2],
      [2, 2.065],
    ],
    [
      [0, 2],
      [2, 2],
    ],
  ];
  const [slow, quick] = profileRows(plan, timelines);
  expect(slow).toMatchObject({ kernel: "slow", milliseconds: 2, gflops: 0.5, belowResolution: false });
  expect(quick).toMatchObject({ kernel: "quick", gflops: undefined, belowResolution: true });
  expect(profileTable(plan, timelines)).toContain("≤ 0.065");

  // 1e6 operations and 1e3 bytes in 2 ms are 0.5 GFLOP/s and 0.0005 GB/s: the roof that is closer counts.
  expect(profileRows(plan, timelines, { gflops: 2, gigabytesPerSecond: 1 })[0]!.ofPeak).toBe(0.25);
  expect(profileRows(plan, timelines, { gflops: 2, gigabytesPerSecond: 0.001 })[0]!.ofPeak).toBe(0.5);
  const peaks = { gflops: 2, gigabytesPerSecond: 1 };
  expect(profileTable(plan, timelines, peaks)).toMatch(
    / 25 % {2}slow[\s\S]*measured peak: 2\.0 GFLOP\/s, 1\.0 GB\/s/,
  );
  const { traceEvents } = JSON.parse(chromeTrace(plan, timelines, peaks));
  expect(traceEvents[0].args).toMatchObject({ gflops: 0.5, ofPeak: 0.25 });
  expect(traceEvents[1].args).toMatchObject({ belowResolution: true });
});

test("the adapter's peaks are the best ever measured, kept in the tuner's store", async () => {
  const device = await gpu();
  const kept = new Map<string, TunedChoice>();
  const store: TuningStore = {
    place: "memory",
    excluded: async () => new Map(),
    exclude: async () => {},
    load: async () => kept,
    save: async (_adapter, choices) => {
      for (const [key, choice] of choices) kept.set(key, choice);
    },
  };
  const before = device.bytes;
  const peaks = await adapterPeaks(device, store);
  expect(peaks.gflops).toBeGreaterThan(0);
  expect(peaks.gigabytesPerSecond).toBeGreaterThan(0);
  expect([...kept.values()].map(({ choice }) => Number(choice))).toEqual([
    expect.closeTo(peaks.gflops, -Math.floor(Math.log10(peaks.gflops)) + 2),
    expect.closeTo(peaks.gigabytesPerSecond, -Math.floor(Math.log10(peaks.gigabytesPerSecond)) + 2),
  ]);
  // The peaks' own tensors are gone, but for what temporaries share.
  expect(device.bytes).toBeLessThan(before + 2 ** 26);
  const keep = (choice: string, sources = "") => {
    for (const [key, entry] of kept) kept.set(key, { choice, sources: sources || entry.sources });
  };
  // A better one stays, a worse one does not, and one of another kernel says nothing.
  keep("1e9");
  expect(await adapterPeaks(device, store)).toEqual({ gflops: 1e9, gigabytesPerSecond: 1e9 });
  keep("1e-9");
  expect((await adapterPeaks(device, store)).gflops).toBeGreaterThan(1e-9);
  keep("1e9", "another");
  expect((await adapterPeaks(device, store)).gflops).toBeLessThan(1e9);
});
