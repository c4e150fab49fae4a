import { checkNames, checkNumber } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import type { Random } from "../../core/rng.ts";
import { type Shape, sizeOf } from "../../core/shape.ts";
import { erf, erfinv } from "../../core/special.ts";

/** Fills a new parameter. `fanIn` and `fanOut` count the connections of one unit: PyTorch's convention. */
export type Initializer = (shape: Shape, random: Random) => Float32Array<ArrayBuffer>;

function fill(shape: Shape, next: () => number): Float32Array<ArrayBuffer> {
  const data = new Float32Array(sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = next();
  return data;
}

/** The same number everywhere, in any shape; as torch.nn.init.constant_. */
/*#__NO_SIDE_EFFECTS__*/
export function constant(value: number): Initializer {
  checkNumber("constant: value", value);
  return (shape) => fill(shape, () => value);
}

/** 0 everywhere, in any shape; as torch.nn.init.zeros_. */
export const zeros: Initializer = /*#__PURE__*/ constant(0);
/** 1 everywhere, in any shape; as torch.nn.init.ones_. */
export const ones: Initializer = /*#__PURE__*/ constant(1);

/**
 * Uniform in [low, high), in any shape; as torch.nn.init.uniform_.
 * @throws OptionError for low above high.
 */
/*#__NO_SIDE_EFFECTS__*/
export function uniform(low: number, high: number): Initializer {
  checkNumber("uniform: low", low);
  checkNumber("uniform: high", high);
  if (low > high)
    throw new OptionError(`uniform: low is ${low} and high ${high}; give the smaller number first.`);
  return (shape, random) => fill(shape, () => random.uniform(low, high));
}

/**
 * N(mean, std²), in any shape; as torch.nn.init.normal_.
 * @throws OptionError for a standard deviation below 0.
 */
/*#__NO_SIDE_EFFECTS__*/
export function normal(std: number, mean = 0): Initializer {
  checkNumber("normal: std", std, [0]);
  checkNumber("normal: mean", mean);
  return (shape, random) => fill(shape, () => mean + std * random.normal());
}

/** Options of `truncatedNormal`: mean 0, low and high two standard deviations from it. */
export interface TruncatedNormalOptions {
  readonly mean?: number;
  readonly low?: number;
  readonly high?: number;
}

/**
 * N(mean, std²) without what lies outside [low, high], in any shape: mean + std·√2·erf⁻¹(u), u uniform between the
 * bounds' places. The bounds are numbers, as `a` and `b` of torch.nn.init.trunc_normal_; they are mean ± 2·std unless
 * given, as in Keras, where PyTorch has ±2 whatever std is. Within ±2·std the result's deviation is 0.88·std.
 * @throws OptionError for a standard deviation that is not above 0, or bounds between which nothing lies.
 */
/*#__NO_SIDE_EFFECTS__*/
export function truncatedNormal(std = 1, options: TruncatedNormalOptions = {}): Initializer {
  checkNames("truncatedNormal", options, ["mean", "low", "high"]);
  const { mean = 0, low = mean - 2 * std, high = mean + 2 * std } = options;
  checkNumber("truncatedNormal: mean", mean);
  checkNumber("truncatedNormal: std", std, "above 0");
  const place = (x: number) => erf((x - mean) / (std * Math.SQRT2));
  const [from, to] = [place(low), place(high)];
  if (!(to - from > 1e-6))
    throw new OptionError(
      `truncatedNormal: next to nothing of N(${mean}, ${std}²) lies from ${low} to ${high}; use bounds nearer to the mean, the smaller first.`,
    );
  // From the middle of each of the generator's 2²⁴ steps: erf⁻¹ of an end may be infinite.
  const half = (to - from) * 2 ** -25;
  return (shape, random) =>
    fill(shape, () => {
      const x = mean + std * Math.SQRT2 * erfinv(random.uniform(from, to) + half);
      return Math.min(Math.max(x, low), high);
    });
}
