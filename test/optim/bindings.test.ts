// The buffers that an update binds: as many as an adapter allows, and what to leave out beyond.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { DeviceError } from "../../src/core/errors.ts";
import { arrays } from "../../src/data/arrays.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { adam, type Optimizer, rmsProp, rule, sgd } from "../../src/optim/index.ts";
import { compilePlan } from "../../src/plan/plan.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { GPU_FACTS } from "../support/facts.ts";
import { labels, noise } from "../train/support.ts";

const data = arrays({ x: noise([8, 3]), y: labels(8, 2) });

/** The plan of a training step for an adapter whose shaders bind so many buffers. */
function planFor(optimizer: Optimizer, maxBindings: number) {
  const trainer = new Trainer({
    device: cpuBackend(),
    model: nn.sequential(nn.linear({ in: 3, out: 4 }), nn.relu(), nn.linear({ in: 4, out: 2 })),
    loss: crossEntropy(),
    optimizer,
  });
  return compilePlan(trainer.programs(data, 8)[0]!, { ...GPU_FACTS, maxBindings });
}
const mostOf = (optimizer: Optimizer, maxBindings: number) =>
  Math.max(...planFor(optimizer, maxBindings).steps.map(({ bindings }) => bindings.length));

const around = { ema: { decay: 0.9 }, groups: [{ match: "0.**", lr: 0.1 }], clipNorm: 1, clipValue: 1 };
const keeping = (count: number) => {
  const slots = Array.from({ length: count }, (_, k) => `slot${k}`);
  return rule(
    { name: "hoarder", slots, hyper: { lr: 1 } },
    ({ g: _, lr: __, step: ___, ...kept }) => kept as never,
  )({});
};

describe("with ten buffers", () => {
  test.each<[string, () => Optimizer, number]>([
    ["amsgrad", () => adam({ lr: 1, amsgrad: true, lookahead: {}, ...around }), 10],
    [
      "centred RMSprop",
      () => rmsProp({ lr: 1, centered: true, momentum: 0.9, lookahead: {}, ...around }),
      10,
    ],
    ["clipping by tensors", () => adam({ lr: 1, amsgrad: true, clipTensorNorm: 1, ...around }), 10],
    ["Adam and all of it", () => adam({ lr: 1, lookahead: {}, clipTensorNorm: 1, ...around }), 10],
    ["norms of units", () => adam({ lr: 1, amsgrad: true, maxNorm: 1, clipTensorNorm: 1 }), 8],
  ])("%s fits", (_, optimizer, most) => expect(mostOf(optimizer(), 10)).toBe(most));

  test.each<[string, () => Optimizer, string]>([
    [
      "three slots and all of it",
      () => adam({ lr: 1, amsgrad: true, lookahead: {}, clipTensorNorm: 1, ...around }),
      "amsgradLookaheadClipped/average/blocks: binds 11 buffers, the adapter's maxStorageBuffersPerShaderStage is 10; leave out clipTensorNorm, or lookahead, or ema or swa, or groups and frozen parameters.",
    ],
    [
      "a rule that keeps too much",
      () => keeping(7),
      "hoarder: binds 11 buffers, the adapter's maxStorageBuffersPerShaderStage is 10; let the rule keep fewer slots.",
    ],
  ])("%s is refused", (_, optimizer, message) => {
    const plan = () => planFor(optimizer(), 10);
    expect(plan).toThrow(DeviceError);
    expect(plan).toThrow(message);
  });
});

test("with eight, which every adapter has, what is usual fits", () => {
  expect(mostOf(adam({ lr: 1, ...around }), 8)).toBe(8);
  expect(mostOf(sgd({ lr: 1, momentum: 0.9, lookahead: {}, ...around }), 8)).toBe(8);
  expect(() => planFor(adam({ lr: 1, lookahead: {}, ...around }), 8)).toThrow(
    "leave out lookahead, or ema or swa, or groups and frozen parameters.",
  );
});
