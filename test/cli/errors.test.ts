// Bad input: one clear sentence that names the file, value or shape and says what to do, exit code 1, no stack trace,
// and nothing on disk is damaged.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decodeTensors, encodeTensors, type StoredTensor } from "../../src/interchange/safetensors.ts";
import { records } from "../data/support.ts";
import { descentCommand, refusal } from "../support/command.ts";

const descent = descentCommand();
const TINY = [
  "--model",
  "linear",
  "--limit",
  "22",
  "--batch-size",
  "10",
  "--epochs",
  "1",
  "--backend",
  "cpu",
];

describe("options", () => {
  test.each([
    ["--nonsense", "unknown option '--nonsense'; see descent --help."],
    ["nonsense", "unknown command 'nonsense'; see descent --help."],
    ["train --nonsense", "unknown option '--nonsense'; see descent train --help."],
    [
      "train --bach-size 3",
      "unknown option '--bach-size' (Did you mean --batch-size?); see descent train --help.",
    ],
    ["train runs/a", "the command takes options only, each beginning with --; see descent train --help."],
    ["train --epochs", "--epochs <n> needs a value; see descent train --help."],
    ["train --model perceiver", '--model must be linear, mlp, lenet, cnn, resnet or tiny, not "perceiver".'],
    [
      "train --layers relu --model cnn",
      "--model and --layers both say what the network is; give one of them.",
    ],
    [
      "train --layers flatten;linear,12",
      '--layers: layer 2, "linear,12", does not fit: The last layer gives [12] and must give one number for each of 10 classes; end with flatten and linear 10.',
    ],
    [
      "train --layers leakyRelu,steep",
      '--layers: layer 1, "leakyRelu,steep", does not fit: slope is steep; use a number.',
    ],
    ["train --dataset mnist", '--dataset must be cifar10 or shapes, not "mnist".'],
    [
      "train --optimizer tiger",
      '--optimizer must be adadelta, adagrad, adam, adamax, adamw, amsgrad, amsgradw, lamb, lion, momentum, muon, nadam, nesterov, radam, rmsprop or sgd, not "tiger".',
    ],
    [
      "train --optimizer rmsprop:beta=0.9",
      'rmsProp: there is no option "beta"; use lr, alpha, eps, momentum, weightDecay, centered, epsInside, clipNorm, clipTensorNorm, clipValue, maxNorm, ema, swa, lookahead, groups.',
    ],
    ["train --optimizer adam:betas=0.9", "adam: betas is 0.9; use 2 numbers, such as [0.9, 0.999]."],
    [
      "train --schedule steps",
      '--schedule must be constant, cosine, cosine-restarts, exponential, inverse-square-root, inverse-time, linear-decay, multi-step, one-cycle, piecewise, polynomial, reduce-on-plateau, step-decay or triangular, not "steps".',
    ],
    [
      "train --schedule multi-step:milestones=30/20",
      "multiStep: milestones is [30, 20]; use a list of whole numbers that rise, such as [30, 60, 90].",
    ],
    ["train --schedule step-decay:factor=0.5", "stepDecay: needs every; use a whole number of at least 1."],
    ["train --schedule cosine:by=week", "--schedule cosine:by=week: by is week; use epoch or step."],
    ["train --ema 0.9 --swa 0.5", "adamW: ema and swa are two averages, and one is kept; give one of them."],
    [
      "train --ema decay=1",
      "adamW: the decay of the average is 1; use a number from 0 to below 1, such as 0.999.",
    ],
    ["train --swa begin=3", 'adamW, swa: there is no option "begin"; use start, every.'],
    ["train --ema a;b", '--ema a;b: "a;b" is no option; write key=value,key=value, lists with / between.'],
    ["train --lookahead k=0", "adamW: k of lookahead is 0; use a whole number of at least 1."],
    [
      "train --lookahead --max-norm 1",
      "adamW: averages and slow weights would follow parameters before maxNorm; leave lookahead or maxNorm out.",
    ],
    ["train --clip-value -1", '--clip-value must be a number of at least 0, not "-1".'],
    [
      "train --optimizer muon --clip-tensor-norm 1",
      "muon: its steps have one norm whatever the gradients' is; leave clipTensorNorm out.",
    ],
    [
      "train --groups *.bias:decay=0",
      'adamW, group "*.bias": there is no option "decay"; use match, frozen, weightDecay, lr, betas, eps, maxNorm.',
    ],
    [
      "train --optimizer adam:lr=0.1",
      "--optimizer adam:lr=0.1 says lr, which --lr is for; leave it out there.",
    ],
    [
      "train --optimizer adam:weightDecay=1 --weight-decay 2",
      "--optimizer adam:weightDecay=1 says weightDecay, which --weight-decay is for; leave it out there.",
    ],
    [
      "train --optimizer sgd --momentum 0.5",
      "--momentum is for momentum or nesterov, not for --optimizer sgd; leave it out.",
    ],
    ["train --resume a --find-lr b.svg", "--find-lr begins with a new network; leave --resume out."],
    [
      "train --schedule cosine:from=0.5",
      "--schedule cosine:from=0.5: from is what --lr gives; leave it out.",
    ],
    [
      "train --data cifar",
      "--data is a folder of CIFAR-10, and shapes are generated; add --dataset cifar10.",
    ],
    ["train --backend cuda", '--backend must be webgpu or cpu, not "cuda".'],
    ["train --lr fast", '--lr must be a number above 0, not "fast".'],
    ["train --lr -0.1", '--lr must be a number above 0, not "-0.1".'],
    ["train --lr 0", '--lr must be a number above 0, not "0".'],
    ["train --lr Infinity", '--lr must be a number above 0, not "Infinity".'],
    ["train --lr 1e39", '--lr must be a number above 0 that float32 can hold, not "1e39".'],
    ["train --lr NaN", '--lr must be a number above 0, not "NaN".'],
    ["train --epochs 1.5", '--epochs must be a whole number of at least 1, not "1.5".'],
    ["train --batch-size 0", '--batch-size must be a whole number of at least 1, not "0".'],
    ["train --seed -1", '--seed must be a whole number from 0 to 4294967295, not "-1".'],
    ["train --label-smoothing 2", '--label-smoothing must be a number from 0 to 1, not "2".'],
  ])("descent %s", async (words, sentence) => {
    const result = await descent.run(words.split(" "));
    expect(refusal(result)).toBe(sentence);
  });

  test("a batch larger than the set", async () => {
    const result = await descent.run(["train", ...TINY, "--batch-size", "21", "--out", "large"]);
    expect(refusal(result)).toBe(
      "A batch of 21 is larger than the training set of 20; use --batch-size 20 or less.",
    );
    expect(existsSync(descent.path("large"))).toBe(false);
  });

  test("with --json the sentence is on stdout as well, as JSON", async () => {
    const { code, stdout, stderr } = await descent.run(["train", "--json", "--lr", "x"]);
    expect(code).toBe(1);
    expect(stderr).toBe(`descent: ${JSON.parse(stdout).error}\n`);
  });
});

