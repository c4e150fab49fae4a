// Every metric beside its definition written out: of one batch or of several, on the adapter and on the reference.
import { describe, expect, test } from "vitest";
import { metrics } from "../../src/index.ts";
import type { Measure } from "../../src/metrics/index.ts";
import { checkMetric, type MetricCase, oracleCases } from "../support/oracle.ts";
import { backends } from "../train/support.ts";

const cases = oracleCases<MetricCase>("metric");
const makers = metrics as unknown as Readonly<Record<string, (...args: readonly unknown[]) => Measure>>;

test("every one of them has a case", () => {
  const named = new Set(cases.map(({ metric }) => metric));
  expect(Object.keys(metrics).filter((name) => name !== "tally" && !named.has(name))).toEqual([]);
});

describe.each(backends)("metrics as they are defined, on %s", (_, open) => {
  test.each([...new Set(cases.map(({ metric }) => metric))])("%s", async (name) => {
    const device = await open();
    const all = cases.filter(({ metric }) => metric === name);
    // Each compiles, which software drivers are slow at.
    for (const entry of device.name === "webgpu" ? [all[0]!, all.at(-1)!] : all)
      await checkMetric(makers[name]!(...entry.args), entry, device);
  });
});
