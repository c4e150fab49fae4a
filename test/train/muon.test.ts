// Muon and its like in a trainer: matrices and the rest apart, on the adapter as on the CPU, in checkpoints and resumed.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { OptionError } from "../../src/core/errors.ts";
import { arrays } from "../../src/data/arrays.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import * as nn from "../../src/nn/index.ts";
import { adamW, lamb, muon, type Optimizer, sgd } from "../../src/optim/index.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpu } from "../support/gpu.ts";
import { all, backends, labels, noise, stateOf } from "./support.ts";

const data = arrays({ x: noise([24, 4]), y: labels(24, 3) });
const make = (
  device: Awaited<ReturnType<typeof gpu>> | ReturnType<typeof cpuBackend>,
  optimizer: Optimizer,
) =>
  new Trainer({
    device,
    model: nn.sequential(
      nn.linear({ in: 4, out: 6, bias: false }), // before batch norm its gradient is noise
      nn.batchNorm(6),
      nn.tanh(),
      nn.linear({ in: 6, out: 4 }),
      nn.linear({ in: 4, out: 3 }),
    ),
    loss: crossEntropy(),
    optimizer,
  });
const train = (trainer: Trainer, epochs: number) => all(trainer.fit(data, { epochs, batchSize: 12 }));

const OPTIMIZERS: [string, () => Optimizer][] = [
  ["muon", () => muon({ lr: 0.02, weightDecay: 0.1, rest: adamW({ lr: 0.01 }) })],
  [
    "muon with lookahead, average and groups",
    () =>
      muon({
        lr: 0.02,
        lookahead: { k: 2 },
        ema: { decay: 0.5 },
        clipNorm: 0.5,
        groups: [{ match: "4.*", lr: 0.01 }],
      }),
  ],
  ["lamb", () => lamb({ lr: 0.05, weightDecay: 0.1 })],
  [
    "lamb by groups, with lookahead",
    () => lamb({ lr: 0.05, lookahead: { k: 3 }, groups: [{ match: "*.bias", weightDecay: 0 }] }),
  ],
  ["sgd, clipped by tensors", () => sgd({ lr: 0.5, momentum: 0.5, clipTensorNorm: 0.05, clipValue: 0.02 })],
];

describe.each(OPTIMIZERS)("%s", (_, optimizer) => {
  test("steps on the adapter as on the CPU", async () => {
    const [ours, theirs] = [make(await gpu(), optimizer()), make(cpuBackend(), optimizer())];
    await train(ours, 2);
    await train(theirs, 2);
    const expected = await stateOf(theirs);
    for (const [name, values] of await stateOf(ours))
      values.forEach((value, i) => {
        // Four steps apart in float32, by products of another order.
        const far = Math.abs(value - expected.get(name)![i]!);
        expect(far, `${name}[${i}]: ${value}, ${expected.get(name)![i]}`).toBeLessThan(2e-3);
      });
    await ours.dispose();
  });

  test.each(backends)("resumes to the same bits on %s", async (_name, open) => {
    const device = await open();
    const whole = make(device, optimizer());
    await train(whole, 4);
    const half = make(device, optimizer());
    await train(half, 2);
    const rest = make(device, optimizer());
    rest.restore(await half.checkpoint(), "half");
    await train(rest, 4);
    expect(await stateOf(rest)).toEqual(await stateOf(whole));
    for (const trainer of [whole, half, rest]) await trainer.dispose();
  });
});

test("Muon's frozen groups are frozen, vectors included", async () => {
  const groups = [
    { match: "0.**", lr: 0.01 },
    { match: "3.**", frozen: true },
    { match: "1.*", frozen: true },
  ];
  const trainer = make(cpuBackend(), muon({ lr: 0.02, groups }));
  const before = await stateOf(trainer);
  await train(trainer, 1);
  const after = await stateOf(trainer);
  for (const name of ["3.weight", "3.bias", "1.weight", "1.bias"])
    expect(after.get(name), name).toEqual(before.get(name));
  for (const name of ["0.weight", "4.weight", "4.bias"])
    expect(after.get(name), name).not.toEqual(before.get(name));
  expect(() => make(cpuBackend(), muon({ lr: 1, groups: [{ match: "*.bias", weightDecay: 0 }] }))).toThrow(
    'muon: the group "*.bias" matches no parameter of two axes or more, which are what it trains; give the group to its rest.',
  );
});

test("Muon trains matrices and leaves vectors to the rest", async () => {
  const trainer = make(cpuBackend(), muon({ lr: 0.02, rest: adamW({ lr: 0.01 }) }));
  const { optimizer } = await trainer.checkpoint();
  const names = [...optimizer.tensors.keys()];
  expect(names.filter((name) => name.endsWith("momentum_buffer"))).toEqual(
    ["0", "3", "4"].map((layer) => `${layer}.weight.momentum_buffer`),
  );
  expect(names).toContain("1.weight.exp_avg_sq");
  expect(optimizer.metadata.optimizer).toBe("muon and adamW");
  expect(() => muon({ lr: 1, steps: 0 })).toThrow(OptionError);
  expect(() => muon({ lr: 1, steps: 0 })).toThrow("muon: steps is 0; use a whole number of at least 1.");
  expect(() => muon({ lr: 1, clipTensorNorm: 1 })).toThrow("leave clipTensorNorm out");
  expect(() => lamb({ lr: 1, clipTensorNorm: 1 })).toThrow("lamb: its steps have the norms of the tensors");
  expect(() => muon({ lr: 1, rest: 1 as never })).toThrow("muon: rest is no optimizer of its own; give one");
  expect(() => muon({ lr: 1, ema: { decay: 0.9 }, rest: sgd({ lr: 1 }) })).toThrow(
    "give rest the same ema or swa",
  );
});
