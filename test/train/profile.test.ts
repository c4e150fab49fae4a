import { expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { shapes } from "../../src/data/shapes.ts";
import * as nn from "../../src/nn/layers.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
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
});
