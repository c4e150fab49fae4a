import storeSource from "../../../shaders/conv/store-scalar.part.wgsl?raw";
import stretchSource from "../../../shaders/conv/stretch-scalar.part.wgsl?raw";
import winogradSource from "../../../shaders/conv/winograd.wgsl?raw";
import { type AdapterFacts, gridOf } from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { compilesSlowly } from "../product/tiles.ts";
import { type ConvSum, specializeSum } from "./sum.ts";

/** Tiles and channels of a workgroup, and its threads: shaders/conv/winograd.wgsl is written for these. */
const SIDE = 32;
const THREADS = 256;

const suits = ({ kernel, stride, dilation }: ConvSum) =>
  kernel.every((taps) => taps === 3) && [...stride, ...dilation].every((step) => step === 1);

type Maker = [kind: string, make: (sum: ConvSum) => ReturnType<typeof winograd>];

/** The variants to offer, which take 8 or 4 source channels at most at a time. */
export function winogradKernels(facts: AdapterFacts): Maker[] {
  const eight: Maker = ["winograd", (sum) => winograd(sum, facts, 8)];
  const four: Maker = ["winograd-4", (sum) => winograd(sum, facts, 4)];
  return compilesSlowly(facts) ? [] : facts.software ? [eight] : [eight, four];
}

/**
 * The sum by Winograd's algorithm F(2×2, 3×3), `most` source channels at a time or fewer; null where it is another
 * kernel's, or the adapter's limits are too low.
 */
function winograd(sum: ConvSum, facts: AdapterFacts, most: number) {
  const bytes = (chunk: number) => 4 * 16 * 2 * SIDE * chunk;
  const chunk = most > 4 && sum.sources > 4 && bytes(8) <= facts.maxWorkgroupBytes ? 8 : 4;
  if (!suits(sum) || THREADS > facts.maxInvocations || bytes(chunk) > facts.maxWorkgroupBytes) return null;
  const tiles = sum.batch * Math.ceil(sum.output[0] / 2) * Math.ceil(sum.output[1] / 2);
  return {
    source: specializeSum(sum, [winogradSource, stretchSource, storeSource], {
      CHUNK: chunk,
      // A software driver compiles for long what it unrolls.
      WHOLE_STEPS: !facts.software,
    }),
    workgroups: gridOf(Math.ceil(sum.targets / SIDE) * sum.groups * Math.ceil(tiles / SIDE), facts),
    stores: 2,
    slots: 1,
    flops: 2 * 16 * sum.groups * sum.sources * sum.targets * tiles,
    magnified,
  };
}

/**
 * Winograd's algorithm adds terms that cancel. Along one axis, with |d| what a tile sees and |g| the taps:
 *
 *   y₀ = (d₀ − d₂)g₀ + (d₁ + d₂)½(g₀ + g₁ + g₂) + (d₂ − d₁)½(g₀ − g₁ + g₂)
 *
 * has magnitudes (|d₀| + |d₂|)|g₀| + (|d₁| + |d₂|)Σ|g| ≤ 2 Σ|g| (|d₀| + |d₁| + |d₂|), y₁ alike over d₁ to d₃: just the
 * inputs that each output sees. Along both axes that is the convolution of |x| with 4 Σ|g| in place of every tap. (Where a
 * gradient with a stride takes several sums of 3 × 3, each adds less than the whole kernel's Σ|g|.)
 *
 * A term is rounded at most twice in each of Bᵀ d B's sums, four times in G g Gᵀ and Aᵀ m A, once when multiplied and once
 * for each of C channels: C + 10 roundings. The bound 4·√L·u·S with L = 9C allows 12·√C: enough for the worst case up to
 * C = 120, and beyond that for errors that do not all point the same way, as for every sum.
 */
function magnified([x, w]: readonly NDArray[]): NDArray[] {
  const taps = w!.shape[2]! * w!.shape[3]!;
  const sums = new Float64Array(w!.data.length);
  for (let first = 0; first < sums.length; first += taps) {
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) sum += Math.abs(w!.data[first + tap]!);
    sums.fill(4 * sum, first, first + taps);
  }
  return [
    { ...x!, data: Float64Array.from(x!.data, Math.abs) },
    { ...w!, data: sums },
  ];
}
