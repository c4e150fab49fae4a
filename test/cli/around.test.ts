// What goes around an optimizer, and batches that grow, told by flags: the run is the one that the library trains when it is
// told the same.
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { loadData } from "../../src/cli/train-config.ts";
import { decodeTensors } from "../../src/interchange/safetensors.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import * as nn from "../../src/nn/index.ts";
import { cpuBackend } from "../../src/node.ts";
import { type AdamOptions, adamW, oneCycle, type Rate } from "../../src/optim/index.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { descentCommand, parseLines, refusal } from "../support/command.ts";
import { all, stateOf } from "../train/support.ts";

const descent = descentCommand();
const LAYERS = "avgPool2d 8; flatten; linear 8; batchNorm; relu; linear 10";
const ARGS = ["--layers", LAYERS, ..."--limit 40 --batch-size 8 --epochs 2 --backend cpu".split(" ")];
const { train } = await loadData({ dataset: "shapes", data: "data", limit: 40 }, () => {});

/** The run of the command's standard options, with others beside them. */
async function trained(options: Partial<AdamOptions>, epochs = 2, batchSize: Rate = 8) {
  const trainer = new Trainer({
    device: cpuBackend(),
    model: nn.sequential(
      nn.avgPool2d(8),
      nn.flatten(),
      nn.linear({ in: 48, out: 8 }),
      nn.batchNorm(8),
      nn.relu(),
      nn.linear({ in: 8, out: 10 }),
    ),
    loss: crossEntropy(),
    optimizer: adamW({ lr: oneCycle({ peak: 0.003 }), weightDecay: 0.0005, ...options }),
    seed: 0,
  });
  await all(trainer.fit(train, { epochs, batchSize }));
  if (options.swa) await trainer.renewStatistics(train, { batchSize: 8 });
  const state = await stateOf(trainer);
  await trainer.dispose();
  return state;
}

function stateIn(out: string): Map<string, number[]> {
  const read = (part: string) => {
    const path = descent.path(out, "checkpoints/step-000010", `${part}.safetensors`);
    return [...decodeTensors(readFileSync(path), path).tensors];
  };
  return new Map(
    [...read("model"), ...read("optimizer")].map(([name, { data }]) => [name, Array.from(data, Number)]),
  );
}

const plain = trained({});
const groups = "*.bias:weight-decay=0.5,lr=0.03; 2.weight:frozen;5.**:betas=0.5/0.9";

test.each<[flag: string, value: string | undefined, Partial<AdamOptions>, config: object]>([
  ["clip-norm", "0.01", { clipNorm: 0.01 }, { clipNorm: 0.01 }],
  ["clip-tensor-norm", "0.01", { clipTensorNorm: 0.01 }, { clipTensorNorm: 0.01 }],
  ["clip-value", "0.001", { clipValue: 0.001 }, { clipValue: 0.001 }],
  ["max-norm", "0.25", { maxNorm: 0.25 }, { maxNorm: 0.25 }],
  ["ema", "0.75", { ema: { decay: 0.75 } }, { ema: "0.75" }],
  ["ema", "decay=0.75,warm-up", { ema: { decay: 0.75, warmUp: true } }, { ema: "decay=0.75,warm-up" }],
  ["swa", "start=0.25,every=2", { swa: { start: 0.25, every: 2 } }, { swa: "start=0.25,every=2" }],
  ["lookahead", undefined, { lookahead: {} }, { lookahead: "k=5,alpha=0.5" }],
  ["lookahead", "k=3,alpha=0.25", { lookahead: { k: 3, alpha: 0.25 } }, { lookahead: "k=3,alpha=0.25" }],
  [
    "groups",
    groups,
    {
      groups: [
        { match: "*.bias", weightDecay: 0.5, lr: oneCycle({ peak: 0.03 }) },
        { match: "2.weight", frozen: true },
        { match: "5.**", betas: [0.5, 0.9] },
      ],
    },
    { groups },
  ],
])("--%s %s", async (flag, value, options, config) => {
  const out = `${flag} ${value}`.replaceAll(/\W/g, "-");
  const words = value === undefined ? [] : [value];
  const { code, stderr } = await descent.train(out, [...ARGS, `--${flag}`, ...words]);
  expect(stderr).toContain("done:");
  expect(code).toBe(0);
  const state = stateIn(out);
  expect(state).toEqual(await trained(options));
  expect(state).not.toEqual(await plain);
  expect(JSON.parse(readFileSync(descent.path(out, "config.json"), "utf8"))).toMatchObject(config);
});

