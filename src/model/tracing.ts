import type { DType } from "../core/dtype.ts";
import { OptionError, ShapeError } from "../core/errors.ts";
import type { Tensor, Variable } from "../core/op.ts";
import type { Shape } from "../core/shape.ts";
import { feed } from "../graph/node.ts";
import type { BatchExamples, PenaltyTerm, TrackedStatistic } from "../nn/module.ts";
import { constant } from "../ops/elementwise/unary.ts";
import { normalOf } from "../ops/random/normal.ts";
import { randomUniform } from "../ops/random/random.ts";
import { sort } from "../ops/reduce/sort.ts";
import type { ModelTensors } from "./tensors.ts";

/** One pass of a model's network within a trace. */
export interface Pass {
  readonly model: { readonly tensors: ModelTensors; batchesTracked: number };
  /** What its layers keep statistics of. */
  readonly tracked: readonly TrackedStatistic[];
}

/** What a trace is made with, and what it gathers. */
export class TraceContext {
  /** u32[4]: step, seed, position over all epochs, row of the metrics ring. */
  readonly counters = feed("counters", [4], "u32");
  /** What the batch is made of, where it comes from a data set on the device. */
  examples: BatchExamples | undefined;
  /**
   * Tensors that models compute with in place of parameters, where a search varies those.
   * @internal
   */
  varied: ReadonlyMap<Variable, Tensor> | undefined;
  /** @internal */
  readonly passes: Pass[] = [];
  /** What layers of the models' passes so far have added to what is minimised, see `penalty`. */
  readonly penalties: PenaltyTerm[] = [];
  private layers = 0;

  constructor(
    /** Whether models are traced as they train: with dropout, and batch norm by the batch. */
    readonly training: boolean,
  ) {}

  /**
   * The sum of what layers of the models' passes so far have added to what is minimised; 0 where none has.
   *
   * @example const loss = model.forward(x, t).sub(y).square().mean().add(t.penalty());
   */
  penalty(): Tensor {
    const [first, ...rest] = this.penalties.map(({ value }) => value);
    return first ? rest.reduce((sum, value) => sum.add(value), first) : constant({ value: 0 });
  }

  /** A number for each use of random numbers, so that each draws its own. */
  nextLayer(): number {
    return this.layers++;
  }
}

/** What a traced function may ask for beside its inputs: random tensors, new ones in each run. */
export class Tracing extends TraceContext {
  /**
   * Uniform numbers in [low, high), 24 random bits each: others in each run, the same ones for the same seed. From
   * threefry2x32 with the key (seed, use) and the counter (element, run).
   *
   * @example t.uniform([64, 1], { low: -1, high: 1 })
   */
  uniform(shape: Shape, { low = 0, high = 1 }: { low?: number; high?: number } = {}): Tensor {
    if (!(low < high) || !Number.isFinite(high - low))
      throw new OptionError(`uniform: from ${low} to ${high}; use finite numbers, the lower first.`);
    const unit = randomUniform(this.counters, { shape, layer: this.nextLayer() });
    return low === 0 && high === 1 ? unit : unit.mul(high - low).add(low);
  }

  /**
   * Normal numbers, mean + std·√2·erfinv(2u − 1) of uniform u: others in each run, the same ones for the same seed.
   *
   * @example generator.forward(t.normal([64, 16]), t)
   */
  normal(shape: Shape, { mean = 0, std = 1 }: { mean?: number; std?: number } = {}): Tensor {
    if (!Number.isFinite(mean) || !(std >= 0 && Number.isFinite(std)))
      throw new OptionError(`normal: mean ${mean} and std ${std}; use finite numbers, std at least 0.`);
    const normal = normalOf(randomUniform(this.counters, { shape, layer: this.nextLayer() }));
    return mean === 0 && std === 1 ? normal : normal.mul(std).add(mean);
  }

  /**
   * The numbers 0…n − 1 as i32[n] in a random order, another one in each run: the order in which n random numbers of 24
   * bits are sorted, of equal ones the first first.
   * @throws ShapeError when n is no whole number from 0.
   *
   * @example const mixed = x.gather(t.permutation(64))
   */
  permutation(n: number): Tensor {
    if (!Number.isInteger(n) || n < 0)
      throw new ShapeError(`permutation: of ${n} numbers; use a whole number from 0.`);
    const keys = randomUniform(this.counters, { shape: [n], layer: this.nextLayer() });
    const [, order] = sort(keys);
    return order;
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
