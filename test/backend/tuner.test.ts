// The tuner: it measures, rejects what computes wrong, and keeps its choices; the plan and a resumed run respect them.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { tuningFile } from "../../src/backend/webgpu/node/tuning-file.ts";
import { storedChoices, tune } from "../../src/backend/webgpu/tuner.ts";
import type { TunedKernel } from "../../src/backend/webgpu/tuner-trial.ts";
import { adapterKey } from "../../src/backend/webgpu/tuning-store.ts";
import type { KernelVariant } from "../../src/core/kernel.ts";
import type { OpRecord } from "../../src/core/op.ts";
import { callOp } from "../../src/core/op.ts";
import { shapes } from "../../src/data/shapes.ts";
import { feed } from "../../src/graph/node.ts";
import { mixedPrecision } from "../../src/graph/precision.ts";
import type { Program } from "../../src/graph/program.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import { imageModel } from "../../src/nn/models.ts";
import * as f from "../../src/ops/f.ts";
import { matmul } from "../../src/ops/matmul/matmul.ts";
import { sgd } from "../../src/optim/optimizers.ts";
import { compilePlan, kernelKey } from "../../src/plan/plan.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpu } from "../support/gpu.ts";
import { resultsOf } from "../support/ops.ts";

const folder = mkdtempSync(join(tmpdir(), "descent-tuning-"));
afterAll(() => rmSync(folder, { recursive: true }));
const fileAt = (name: string, notes: string[] = []) =>
  tuningFile(join(folder, name), (text) => notes.push(text));

/** One product whose op offers what `offer` makes of the naive kernel. */
function product(
  offer: (naive: KernelVariant) => KernelVariant[],
  size = 48,
): { program: Program; key: string } {
  const { implementation } = matmul;
  if (implementation.kind !== "kernel") throw new Error("matmul has kernels");
  const op: OpRecord = {
    ...matmul,
    implementation: {
      ...implementation,
      kernel: (context) => offer(implementation.kernel(context).at(-1)!),
    },
  };
  const [y] = callOp(op, [feed("a", [size, size]), feed("b", [size, size])]);
  return { program: { name: "product", outputs: { y: y! } }, key: kernelKey(y!.node) };
}

const edited = (variant: KernelVariant, name: string, edit: (source: string) => string): KernelVariant => ({
  ...variant,
  name,
  dispatches: variant.dispatches.map((d) => ({ ...d, source: edit(d.source) })),
});
const repeated = (variant: KernelVariant, name: string, times: number): KernelVariant => ({
  ...variant,
  name,
  dispatches: new Array(times).fill(variant.dispatches).flat(),
});
const dropsLast = (source: string) => {
  const wrong = source.replace(/const K = (\d+)u;/, (_, k) => `const K = ${k}u;\nconst LAST = K - 1u;`);
  return wrong.replace(/k < K;/, "k < LAST;");
};

async function tuned(program: Program, store = fileAt("unused.json"), again = true) {
  const kernels: TunedKernel[] = [];
  const choices = await tune(await gpu(), [program], {
    store,
    again,
    onProgress: (_, __, kernel) => kernel && kernels.push(kernel),
  });
  return { choices, kernel: kernels[0]! };
}