describe("control characters of names and files are shown, and no terminal obeys them", () => {
  // Clears the screen, sets the window's title, and the same begun by one character of C1.
  const HOSTILE = "\x1b[2J\x1b]0;mine\x07\x9b31m";
  const SHOWN = "\\x1b[2J\\x1b]0;mine\\x07\\x9b31m";

  test("in a file's name and in a tensor's", async () => {
    const path = `${HOSTILE}.safetensors`;
    const init = () => descent.run(["train", ...TINY, "--init", path]);
    expect(refusal(await init())).toBe(`${SHOWN}.safetensors does not exist; name a safetensors file.`);
    const tensors = new Map<string, StoredTensor>();
    tensors.set(HOSTILE, { dtype: "F32", shape: [1], data: new Float32Array(1) });
    tensors.set("1.weight", { dtype: "F32", shape: [10, 3072], data: new Float32Array(30720) });
    tensors.set("1.bias", { dtype: "F32", shape: [10], data: new Float32Array(10) });
    writeFileSync(descent.path(path), encodeTensors({ tensors, metadata: {} }));
    expect(refusal(await init())).toContain(
      `${SHOWN}.safetensors has a tensor "${SHOWN}" that the model does`,
    );
  });

  test("in what a run says", async () => {
    const out = `out ${HOSTILE}`;
    const { code, stdout } = await descent.run(["train", ...TINY, "--out", out]);
    expect(code).toBe(0);
    expect(stdout).toContain(`→ out ${SHOWN}/curves.svg\n`);
    expect(stdout.replace(/[\n\P{Cc}]/gu, "")).toBe("");
  });

  test("in JSON, which says the same", async () => {
    const { code, stdout } = await descent.run(["train", ...TINY, "--json", "--out", `json ${HOSTILE}`]);
    expect(code).toBe(0);
    expect(stdout.replace(/[\n\P{Cc}]/gu, "")).toBe("");
    expect(JSON.parse(stdout.trim().split("\n").at(-1)!).out).toBe(`json ${HOSTILE}`);
  });

  test("in an option that is none", async () => {
    expect(refusal(await descent.run(["train", `--${HOSTILE}`]))).toContain(`unknown option '--${SHOWN}'`);
  });
});

