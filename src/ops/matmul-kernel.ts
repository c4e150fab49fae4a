import naiveSource from "../../shaders/matmul-naive.wgsl?raw";
import tileSource from "../../shaders/matmul-tile.wgsl?raw";
import { sizeOf } from "../core/shape.ts";
import { offsetCode } from "./elementwise-kernel.ts";
import { type AdapterFacts, gridOf, input, type KernelVariant, output, specialize } from "./kernel.ts";
import type { Product } from "./matmul-shape.ts";
import { slabbed } from "./matmul-slabs.ts";

/** All ways to compute a batch of matrix products. */
export function matmulVariants(p: Product, facts: AdapterFacts): KernelVariant[] {
  const { m, n, k } = p;
  const batch = sizeOf(p.batch);
  const size = batch * m * n;
  const constants = {
    BATCH: batch,
    M: m,
    N: n,
    K: k,
    A_M: p.transposeA ? 1 : k,
    A_K: p.transposeA ? m : 1,
    B_K: p.transposeB ? 1 : n,
    B_N: p.transposeB ? k : 1,
  };
  const matrices = [
    `fn aMatrix(e: u32) -> u32 { return ${offsetCode(p.batch, p.aBatch)}; }`,
    `fn bMatrix(e: u32) -> u32 { return ${offsetCode(p.batch, p.bBatch)}; }`,
  ].join("\n");
  const source = (text: string, more: Record<string, number> = {}) =>
    `${specialize(text, { ...constants, ...more })}\n${matrices}\n`;
  const inputs = [input(0), input(1)];
  const cost = { flops: 2 * size * k, bytes: 4 * (size + batch * k * (m + n)) };

  const rows = Math.min(8, m);
  const columns = Math.min(8, n);
  const tiles = batch * Math.ceil(m / rows) * Math.ceil(n / columns);
  const slabLength = Math.max(64, Math.ceil(k / Math.ceil(1024 / tiles)));
  const slabs = Math.ceil(k / slabLength);
  return [
    slabbed(
      "tile",
      size,
      slabs,
      {
        kernel: "matmul/tile",
        source: source(tileSource, { ROWS: rows, COLUMNS: columns, SLABS: slabs, SLAB: slabLength }),
        inputs,
        workgroups: gridOf(Math.ceil((tiles * slabs) / 64), facts),
        ...cost,
      },
      facts,
    ),
    {
      name: "naive",
      dispatches: [
        {
          kernel: "matmul/naive",
          source: source(naiveSource),
          bindings: [...inputs, output()],
          workgroups: gridOf(Math.ceil(size / 64), facts),
          ...cost,
        },
      ],
    },
  ];
}
