import { checkNames, checkNumber, checkWhole } from "../../core/check.ts";
import { OptionError, ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/op.ts";
import { normalizeAxis, showShape } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import type { Module } from "../module.ts";

/** As it is written in code: `leakyRelu(0.2)`, `hardTanh({ min: -1, max: 1 })`. */
const written = (arg: unknown): string =>
  typeof arg === "object"
    ? `{ ${Object.entries(arg as object)
        .map(([name, value]) => `${name}: ${value}`)
        .join(", ")} }`
    : String(arg);

const activation = (layer: string, apply: (x: Tensor) => Tensor, ...args: unknown[]): Module => ({
  label: `${layer}(${args.map(written).join(", ")})`,
  description: { layer, args },
  forward: apply,
});

/** max(x, 0), any shape; as torch.nn.ReLU. Nair, Hinton, 2010. */
export const relu = () => activation("relu", (x) => x.relu());

/** min(max(x, 0), 6), any shape; as torch.nn.ReLU6. Krizhevsky, 2010, "Convolutional deep belief networks on CIFAR-10". */
export const relu6 = () => activation("relu6", (x) => f.relu6(x));

/** tanh(x) = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ), any shape; as torch.nn.Tanh. */
export const tanh = () => activation("tanh", (x) => x.tanh());

/** 1/(1 + e⁻ˣ), any shape; as torch.nn.Sigmoid. */
export const sigmoid = () => activation("sigmoid", (x) => x.sigmoid());

/** min(max(x + 3, 0), 6)/6, any shape; as torch.nn.Hardsigmoid (Keras 1 and 2 have x/5 + 1/2). */
export const hardSigmoid = () => activation("hardSigmoid", (x) => f.hardSigmoid(x));

/** x · hardSigmoid(x), any shape; as torch.nn.Hardswish. Howard et al., 2019, "MobileNetV3", §5.2. */
export const hardSwish = () => activation("hardSwish", (x) => f.hardSwish(x));

/** x · sigmoid(x), swish with β = 1, any shape; as torch.nn.SiLU. Elfwing, Uchibe, Doya, 2017. */
export const silu = () => activation("silu", (x) => x.silu());

/** λ·x where x > 0, else λ·α(eˣ − 1), λ = 1.0507, α = 1.6733, any shape; as torch.nn.SELU. Klambauer et al., 2017, §2. */
export const selu = () => activation("selu", (x) => x.selu());

/** x · tanh(log(1 + eˣ)), any shape; as torch.nn.Mish. Misra, 2019. */
export const mish = () => activation("mish", (x) => x.mish());

/** x/(1 + |x|), any shape; as torch.nn.Softsign. Turian, Bergstra, Bengio, 2009. */
export const softsign = () => activation("softsign", (x) => f.softsign(x));

/**
 * min(max(x, min), max), from −1 to 1 unless given, any shape; as torch.nn.Hardtanh. Collobert, 2004.
 * @throws OptionError for a max that is not above the min.
 */
export function hardTanh(options: { min?: number; max?: number } = {}): Module {
  checkNames("hardTanh", options, ["min", "max"]);
  const { min = -1, max = 1 } = options;
  checkNumber("hardTanh: min", min);
  checkNumber("hardTanh: max", max);
  if (min >= max) throw new OptionError(`hardTanh: min is ${min} and max ${max}; use a max above the min.`);
  return activation("hardTanh", (x) => f.hardTanh(x, { min, max }), { min, max });
}

/**
 * x where x > 0, else slope · x, any shape; as torch.nn.LeakyReLU. Maas, Hannun, Ng, 2013.
 * @throws OptionError for a slope that is not finite.
 */
export function leakyRelu(slope = 0.01): Module {
  checkNumber("leakyRelu: slope", slope);
  return activation("leakyRelu", (x) => x.leakyRelu({ slope }), slope);
}

/**
 * x where x > 0, else α(eˣ − 1), any shape; as torch.nn.ELU. Clevert, Unterthiner, Hochreiter, 2015, eq. 15.
 * @throws OptionError for an α that is not finite.
 */
export function elu(alpha = 1): Module {
  checkNumber("elu: alpha", alpha);
  return activation("elu", (x) => x.elu({ alpha }), alpha);
}

/**
 * x where x > 0, else α(e^(x/α) − 1), any shape; as torch.nn.CELU. Barron, 2017.
 * @throws OptionError for an α that is not above 0.
 */
export function celu(alpha = 1): Module {
  checkNumber("celu: alpha", alpha, "above 0");
  return activation("celu", (x) => f.celu(x, { alpha }), alpha);
}

/**
 * x·Φ(x), by erf, or by its approximation 0.5·x·(1 + tanh(√(2/π)(x + 0.044715·x³))) with "tanh", any shape; as
 * torch.nn.GELU. Hendrycks, Gimpel, 2016, §2.
 * @throws OptionError for another approximation.
 */
export function gelu(approximate: "none" | "tanh" = "none"): Module {
  if (approximate !== "none" && approximate !== "tanh")
    throw new OptionError(`gelu: approximate is ${approximate}; use "none" or "tanh".`);
  return activation("gelu", (x) => x.gelu({ approximate }), approximate);
}

/** Options of `softplus`: beta 1 and no threshold unless given. */
export interface SoftplusOptions {
  readonly beta?: number;
  /** The result is x itself where β·x is above it. */
  readonly threshold?: number;
}

/**
 * log(1 + e^(β·x))/β, any shape; x itself where β·x is above a threshold, if one is given; as torch.nn.Softplus, whose
 * threshold of 20 is where float32 sees no difference. Dugas et al., 2001.
 * @throws OptionError for a β that is not above 0, or a threshold that is not finite.
 */
export function softplus(options: SoftplusOptions = {}): Module {
  checkNames("softplus", options, ["beta", "threshold"]);
  const { beta = 1, threshold } = options;
  checkNumber("softplus: beta", beta, "above 0");
  if (threshold !== undefined) checkNumber("softplus: threshold", threshold);
  const attrs = threshold === undefined ? { beta } : { beta, threshold };
  const given = beta === 1 && threshold === undefined ? [] : [attrs];
  return activation("softplus", (x) => x.softplus(attrs), ...given);
}

/**
 * x where x > threshold, else value, any shape; as torch.nn.Threshold.
 * @throws OptionError for numbers that are not finite.
 */
export function threshold(threshold: number, value: number): Module {
  checkNumber("threshold: threshold", threshold);
  checkNumber("threshold: value", value);
  return activation("threshold", (x) => f.threshold(x, { threshold, value }), threshold, value);
}

/**
 * x where x > θ, else 0, any shape; as torch.nn.Threshold(θ, 0) and Keras's ThresholdedReLU, whose θ = 1 is the default.
 * Konda, Memisevic, Krueger, 2014.
 * @throws OptionError for a θ below 0.
 */
export function thresholdedRelu(theta = 1): Module {
  checkNumber("thresholdedRelu: theta", theta, [0]);
  return activation("thresholdedRelu", (x) => f.threshold(x, { threshold: theta, value: 0 }), theta);
}

/**
 * x where |x| > θ, else 0, any shape: `hardshrink` by the name it has beside thresholdedRelu, with Keras's default θ = 1;
 * as torch.nn.Hardshrink(θ). Konda, Memisevic, Krueger, 2014.
 * @throws OptionError for a θ below 0.
 */
export function thresholdedLinear(theta = 1): Module {
  checkNumber("thresholdedLinear: theta", theta, [0]);
  return activation("thresholdedLinear", (x) => f.hardshrink(x, { lambda: theta }), theta);
}

/**
 * x where |x| > λ, else 0, any shape; as torch.nn.Hardshrink. Donoho, Johnstone, 1994.
 * @throws OptionError for a λ below 0.
 */
export function hardshrink(lambda = 0.5): Module {
  checkNumber("hardshrink: lambda", lambda, [0]);
  return activation("hardshrink", (x) => f.hardshrink(x, { lambda }), lambda);
}

/**
 * x − λ where x > λ, x + λ where x < −λ, else 0, any shape; as torch.nn.Softshrink. Donoho, 1995, eq. 2.
 * @throws OptionError for a λ below 0.
 */
export function softshrink(lambda = 0.5): Module {
  checkNumber("softshrink: lambda", lambda, [0]);
  return activation("softshrink", (x) => f.softshrink(x, { lambda }), lambda);
}

/**
 * eˣ/Σ eˣ along an axis, the last unless given, any shape; as torch.nn.Softmax(dim). Bridle, 1990.
 * @throws OptionError for an axis that is no whole number.
 */
export function softmax(axis = -1): Module {
  checkWhole("softmax: axis", axis);
  return activation("softmax", (x) => x.softmax({ axis }), axis);
}

/**
 * x − log Σ eˣ along an axis, the last unless given, any shape; as torch.nn.LogSoftmax(dim).
 * @throws OptionError for an axis that is no whole number.
 */
export function logSoftmax(axis = -1): Module {
  checkWhole("logSoftmax: axis", axis);
  return activation("logSoftmax", (x) => x.logSoftmax({ axis }), axis);
}

/**
 * a · sigmoid(b), a and b the halves of x along an axis, the last unless given: [..., 2·C] → [..., C]; as
 * torch.nn.GLU(dim). Dauphin et al., 2017, eq. 1.
 * @throws OptionError for an axis that is no whole number; ShapeError for one of odd length.
 */
export function glu(axis = -1): Module {
  checkWhole("glu: axis", axis);
  const apply = (x: Tensor) => {
    const length = x.shape[normalizeAxis("glu", axis, x.shape.length)]!;
    if (length % 2 !== 0)
      throw new ShapeError(
        `glu: axis ${axis} of ${showShape(x.shape)} is odd; it needs two halves, so make the layer before twice as wide.`,
      );
    const [value, gate] = x.split({ sizes: [length / 2, length / 2], axis });
    return value!.mul(gate!.sigmoid());
  };
  return activation("glu", apply, axis);
}
