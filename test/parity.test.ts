import { describe, expect, test } from "vitest";
import { parityCases, runCase } from "../src/verify/parity.ts";
import { records } from "../src/verify/records.ts";
import { gpu } from "./support/gpu.ts";

describe("parity: WebGPU against the reference", () => {
  for (const op of records)
    test(op.name, async () => {
      const backend = await gpu();
      const failures: string[] = [];
      for (const parity of parityCases(op))
        for (const variant of parity.variants(backend.facts)) {
          const row = await runCase(backend, parity, variant);
          if (!row.pass) failures.push(`${row.case} [${row.kernel}]: ${row.message}`);
        }
      expect(failures).toEqual([]);
    });
});
