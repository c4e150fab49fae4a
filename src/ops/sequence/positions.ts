import { checkNames, checkNumber } from "../../core/check.ts";
import { ShapeError } from "../../core/errors.ts";
import { dataTensor, type Tensor } from "../../core/op.ts";
import { showShape } from "../../core/shape.ts";

/** f32 [time, features] of what `angle` makes of the place p and the frequency base^(−2i/features) of columns 2i and 2i + 1. */
function table(
  time: number,
  features: number,
  base: number,
  value: (angle: number, column: number) => number,
): Tensor {
  // On the host, in float64: a shader's sine of an angle of thousands is far off.
  const data = Float64Array.from({ length: time * features }, (_, at) => {
    const [place, column] = [Math.floor(at / features), at % features];
    return value(place / base ** ((column - (column % 2)) / features), column);
  });
  return dataTensor({ shape: [time, features], dtype: "f32", data });
}

/**
 * f32 [time, features]: sin(p/base^(2i/features)) in column 2i of row p and the cosine of the same in column 2i + 1.
 * @internal
 */
export const sinusoids = (time: number, features: number, base: number): Tensor =>
  table(time, features, base, (angle, column) => (column % 2 === 0 ? Math.sin(angle) : Math.cos(angle)));

/** Options of `rotary`: base 10000 unless given. */
export interface RotaryOptions {
  readonly base?: number;
}

/**
 * Rotates the pair (x₂ᵢ, x₂ᵢ₊₁) of each row p by the angle p/base^(2i/d): [..., time, d] → the same. A product of two such rows
 * then depends on their distance only. As torchtune.modules.RotaryPositionalEmbeddings. Su et al., 2021, eq. 34.
 * @throws ShapeError for an odd d.
 *
 * @example f.rotary(q, { base: 10000 })
 */
export function rotary(x: Tensor, options: RotaryOptions = {}): Tensor {
  checkNames("rotary", options, ["base"]);
  const { base = 10000 } = options;
  checkNumber("rotary: base", base, "above 0");
  const [time, width] = x.shape.slice(-2);
  if (time === undefined || width === undefined || width % 2 === 1)
    throw new ShapeError(`rotary: takes [..., time, an even number of features], got ${showShape(x.shape)}.`);
  const cosines = table(time, width, base, Math.cos);
  const sines = table(time, width, base, Math.sin);
  return x.mul(cosines).add(x.matmul(quarterTurn(width)).mul(sines));
}

/** [d, d] that turns each pair (a, b) of a row to (−b, a): a product, for its epilogue is the rest of the rotation. */
function quarterTurn(width: number): Tensor {
  const data = new Float64Array(width * width);
  for (let i = 0; i < width; i += 2) {
    data[(i + 1) * width + i] = -1;
    data[i * width + i + 1] = 1;
  }
  return dataTensor({ shape: [width, width], dtype: "f32", data });
}
