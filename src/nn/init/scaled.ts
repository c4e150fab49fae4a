import { checkNames, checkNumber, checkWhole } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import { type Shape, sizeOf } from "../../core/shape.ts";
import { type Initializer, normal, uniform } from "./fill.ts";

/** Inputs and outputs of one unit of a weight [out, in, ...kernel]. */
export function fans(shape: Shape): { fanIn: number; fanOut: number } {
  const field = sizeOf(shape.slice(2));
  return { fanIn: (shape[1] ?? shape[0] ?? 1) * field, fanOut: (shape[0] ?? 1) * field };
}

/** What a weight is scaled by: its inputs, its outputs, or the mean of both. */
export type FanMode = "fanIn" | "fanOut" | "fanAverage";

/** Options of `heNormal` and `heUniform`: gain √2 and mode "fanIn" unless given. */
export interface HeOptions {
  readonly gain?: number;
  readonly mode?: FanMode;
}

function fanOf(shape: Shape, mode: FanMode): number {
  const { fanIn, fanOut } = fans(shape);
  return mode === "fanIn" ? fanIn : mode === "fanOut" ? fanOut : (fanIn + fanOut) / 2;
}

/** Var = gain²/fan, normal or uniform. */
/*#__NO_SIDE_EFFECTS__*/
function scaled(form: "normal" | "uniform", gain: number, mode: FanMode): Initializer {
  return (shape, random) => {
    const std = gain / Math.sqrt(Math.max(1, fanOf(shape, mode)));
    const bound = Math.sqrt(3) * std;
    return (form === "normal" ? normal(std) : uniform(-bound, bound))(shape, random);
  };
}

/*#__NO_SIDE_EFFECTS__*/
function he(name: string, form: "normal" | "uniform", given: number | HeOptions): Initializer {
  const options = typeof given === "number" ? { gain: given } : given;
  checkNames(name, options, ["gain", "mode"]);
  const { gain = Math.SQRT2, mode = "fanIn" } = options as HeOptions;
  checkNumber(`${name}: gain`, gain, [0]);
  if (mode !== "fanIn" && mode !== "fanOut" && mode !== "fanAverage")
    throw new OptionError(`${name}: mode is ${mode}; use "fanIn", "fanOut" or "fanAverage".`);
  return scaled(form, gain, mode);
}

/**
 * Uniform within ±gain·√(6/(fanIn + fanOut)), Var = gain²·2/(fanIn + fanOut), for tanh and sigmoid; weight
 * [out, in, ...kernel]; as torch.nn.init.xavier_uniform_. Glorot, Bengio, 2010, eq. 16.
 * @throws OptionError for a gain below 0.
 */
/*#__NO_SIDE_EFFECTS__*/
export function xavierUniform(gain = 1): Initializer {
  checkNumber("xavierUniform: gain", gain, [0]);
  return scaled("uniform", gain, "fanAverage");
}

/**
 * N(0, gain²·2/(fanIn + fanOut)), for tanh and sigmoid; weight [out, in, ...kernel]; as torch.nn.init.xavier_normal_.
 * The Xavier of many lectures is `xavierFanIn`. Glorot, Bengio, 2010, eq. 12.
 * @throws OptionError for a gain below 0.
 */
/*#__NO_SIDE_EFFECTS__*/
export function xavierNormal(gain = 1): Initializer {
  checkNumber("xavierNormal: gain", gain, [0]);
  return scaled("normal", gain, "fanAverage");
}

/**
 * N(0, gain²/fan), Var = 2/fanIn unless told otherwise, for ReLU; weight [out, in, ...kernel]. Takes a gain, or options
 * with the mode, "fanIn", "fanOut" or "fanAverage"; as torch.nn.init.kaiming_normal_. He et al., 2015, eq. 10 and 14.
 * @throws OptionError for a gain below 0, or another mode.
 */
/*#__NO_SIDE_EFFECTS__*/
export function heNormal(options: number | HeOptions = {}): Initializer {
  return he("heNormal", "normal", options);
}

/**
 * Uniform within ±gain·√(3/fan), of the same variance as `heNormal`, with the same options; weight
 * [out, in, ...kernel]; as torch.nn.init.kaiming_uniform_. He et al., 2015, eq. 10 and 14.
 * @throws OptionError for a gain below 0, or another mode.
 */
/*#__NO_SIDE_EFFECTS__*/
export function heUniform(options: number | HeOptions = {}): Initializer {
  return he("heUniform", "uniform", options);
}

/** N(0, 1/fanIn), for SELU and tanh; weight [out, in, ...kernel]. LeCun et al., 1998, "Efficient BackProp", eq. 16. */
/*#__NO_SIDE_EFFECTS__*/
export function lecunNormal(): Initializer {
  return scaled("normal", 1, "fanIn");
}

/** Uniform within ±√(3/fanIn), Var = 1/fanIn; weight [out, in, ...kernel]. LeCun et al., 1998, "Efficient BackProp", eq. 16. */
/*#__NO_SIDE_EFFECTS__*/
export function lecunUniform(): Initializer {
  return scaled("uniform", 1, "fanIn");
}

/**
 * N(0, 1/fanIn), std 1/√fanIn: what many lectures call Xavier, and what `lecunNormal` is; weight [out, in, ...kernel].
 * Glorot's own, `xavierNormal`, has the mean of inputs and outputs. LeCun et al., 1998, "Efficient BackProp", eq. 16.
 */
export const xavierFanIn: () => Initializer = lecunNormal;

/**
 * Uniform within ±1/√fanIn, in any shape: what PyTorch's Linear and Conv2d start from. `fanIn` is that of the layer's weight.
 * As torch.nn.Linear.reset_parameters.
 * @throws OptionError for a fan that is no whole number of at least 0.
 */
/*#__NO_SIDE_EFFECTS__*/
export function torchDefault(fanIn: number): Initializer {
  checkWhole("torchDefault: fanIn", fanIn, 0);
  const bound = 1 / Math.sqrt(Math.max(1, fanIn));
  return uniform(-bound, bound);
}
