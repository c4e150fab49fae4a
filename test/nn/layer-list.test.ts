// Networks written as a list of layers.
import { describe, expect, test } from "vitest";
import { feed, reachable } from "../../src/graph/node.ts";
import { readLayers } from "../../src/nn/layer-list.ts";
import { augmented } from "../../src/nn/layers/index.ts";
import { imageModel, modelLayers, modelNames } from "../../src/nn/models.ts";
import { parametersOf, Trace } from "../../src/nn/module.ts";

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
    [["relu 3"], 0, /relu has no setting "3"; it takes none/],
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
