import { describe, expect, test } from "vitest";
import type { OpRecord } from "../../src/core/op.ts";
import { parityCases, runCase } from "../../src/verify/parity.ts";
import { gpu } from "./gpu.ts";

/** A test for each case of an op, with every kernel variant. */
export function testParity(op: OpRecord): void {
  describe(`parity of ${op.name}: WebGPU against the reference`, () => {
    for (const [number, { label }] of parityCases(op).entries())
      test(label, async () => {
        const backend = await gpu();
        const parity = parityCases(op)[number]!; // made anew, so that what it draws goes with this test
        const failures: string[] = [];
        for (const variant of parity.variants(backend.facts)) {
          const row = await runCase(backend, parity, variant);
          if (!row.pass) failures.push(`${row.case} [${row.kernel}]: ${row.message}`);
        }
        expect(failures).toEqual([]);
      });
  });
}

/** Ops whose shaders take minutes to compile: each has a file of its own, so that they share the processor's cores. */
export const LARGE = ["conv2d", "conv2dInputGrad", "conv2dWeightGrad"];
