import { type DeviceTensor, deviceTensor } from "../backend/variable.ts";
import { OptionError } from "../core/errors.ts";
import type { Arena, Tensor } from "../core/op.ts";
import type { Update } from "../graph/program.ts";
import type { Optimizer } from "./optimizer.ts";
import { OptimizerState, type Trainable } from "./state.ts";
import type { BackwardOptions, Minimization, MinimizeOptions } from "./steps.ts";

/** The states of one optimizer and model, of which the last is the present one: the others are of when other parameters were frozen. */
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

/**
 * The present state: made at the first use, and where other parameters are frozen since; it has the slots of the one before.
 * What was frozen before may be frozen again: then the state of that time is taken up, and there are no more of them than
 * there are ways of freezing.
 */
function present({ states }: Held, optimizer: Optimizer, model: Trainable): OptimizerState {
  const last = states.at(-1);
  if (last?.isOfNow()) return last;
  const at = states.findIndex((state) => state.isOfNow());
  const [known] = at < 0 ? [] : states.splice(at, 1);
  const next = known ?? new OptimizerState(model.device, optimizer, model);
  if (last) next.takeOver(last);
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

/** Arenas that something was put into. */
const filled = new WeakSet<Arena>();

/** Notes what a run writes: gradients, perhaps. */
export const noteUpdates = (updates: readonly Update[]): void => {
  for (const { variable } of updates) filled.add(variable.arena);
};

/** @throws OptionError when nothing has put gradients where a step of an optimizer takes them from. */
export function checkGradients(program: string, { gradients, optimizer: { name } }: OptimizerState): void {
  if (!gradients.every(({ arena }) => filled.has(arena)))
    throw new OptionError(
      `${program}: there are no gradients of this model for a step of this ${name}; first run a function whose updates are its backward(loss, model).`,
    );
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
  /**
   * The first half of `minimize`: updates that put the gradients of a scalar loss where `step` finds them, or add them to
   * those that are there. As loss.backward() after zero_grad(), with `accumulate` as without it.
   * @throws OptionError when the loss depends on no parameter of the model, or all of them are frozen.
   *
   * @example
   * const backward = compile(device, { x: f32(8, 2) }, ({ x }, t) => ({
   *   updates: adam.backward(model.forward(x, t).square().mean(), model) }));
   * const step = compile(device, {}, () => ({ updates: adam.step(model) }));
   */
  backward(loss: Tensor, model: Trainable, options?: BackwardOptions): readonly Update[];
  /**
   * The second half of `minimize`: clips and updates by the gradients that earlier runs have left, and leaves them as they
   * are. A run fails when there are none yet.
   * @throws OptionError when all parameters of the model are frozen.
   */
  step(model: Trainable, options?: MinimizeOptions): Minimization;
  /**
   * The gradient of a parameter by its name in checkpoints, as `backward` left it: to read and write between the halves, or
   * to use in a trace. With `scaling` it is multiplied by the loss scale, as PyTorch's before unscale_.
   * @throws OptionError for a name that the optimizer does not train.
   */
  grad(model: Trainable, name: string): DeviceTensor;
}

/** See Minimizer. */
export function grad(optimizer: Optimizer, model: Trainable, name: string): DeviceTensor {
  const variable = stateOf(optimizer, model).gradientOf(name);
  return deviceTensor(model.device, variable, () => filled.add(variable.arena));
}