test("a run of an older version, with the average's decay as a number, goes on", async () => {
  const path = descent.path("ema-0-75", "config.json");
  writeFileSync(path, readFileSync(path, "utf8").replace('"0.75"', "0.75"));
  const resume = ["train", "--json", "--resume", descent.path("ema-0-75")];
  const { code, stdout } = await descent.run([...resume, "--ema", "0.75"]);
  expect(code).toBe(0);
  expect(parseLines(stdout).at(-1)).toMatchObject({ done: true, steps: 10 });
  expect(refusal(await descent.run(["train", "--resume", resume[3]!, "--ema", "0.5"]))).toBe(
    "--ema cannot change in a resumed run; leave it out, or start a new run with --out.",
  );
});

describe("--batch-schedule", () => {
  // 36 images in 5, 3 and 2 steps.
  const lr = (step: number) => 0.003 * 0.5 ** (step < 5 ? 0 : step < 8 ? 1 : 2);
  const grow = (epoch: number) => 8 * 2 ** epoch;
  const schedules = ["--batch-schedule", "step-decay:factor=2,every=1", "--schedule"];

  test("grows the batch from epoch to epoch, which schedules and a resumed run count by", async () => {
    const args = [...ARGS, ...schedules, "step-decay:factor=0.5,every=1"];
    const { code, stdout, stderr } = await descent.train("grow", args);
    expect(stderr).toContain("batch 8 to 16: 36 images and 4 held out, 2 epochs");
    expect(code).toBe(0);
    expect(parseLines(stdout).at(-1)).toMatchObject({ done: true, steps: 8 });
    const resumed = await descent.run(["train", "--json", "--resume", descent.path("grow"), "--epochs", "3"]);
    expect(parseLines(resumed.stdout).at(-1)).toMatchObject({ done: true, steps: 10 });
    expect(stateIn("grow")).toEqual(await trained({ lr }, 3, grow));
    const epochs = descent.metrics("grow").filter((line) => "valLoss" in line);
    expect(epochs.map(({ epoch, step }) => [epoch, step])).toEqual([
      [1, 5],
      [2, 8],
      [3, 10],
    ]);
  });

  test("that goes by the number of epochs keeps it", async () => {
    const out = "line";
    await descent.train(out, [...ARGS, "--batch-schedule", "linear-decay:to=16"]);
    expect(refusal(await descent.run(["train", "--resume", descent.path(out), "--epochs", "3"]))).toBe(
      "--epochs 3 would change batches of the first 2, which --batch-schedule linear-decay:to=16 divides by their number; leave it out.",
    );
  });

  test.each([
    ["step-decay:factor=0.1,every=1", "The batch size of epoch 3 is 0; use a whole number of at least 1."],
    [
      "step-decay:factor=8,every=1",
      "A batch of 64 of epoch 2 is larger than the training set of 36; use at most 36.",
    ],
    ["reduce-on-plateau", "The batch size cannot go by what is measured; use a schedule of the epochs."],
    [
      "cosine:by=step",
      "--batch-schedule cosine:by=step: by is step, and batches grow between epochs; leave it out.",
    ],
  ])("%s is refused", async (text, sentence) => {
    const result = await descent.run(["train", ...ARGS, "--epochs", "3", "--batch-schedule", text]);
    expect(refusal(result)).toBe(sentence);
  });
});
