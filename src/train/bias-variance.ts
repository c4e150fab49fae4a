import { checkNames } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";

/** Errors as shares from 0 to 1: of the training data, of data that was held out, and perhaps of people. */
export interface ErrorShares {
  readonly train: number;
  readonly validation: number;
  /** What nobody does better than; 0 unless given. */
  readonly human?: number;
  /** From where on bias and variance count as high; 0.05 unless given. */
  readonly high?: number;
}

/** What stands between a network and what is wanted of it. */
export interface BiasVariance {
  /** The avoidable bias, train − human: a larger network or longer training lessens it. */
  readonly bias: number;
  /** The variance, validation − train: more data or regularisation lessens it. */
  readonly variance: number;
  readonly verdict: "high bias" | "high variance" | "high bias and high variance" | "neither";
}

/**
 * Where errors come from: the avoidable bias train − human, and the variance validation − train. Ng, 2018, "Machine Learning
 * Yearning", ch. 20–24.
 * @throws OptionError for what is no share from 0 to 1.
 *
 * @example biasVariance({ train: 0.01, validation: 0.11 }).verdict // "high variance"
 */
export function biasVariance(errors: ErrorShares): BiasVariance {
  checkNames("biasVariance", errors, ["train", "validation", "human", "high"]);
  const { train, validation, human = 0, high = 0.05 } = errors;
  for (const [name, value] of Object.entries({ train, validation, human, high }))
    if (!(typeof value === "number" && value >= 0 && value <= 1))
      throw new OptionError(`biasVariance: ${name} is ${String(value)}; use a share from 0 to 1.`);
  const [bias, variance] = [train - human, validation - train];
  const found = [...(bias >= high ? ["high bias"] : []), ...(variance >= high ? ["high variance"] : [])];
  return { bias, variance, verdict: (found.join(" and ") || "neither") as BiasVariance["verdict"] };
}
