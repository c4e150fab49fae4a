import type { Optimizer } from "../optim/optimizer.ts";
import type { OptimizerState, Trainable } from "../optim/state.ts";

const taken = new WeakMap<Trainable, WeakMap<Optimizer, number>>();

/** How many steps an optimizer has taken of a model, over all compiled functions that train it. */
export const stepsOf = ({ model, optimizer }: OptimizerState): number =>
  taken.get(model)?.get(optimizer) ?? 0;

export function countStep(state: OptimizerState): void {
  const ofModel = taken.get(state.model) ?? new WeakMap<Optimizer, number>();
  taken.set(state.model, ofModel.set(state.optimizer, stepsOf(state) + 1));
}
