// Every layer beside PyTorch's: results, gradients, running statistics.
import { describe, expect, test } from "vitest";
import { nn } from "../../src/index.ts";
import type { AnyModule } from "../../src/nn/module.ts";
import { checkLayer, type LayerCase, oracleCases } from "../support/oracle.ts";

const cases = oracleCases<LayerCase>("layer");
const titled = cases.map(
  (entry, i) => [`${entry.layer}(${JSON.stringify(entry.args).slice(1, -1)}) #${i}`, entry] as const,
);

describe("layers as PyTorch computes them", () => {
  test("there are cases", () => expect(cases.length).toBeGreaterThan(3));
  test.each(titled)("%s", async (_, entry) => {
    const make = (nn as unknown as Record<string, (...args: readonly unknown[]) => AnyModule>)[entry.layer]!;
    await checkLayer(make(...entry.args), entry);
  });
});
