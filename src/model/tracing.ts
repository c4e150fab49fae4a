import type { DType } from "../core/dtype.ts";
import type { Tensor } from "../core/op.ts";
import type { Shape } from "../core/shape.ts";
import { feed } from "../graph/node.ts";
import type { Trace as NetworkTrace } from "../nn/module.ts";
import { randomUniform } from "../ops/random/random.ts";
import type { ModelTensors } from "./tensors.ts";

/** One pass of a model's network within a trace. */
export interface Pass {
  readonly model: { readonly tensors: ModelTensors };
  readonly trace: NetworkTrace;
}

/** What a traced function may ask for beside its inputs: random tensors, new ones in each run. */
export class Tracing {
  /** u32[4]: step, seed, position in the epoch, row of the metrics ring. */
  readonly counters = feed("counters", [4], "u32");
  readonly passes: Pass[] = [];
  private layers = 0;

  constructor(
    /** Whether models are traced as they train: with dropout, and batch norm by the batch. */
    readonly training: boolean,
  ) {}

  /** A number for each use of random numbers, so that each draws its own. */
  nextLayer(): number {
    return this.layers++;
  }

  /** Uniform in [low, high): other numbers in each run, the same ones for the same seed. */
  uniform(shape: Shape, { low = 0, high = 1 }: { low?: number; high?: number } = {}): Tensor {
    const unit = randomUniform(this.counters, { shape, layer: this.nextLayer() });
    return low === 0 && high === 1 ? unit : unit.mul(high - low).add(low);
  }

  /** Normal with a mean and a standard deviation: √2·erfinv(2u − 1) of uniform u. */
  normal(shape: Shape, { mean = 0, std = 1 }: { mean?: number; std?: number } = {}): Tensor {
    // From the middle of each of the 2²⁴ steps: 0 would become −∞.
    const unit = randomUniform(this.counters, { shape, layer: this.nextLayer() });
    const normal = unit
      .mul(2)
      .add(2 ** -24 - 1)
      .erfinv()
      .mul(Math.SQRT2);
    return mean === 0 && std === 1 ? normal : normal.mul(std).add(mean);
  }
}

const typeOf =
  <D extends DType>(dtype: D) =>
  (...shape: number[]) => ({ shape: shape as Shape, dtype });

/** The type of an input of numbers of float32, by its shape: `f32(64, 2)`. */
export const f32 = typeOf("f32");
/** The type of an input of integers, class numbers for instance, by its shape: `i32(64, 2)`. */
export const i32 = typeOf("i32");
/** The type of an input of integers from 0, by its shape: `u32(64, 2)`. */
export const u32 = typeOf("u32");
/** The type of an input of bytes, the pixels of images for instance, by its shape: `u8(64, 2)`. */
export const u8 = typeOf("u8");
/** The type of an input of truths, by its shape: `bool(64, 2)`. */
export const bool = typeOf("bool");
