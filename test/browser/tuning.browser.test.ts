// The tuner in a page, and its choices in IndexedDB.

import { expect, test } from "vitest";
import { feed } from "../../src/graph/node.ts";
import { f, gpu, type TunedKernel, tune, tuningStore } from "../../src/index.ts";

test("choices are measured once and kept in IndexedDB", async () => {
  const device = await gpu();
  const y = f.matmul(feed("a", [64, 96]), feed("b", [96, 32]));
  const programs = [{ name: "product", outputs: { y } }];
  const store = tuningStore();
  const kernels: TunedKernel[] = [];
  const run = () =>
    tune(device, programs, { store, onProgress: (_, __, kernel) => kernel && kernels.push(kernel) });
  const choices = await run();
  expect(choices.size).toBe(1);
  expect(kernels[0]!.candidates.length).toBeGreaterThan(1);
  for (const { verdict } of kernels[0]!.candidates) expect(["wrong", "does not run"]).not.toContain(verdict);
  expect(await run()).toEqual(choices);
  expect(kernels[1]!.candidates).toEqual([]);
  await store.save("another", new Map([["key", { choice: "tile", sources: "0" }]]));
  expect([...(await store.load("another")).keys()]).toEqual(["key"]);
  device.dispose();
});
