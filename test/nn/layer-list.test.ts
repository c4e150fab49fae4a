// Networks written as a list of layers.
import { describe, expect, test } from "vitest";
import { Random } from "../../src/core/rng.ts";
import { feed, reachable } from "../../src/graph/node.ts";
import { layerUsages, readLayers } from "../../src/nn/layer-list.ts";
import { augmented } from "../../src/nn/layers/index.ts";
import { imageModel, modelLayers, modelNames } from "../../src/nn/models.ts";
import { parametersOf, Trace } from "../../src/nn/module.ts";
import { oracleCases } from "../support/oracle.ts";

const task = { shape: [3, 32, 32], classes: 10 } as const;

describe("a list of layers", () => {
  test("gives shapes, parameters, operations and bytes of each", () => {
    const { rows, model } = readLayers(
      ["conv2d 8 kernel=3 padding=same", "relu", "maxPool2d 2", "flatten", "linear 10"],
      task,
    );
    expect(model).toBeDefined();
    expect(rows.map((row) => row.output)).toEqual([[8, 32, 32], [8, 32, 32], [8, 16, 16], [2048], [10]]);
    expect(rows.map((row) => row.parameters)).toEqual([8 * 27 + 8, 0, 0, 0, 20490]);
    // 27 products and as many sums for each of 8·32·32 results, and the bias.
    expect(rows[0]!.flops).toBe(2 * 27 * 8192 + 8192);
    expect(rows[4]!.flops).toBe(2 * 2048 * 10 + 10);
    expect(rows[0]!.bytes).toEqual({ result: 4 * 8192, parameters: 4 * 224 });
  });

  test.each([
    [["flatten", "conv2d 3", "linear 10"], 1, /takes \[channels, height, width\] and gets \[3072\]/],
    [["conv2d 3", "linear 10"], 1, /put flatten/],
    [["convolve 3"], 0, /There is no layer "convolve"; use conv2d/],
    [["flatten", ""], 1, /The line is empty/],
    [["conv2d"], 0, /conv2d needs out, as in conv2d 32/],
    [["conv2d 8 colour=red"], 0, /conv2d has no setting "colour"; it has out, kernel/],
    [["conv2d 8 kernel=big"], 0, /kernel is big; use a number/],
    [["conv2d 8 bias=perhaps"], 0, /bias is perhaps; use yes or no/],
    [["conv2d 8 init=random"], 0, /init is "random"; use torch, he/],
    [["conv2d 8 padding=wide"], 0, /padding is wide/],
    [["conv2d -1"], 0, /out is -1/],
    [["conv2d 8 init=constant"], 0, /constant: value is undefined; use a finite number/],
    [["conv2d 8 init=uniform:1"], 0, /uniform: high is undefined; use a finite number/],
    [["conv2d 8 init=he:2"], 0, /init is he:2; he takes no number/],
    [["conv2d 8 init=normal:1:2:3"], 0, /init is normal:1:2:3; write normal:0.1:0.2/],
    [["conv2d 8 init=orthogonal:"], 0, /init is orthogonal:; write orthogonal:0.1/],
    [["conv2d 8 out=9"], 0, /conv2d has out twice; give it once/],
    [["conv2d 8 constructor=1"], 0, /conv2d has no setting "constructor"/],
    [["constructor"], 0, /There is no layer "constructor"/],
    [["relu 3"], 0, /relu has no setting "3"; it takes none/],
    [["gelu erf"], 0, /approximate is erf; use none or tanh/],
    [["softplus beta=0"], 0, /softplus: beta is 0; use a finite number above 0/],
    [["threshold 1"], 0, /threshold needs value, as in threshold 0.5 0/],
    [["glu"], 0, /axis 1 of \[1, 3, 32, 32\] is odd/],
    [["dropout 2"], 0, /p is 2/],
    [["conv2d 8 kernel=40"], 0, /40/],
    [["flatten", "linear 12"], 1, /gives \[12\] and must give one number for each of 10 classes/],
    [[], 0, /end with flatten and linear 10/],
  ])("%j fails at layer %i", (lines, index, message) => {
    const { error, rows, model } = readLayers(lines, task);
    expect(model).toBeUndefined();
    expect(error?.index).toBe(index);
    expect(error?.message).toMatch(message);
    expect(rows.length).toBeGreaterThanOrEqual(index);
  });
});

