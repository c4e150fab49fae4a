// `descent train`: what it prints and what it leaves in the run folder.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decodeTensors, encodeTensors, type StoredTensor } from "../../src/interchange/safetensors.ts";
import { cifar10Folder } from "../support/cifar10.ts";
import { descentCommand, parseLines } from "../support/command.ts";

const descent = descentCommand();
/** 100 images learned from and 11 held out; 4 steps an epoch, the last one smaller. */
const SMALL = ["--model", "linear", "--limit", "111", "--batch-size", "30", "--epochs", "2"];
const SAMPLE = cifar10Folder();

describe.each(["webgpu", "cpu"])("train --backend %s", (backend) => {
  const out = `run-${backend}`;

  test("prints the lines of metrics.jsonl and last what came of it", async () => {
    const began = Date.now();
    const { code, stdout, stderr } = await descent.train(out, [...SMALL, "--backend", backend]);
    expect(stderr).toMatch(/linear on shapes, adamw, batch 30: 100 images and 11 held out, 2 epochs/);
    expect(code).toBe(0);
    const lines = parseLines(stdout);
    const { done, testAccuracy, steps, seconds, out: folder, ...rest } = lines.pop();
    expect({ done, steps, folder, rest }).toEqual({
      done: true,
      steps: 8,
      folder: descent.path(out),
      rest: {},
    });
    expect(lines.at(-1)).toEqual({ step: 8, epoch: 2, testLoss: expect.any(Number), testAccuracy });
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan((Date.now() - began) / 1000);
    expect(lines).toEqual(descent.metrics(out));
  });

  test("metrics.jsonl has each step and each epoch once, with exactly the named numbers", () => {
    const [result, ...lines] = descent.metrics(out).reverse();
    expect(Object.keys(result)).toEqual(["step", "epoch", "testLoss", "testAccuracy"]);
    lines.reverse();
    const steps = lines.filter((line) => !("valLoss" in line));
    const epochs = lines.filter((line) => "valLoss" in line);
    expect(steps.map((line) => [line.step, line.epoch])).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map((n) => [n, n < 5 ? 1 : 2]),
    );
    expect(epochs.map((line) => [line.step, line.epoch])).toEqual([
      [4, 1],
      [8, 2],
    ]);
    const common = ["step", "epoch", "loss", "accuracy", "imagesPerSecond"];
    for (const line of steps) expect(Object.keys(line).sort()).toEqual([...common].sort());
    for (const line of epochs)
      expect(Object.keys(line).sort()).toEqual([...common, "valLoss", "valAccuracy"].sort());
    for (const line of lines) for (const value of Object.values(line)) expect(value).toBeTypeOf("number");
    const images = [30, 30, 30, 10];
    const mean = (key: string) =>
      steps.slice(0, 4).reduce((sum, line, i) => sum + line[key] * images[i]!, 0) / 100;
    expect(epochs[0].loss).toBeCloseTo(mean("loss"), 9);
    expect(epochs[0].accuracy).toBeCloseTo(mean("accuracy"), 9);
  });

  test("the run folder holds config, metrics, checkpoints and curves, and nothing else", () => {
    expect(readdirSync(descent.path(out)).sort()).toEqual([
      "checkpoints",
      "config.json",
      "curves.svg",
      "metrics.jsonl",
    ]);
    expect(readdirSync(descent.path(out, "checkpoints")).sort()).toEqual(["step-000004", "step-000008"]);
    expect(readdirSync(descent.path(out, "checkpoints", "step-000008")).sort()).toEqual([
      "model.safetensors",
      "optimizer.safetensors",
    ]);
    const config = JSON.parse(readFileSync(descent.path(out, "config.json"), "utf8"));
    expect(config).toMatchObject({ model: "linear", epochs: 2, batchSize: 30, lr: 0.003, seed: 0, backend });
    expect(readFileSync(descent.path(out, "curves.svg"), "utf8")).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
  });

  test("the checkpoint is a PyTorch state_dict with the optimizer's state beside it", () => {
    const read = (part: string) => {
      const path = descent.path(out, "checkpoints", "step-000008", `${part}.safetensors`);
      return decodeTensors(readFileSync(path), path);
    };
    const shapes = (file: ReturnType<typeof read>) =>
      Object.fromEntries([...file.tensors].map(([name, tensor]) => [name, tensor.shape]));
    expect(shapes(read("model"))).toEqual({ "1.weight": [10, 3072], "1.bias": [10] });
    expect(shapes(read("optimizer"))).toEqual({
      "1.weight.exp_avg": [10, 3072],
      "1.weight.exp_avg_sq": [10, 3072],
      "1.bias.exp_avg": [10],
      "1.bias.exp_avg_sq": [10],
    });
    const { metadata } = read("optimizer");
    expect(metadata).toMatchObject({ step: "8", seed: "0", optimizer: "adamW" });
    expect(JSON.parse(metadata.normalization!).mean).toHaveLength(3);
  });
});

