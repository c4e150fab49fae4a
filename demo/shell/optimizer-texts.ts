/** What pages say of an optimizer beside what its record says. */
export interface OptimizerText {
  readonly label: string;
  readonly family: string;
  /** What one step does, as a formula, and who gave it. */
  readonly rule: string;
  readonly source: string;
}

const SLOPE = "Along the gradient";
const ADAM = "Adam and its kin";
const SCALED = "By the size of past slopes";
const LENGTH = "Steps of a given length";

/** By the names in the engine's catalogue, in the order in which they are shown. */
export const OPTIMIZER_TEXTS: Readonly<Record<string, OptimizerText>> = {
  sgd: {
    label: "SGD",
    family: SLOPE,
    rule: "p ← p − η·g",
    source: "Cauchy, 1847; Robbins and Monro, 1951",
  },
  momentum: {
    label: "Momentum",
    family: SLOPE,
    rule: "v ← μ·v + g,  p ← p − η·v",
    source: "Polyak, 1964",
  },
  nesterov: {
    label: "Nesterov",
    family: SLOPE,
    rule: "v ← μ·v + g,  p ← p − η·(g + μ·v)",
    source: "Nesterov, 1983; Sutskever et al., 2013",
  },
  adam: {
    label: "Adam",
    family: ADAM,
    rule: "p ← p − η·m̂/(√v̂ + ε),  m and v running means of g and g²",
    source: "Kingma and Ba, 2015",
  },
  adamW: {
    label: "AdamW",
    family: ADAM,
    rule: "as Adam, but the decay p ← p − η·λ·p is kept apart from g",
    source: "Loshchilov and Hutter, 2019",
  },
  amsgrad: {
    label: "AMSGrad",
    family: ADAM,
    rule: "as Adam, with the largest v̂ so far",
    source: "Reddi, Kale and Kumar, 2018",
  },
  amsgradW: {
    label: "AMSGradW",
    family: ADAM,
    rule: "as AdamW, with the largest v̂ so far",
    source: "Reddi, Kale and Kumar, 2018",
  },
  adamax: {
    label: "AdaMax",
    family: ADAM,
    rule: "u ← max(β₂·u, |g|),  p ← p − η·m̂/u",
    source: "Kingma and Ba, 2015",
  },
  nadam: {
    label: "NAdam",
    family: ADAM,
    rule: "as Adam, with Nesterov's look-ahead in m̂",
    source: "Dozat, 2016",
  },
  radam: {
    label: "RAdam",
    family: ADAM,
    rule: "as Adam, in shorter steps while v̂ is uncertain",
    source: "Liu et al., 2020",
  },
  adagrad: {
    label: "Adagrad",
    family: SCALED,
    rule: "s ← s + g²,  p ← p − η·g/(√s + ε)",
    source: "Duchi, Hazan and Singer, 2011",
  },
  rmsProp: {
    label: "RMSProp",
    family: SCALED,
    rule: "v ← α·v + (1 − α)·g²,  p ← p − η·g/(√v + ε)",
    source: "Tieleman and Hinton, 2012",
  },
  adadelta: {
    label: "Adadelta",
    family: SCALED,
    rule: "p ← p − η·d,  d = √(u + ε)/√(v + ε)·g,  u and v running means of d² and g²",
    source: "Zeiler, 2012",
  },
  lion: {
    label: "Lion",
    family: LENGTH,
    rule: "p ← p − η·sign(β₁·m + (1 − β₁)·g)",
    source: "Chen et al., 2023",
  },
  lamb: {
    label: "LAMB",
    family: LENGTH,
    rule: "p ← p − η·‖p‖/‖r‖·r,  r = m̂/(√v̂ + ε) + λ·p,  norms of each tensor",
    source: "You et al., 2020",
  },
  muon: {
    label: "Muon",
    family: LENGTH,
    rule: "b ← μ·b + g,  p ← p − η·O,  O the matrix g + μ·b made orthogonal",
    source: "Jordan et al., 2024",
  },
};

/** A rule that the engine has and nobody has written of goes by its name. */
export const textOf = (name: string): OptimizerText =>
  OPTIMIZER_TEXTS[name] ?? { label: name, family: "Others", rule: "", source: "" };

const order = Object.keys(OPTIMIZER_TEXTS);

/** In the order of the texts, and after them those without. */
export const inOrder = <T extends { readonly name: string }>(list: readonly T[]): T[] => {
  const place = ({ name }: T) => (order.indexOf(name) + order.length + 1) % (order.length + 1);
  return [...list].sort((a, b) => place(a) - place(b));
};
