import { adam, adamW, type Optimizer, type Schedule, sgd, stepDecay } from "../../src/optim/index.ts";

/** What can be set of each optimizer while it runs: numbers of the step's row, so nothing is compiled again. */
export interface Settings {
  readonly lr: number;
  /** μ of the momentum methods, β₁ of Adam; plain descent has none. */
  readonly momentum: number;
  /** β₂ of Adam. */
  readonly beta2: number;
  readonly weightDecay: number;
  /** The share by which the learning rate shrinks with every step. */
  readonly rateDecay: number;
}

/** Stands for an optimizer of the engine in the race. */
export interface Racer {
  readonly label: string;
  /** What one step does, as a formula, and who gave it. */
  readonly rule: string;
  readonly source: string;
  readonly uses: readonly (keyof Settings)[];
  /** A token of the theme. */
  readonly color: string;
  readonly defaults: Omit<Settings, "lr">;
  optimizer(settings: Settings): Optimizer;
}

const rate = ({ lr, rateDecay }: Settings): Schedule =>
  stepDecay({ from: lr, factor: 1 - rateDecay, every: 1 });
const still = { momentum: 0, beta2: 0.999, weightDecay: 0, rateDecay: 0 };

export const RACERS = {
  sgd: {
    label: "SGD",
    rule: "p ← p − η·g",
    source: "Cauchy, 1847; Robbins and Monro, 1951",
    uses: ["lr", "weightDecay", "rateDecay"],
    color: "series-1",
    defaults: still,
    optimizer: (s) => sgd({ lr: rate(s), weightDecay: s.weightDecay }),
  },
  momentum: {
    label: "Momentum",
    rule: "v ← μ·v + g,  p ← p − η·v",
    source: "Polyak, 1964",
    uses: ["lr", "momentum", "weightDecay", "rateDecay"],
    color: "series-2",
    defaults: { ...still, momentum: 0.9 },
    optimizer: (s) => sgd({ lr: rate(s), momentum: s.momentum, weightDecay: s.weightDecay }),
  },
  nesterov: {
    label: "Nesterov",
    rule: "v ← μ·v + g,  p ← p − η·(g + μ·v)",
    source: "Nesterov, 1983; Sutskever et al., 2013",
    uses: ["lr", "momentum", "weightDecay", "rateDecay"],
    color: "series-3",
    defaults: { ...still, momentum: 0.9 },
    // The look-ahead of no momentum is plain descent: the same row, which the op takes as it is.
    optimizer: (s) =>
      sgd({ lr: rate(s), momentum: s.momentum, nesterov: s.momentum > 0, weightDecay: s.weightDecay }),
  },
  adam: {
    label: "Adam",
    rule: "p ← p − η·m̂/(√v̂ + ε),  m and v running means of g and g²",
    source: "Kingma and Ba, 2015",
    uses: ["lr", "momentum", "beta2", "weightDecay", "rateDecay"],
    color: "series-4",
    defaults: { ...still, momentum: 0.9 },
    optimizer: (s) => adam({ lr: rate(s), betas: [s.momentum, s.beta2], weightDecay: s.weightDecay }),
  },
  adamW: {
    label: "AdamW",
    rule: "as Adam, but the decay p ← p − η·λ·p is kept apart from g",
    source: "Loshchilov and Hutter, 2019",
    uses: ["lr", "momentum", "beta2", "weightDecay", "rateDecay"],
    color: "series-5",
    defaults: { ...still, momentum: 0.9, weightDecay: 0.01 },
    optimizer: (s) => adamW({ lr: rate(s), betas: [s.momentum, s.beta2], weightDecay: s.weightDecay }),
  },
} as const satisfies Record<string, Racer>;

export type RacerKey = keyof typeof RACERS;
export const RACER_KEYS = Object.keys(RACERS) as RacerKey[];
/** Slots of each op, whatever momentum is set: the graph stays while numbers change. */
export const SLOTS: Readonly<Record<RacerKey, number>> = {
  sgd: 0,
  momentum: 1,
  nesterov: 1,
  adam: 2,
  adamW: 2,
};
