// Every layer beside PyTorch's: results, gradients, running statistics.
import { describe, expect, test } from "vitest";
import { nn } from "../../src/index.ts";
import { describe as describeNetwork } from "../../src/nn/describe.ts";
import { type AnyModule, buffersOf, parametersOf } from "../../src/nn/module.ts";
import { networkOf } from "../../src/nn/rebuild.ts";
import { checkLayer, type LayerCase, oracleCases } from "../support/oracle.ts";

const cases = oracleCases<LayerCase>("layer");
const titled = cases.map(
  (entry, i) => [`${entry.layer}(${JSON.stringify(entry.args).slice(1, -1)}) #${i}`, entry] as const,
);

/** The layer of a case; an argument that describes a layer is that layer. */
function layerOf({ layer, args }: LayerCase): AnyModule {
  const make = (nn as unknown as Record<string, (...args: readonly unknown[]) => AnyModule>)[layer]!;
  const isPart = (arg: unknown) => typeof arg === "object" && arg !== null && "layer" in arg;
  return make(...args.map((arg) => (isPart(arg) ? networkOf(arg) : arg)));
}

const tensorsOf = (network: AnyModule) =>
  [...parametersOf(network), ...buffersOf(network)].map(({ name, spec: { shape } }) => ({ name, shape }));

describe("layers as PyTorch computes them", () => {
  test("there are cases", () => expect(cases.length).toBeGreaterThan(3));
  test.each(titled)("%s", async (_, entry) => {
    await checkLayer(layerOf(entry), entry);
  });
});

describe("layers made again from their description", () => {
  test.each(titled)("%s", (_, entry) => {
    const network = layerOf(entry);
    const description = describeNetwork(network);
    const again = networkOf(JSON.parse(JSON.stringify(description)));
    expect(describeNetwork(again)).toEqual(description);
    expect(again.label).toBe(network.label);
    expect(tensorsOf(again)).toEqual(tensorsOf(network));
  });
});
