import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { shapes } from "../../src/data/shapes.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import * as nn from "../../src/nn/layers/index.ts";
import type { Module } from "../../src/nn/module.ts";
import { sgd } from "../../src/optim/optimizers.ts";
import { planBytes } from "../../src/plan/print.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpu } from "../support/gpu.ts";

const block = (input: number, output: number) =>
  nn.sequential(
    nn.conv2d({ in: input, out: output, kernel: 3, padding: "same", bias: false }),
    nn.batchNorm(output),
    nn.gelu(),
    nn.dropout(0.1),
  );

/** Residual blocks, each of them in a region of its own or not. */
const network = (region: (module: Module) => Module) =>
  nn.sequential(
    block(3, 8),
    ...Array.from({ length: 4 }, () => region(nn.residual(nn.sequential(block(8, 8), block(8, 8))))),
    nn.globalAvgPool2d(),
    nn.linear({ in: 8, out: 10 }),
  );

const { train } = shapes({ train: 16, test: 8, seed: 2 });

async function trainFor(device: Backend, region: (module: Module) => Module, size: number) {
  const trainer = new Trainer({
    device,
    model: network(region),
    loss: crossEntropy(),
    optimizer: sgd({ lr: 0.05 }),
    seed: 4,
  });
  const { plan } = (await trainer.trainingStep(train, size)) as unknown as {
    plan: Parameters<typeof planBytes>[0];
  };
  for await (const _ of trainer.fit(train, { epochs: 1, batchSize: size }));
  const { model } = await trainer.checkpoint();
  await trainer.dispose();
  return { plan, tensors: model.tensors };
}

describe("regions that are computed again for the backward pass", () => {
  test("change no bit of training on the reference", async () => {
    const plain = await trainFor(cpuBackend(), (module) => module, 4);
    const again = await trainFor(cpuBackend(), nn.checkpoint, 4);
    expect([...again.tensors.keys()]).toEqual([...plain.tensors.keys()]);
    for (const [name, tensor] of plain.tensors) expect(again.tensors.get(name), name).toEqual(tensor);
  });

  test("take less memory on the device and train to the same weights", async () => {
    const device = await gpu();
    const plain = await trainFor(device, (module) => module, 8);
    const again = await trainFor(device, nn.checkpoint, 8);
    expect(planBytes(again.plan).temporaries).toBeLessThan(0.6 * planBytes(plain.plan).temporaries);
    for (const [name, { data }] of plain.tensors) {
      const other = again.tensors.get(name)!.data;
      const scale = Math.max(...Array.from(data as Float32Array, (v) => Math.abs(Number(v))));
      for (let i = 0; i < data.length; i++)
        expect(Math.abs(Number(data[i]) - Number(other[i])), name).toBeLessThanOrEqual(1e-4 * scale);
    }
  });

  test("a region of one layer names its parameters like the layer in a sequence of one", () => {
    expect(Object.keys(nn.checkpoint(nn.linear({ in: 2, out: 2 })).children!)).toEqual(["0"]);
  });
});
