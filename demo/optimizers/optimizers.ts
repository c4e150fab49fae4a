import { adam, adamW, type Optimizer, type Schedule, sgd, stepDecay } from "../../src/optim/index.ts";
import type { RacerKey, Settings } from "./racers.ts";

const rate = ({ lr, rateDecay }: Settings): Schedule =>
  stepDecay({ from: lr, factor: 1 - rateDecay, every: 1 });
const betas = (s: Settings): [number, number] => [s.momentum, s.beta2];

/** The engine's optimizer with a racer's settings. */
export const OPTIMIZERS: Readonly<Record<RacerKey, (settings: Settings) => Optimizer>> = {
  sgd: (s) => sgd({ lr: rate(s), weightDecay: s.weightDecay }),
  // A schedule of momentum has a velocity even while it is 0: the graph stays while numbers change.
  momentum: (s) => sgd({ lr: rate(s), momentum: () => s.momentum, weightDecay: s.weightDecay }),
  nesterov: (s) =>
    sgd({ lr: rate(s), momentum: () => s.momentum, nesterov: true, weightDecay: s.weightDecay }),
  adam: (s) => adam({ lr: rate(s), betas: betas(s), weightDecay: s.weightDecay }),
  adamW: (s) => adamW({ lr: rate(s), betas: betas(s), weightDecay: s.weightDecay }),
};