test("--layers trains a network of one's own, which a resumed run knows", async () => {
  const layers = "conv2d 4 stride=4 init=orthogonal:0.5; prelu perChannel=yes; flatten; linear 10 init=zeros";
  const args = [
    "--layers",
    layers,
    "--limit",
    "40",
    "--batch-size",
    "20",
    "--epochs",
    "1",
    "--backend",
    "cpu",
  ];
  const first = await descent.train("layers", args);
  expect(first.stderr).toMatch(/your own layers on shapes/);
  expect(first.code).toBe(0);
  const config = JSON.parse(readFileSync(descent.path("layers", "config.json"), "utf8"));
  expect(config).toMatchObject({ model: "own", layers });
  const path = descent.path("layers", "checkpoints", "step-000002", "model.safetensors");
  expect([...decodeTensors(readFileSync(path), path).tensors.keys()]).toEqual([
    "0.weight",
    "0.bias",
    "1.weight",
    "3.weight",
    "3.bias",
  ]);
  const resume = ["train", "--json", "--resume", descent.path("layers"), "--epochs", "2"];
  expect(parseLines((await descent.run(resume)).stdout).at(-1)).toMatchObject({ done: true, steps: 4 });
});

test("both backends train the same network", () => {
  const [gpu, cpu] = [descent.metrics("run-webgpu"), descent.metrics("run-cpu")];
  for (const [i, line] of gpu.entries())
    for (const key of ["loss", "valLoss", "testLoss"])
      if (key in line) expect(line[key]).toBeCloseTo(cpu[i][key], 3);
});

test("without --json a person reads a line per epoch, and no bar where there is no terminal", async () => {
  const args = ["train", ...SMALL, "--backend", "cpu", "--out", descent.path("plain")];
  const { code, stdout, stderr } = await descent.run(args);
  expect(code).toBe(0);
  expect(stderr).toBe("");
  const lines = stdout.trimEnd().split("\n");
  expect(lines[0]).toBe("CPU reference");
  expect(lines.filter((line) => /^epoch [12]\/2 {2}loss \d.* images\/s$/.test(line))).toHaveLength(2);
  expect(lines.at(-1)).toMatch(/^done: \d+\.\d % of 111 test images right after 8 steps/);
  expect(stdout).not.toContain("\x1b");
});

test("validates on training images that it does not learn from, and tests once, on the test images", async () => {
  // All are black and labelled 0, but for the last two training images and the last test image: white, labelled 1.
  const folder = descent.path("black-and-white");
  mkdirSync(folder);
  const record = (label: number) => new Uint8Array(3073).fill(label * 255, 1).fill(label, 0, 1);
  const file = (labels: number[]) => Buffer.concat(labels.map(record));
  writeFileSync(`${folder}/data_batch_1.bin`, file([...new Array(18).fill(0), 1, 1]));
  writeFileSync(`${folder}/test_batch.bin`, file([0, 0, 0, 1]));
  const args = "--dataset cifar10 --model linear --batch-size 6 --epochs 4 --optimizer sgd --lr 0.1".split(
    " ",
  );
  const { code, stdout } = await descent.train("once", [...args, "--data", folder, "--backend", "cpu"]);
  expect(code).toBe(0);
  const lines = descent.metrics("once");
  const epochs = lines.filter((line) => "valLoss" in line);
  // Nothing that is labelled 1 was ever learned from.
  expect(epochs.map(({ accuracy, valAccuracy }) => [accuracy, valAccuracy]).at(-1)).toEqual([1, 0]);
  expect(lines.filter((line) => "testLoss" in line)).toEqual([lines.at(-1)]);
  expect(lines.at(-1).testAccuracy).toBe(0.75);
  expect(parseLines(stdout).at(-1).testAccuracy).toBe(0.75);
  const config = JSON.parse(readFileSync(descent.path("once", "config.json"), "utf8"));
  expect(config.images).toBe(18);
});

