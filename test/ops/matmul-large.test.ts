// Parity of products with enough work for what only large ones do: large tiles, two k a turn, operands transposed first.
import { expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { AdapterFacts } from "../../src/core/kernel.ts";
import type { OpRecord, Sample } from "../../src/core/op.ts";
import { Sampler } from "../../src/core/samples.ts";
import { matmulVariants } from "../../src/ops/matmul/kernel.ts";
import { matmul } from "../../src/ops/matmul/matmul.ts";
import { type MatmulAttrs, productOf } from "../../src/ops/matmul/shape.ts";
import { parityCases, runCase } from "../../src/verify/parity.ts";
import { gpu } from "../support/gpu.ts";

const s = new Sampler("large products");

/** A product, and the text that shows that its subgroup and its tile kernel are the ones meant. */
const CASES: [
  name: string,
  sample: Sample<MatmulAttrs>,
  dispatches: number,
  subgroup: RegExp,
  tile: RegExp,
][] = [
  [
    "one operand along k",
    { inputs: [s.randn(388, 380), s.randn(380, 356)] },
    2,
    /ROWS = 32u;\nconst WIDTH = 4u;[\s\S]*DEPTH = 2u/,
    /ROWS = 16u;\nconst WIDTH = 4u;[\s\S]*GROUP = 4u/,
  ],
  [
    "both along k",
    { inputs: [s.randn(388, 380), s.randn(356, 380)], attrs: { transposeB: true } },
    3,
    /WIDTH = 4u;[\s\S]*DEPTH = 2u/,
    /WIDTH = 4u;[\s\S]*GROUP = 4u/,
  ],
  [
    "sizes that are not multiples of four",
    { inputs: [s.randn(371, 390), s.randn(371, 333)], attrs: { transposeA: true } },
    1,
    /WIDTH = 2u;[\s\S]*DEPTH = 1u/,
    /WIDTH = 2u;[\s\S]*GROUP = 1u/,
  ],
  [
    "long sums",
    { inputs: [s.randn(32, 16390), s.randn(16390, 64)] },
    1,
    /DEPTH = 2u;[\s\S]*SLABS = 2u/,
    /ROWS = 8u;[\s\S]*SLABS = 8u/,
  ],
];

/** Adapters differ in their tiles; the text above is that of llvmpipe, whatever these tests run on. */
const LLVMPIPE: AdapterFacts = {
  ...cpuBackend().facts,
  name: "llvmpipe",
  software: true,
  maxBindingBytes: 2 ** 27,
  maxInvocations: 1024,
  maxWorkgroupBytes: 32768,
  maxWorkgroupsPerDimension: 65535,
  subgroups: true,
  subgroupMinSize: 8,
  subgroupMaxSize: 8,
};

test.each(CASES)("%s: the kernels are those of large products", (_, sample, dispatches, subgroup, tile) => {
  const [a, b] = sample.inputs;
  const variants = matmulVariants(productOf(a!, b!, sample.attrs), LLVMPIPE);
  for (const [name, text] of Object.entries({ subgroup, tile })) {
    const variant = variants.find((other) => other.name === name);
    expect(variant, name).toBeDefined();
    const kernels = variant!.dispatches.filter(({ kernel }) => kernel !== "sum-slabs");
    expect(kernels).toHaveLength(dispatches);
    expect(kernels.at(-1)!.source).toMatch(text);
  }
});

test.each(CASES)("%s: parity of every kernel", { timeout: 60_000 }, async (_, sample) => {
  const backend = await gpu();
  const failures: string[] = [];
  let rows = 0;
  for (const parity of parityCases({ ...matmul, samples: () => [sample] } as OpRecord))
    for (const variant of parity.variants(backend.facts)) {
      const row = await runCase(backend, parity, variant);
      rows++;
      if (!row.pass) failures.push(`${row.case} [${row.kernel}]: ${row.message}`);
    }
  expect(failures).toEqual([]);
  expect(rows).toBeGreaterThanOrEqual(3); // tile, workgroup, naive: what every adapter has
});
