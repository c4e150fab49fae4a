// Checkpoints in memory and on disk.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { CheckpointError, FileError, NonFiniteError } from "../../src/core/errors.ts";
import { shapes } from "../../src/data/shapes.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { adam, type Optimizer, sgd } from "../../src/optim/optimizers.ts";
import type { Checkpoint } from "../../src/train/checkpoint.ts";
import {
  newestCheckpoint,
  readTensors,
  saveCheckpoint,
  savedSteps,
} from "../../src/train/node/checkpoint-files.ts";
import { NodeTrainer } from "../../src/train/node/trainer.ts";

const DATA = shapes({ train: 24, test: 10 }).train;

function makeTrainer(options: { seed?: number; optimizer?: Optimizer; width?: number } = {}): NodeTrainer {
  const { seed = 3, optimizer = adam({ lr: 1e-3 }), width = 4 } = options;
  const model = nn.sequential(
    nn.conv2d({ in: 3, out: width, kernel: 3, stride: 4 }),
    nn.batchNorm(width),
    nn.relu(),
    nn.flatten(),
    nn.linear({ in: width * 64, out: 10 }),
  );
  return new NodeTrainer({ device: cpuBackend(), model, loss: crossEntropy(), optimizer, seed });
}

async function train(trainer: NodeTrainer, epochs: number): Promise<number> {
  let loss = Number.NaN;
  for await (const epoch of trainer.fit(DATA, { epochs, batchSize: 8 })) loss = epoch.loss;
  return loss;
}

/** A checkpoint with some metadata of the optimizer's file changed. */
const withMetadata = (checkpoint: Checkpoint, metadata: Record<string, string>): Checkpoint => ({
  ...checkpoint,
  optimizer: { ...checkpoint.optimizer, metadata: { ...checkpoint.optimizer.metadata, ...metadata } },
});

describe("in memory", () => {
  test("names and shapes are PyTorch's, with the count of batches", async () => {
    const trainer = makeTrainer();
    await train(trainer, 1);
    const { model, optimizer } = await trainer.checkpoint({ name: "mine" });
    expect(Object.fromEntries([...model.tensors].map(([name, { shape }]) => [name, shape]))).toEqual({
      "0.weight": [4, 3, 3, 3],
      "0.bias": [4],
      "1.weight": [4],
      "1.bias": [4],
      "1.running_mean": [4],
      "1.running_var": [4],
      "1.num_batches_tracked": [],
      "4.weight": [10, 256],
      "4.bias": [10],
    });
    expect(model.tensors.get("1.num_batches_tracked")!.data).toEqual(BigInt64Array.of(3n));
    expect(optimizer.tensors.size).toBe(2 * 6);
    expect(optimizer.metadata).toMatchObject({ step: "3", seed: "3", optimizer: "adam", name: "mine" });
  });

  test("a restored trainer goes on to the same bits", async () => {
    const whole = makeTrainer();
    const loss = await train(whole, 2);
    const first = makeTrainer();
    await train(first, 1);
    const second = makeTrainer();
    expect(second.restore(await first.checkpoint({ name: "mine" }), "here")).toMatchObject({ name: "mine" });
    expect(second.step).toBe(3);
    expect(await train(second, 2)).toBe(loss);
    expect(await second.checkpoint()).toEqual(await whole.checkpoint());
  });

  test("what does not belong is refused, and nothing has changed", async () => {
    const first = makeTrainer();
    await train(first, 1);
    const checkpoint = await first.checkpoint();
    const refuse = async (trainer: NodeTrainer, given: Checkpoint, sentence: RegExp) => {
      const before = await trainer.checkpoint();
      expect(() => trainer.restore(given, "here")).toThrow(CheckpointError);
      expect(() => trainer.restore(given, "here")).toThrow(sentence);
      expect(await trainer.checkpoint()).toEqual(before);
    };
    await refuse(makeTrainer({ seed: 4 }), checkpoint, /was trained with seed 3, this run has 4/);
    await refuse(makeTrainer({ optimizer: sgd({ lr: 1 }) }), checkpoint, /state of adam, the run uses sgd/);
    await refuse(makeTrainer({ width: 5 }), checkpoint, /"0\.weight\.exp_avg" is F32 \[4, 3, 3, 3\]/);
    const model = { ...checkpoint.model, tensors: new Map(checkpoint.model.tensors) };
    model.tensors.delete("1.running_var");
    await refuse(makeTrainer(), { ...checkpoint, model }, /has no tensor "1\.running_var" \[4\]/);
    const damaged = [
      ["step", "many"],
      ["step", "-1"],
      ["step", "1e400"],
      ["epoch", "null"],
      ["epoch", "{}"],
      ["choices", "7}"],
      ["choices", '{"a":1}'],
      ["batchesTracked", "x"],
      ["normalization", '{"mean":[1]}'],
    ] as const;
    for (const [key, value] of damaged)
      await refuse(
        makeTrainer(),
        withMetadata(checkpoint, { [key]: value }),
        /does not say where the run stood/,
      );
    await refuse(makeTrainer(), withMetadata(checkpoint, { descent: "0" }), /not written by this version/);
  });

  test("a network that is not finite is neither taken from a file nor saved", async () => {
    const trainer = makeTrainer();
    const { model } = await trainer.checkpoint();
    const bias = { dtype: "F32", shape: [4], data: Float32Array.of(0, 0, Number.NaN, 0) } as const;
    const given = { ...model, tensors: new Map(model.tensors).set("0.bias", bias) };
    expect(() => trainer.initializeFrom(given, "file")).toThrow(/^file: element 2 of "0\.bias" is NaN; use/);
    expect((await trainer.checkpoint()).model).toEqual(model);
    trainer.model.tensor("0.bias").write(bias.data);
    await expect(trainer.checkpoint()).rejects.toThrow(NonFiniteError);
    await expect(trainer.checkpoint()).rejects.toThrow(/element 2 of 0\.bias is not finite/);
  });
});

