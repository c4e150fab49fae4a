import type { Tensor } from "../core/op.ts";
import type { Optimizer } from "./optimizer.ts";
import {
  applyGradients,
  differentiate,
  type Minimization,
  type MinimizeOptions,
  OptimizerState,
  type Trainable,
} from "./state.ts";

const states = new WeakMap<Optimizer, WeakMap<Trainable, OptimizerState>>();

/** What an optimizer keeps of a model: made at the first use. */
export function stateOf(optimizer: Optimizer, model: Trainable): OptimizerState {
  const models = states.get(optimizer) ?? new WeakMap<Trainable, OptimizerState>();
  states.set(optimizer, models);
  const state = models.get(model) ?? new OptimizerState(model.device, optimizer, model);
  models.set(model, state);
  return state;
}

/** Forgets a state that is released. */
export function forgetState({ optimizer, model }: OptimizerState): void {
  states.get(optimizer)?.delete(model);
}

/** An optimizer as the public functions give it. */
export interface Minimizer extends Optimizer {
  /**
   * One step on a model's parameters, down the gradient of a scalar loss: give it among the updates of a traced step.
   * The optimizer keeps its slots for each model that it is used with.
   * @throws OptionError when the loss depends on no parameter of the model.
   */
  minimize(loss: Tensor, model: Trainable, options?: MinimizeOptions): Minimization;
}

/** See Minimizer. */
export function minimize(
  optimizer: Optimizer,
  loss: Tensor,
  model: Trainable,
  options?: MinimizeOptions,
): Minimization {
  const state = stateOf(optimizer, model);
  return applyGradients(state, loss, differentiate(state, loss, options).gradients, options);
}
