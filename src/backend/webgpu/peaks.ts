import fma from "../../../shaders/backend/peak-fma.wgsl?raw";
import { output, specialize } from "../../core/kernel.ts";
import { defineOp, type Op, type Tensor } from "../../core/op.ts";
import { exact } from "../../core/tolerance.ts";
import { read, standalone } from "../../graph/node.ts";
import * as f from "../../ops/f.ts";
import type { WebGPUBackend } from "./backend.ts";
import { timed } from "./tuner-trial.ts";
import { adapterKey, type TuningStore, textHash } from "./tuning-store.ts";

/** The most that the adapter does in kernels that do nothing else. */
export interface Peaks {
  /** Multiplications and additions in float32, 10⁹ a second. */
  readonly gflops: number;
  /** Read and written by the elementwise kernel on tensors larger than caches, 10⁹ bytes a second. */
  readonly gigabytesPerSecond: number;
}

const THREADS = 2 ** 18;
const FLOPS = 2 * 16 * 4 * 64 * THREADS;
const ELEMENTS = 2 ** 24;
/** Clocks of browsers are as coarse as 0.1 ms. */
const WANTED_MS = 5;
const ROUNDS = 5;

/** Only a kernel: nobody differentiates it, and its result means nothing. */
const peakFma: Op<() => Tensor> = defineOp({
  name: "peakFma",
  infer: () => [{ shape: [THREADS], dtype: "f32" }],
  reference: () => [{ shape: [THREADS], dtype: "f32", data: new Float64Array(THREADS) }],
  implementation: {
    kind: "kernel",
    kernel: () => [
      {
        name: "fma",
        dispatches: [
          {
            kernel: "peak-fma",
            source: specialize(fma),
            bindings: [output(0)],
            workgroups: [THREADS / 256, 1, 1],
            flops: FLOPS,
            bytes: 4 * THREADS,
          },
        ],
      },
    ],
  },
  tolerance: exact,
  samples: () => [],
});

/** Seconds of the quickest of some runs. */
async function quickest(backend: WebGPUBackend, y: Tensor): Promise<number> {
  const executable = await backend.compile({ name: "peak", outputs: { y } });
  try {
    let ms = await timed(backend, executable, 1);
    const repeats = Math.max(1, Math.min(200, Math.ceil(WANTED_MS / Math.max(ms, 0.01))));
    for (let round = 0; round < ROUNDS; round++)
      ms = Math.min(round === 0 ? Number.POSITIVE_INFINITY : ms, await timed(backend, executable, repeats));
    return ms / 1000;
  } finally {
    executable.dispose();
  }
}

/** Measures both peaks, which takes a second on a software driver. */
export async function measurePeaks(backend: WebGPUBackend): Promise<Peaks> {
  const compute = await quickest(backend, peakFma());
  const elements = Math.min(ELEMENTS, Math.floor(backend.facts.maxBindingBytes / 4));
  const x = standalone("peak", [elements]);
  try {
    const memory = await quickest(backend, f.neg(read(x)));
    return { gflops: FLOPS / compute / 1e9, gigabytesPerSecond: (8 * elements) / memory / 1e9 };
  } finally {
    backend.release(x.arena);
  }
}

const KEYS = { gflops: "peak GFLOP/s", gigabytesPerSecond: "peak GB/s" } as const;

/**
 * The adapter's peaks: the best ever measured, kept beside the tuner's choices. Other work makes a measurement lower, so
 * each one may raise them; what a clock was too coarse for is no number and does not count.
 */
export async function adapterPeaks(backend: WebGPUBackend, store?: TuningStore): Promise<Peaks> {
  const adapter = adapterKey(backend.facts);
  const sources = textHash(fma);
  const stored = await store?.load(adapter);
  const kept = (key: string) => {
    const entry = stored?.get(key);
    return entry?.sources === sources ? Number(entry.choice) : 0;
  };
  const best = (...values: number[]) => Math.max(0, ...values.filter(Number.isFinite));
  const measured = await measurePeaks(backend);
  const peaks = {
    gflops: best(measured.gflops, kept(KEYS.gflops)),
    gigabytesPerSecond: best(measured.gigabytesPerSecond, kept(KEYS.gigabytesPerSecond)),
  };
  const entry = (value: number) => ({ choice: value.toPrecision(4), sources });
  await store?.save(
    adapter,
    new Map([
      [KEYS.gflops, entry(peaks.gflops)],
      [KEYS.gigabytesPerSecond, entry(peaks.gigabytesPerSecond)],
    ]),
  );
  return peaks;
}
