/** Terms of what training minimises that go by a model's parameters alone, for `Trainer`'s `penalties` and for steps of one's own. */
import { checkNames, checkNumber } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import type { Tensor, Variable } from "../core/op.ts";
import { read } from "../graph/node.ts";
import "../ops/methods.ts";
import { matches } from "../core/pattern.ts";

/** What a penalty goes by: a model, for instance. */
export interface Penalized {
  /** By their names in checkpoints. */
  readonly parameters: readonly Variable[];
}

/** A term of what is minimised: of a model's parameters as they are, or as `current` gives them. */
export interface Penalty {
  readonly name: string;
  (model: Penalized, current?: (variable: Variable) => Tensor): Tensor;
}

/** Options of penalties. */
export interface PenaltyOptions {
  /**
   * A pattern of parameter names: `*` is any part of a name between dots, `**` any parts, as in "*.weight"; all parameters
   * unless given.
   */
  readonly match?: string;
}

/*#__NO_SIDE_EFFECTS__*/
function penaltyOf(
  name: string,
  factor: number,
  options: PenaltyOptions,
  size: (x: Tensor) => Tensor,
): Penalty {
  checkNames(name, options, ["match"]);
  checkNumber(`${name}: the factor`, factor, [0]);
  const { match = "**" } = options;
  const penalty = ({ parameters }: Penalized, current = read): Tensor => {
    const found = parameters.filter((variable) => matches(match, variable.name));
    if (found.length === 0)
      throw new OptionError(
        `${name}: no parameter fits "${match}"; there are ${parameters.map((one) => one.name).join(", ") || "none"}.`,
      );
    return found
      .map((variable) => size(current(variable)).sum())
      .reduce((a, b) => a.add(b))
      .mul(factor);
  };
  return Object.defineProperty(penalty, "name", { value: name }) as Penalty;
}

/**
 * λ·Σ|w| over parameters that a pattern names, frozen ones included: gives sparse solutions. The slope is 0 where w is. As
 * Keras's L1. Tibshirani, 1996, §2.
 * @throws OptionError for a factor below 0, and where the pattern fits no parameter.
 *
 * @example new Trainer({ model, loss, optimizer, penalties: [penalties.l1(1e-4, { match: "*.weight" })] })
 */
export const l1 = (factor: number, options: PenaltyOptions = {}): Penalty =>
  penaltyOf("l1", factor, options, (w) => w.abs());

/**
 * λ·Σw² over parameters that a pattern names, frozen ones included: spreads. As Keras's L2; lectures and `weightDecay` of `sgd`
 * take the half, so that l2(λ/2) is weightDecay λ. Hoerl, Kennard, 1970, §2.
 * @throws OptionError for a factor below 0, and where the pattern fits no parameter.
 *
 * @example new Trainer({ model, loss, optimizer, penalties: [penalties.l2(5e-4)] })
 */
export const l2 = (factor: number, options: PenaltyOptions = {}): Penalty =>
  penaltyOf("l2", factor, options, (w) => w.square());