describe("measuring", () => {
  test("a slow candidate loses, though it is the default", async () => {
    const { program, key } = product((naive) => [repeated(naive, "slow", 12), naive]);
    const { choices, kernel } = await tuned(program);
    expect(kernel).toMatchObject({ key, choice: "naive", comparedWith: "reference" });
    const [slow, naive] = kernel.candidates;
    expect(slow!.milliseconds).toBeGreaterThan(2 * naive!.milliseconds!);
    expect(choices).toEqual(new Map([[key, "naive"]]));
    const { facts } = await gpu();
    expect(compilePlan(program, facts).steps).toHaveLength(12);
    expect(compilePlan(program, facts, { choices }).steps).toHaveLength(1);
  });

  test("operands that are kept as f16 are tried as f16, under a key of their own", async () => {
    const y = f.matmul(feed("a", [48, 64]), feed("b", [64, 40]));
    const { choices, kernel } = await tuned(mixedPrecision({ name: "half", outputs: { y } }));
    expect(kernel.key).toBe('matmul(f16[48, 64], f16[64, 40]){"transposeA":false,"transposeB":false}');
    for (const { milliseconds } of kernel.candidates) expect(milliseconds).toBeGreaterThan(0);
    expect(choices).toEqual(new Map([[kernel.key, kernel.choice]]));
  });

  test("integers that nobody makes, labels for instance, are 0", async () => {
    const losses = f.softmaxCrossEntropy(feed("logits", [48, 260]), feed("labels", [48], "i32"), {});
    const { choices, kernel } = await tuned({ name: "losses", outputs: { losses } });
    for (const { verdict } of kernel.candidates) expect(["timed once", undefined]).toContain(verdict);
    expect(choices).toEqual(new Map([[kernel.key, kernel.choice]]));
  });

  // 2 · 256³ operations are too many for the reference on the CPU.
  test.each([48, 256])("a wrong candidate is not chosen, though it is fastest: %i", async (size) => {
    const { program, key } = product(
      (naive) => [edited(naive, "wrong", dropsLast), repeated(naive, "right", 4), repeated(naive, "base", 8)],
      size,
    );
    const { choices, kernel } = await tuned(program);
    expect(kernel.comparedWith).toBe(size === 48 ? "reference" : "base");
    const [wrong] = kernel.candidates;
    expect(wrong!.verdict).toBe("wrong");
    expect(wrong!.note).toMatch(new RegExp(`^${size * size} of ${size * size} elements, worst `));
    expect(wrong!.milliseconds).toBeUndefined();
    expect(choices.get(key)).toBe("right");
  });

  test("a candidate that does not compile is passed over, and the device goes on", async () => {
    const { program, key } = product((naive) => [edited(naive, "broken", (s) => `${s}\noops`), naive]);
    const { choices, kernel } = await tuned(program);
    expect(kernel.candidates[0]).toMatchObject({
      verdict: "does not run",
      note: expect.stringMatching(/oops/),
    });
    expect(choices.get(key)).toBe("naive");
    (await gpu()).check();
  });

  test("no candidate is right: there is no choice", async () => {
    const { program } = product((naive) => ["a", "b"].map((name) => edited(naive, name, dropsLast)));
    const { choices, kernel } = await tuned(program);
    expect(kernel.choice).toBeUndefined();
    expect(choices.size).toBe(0);
  });

  // 2 · 4 · 32 · 32 · 32 · 144 operations are too many for the reference on the CPU.
  test.each([
    [4, "reference"],
    [32, "naive"],
  ])(
    "an algorithm that adds larger terms is judged by those: %i channels",
    async (channels, comparedWith) => {
      const y = f.conv2d(feed("x", [4, 16, 34, 34]), feed("w", [channels, 16, 3, 3]), {});
      const { kernel } = await tuned({ name: "convolution", outputs: { y } });
      expect(kernel.comparedWith).toBe(comparedWith);
      const winograd = kernel.candidates.find(({ name }) => name === "winograd");
      expect(winograd!.milliseconds).toBeGreaterThan(0);
      for (const { verdict } of kernel.candidates) expect(["timed once", undefined]).toContain(verdict);
    },
  );

  test("ops whose inputs are places of maxima are measured too", async () => {
    const [y, index] = resultsOf("maxPool2d", feed("x", [2, 3, 8, 8]), {
      kernel: [2, 2],
      stride: [2, 2],
      padding: [0, 0],
    });
    const attrs = { kernel: [2, 2], stride: [2, 2], padding: [0, 0], size: [8, 8] };
    const dx = resultsOf("maxPool2dGrad", index, y, attrs)[0]!;
    const before = (await gpu()).bytes;
    const { choices } = await tuned({ name: "pool", outputs: { dx } });
    expect([...choices.keys()].map((key) => key.split("(")[0])).toEqual(["maxPool2d", "maxPool2dGrad"]);
    expect((await gpu()).bytes - before).toBeLessThan(100_000); // scratch that plans share
  });
});