describe("data", () => {
  const train = async (name: string, files: Record<string, Uint8Array>) => {
    mkdirSync(descent.path(name), { recursive: true });
    for (const [file, bytes] of Object.entries(files)) writeFileSync(descent.path(name, file), bytes);
    return refusal(
      await descent.run(["train", "--dataset", "cifar10", "--data", descent.path(name), ...TINY]),
    );
  };
  const good = records(22);
  const bad = records(22);
  bad[3 * 3073] = 10;

  test("a truncated file", async () => {
    const files = { "data_batch_1.bin": good.subarray(0, 50_000), "test_batch.bin": good };
    expect(await train("truncated", files)).toMatch(
      /truncated\/data_batch_1\.bin has 50000 bytes, which is 16 records of 3073 bytes and 832 left over.*fetch it again\.$/,
    );
  });

  test("a label above 9", async () => {
    expect(await train("label", { "data_batch_1.bin": good, "test_batch.bin": bad })).toMatch(
      /label\/test_batch\.bin has the label 10 in record 3, labels are 0 to 9/,
    );
  });

  test("a folder that lacks a file", async () => {
    expect(await train("half", { "data_batch_1.bin": good })).toMatch(
      /half lacks test_batch\.bin: add what is missing/,
    );
  });

  test("no folder and no network", async () => {
    const args = ["train", "--dataset", "cifar10", "--data", "nowhere", ...TINY];
    const env = { DESCENT_CIFAR10_URL: "http://127.0.0.1:49151/cifar.tar.gz" };
    const sentence = refusal(await descent.run(args, { env }));
    expect(sentence).toMatch(
      /^http:\/\/127\.0\.0\.1:49151\/cifar\.tar\.gz could not be reached: connect ECONNREFUSED/,
    );
    expect(sentence).toMatch(
      /unpack https:\S+\/cifar-10-binary\.tar\.gz so that \S+\/data_batch_1\.bin exists/,
    );
  });
});

describe.each(["cpu", "webgpu"])("a learning rate that explodes on %s", (backend) => {
  const explode = ["--optimizer", "sgd", "--schedule", "constant", "--limit", "44", "--batch-size", "10"];

  test("stops with the step and the layer, and keeps the last good checkpoint", async () => {
    const out = `explodes-${backend}`;
    const args = [...explode, "--model", "linear", "--lr", "1e6", "--epochs", "9", "--backend", backend];
    const { code, stderr } = await descent.run(["train", ...args, "--out", out]);
    expect(code).toBe(1);
    const sentence =
      /^descent: Step (\d+) is not finite: .*\blayer 1, linear\(3072 → 10\).* The last good checkpoint is (\S+)\.\n$/;
    expect(stderr).toMatch(sentence);
    const [, step, newest] = sentence.exec(stderr)!;
    const saved = descent.path(newest!, "model.safetensors");
    const { tensors, metadata } = decodeTensors(readFileSync(saved), saved);
    expect(Number(metadata.step)).toBeLessThan(Number(step));
    for (const { data } of tensors.values()) expect((data as Float32Array).every(Number.isFinite)).toBe(true);
    expect(descent.metrics(out).at(-1).step).toBe(Number(step) - 1);
  });
});
