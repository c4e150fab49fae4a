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

/** The states of one optimizer and model, of which the last is the present one: the others are of when less was frozen. */
interface Held {
  readonly states: OptimizerState[];
  /** How many trainers work with it. */
  users: number;
  /** Whether steps of the user's own work with it, which end with the model. */
  kept: boolean;
}

const held = new WeakMap<Trainable, Map<Optimizer, Held>>();

function heldOf(optimizer: Optimizer, model: Trainable): Held {
  const ofModel = held.get(model) ?? new Map<Optimizer, Held>();
  held.set(model, ofModel);
  const own = ofModel.get(optimizer) ?? { states: [], users: 0, kept: false };
  ofModel.set(optimizer, own);
  return own;
}

/** The present state: made at the first use, and anew, with the slots it had, where other parameters are frozen since. */
function present({ states }: Held, optimizer: Optimizer, model: Trainable): OptimizerState {
  const last = states.at(-1);
  if (last?.isOfNow()) return last;
  const next = new OptimizerState(model.device, optimizer, model, last);
  states.push(next);
  return next;
}

/** What an optimizer keeps of a model, until the model is disposed of. */
export function stateOf(optimizer: Optimizer, model: Trainable): OptimizerState {
  const own = heldOf(optimizer, model);
  own.kept = true;
  return present(own, optimizer, model);
}

/** Takes what an optimizer keeps of a model into use: `leaveState` ends it. */
export function holdState(optimizer: Optimizer, model: Trainable): OptimizerState {
  const own = heldOf(optimizer, model);
  const state = present(own, optimizer, model);
  own.users++;
  return state;
}

/** Ends a use; a state without any is freed. */
export function leaveState({ optimizer, model }: OptimizerState): void {
  const own = held.get(model)?.get(optimizer);
  if (!own || --own.users > 0 || own.kept) return;
  held.get(model)!.delete(optimizer);
  for (const state of own.states) state.release();
}

/** Frees what all optimizers keep of a model. */
export function releaseStates(model: Trainable): void {
  for (const { states } of held.get(model)?.values() ?? []) for (const state of states) state.release();
  held.delete(model);
}

/** An optimizer as the public functions give it. */
export interface Minimizer extends Optimizer {
  /**
   * One step on a model's parameters, down the gradient of a scalar loss: give it among the updates of a traced step.
   * The optimizer keeps its slots for each model that it is used with. A run whose loss or gradients are not finite
   * changes neither model nor slots; the next one trains on.
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