describe("a usage", () => {
  const row = (line: string) => {
    for (const before of [["conv2d 4 kernel=25"], ["conv2d 4 kernel=25", "flatten"]]) {
      const { rows } = readLayers([...before, line], task);
      if (rows.length > before.length) return rows.at(-1)!;
    }
    throw new Error(readLayers(["conv2d 4 kernel=25", line], task).error?.message);
  };

  test.each(layerUsages)("%s makes its layer", (usage) => {
    const { label, line } = row(usage);
    expect(line).toBe(usage);
    expect(label.replace(/\(.*/s, "")).toBe(usage.split(" ")[0]);
  });

  test("is what stands without settings, where none must be given", () => {
    for (const name of ["hardTanh", "batchNorm", "swish", "leakyRelu", "prelu"]) {
      const usage = layerUsages.find((one) => one.split(" ")[0] === name)!;
      expect(row(name).label).toBe(row(usage).label);
    }
    expect(layerUsages).toContain("hardTanh min=-1 max=1");
    expect(layerUsages).toContain("leakyRelu 0.01");
    expect(layerUsages).toContain("threshold 0.5 0");
  });

  test("there is one for every layer that makes one image or row of another", () => {
    const others = [
      /1d$/, // of signals
      /^(gru|lstm|rnn|multiHeadAttention|positional\w+|transformer\w+)$/, // of sequences
      /^(add|average|concat|dot|maximum|multiply|parallel|siamese)$/, // of several inputs
      /^(augmented|checkpoint|lora|penalized|sequential|stochasticDepth|tied|timeDistributed)$/, // around others
      /^(activityRegularization|embedding|permute|repeatVector|reshape|squeeze|unsqueeze)$/,
    ];
    const names = new Set(oracleCases("layer").map(({ layer }) => String(layer)));
    const listed = layerUsages.map((usage) => usage.split(" ")[0]);
    expect(listed.length).toBeGreaterThan(50);
    expect(
      [...names].filter((name) => !listed.includes(name) && !others.some((kind) => kind.test(name))),
    ).toEqual([]);
  });
});

test("a weight begins as its initialiser says", () => {
  const weight = (init: string) => {
    const { model, error } = readLayers(["flatten", `linear 10 init=${init}`], task);
    expect(error).toBeUndefined();
    const { spec } = parametersOf(model!)[0]!;
    return spec.init(spec.shape, new Random(0));
  };
  expect(weight("constant:0.5")[7]).toBe(0.5);
  expect(weight("ones")[7]).toBe(1);
  expect(weight("identity").slice(3071, 3075)).toEqual(Float32Array.of(0, 0, 1, 0));
  for (const [name, std] of Object.entries({
    he: Math.sqrt(2 / 3072),
    heFanOut: Math.sqrt(2 / 10),
    heFanAverage: 1 / Math.sqrt(3082 / 4),
    xavier: Math.sqrt(2 / 3082),
    xavierFanIn: Math.sqrt(1 / 3072),
    lecunNormal: Math.sqrt(1 / 3072),
    "orthogonal:2": 2 / Math.sqrt(3072),
    "normal:0.01": 0.01,
    "normal:0.01:0": 0.01,
    "uniform:-0.1:0.1": 0.1 / Math.sqrt(3),
    truncatedNormal: 0.8796,
    torch: 1 / Math.sqrt(3 * 3072),
  })) {
    const data = weight(name);
    const measured = Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
    expect(Math.abs(measured / std - 1), name).toBeLessThan(0.03);
  }
  const { model } = readLayers(["conv2d 3 init=dirac", "flatten", "linear 10"], task);
  const { spec } = parametersOf(model!)[0]!;
  expect([...spec.init(spec.shape, new Random(0)).slice(0, 6)]).toEqual([0, 0, 0, 0, 1, 0]);
});

test("every model of the list is one", () => {
  for (const name of modelNames) {
    const { rows } = readLayers(modelLayers(name, 10), task);
    const counted = parametersOf(imageModel(name, task)).reduce(
      (n, { spec }) => n + spec.shape.reduce((a, b) => a * b, 1),
      0,
    );
    expect(rows.reduce((n, row) => n + row.parameters, 0)).toBe(counted);
  }
});

test("an augmented network keeps the names and, in evaluation, the numbers of the network", async () => {
  const { model } = readLayers(["conv2d 4 kernel=3", "flatten", "linear 10"], task);
  const wrapped = augmented(model!, { flip: true, shift: 4 });
  const names = (module: typeof wrapped) => parametersOf(module).map(({ name }) => name);
  expect(names(wrapped)).toEqual(names(model!));
  const x = feed("x", [2, 3, 32, 32]);
  const trace = (training: boolean) => {
    const tensor = (of: typeof wrapped, name: string) => feed(name, of.parameters![name]!.shape);
    const source = { counters: feed("counters", [4], "u32"), parameter: tensor, buffer: tensor };
    return reachable([new Trace(wrapped, source, training).run(wrapped, x)]).map((node) => node.op?.name);
  };
  expect(trace(true)).toContain("augmentImages");
  expect(trace(false)).not.toContain("augmentImages");
});
