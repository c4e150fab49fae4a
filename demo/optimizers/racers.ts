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

/** What a page says of an optimizer of the engine; optimizers.ts makes it. */
export interface Racer {
  readonly label: string;
  /** What one step does, as a formula, and who gave it. */
  readonly rule: string;
  readonly source: string;
  readonly uses: readonly (keyof Settings)[];
  /** A token of the theme. */
  readonly color: string;
  readonly defaults: Omit<Settings, "lr">;
  /** Of those that do not run at first: the racer whose rates suit it, and by what they are multiplied. */
  readonly like?: readonly [key: "sgd" | "momentum" | "adam", factor: number];
}

const still = { momentum: 0, beta2: 0.999, weightDecay: 0, rateDecay: 0 };

export const RACERS = {
  sgd: {
    label: "SGD",
    rule: "p ← p − η·g",
    source: "Cauchy, 1847; Robbins and Monro, 1951",
    uses: ["lr", "weightDecay", "rateDecay"],
    color: "series-1",
    defaults: still,
  },
  momentum: {
    label: "Momentum",
    rule: "v ← μ·v + g,  p ← p − η·v",
    source: "Polyak, 1964",
    uses: ["lr", "momentum", "weightDecay", "rateDecay"],
    color: "series-2",
    defaults: { ...still, momentum: 0.9 },
  },
  nesterov: {
    label: "Nesterov",
    rule: "v ← μ·v + g,  p ← p − η·(g + μ·v)",
    source: "Nesterov, 1983; Sutskever et al., 2013",
    uses: ["lr", "momentum", "weightDecay", "rateDecay"],
    color: "series-3",
    defaults: { ...still, momentum: 0.9 },
  },
  adam: {
    label: "Adam",
    rule: "p ← p − η·m̂/(√v̂ + ε),  m and v running means of g and g²",
    source: "Kingma and Ba, 2015",
    uses: ["lr", "momentum", "beta2", "weightDecay", "rateDecay"],
    color: "series-4",
    defaults: { ...still, momentum: 0.9 },
  },
  adamW: {
    label: "AdamW",
    rule: "as Adam, but the decay p ← p − η·λ·p is kept apart from g",
    source: "Loshchilov and Hutter, 2019",
    uses: ["lr", "momentum", "beta2", "weightDecay", "rateDecay"],
    color: "series-5",
    defaults: { ...still, momentum: 0.9, weightDecay: 0.01 },
  },
  adagrad: {
    label: "Adagrad",
    rule: "s ← s + g²,  p ← p − η·g/(√s + ε)",
    source: "Duchi, Hazan and Singer, 2011",
    uses: ["lr", "weightDecay", "rateDecay"],
    color: "series-6",
    defaults: still,
    like: ["adam", 4],
  },
  rmsProp: {
    label: "RMSProp",
    rule: "v ← β·v + (1 − β)·g²,  p ← p − η·g/(√v + ε)",
    source: "Tieleman and Hinton, 2012",
    uses: ["lr", "momentum", "beta2", "weightDecay", "rateDecay"],
    color: "series-7",
    defaults: { ...still, beta2: 0.9 },
    like: ["adam", 0.5],
  },
  adadelta: {
    label: "Adadelta",
    rule: "p ← p − η·d,  d = √(u + ε)/√(v + ε)·g,  u and v running means of d² and g²",
    source: "Zeiler, 2012",
    uses: ["lr", "beta2", "weightDecay", "rateDecay"],
    color: "series-1",
    defaults: { ...still, beta2: 0.9 },
    like: ["adam", 100],
  },
  amsgrad: {
    label: "AMSGrad",
    rule: "as Adam, with the largest v̂ so far",
    source: "Reddi, Kale and Kumar, 2018",
    uses: ["lr", "momentum", "beta2", "weightDecay", "rateDecay"],
    color: "series-2",
    defaults: { ...still, momentum: 0.9 },
    like: ["adam", 1],
  },
  adamax: {
    label: "AdaMax",
    rule: "u ← max(β₂·u, |g|),  p ← p − η·m̂/u",
    source: "Kingma and Ba, 2015",
    uses: ["lr", "momentum", "beta2", "weightDecay", "rateDecay"],
    color: "series-3",
    defaults: { ...still, momentum: 0.9 },
    like: ["adam", 1],
  },
  nadam: {
    label: "NAdam",
    rule: "as Adam, with Nesterov's look-ahead in m̂",
    source: "Dozat, 2016",
    uses: ["lr", "momentum", "beta2", "weightDecay", "rateDecay"],
    color: "series-4",
    defaults: { ...still, momentum: 0.9 },
    like: ["adam", 1],
  },
  radam: {
    label: "RAdam",
    rule: "as Adam, in shorter steps while v̂ is uncertain",
    source: "Liu et al., 2020",
    uses: ["lr", "momentum", "beta2", "weightDecay", "rateDecay"],
    color: "series-5",
    defaults: { ...still, momentum: 0.9 },
    like: ["adam", 1],
  },
  lion: {
    label: "Lion",
    rule: "p ← p − η·sign(β₁·m + (1 − β₁)·g)",
    source: "Chen et al., 2023",
    uses: ["lr", "momentum", "beta2", "weightDecay", "rateDecay"],
    color: "series-6",
    defaults: { ...still, momentum: 0.9, beta2: 0.99 },
    like: ["adam", 0.2],
  },
} as const satisfies Record<string, Racer>;

export type RacerKey = keyof typeof RACERS;
export const RACER_KEYS = Object.keys(RACERS) as RacerKey[];
/** Those that run at first, and for which each landscape has rates. */
export type FirstKey = "sgd" | "momentum" | "nesterov" | "adam" | "adamW";

/** A landscape's rate for a racer. */
export function rateFor(key: RacerKey, rates: Readonly<Record<FirstKey, number>>): number {
  const { like }: Racer = RACERS[key];
  return like ? Number((rates[like[0]] * like[1]).toPrecision(6)) : rates[key as FirstKey];
}
