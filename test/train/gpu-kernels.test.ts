// What a GPU gets by default is another choice of kernels than the software driver's: here those train on the driver, too.
import { expect, test } from "vitest";
import "../../src/backend/webgpu/dawn.ts";
import { WebGPUBackend } from "../../src/backend/webgpu/backend.ts";
import { openDevice } from "../../src/backend/webgpu/device.ts";
import type { AdapterFacts } from "../../src/core/kernel.ts";
import { shapes } from "../../src/data/shapes.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { sgd } from "../../src/optim/optimizers.ts";
import { Trainer } from "../../src/train/trainer.ts";

const block = (input: number, output: number) => [
  nn.conv2d({ in: input, out: output, kernel: 3, padding: "same", bias: false }),
  nn.batchNorm(output),
  nn.relu(),
];
const network = () =>
  nn.sequential(
    ...block(3, 16),
    nn.maxPool2d(2),
    ...block(16, 24),
    nn.flatten(),
    nn.linear({ in: 24 * 16 * 16, out: 32 }),
    nn.relu(),
    nn.linear({ in: 32, out: 10 }),
  );
const { train } = shapes({ train: 96, test: 1 });

/** Losses of six steps with the kernels that an adapter of such facts gets, and which those are. */
async function trained(facts: Partial<AdapterFacts>) {
  const opened = await openDevice();
  const device = new WebGPUBackend({ ...opened, facts: { ...opened.facts, ...facts } });
  const optimizer = sgd({ lr: 0.02, momentum: 0.9 });
  const trainer = new Trainer({ device, model: network(), loss: crossEntropy(), optimizer, seed: 5 });
  const losses: number[] = [];
  const options = { epochs: 2, batchSize: 32, onStep: ({ loss }: { loss: number }) => losses.push(loss) };
  for await (const _ of trainer.fit(train, options));
  const { plan } = await trainer.trainingStep(train, 32);
  await trainer.dispose();
  device.dispose();
  return { losses, kernels: plan.steps.map(({ kernel }) => kernel).join("\n") };
}

test.each([
  ["a GPU", { software: false }],
  [
    "a GPU with WebGPU's lowest limits and no subgroups",
    { software: false, subgroups: false, maxWorkgroupBytes: 16_384, maxInvocations: 256 },
  ],
] as const)("the kernels of %s train as the software driver's do", async (_, facts) => {
  const own = await trained({});
  const { losses, kernels } = await trained(facts);
  for (const kernel of ["conv2d", "conv2dInputGrad", "conv2dWeightGrad", "matmul"])
    expect(kernels).toMatch(new RegExp(`^${kernel}/workgroup`, "m"));
  // Convolutions leave the moments of their results.
  expect(kernels).toMatch(/^batchNorm\/merge/m);
  expect(kernels).not.toMatch(/^batchNorm\/statistics/m);
  expect(losses).toHaveLength(6);
  losses.forEach(
    (loss, i) => void expect(Math.abs(loss - own.losses[i]!)).toBeLessThan(1e-3 * own.losses[i]!),
  );
});
