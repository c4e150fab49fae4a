import { checkNames, checkNumber } from "../../core/check.ts";
import { OptionError, ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/op.ts";
import { showShape } from "../../core/shape.ts";
import { type ForwardContext, type Module, parametersOf } from "../module.ts";
import { sequential } from "./combine.ts";
import { remakeWithin } from "./define.ts";

/** How much the sum of sizes and that of squares add to what is minimised; 0 unless given. */
export interface PenaltyFactors {
  readonly l1?: number;
  readonly l2?: number;
}

/** Options of `penalized`. */
export interface PenalizedOptions extends PenaltyFactors {
  /** What the tensors that count are called in their layers; ["weight"] unless given. */
  readonly tensors?: readonly string[];
}

function checkFactors(who: string, { l1 = 0, l2 = 0 }: PenaltyFactors): void {
  checkNumber(`${who}: l1`, l1, [0]);
  checkNumber(`${who}: l2`, l2, [0]);
  if (l1 === 0 && l2 === 0)
    throw new OptionError(`${who}: l1 and l2 are 0, which adds nothing; give one of them a number above 0.`);
}

/** λ₁·Σ|x| + λ₂·Σx². */
function penaltyOf(x: Tensor, { l1 = 0, l2 = 0 }: PenaltyFactors): Tensor {
  const terms = [...(l1 > 0 ? [x.abs().sum().mul(l1)] : []), ...(l2 > 0 ? [x.square().sum().mul(l2)] : [])];
  return terms.reduce((a, b) => a.add(b));
}

/**
 * x as it is, and (λ₁·Σ|x| + λ₂·Σx²)/N added to what is minimised, N the examples of the first axis: activity
 * regularisation.
 *
 * [N, …] → the same. As Keras's ActivityRegularization, in evaluation, too.
 * @throws OptionError for a factor below 0, or none above.
 */
export function activityRegularization(options: PenaltyFactors): Module {
  checkNames("activityRegularization", options, ["l1", "l2"]);
  checkFactors("activityRegularization", options);
  const { l1 = 0, l2 = 0 } = options;
  return {
    label: `activityRegularization(${[l1 > 0 && `l1 ${l1}`, l2 > 0 && `l2 ${l2}`].filter(Boolean).join(", ")})`,
    description: { layer: "activityRegularization", args: [options] },
    forward(x, context) {
      const examples = x.shape[0];
      if (examples === undefined)
        throw new ShapeError(`activityRegularization: takes [batch, …], got ${showShape(x.shape)}.`);
      context.penalize(penaltyOf(x, options).div(Math.max(1, examples)), "activity");
      return x;
    },
  };
}

/**
 * A network whose weights add λ₁·Σ|w| + λ₂·Σw² to what is minimised, once for each pass of a model however often the network
 * is used in it. Its parts keep their names in checkpoints; a layer without parts becomes part 0 of a `sequential`.
 *
 * Inputs and results, of any shape, are the network's. As Keras's kernel_regularizer; `penalties` give the same to a trainer for all
 * parameters of a model that a pattern names.
 * @throws OptionError for a factor below 0, none above, or tensors that the network has not.
 */
export function penalized<In = Tensor, Out = Tensor>(
  network: Module<In, Out>,
  options: PenalizedOptions,
): Module<In, Out> {
  checkNames("penalized", options, ["l1", "l2", "tensors"]);
  checkFactors("penalized", options);
  const { tensors = ["weight"] } = options;
  if (!network.children)
    return penalized(sequential(network as unknown as Module) as unknown as Module<In, Out>, options);
  const named = parametersOf(network);
  const missing = tensors.find((name) => !named.some(({ key }) => key === name));
  if (missing !== undefined || tensors.length === 0)
    throw new OptionError(
      `penalized: the network has no parameter called "${missing ?? ""}"; it has ${named.map(({ name }) => name).join(", ") || "none"}.`,
    );
  const counted = new WeakSet<ForwardContext>();
  const module: Module<In, Out> = {
    ...network,
    description: { layer: "penalized", args: [options], wraps: network },
    remake: remakeWithin(network, (inner) => penalized(inner, options)),
    forward(x, context) {
      if (!counted.has(context)) {
        counted.add(context);
        for (const { module: owner, key, name } of parametersOf(module))
          if (tensors.includes(key))
            context.penalize(penaltyOf(context.parameter(owner, key), options), name);
      }
      return network.forward(x, context);
    },
  };
  return module;
}
