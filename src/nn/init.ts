import type { Random } from "../core/rng.ts";
import { type Shape, sizeOf } from "../core/shape.ts";

/** Fills a new parameter. `fanIn` and `fanOut` count the connections of one unit: PyTorch's convention. */
export type Initializer = (shape: Shape, random: Random) => Float32Array<ArrayBuffer>;

/** Inputs and outputs of one unit of a weight [out, in, ...kernel]. */
export function fans(shape: Shape): { fanIn: number; fanOut: number } {
  const field = sizeOf(shape.slice(2));
  return { fanIn: (shape[1] ?? shape[0] ?? 1) * field, fanOut: (shape[0] ?? 1) * field };
}

function fill(shape: Shape, next: () => number): Float32Array<ArrayBuffer> {
  const data = new Float32Array(sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = next();
  return data;
}

/** The same number everywhere. */
export const constant =
  (value: number): Initializer =>
  (shape) =>
    fill(shape, () => value);
/** 0 everywhere. */
export const zeros = constant(0);
/** 1 everywhere. */
export const ones = constant(1);

/** Uniform in [low, high). */
export const uniform =
  (low: number, high: number): Initializer =>
  (shape, random) =>
    fill(shape, () => random.uniform(low, high));

/** Normal with a standard deviation. */
export const normal =
  (std: number, mean = 0): Initializer =>
  (shape, random) =>
    fill(shape, () => mean + std * random.normal());

/** Var = 2/(fanIn + fanOut), for tanh and sigmoid. Glorot, Bengio, 2010, eq. 16. */
export const xavierUniform =
  (gain = 1): Initializer =>
  (shape, random) => {
    const { fanIn, fanOut } = fans(shape);
    const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
    return uniform(-bound, bound)(shape, random);
  };

/** The normal form of xavierUniform. Glorot, Bengio, 2010. */
export const xavierNormal =
  (gain = 1): Initializer =>
  (shape, random) => {
    const { fanIn, fanOut } = fans(shape);
    return normal(gain * Math.sqrt(2 / (fanIn + fanOut)))(shape, random);
  };

/** Var = 2/fanIn, for ReLU. He et al., 2015, eq. 10. */
export const heNormal =
  (gain = Math.SQRT2): Initializer =>
  (shape, random) =>
    normal(gain / Math.sqrt(fans(shape).fanIn))(shape, random);

/** The uniform form of heNormal. */
export const heUniform =
  (gain = Math.SQRT2): Initializer =>
  (shape, random) => {
    const bound = gain * Math.sqrt(3 / fans(shape).fanIn);
    return uniform(-bound, bound)(shape, random);
  };

/** Uniform within ±1/√fanIn: what PyTorch's Linear and Conv2d start from. `fanIn` is that of the layer's weight. */
export const torchDefault =
  (fanIn: number): Initializer =>
  (shape, random) =>
    uniform(-1 / Math.sqrt(fanIn), 1 / Math.sqrt(fanIn))(shape, random);
