import {
  type AdamOptions,
  adadelta,
  adagrad,
  adam,
  adamax,
  adamW,
  lion,
  nadam,
  type Optimizer,
  radam,
  rmsProp,
  type Schedule,
  sgd,
  stepDecay,
} from "../../src/optim/index.ts";
import type { RacerKey, Settings } from "./racers.ts";

const rate = ({ lr, rateDecay }: Settings): Schedule =>
  stepDecay({ from: lr, factor: 1 - rateDecay, every: 1 });
const base = (s: Settings) => ({ lr: rate(s), weightDecay: s.weightDecay });
const moments = (s: Settings) => ({ ...base(s), betas: [s.momentum, s.beta2] as [number, number] });
// A schedule of momentum has a velocity even while it is 0: the graph stays while numbers change.
const moving = (s: Settings) => ({ ...base(s), momentum: () => s.momentum });
const ofMoments =
  (make: (options: AdamOptions) => Optimizer, more: Partial<AdamOptions> = {}) =>
  (s: Settings) =>
    make({ ...moments(s), ...more });

/** The engine's optimizer with a racer's settings. */
export const OPTIMIZERS: Readonly<Record<RacerKey, (settings: Settings) => Optimizer>> = {
  sgd: (s) => sgd(base(s)),
  momentum: (s) => sgd(moving(s)),
  nesterov: (s) => sgd({ ...moving(s), nesterov: true }),
  adam: ofMoments(adam),
  adamW: ofMoments(adamW),
  adagrad: (s) => adagrad(base(s)),
  rmsProp: (s) => rmsProp({ ...moving(s), alpha: s.beta2 }),
  adadelta: (s) => adadelta({ ...base(s), rho: s.beta2 }),
  amsgrad: ofMoments(adam, { amsgrad: true }),
  adamax: ofMoments(adamax),
  nadam: ofMoments(nadam),
  radam: ofMoments(radam),
  lion: ofMoments(lion),
};
