import { expect, test } from "vitest";
import { loadCifar10 } from "../../src/data/node/cifar10-files.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import { imageModel } from "../../src/nn/models.ts";
import { adamW } from "../../src/optim/optimizers.ts";
import { oneCycle } from "../../src/optim/schedules.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { cifar10Folder } from "../support/cifar10.ts";
import { gpu } from "../support/gpu.ts";

const SAMPLE = cifar10Folder();

test("the small CNN learns from CIFAR-10's files", { timeout: 300_000 }, async () => {
  const { train, test: held } = await loadCifar10(SAMPLE);
  expect(train.count).toBeGreaterThanOrEqual(1000);
  const trainer = new Trainer({
    device: await gpu(),
    model: imageModel("cnn", { shape: train.shape, classes: 10 }),
    loss: crossEntropy(),
    optimizer: adamW({ lr: oneCycle({ peak: 3e-3 }), weightDecay: 5e-4 }),
  });
  const losses: number[] = [];
  let accuracy = 0;
  for await (const epoch of trainer.fit(train, { epochs: 3, batchSize: 64, validation: held })) {
    losses.push(epoch.loss);
    accuracy = epoch.validation!.accuracy!;
  }
  expect(losses[2]).toBeLessThan(losses[0]! * 0.85);
  // Chance is 10 %.
  expect(accuracy).toBeGreaterThan(0.35);
  await trainer.dispose();
});
