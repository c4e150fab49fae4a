import { checkNames, checkNumber, checkWhole } from "../../core/check.ts";
import { ShapeError } from "../../core/errors.ts";
import { orthonormalRows } from "../../core/linalg.ts";
import { showShape, sizeOf } from "../../core/shape.ts";
import { type Initializer, zeros } from "./fill.ts";

/** 1 on the diagonal, else 0: a linear layer that gives its input; weight [out, in]; as torch.nn.init.eye_. */
export const identity: Initializer = (shape) => {
  if (shape.length !== 2)
    throw new ShapeError(
      `identity: the weight is ${showShape(shape)}; it fills [out, in], dirac is for kernels.`,
    );
  const [out, inputs] = shape as [number, number];
  const data = new Float32Array(out * inputs);
  for (let i = 0; i < Math.min(out, inputs); i++) data[i * inputs + i] = 1;
  return data;
};

/** Options of `dirac`: groups 1 and rest `zeros` unless given. */
export interface DiracOptions {
  /** Of the convolution; each group has an identity of its own. */
  readonly groups?: number;
  /** Fills the filters for which no input is left, where a group has more outputs than inputs. */
  readonly rest?: Initializer;
}

/**
 * Filter i of a group gives the group's channel i: 1 in the kernel's middle, else 0; weight [out, in/groups, ...kernel];
 * as torch.nn.init.dirac_. A group's outputs beyond its inputs are 0, or what `rest` makes. Zagoruyko, Komodakis, 2017,
 * "DiracNets".
 * @throws ShapeError for a weight without kernel, or groups that do not divide its outputs.
 */
/*#__NO_SIDE_EFFECTS__*/
export function dirac(options: DiracOptions = {}): Initializer {
  checkNames("dirac", options, ["groups", "rest"]);
  const { groups = 1, rest = zeros } = options;
  checkWhole("dirac: groups", groups, 1);
  return (shape, random) => {
    const [out = 0, inputs = 0, ...kernel] = shape;
    if (kernel.length < 1 || out % groups !== 0)
      throw new ShapeError(
        `dirac: the weight is ${showShape(shape)}; it fills [out, in, ...kernel] with out a multiple of ${groups}.`,
      );
    const field = sizeOf(kernel);
    const middle = kernel.reduce((place, length) => place * length + Math.floor(length / 2), 0);
    const perGroup = out / groups;
    const data = rest(shape, random);
    for (let unit = 0; unit < out; unit++) {
      const channel = unit % perGroup;
      if (channel >= inputs) continue;
      const filter = data.subarray(unit * inputs * field, (unit + 1) * inputs * field);
      filter.fill(0);
      filter[channel * field + middle] = 1;
    }
    return data;
  };
}

/**
 * gain·Q, Q·Qᵀ = 1: a random matrix with orthonormal rows (columns where it has more rows), evenly distributed: the Q of QR of
 * normal numbers, R's diagonal positive; weight [out, ...], as the matrix [out, rest]; as torch.nn.init.orthogonal_.
 * Source: Saxe, McClelland, Ganguli, 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear networks".
 * @throws OptionError for a gain below 0; ShapeError for a weight of one axis.
 */
/*#__NO_SIDE_EFFECTS__*/
export function orthogonal(gain = 1): Initializer {
  checkNumber("orthogonal: gain", gain, [0]);
  return (shape, random) => {
    if (shape.length < 2)
      throw new ShapeError(
        `orthogonal: the weight is ${showShape(shape)}; it fills [out, in] and more axes.`,
      );
    const rows = shape[0]!;
    const columns = sizeOf(shape.slice(1));
    const [few, many] = [Math.min(rows, columns), Math.max(rows, columns)];
    const matrix = Float64Array.from({ length: few * many }, () => random.normal());
    const q = orthonormalRows(matrix, few, many);
    return Float32Array.from(q, (_, i) => {
      const at = rows <= columns ? i : (i % columns) * many + Math.floor(i / columns);
      return gain * q[at]!;
    });
  };
}