describe("the file", () => {
  const some = (choice: string) => ({ choice, sources: "0123" });

  test("gives back what was saved, for each adapter its own", async () => {
    const store = fileAt("new/folder/tuning.json");
    expect((await store.load("a")).size).toBe(0);
    await store.save("a", new Map([["matmul", some("tile")]]));
    await store.save("b", new Map([["matmul", some("naive")]]));
    await store.save("a", new Map([["conv2d", some("subgroup")]]));
    expect(await store.load("a")).toEqual(
      new Map([
        ["matmul", some("tile")],
        ["conv2d", some("subgroup")],
      ]),
    );
    expect((await store.load("b")).get("matmul")).toEqual(some("naive"));
    expect(readdirSync(join(folder, "new/folder"))).toEqual(["tuning.json"]);
  });

  test.each(['{"version":1,"adapt', '{"version":2,"adapters":{}}', "null", ""])(
    "is ignored with a note when it holds %o",
    async (text) => {
      const notes: string[] = [];
      const store = fileAt("damaged.json", notes);
      writeFileSync(store.place, text);
      expect((await store.load("a")).size).toBe(0);
      expect(notes.join()).toMatch(/damaged\.json is damaged or of another version/);
      await store.save("a", new Map([["matmul", some("tile")]]));
      expect((await store.load("a")).size).toBe(1);
      expect(JSON.parse(readFileSync(store.place, "utf8")).version).toBe(1);
    },
  );

  test("leaves out entries that are no choices", async () => {
    const store = fileAt("strange.json");
    const entries = { one: some("tile"), two: null, three: { choice: 3, sources: "" }, four: "naive" };
    writeFileSync(store.place, JSON.stringify({ version: 1, adapters: { a: entries } }));
    expect([...(await store.load("a")).keys()]).toEqual(["one"]);
  });

  test("answers for the same adapter and the same kernels only", async () => {
    const { facts } = await gpu();
    const store = fileAt("kept.json");
    const offer = (comment: string) =>
      product((naive) => [repeated(naive, "slow", 12), edited(naive, "naive", (s) => `${s}${comment}`)]);
    const { program, key } = offer("");
    await tuned(program, store);
    expect(await storedChoices(facts, [program], store)).toEqual(new Map([[key, "naive"]]));
    expect((await storedChoices(facts, [offer("// new\n").program], store)).size).toBe(0);
    const other = { ...facts, maxWorkgroupBytes: facts.maxWorkgroupBytes / 2 };
    expect(adapterKey(other)).not.toBe(adapterKey(facts));
    expect((await storedChoices(other, [program], store)).size).toBe(0);
    // What is known is not measured again.
    expect((await tuned(program, store, false)).kernel).toEqual({
      op: "matmul",
      key,
      choice: "naive",
      candidates: [],
    });
  });
});

describe("a trainer", () => {
  const data = shapes({ train: 16, test: 1 }).train;
  const trainer = async () =>
    new Trainer({
      device: await gpu(),
      model: imageModel("linear", { shape: [3, 32, 32], classes: 10 }),
      loss: crossEntropy(),
      optimizer: sgd({ lr: 0.1 }),
    });
  const only = (program: Program[], facts: Parameters<typeof compilePlan>[1], variant: string) =>
    new Map(program.flatMap((p) => [...compilePlan(p, facts).choices.keys()].map((key) => [key, variant])));
  const products = ({ choices }: { choices: ReadonlyMap<string, string> }) =>
    [...choices].flatMap(([key, variant]) => (key.startsWith("matmul") ? [variant] : []));

  test("uses the choices it is given; one that goes on from a checkpoint keeps those in it", async () => {
    const { facts } = await gpu();
    const first = await trainer();
    first.choose(only(first.programs(data, 16), facts, "tile"));
    for await (const _ of first.fit(data, { epochs: 1, batchSize: 16 }));
    expect(new Set(products((await first.trainingStep(data, 16)).plan))).toEqual(new Set(["tile"]));

    const resumed = await trainer();
    resumed.restore(await first.checkpoint(), "checkpoint");
    resumed.choose(only(resumed.programs(data, 16), facts, "naive"));
    expect(new Set(products((await resumed.trainingStep(data, 16)).plan))).toEqual(new Set(["tile"]));
    await first.dispose();
    await resumed.dispose();
  });
});
