import { adam, adamW, type Optimizer, type Schedule, sgd, stepDecay } from "../../src/optim/index.ts";
import type { RacerKey, Settings } from "./racers.ts";

const rate = ({ lr, rateDecay }: Settings): Schedule =>
  stepDecay({ from: lr, factor: 1 - rateDecay, every: 1 });
const betas = (s: Settings): [number, number] => [s.momentum, s.beta2];

/** The engine's optimizer with a racer's settings. */
export const OPTIMIZERS: Readonly<Record<RacerKey, (settings: Settings) => Optimizer>> = {
  sgd: (s) => sgd({ lr: rate(s), weightDecay: s.weightDecay }),
  momentum: (s) => sgd({ lr: rate(s), momentum: s.momentum, weightDecay: s.weightDecay }),
  // The look-ahead of no momentum is plain descent: the same row, which the op takes as it is.
  nesterov: (s) =>
    sgd({ lr: rate(s), momentum: s.momentum, nesterov: s.momentum > 0, weightDecay: s.weightDecay }),
  adam: (s) => adam({ lr: rate(s), betas: betas(s), weightDecay: s.weightDecay }),
  adamW: (s) => adamW({ lr: rate(s), betas: betas(s), weightDecay: s.weightDecay }),
};

/** Slots of each op, whatever momentum is set: the graph stays while numbers change. */
export const SLOTS: Readonly<Record<RacerKey, number>> = {
  sgd: 0,
  momentum: 1,
  nesterov: 1,
  adam: 2,
  adamW: 2,
};
