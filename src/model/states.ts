import { forgetState } from "../optim/minimize.ts";
import type { OptimizerState, Trainable } from "../optim/state.ts";

/** How many steps an optimizer has taken of a model, over all functions that train it. */
const taken = new WeakMap<OptimizerState, number>();
/** What optimizers keep of a model for compiled functions. */
const kept = new WeakMap<Trainable, Set<OptimizerState>>();

export const stepsOf = (state: OptimizerState): number => taken.get(state) ?? 0;

export function countStep(state: OptimizerState): void {
  taken.set(state, stepsOf(state) + 1);
}

/** Notes a state that lives as long as its model. */
export function keepState(state: OptimizerState): void {
  kept.set(state.model, (kept.get(state.model) ?? new Set()).add(state));
}

/** Lets optimizers begin anew with a model: what is compiled already goes on with what it has. */
export function forgetStates(model: Trainable): void {
  for (const state of kept.get(model) ?? []) forgetState(state);
}

/** Frees everything that optimizers keep of a model. */
export function releaseStates(model: Trainable): void {
  forgetStates(model);
  for (const state of kept.get(model) ?? []) state.release();
  kept.delete(model);
}