test("a run that learned from all images is not resumed with fewer", async () => {
  const file = descent.path("once", "config.json");
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.replace('"images": 18', '"images": 20'));
  const { code, stderr } = await descent.run(["train", "--resume", descent.path("once")]);
  writeFileSync(file, text);
  expect(code).toBe(1);
  expect(stderr).toBe(
    "descent: The run was trained on all 20 images by an older version, and 2 of them are held out for validation now; start a new run with --out.\n",
  );
});

test("--init starts from a PyTorch state_dict", async () => {
  const tensors = new Map<string, StoredTensor>([
    ["1.weight", { dtype: "F32", shape: [10, 3072], data: new Float32Array(30720) }],
    ["1.bias", { dtype: "F32", shape: [10], data: new Float32Array(10) }],
  ]);
  writeFileSync(descent.path("zeros.safetensors"), encodeTensors({ tensors, metadata: { format: "pt" } }));
  const init = ["--init", "zeros.safetensors", "--backend", "cpu"];
  const { code } = await descent.train("init", [...SMALL, ...init]);
  expect(code).toBe(0);
  // All logits are zero: the loss of a uniform guess over ten classes.
  expect(descent.metrics("init")[0].loss).toBeCloseTo(Math.log(10), 6);
});

test("the default folder is the first of runs/train, runs/train-2, … without a run", async () => {
  for (const folder of ["runs/train", "runs/train-2"]) {
    const { stdout } = await descent.run(["train", ...SMALL, "--backend", "cpu", "--json"]);
    expect(parseLines(stdout).at(-1)).toMatchObject({ done: true, out: folder });
    expect(existsSync(descent.path(folder, "checkpoints/step-000008"))).toBe(true);
  }
});

test("a run in the folder is replaced only by --overwrite", async () => {
  const short = [
    "--model",
    "linear",
    "--limit",
    "66",
    "--batch-size",
    "30",
    "--epochs",
    "1",
    "--backend",
    "cpu",
  ];
  const before = descent.metrics("run-cpu");
  const refused = await descent.train("run-cpu", short);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(
    /run-cpu holds a run with checkpoints; go on with it by --resume .*--overwrite\.\n$/,
  );
  expect(descent.metrics("run-cpu")).toEqual(before);

  writeFileSync(descent.path("run-cpu", "notes.txt"), "mine");
  const { code } = await descent.train("run-cpu", [...short, "--overwrite"]);
  expect(code).toBe(0);
  expect(readdirSync(descent.path("run-cpu", "checkpoints"))).toEqual(["step-000002"]);
  expect(descent.metrics("run-cpu")).toHaveLength(2 + 1 + 1);
  expect(readFileSync(descent.path("run-cpu", "notes.txt"), "utf8")).toBe("mine");
});

test("--plan prints the compiled step and leaves nothing behind", async () => {
  const plan = ["train", "--model", "linear", "--plan", "--out", descent.path("planned"), "--backend", "cpu"];
  const { code, stdout } = await descent.run(plan);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^training step, batch 64: \d+ dispatches, peak [\d.]+ MB/);
  expect(existsSync(descent.path("planned"))).toBe(false);
  const [line] = parseLines((await descent.run([...plan, "--json"])).stdout);
  expect(line).toMatchObject({ plan: "training step, batch 64" });
});

test("trains on CIFAR-10 from a folder", async () => {
  const args = ["--dataset", "cifar10", "--data", SAMPLE, ...SMALL, "--backend", "cpu"];
  const { code } = await descent.train("cifar10", args);
  expect(code).toBe(0);
  expect(descent.metrics("cifar10")).toHaveLength(8 + 2 + 1);
});