describe("on disk", () => {
  let directory: string;
  let checkpoint: Checkpoint;
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "checkpoints-"));
    checkpoint = await makeTrainer().checkpoint();
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test("the newest is read, older ones than the newest few are removed", async () => {
    for (const step of [1, 2, 1_000_000, 30]) await saveCheckpoint(directory, step, checkpoint, 3);
    expect(await savedSteps(directory)).toEqual([2, 30, 1_000_000]);
    expect(readdirSync(directory).sort()).toEqual(["step-000002", "step-000030", "step-1000000"]);
    const newest = await newestCheckpoint(directory);
    expect(newest.path).toBe(join(directory, "step-1000000"));
    expect(newest.checkpoint).toEqual(checkpoint);
  });

  test("an average is a model file of its own", async () => {
    const trainer = makeTrainer({ optimizer: adam({ lr: 1e-3, ema: { decay: 0.9 } }) });
    await train(trainer, 1);
    const path = await trainer.save(directory);
    expect(readdirSync(path).sort()).toEqual([
      "average.safetensors",
      "model.safetensors",
      "optimizer.safetensors",
    ]);
    const whole = await trainer.checkpoint();
    expect(await readTensors(join(path, "average.safetensors"))).toEqual(whole.average);
    const second = makeTrainer({ optimizer: adam({ lr: 1e-3, ema: { decay: 0.9 } }) });
    await second.resume(directory);
    expect(await second.checkpoint()).toEqual(whole);
  });

  test("the same step can be saved again", async () => {
    for (let i = 0; i < 2; i++) await saveCheckpoint(directory, 7, checkpoint);
    expect(readdirSync(directory)).toEqual(["step-000007"]);
  });

  test("the same step that cannot be saved again stays", async () => {
    await saveCheckpoint(directory, 7, checkpoint);
    // Node's own function, because another test file of this process may have loaded its callers before.
    const rename = vi.spyOn(promises, "rename").mockImplementation(async (from, to) => {
      if (String(from).endsWith(".partial")) throw new Error("ENOSPC: no space left on device, rename");
      renameSync(from, to);
    });
    syncBuiltinESMExports();
    try {
      await expect(saveCheckpoint(directory, 7, checkpoint)).rejects.toThrow(FileError);
    } finally {
      rename.mockRestore();
      syncBuiltinESMExports();
    }
    expect(readdirSync(directory)).toEqual(["step-000007"]);
    expect((await newestCheckpoint(directory)).checkpoint).toEqual(checkpoint);
  });

  test("what a killed process left is ignored, and removed by the next save", async () => {
    const unfinished = join(directory, ".step-000009.4194305.partial"); // no process has this id
    const foreign = join(directory, `.step-000009.${process.ppid}.partial`);
    for (const folder of [unfinished, foreign]) {
      mkdirSync(folder);
      writeFileSync(join(folder, "model.safetensors"), "half");
    }
    expect(await savedSteps(directory)).toEqual([]);
    await saveCheckpoint(directory, 1, checkpoint);
    expect(existsSync(unfinished)).toBe(false);
    expect(existsSync(foreign)).toBe(true); // that process may still be writing
  });

  test("a folder that cannot be written is named", async () => {
    writeFileSync(join(directory, "file"), "");
    const save = saveCheckpoint(join(directory, "file", "below"), 1, checkpoint);
    await expect(save).rejects.toThrow(FileError);
    await expect(save).rejects.toThrow(/step 1 cannot be saved in .*below \(not a directory\); make room/);
  });

  test("no checkpoint and a damaged one are said", async () => {
    await expect(newestCheckpoint(directory)).rejects.toThrow(/There is no checkpoint in /);
    await expect(newestCheckpoint(join(directory, "none"))).rejects.toThrow(/There is no checkpoint in /);
    for (const step of [1, 2]) await saveCheckpoint(directory, step, checkpoint);
    truncateSync(join(directory, "step-000002", "optimizer.safetensors"), 300);
    await expect(newestCheckpoint(directory)).rejects.toThrow(
      /step-000002\/optimizer\.safetensors is not a whole .*; delete .*step-000002 to go on from the one before it\.$/,
    );
  });
});
