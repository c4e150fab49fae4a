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
} as const satisfies Record<string, Racer>;

export type RacerKey = keyof typeof RACERS;
export const RACER_KEYS = Object.keys(RACERS) as RacerKey[];
