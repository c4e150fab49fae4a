// What optimizers are told, and what they say to it.
import { describe, expect, test } from "vitest";
import { OptionError } from "../../src/core/errors.ts";
import { COMMON } from "../../src/ops/step/rule.ts";
import {
  type AdamOptions,
  adadelta,
  adagrad,
  adam,
  adamW,
  byEpoch,
  cosine,
  exponential,
  lamb,
  lion,
  multiStep,
  type OptimizerFactory,
  oneCycle,
  piecewise,
  reduceOnPlateau,
  rmsProp,
  type SgdOptions,
  sgd,
  stepDecay,
  triangular,
  warmUp,
} from "../../src/optim/index.ts";

const any = (factory: OptimizerFactory<AdamOptions> | OptimizerFactory<SgdOptions>) =>
  factory as OptimizerFactory<any>;
const ALL =
  "lr, betas, eps, weightDecay, amsgrad, biasCorrection, clipNorm, clipTensorNorm, clipValue, maxNorm, ema, swa, lookahead, groups";

const cases: [string, () => unknown, string][] = [
  [
    "nothing",
    () => any(adam)(undefined),
    "adam: options are undefined; use an object such as adam({ lr: 0.001 }).",
  ],
  ["a number", () => any(adam)(0.1), "adam: options are 0.1; use an object such as adam({ lr: 0.001 })."],
  ["no lr", () => any(adam)({}), "adam: needs lr; give it, adam({ lr: 0.001 })."],
  [
    "learningRate",
    () => any(adam)({ learningRate: 1 }),
    'adam: there is no option "learningRate"; the learning rate is lr.',
  ],
  [
    "weight_decay",
    () => any(adamW)({ lr: 1, weight_decay: 1 }),
    `adamW: there is no option "weight_decay"; use ${ALL}.`,
  ],
  ["a text", () => any(sgd)({ lr: "0.1" }), 'sgd: lr is "0.1"; use a number or a schedule.'],
  [
    "a negative momentum",
    () => sgd({ lr: 1, momentum: -1 }),
    "sgd: momentum is -1; use a finite number of at least 0 that float32 can hold.",
  ],
  ["nesterov alone", () => sgd({ lr: 1, nesterov: true }), "sgd: nesterov needs a momentum above 0."],
  [
    "nesterov as text",
    () => any(sgd)({ lr: 1, nesterov: "yes" }),
    'sgd: nesterov is "yes"; use true or false.',
  ],
  [
    "one beta",
    () => any(adam)({ lr: 1, betas: 0.9 }),
    "adam: betas is 0.9; use 2 numbers, such as [0.9, 0.999].",
  ],
  [
    "a beta of 1",
    () => adam({ lr: 1, betas: [0.9, 1] }),
    "adam: betas[1] is 1; use a number from 0 to below 1.",
  ],
  ["no ema", () => any(adam)({ lr: 1, ema: 0.9 }), "adam: ema is 0.9; use { decay: 0.999, warmUp: true }."],
  [
    "an option of the average",
    () => any(adam)({ lr: 1, ema: { decay: 0.9, warmup: true } }),
    'adam, ema: there is no option "warmup"; use decay, warmUp.',
  ],
  [
    "groups that are no list",
    () => any(adam)({ lr: 1, groups: "0.**" }),
    'adam: groups are "0.**"; use a list such as [{ match: "*.bias", weightDecay: 0 }].',
  ],
  [
    "a group without a pattern",
    () => any(adam)({ lr: 1, groups: [{ match: "a" }, { lr: 1 }] }),
    'adam: group 2 has no match; give it a pattern of parameter names such as "0.**" or "*.bias".',
  ],
  [
    "a misspelt option of a group",
    () => any(adam)({ lr: 1, groups: [{ match: "0.**", decay: 0 }] }),
    'adam, group "0.**": there is no option "decay"; use match, frozen, weightDecay, lr, betas, eps, maxNorm.',
  ],
  [
    "clipping in a group",
    () => any(sgd)({ lr: 1, groups: [{ match: "0.**", clipNorm: 1 }] }),
    'sgd, group "0.**": there is no option "clipNorm"; use match, frozen, weightDecay, lr, momentum, dampening, maxNorm.',
  ],
  [
    "a wrong number in a group",
    () => sgd({ lr: 1, groups: [{ match: "0.**", lr: -1 }] }),
    'sgd, group "0.**": lr is -1; use a finite number of at least 0 that float32 can hold.',
  ],
  [
    "frozen as a number",
    () => any(sgd)({ lr: 1, groups: [{ match: "0.**", frozen: 1 }] }),
    'sgd, group "0.**": frozen is 1; use true or false.',
  ],
  ["half a step per epoch", () => byEpoch(() => 1, 0.5), "byEpoch: stepsPerEpoch is 0.5; use a whole number"],
];

test.each(cases)("%s", (_, make, message) => {
  expect(make).toThrow(OptionError);
  expect(make).toThrow(message);
  try {
    make();
  } catch (error) {
    expect((error as Error).message, "one sentence").toMatch(/^[^\n]+\.$/);
  }
});

test("types refuse what the program refuses", () => {
  // @ts-expect-error lr is missing
  expect(() => sgd({})).toThrow(OptionError);
  // @ts-expect-error it is called lr
  expect(() => adam({ learningRate: 1 })).toThrow(OptionError);
  // @ts-expect-error no such option
  expect(() => adam({ lr: 1, momentum: 0.9 })).toThrow(OptionError);
  // @ts-expect-error no such option of a group
  expect(() => sgd({ lr: 1, groups: [{ match: "a", clipNorm: 1 }] })).toThrow(OptionError);
  // @ts-expect-error a group needs a pattern
  expect(() => sgd({ lr: 1, groups: [{ frozen: true }] })).toThrow(OptionError);
  expect(sgd({ lr: 1, momentum: undefined, weightDecay: undefined }).slots).toEqual([]);
});

describe("schedules of any hyperparameter", () => {
  const own = (row: Float32Array) => [...row.slice(COMMON.length)];
  const common = (row: Float32Array, name: string) => row[COMMON.indexOf(name)];

  test("give the row its numbers", () => {
    const optimizer = sgd({
      lr: byEpoch((epoch, epochs) => 1 - epoch / epochs, 5),
      momentum: (step) => (step === 0 ? 0 : 0.5),
      weightDecay: (step, total) => step / total,
      clipNorm: (step) => 2 ** step,
      ema: { decay: (step) => (step < 4 ? 0.5 : 0.75) },
    });
    // A schedule has a velocity even where it begins with 0.
    expect(optimizer.slots).toEqual(["momentum_buffer", "average"]);
    expect(own(optimizer.hyper(0, 16))).toEqual([0]);
    const row = optimizer.hyper(4, 16);
    expect(["lr", "weightDecay", "maxNorm", "averageWeight"].map((name) => common(row, name))).toEqual([
      1, 0.25, 16, 0.25,
    ]);
    expect(own(row)).toEqual([0.5]);
    // 16 steps are 4 epochs, the last of them short.
    expect([5, 10, 15].map((step) => optimizer.rate(step, 16))).toEqual([0.75, 0.5, 0.25]);
    expect(optimizer.options).toMatchObject({ lr: "schedule", ema: { decay: "schedule" } });
  });

  test("Adam's corrections follow the β of the step, as PyTorch's do", () => {
    const optimizer = adam({ lr: 1, betas: [(step) => (step === 0 ? 0.5 : 0.25), 0.5] });
    // β₁, β₂, 1 − β₁, 1 − β₂, 1 − β₁ᵗ, 1 − β₂ᵗ
    expect(own(optimizer.hyper(1, 9)).slice(0, 6)).toEqual([0.25, 0.5, 0.75, 0.5, 0.9375, 0.75]);
  });

  test.each<[string, () => Float32Array, string]>([
    [
      "weight decay",
      () => sgd({ lr: 1, weightDecay: cosine({ from: -1 }) }).hyper(2, 9),
      "sgd: weightDecay at step 3 of 9 is -0.8535533905932737; use a schedule of finite float32 numbers of at least 0.",
    ],
    [
      "β₂",
      () => adam({ lr: 1, betas: [0.9, () => 1] }).hyper(0, 9),
      "adam: betas[1] at step 1 of 9 is 1; use a schedule of numbers from 0 to below 1.",
    ],
    [
      "clipping",
      () => adam({ lr: 1, clipNorm: () => Number.NaN }).hyper(0, 9),
      "adam: clipNorm at step 1 of 9 is NaN; use a schedule of finite float32 numbers of at least 0.",
    ],
    [
      "the average's decay",
      () => adam({ lr: 1, ema: { decay: () => 1 } }).hyper(0, 9),
      "adam: the decay of the average at step 1 of 9 is 1; use a number from 0 to below 1, such as 0.999.",
    ],
    [
      "a schedule that returns nothing",
      () => any(sgd)({ lr: () => undefined }).hyper(0, 9),
      "sgd: lr at step 1 of 9 is undefined; use a schedule of finite float32 numbers of at least 0.",
    ],
    [
      "a group's rate",
      () => {
        const optimizer = sgd({ lr: 1, groups: [{ match: "0.**", lr: () => -1 }] });
        return optimizer.hyper(0, 9, optimizer.groups[0]);
      },
      'sgd, group "0.**": lr at step 1 of 9 is -1; use a schedule of finite float32 numbers of at least 0.',
    ],
  ])("%s out of range is refused at its step", (_, row, message) => {
    expect(row).toThrow(OptionError);
    expect(row).toThrow(message);
  });
});

test.each([
  [
    "two averages",
    { ema: { decay: 0.9 }, swa: { start: 0 } },
    "adam: ema and swa are two averages, and one is kept; give",
  ],
  ["a decay as a switch", { ema: { decay: true } }, "adam: the decay of the average is true; use a number"],
  ["a warm-up in steps", { ema: { decay: 0.9, warmUp: 5 } }, "adam: warmUp of ema is 5; use true or false."],
  [
    "a start that is no step",
    { swa: { start: 1.5 } },
    "the average of swa starts at 1.5; use a whole number of steps",
  ],
  [
    "steps between that are none",
    { swa: { start: 0, every: 0 } },
    "adam: every of swa is 0; use a whole number of at least 1.",
  ],
  ["swa as a number", { swa: 0.75 }, "adam: swa is 0.75; use { start: 0.75, every: 100 }."],
  [
    "lookahead of no steps",
    { lookahead: { k: 0 } },
    "adam: k of lookahead is 0; use a whole number of at least 1.",
  ],
  [
    "a lookahead beyond",
    { lookahead: { alpha: 1.5 } },
    "adam: alpha of lookahead is 1.5; use a number above 0, at most 1.",
  ],
  ["lookahead as a switch", { lookahead: true }, "adam: lookahead is true; use { k: 5, alpha: 0.5 }."],
  ["a negative largest value", { clipValue: -1 }, "adam: clipValue is -1; use a finite number of at least 0"],
  [
    "a negative norm",
    { clipTensorNorm: -1 },
    "adam: clipTensorNorm is -1; use a finite number of at least 0",
  ],
])("%s", (_, options, message) => {
  expect(() => any(adam)({ lr: 1, ...options })).toThrow(OptionError);
  expect(() => any(adam)({ lr: 1, ...options })).toThrow(message);
});

test("hyperparameters outside of their ranges, optimizer by optimizer", () => {
  expect(() => sgd({ lr: 1, dampening: 0.5 })).toThrow("sgd: dampening needs a momentum above 0.");
  expect(() => sgd({ lr: 1, momentum: 0.9, nesterov: true, dampening: 0.5 })).toThrow(
    "sgd: nesterov has no dampening; leave one of them out.",
  );
  expect(() => rmsProp({ lr: 1, alpha: 1 })).toThrow("rmsProp: alpha is 1; use a number from 0 to below 1.");
  expect(() => adadelta({ rho: 1 })).toThrow("adadelta: rho is 1; use a number from 0 to below 1.");
  expect(() => adagrad({ lr: 1, initialAccumulator: () => 1 } as never)).toThrow(
    /^adagrad: initialAccumulator is .*; use a number\.$/,
  );
  expect(() => lion({ lr: 1, betas: [1, 0.5] })).toThrow(
    "lion: betas[0] is 1; use a number from 0 to below 1.",
  );
  expect(() => lamb({ lr: 1, eps: -1 })).toThrow("lamb: eps is -1; use a finite number of at least 0");
});

describe("schedules refuse", () => {
  test.each([
    [
      "no milestones",
      () => multiStep({ from: 1, milestones: [] }),
      "multiStep: milestones is []; use a list of whole",
    ],
    [
      "milestones that fall",
      () => multiStep({ from: 1, milestones: [5, 5] }),
      "multiStep: milestones is [5, 5]; use a list",
    ],
    [
      "half an epoch",
      () => stepDecay({ from: 1, factor: 0.5, every: 0.5 }),
      "stepDecay: every is 0.5; use a whole number",
    ],
    [
      "nothing",
      () => (cosine as any)(undefined),
      "cosine: options are undefined; use an object with from, to.",
    ],
    ["no rate", () => (cosine as any)({}), "cosine: needs from; use a finite number."],
    [
      "a strange option",
      () => (cosine as any)({ from: 1, end: 2 }),
      'cosine: there is no option "end"; use from, to.',
    ],
    [
      "both forms",
      () => exponential({ from: 1, gamma: 0.5, decay: 1 }),
      "exponential: gamma is 0.5 and decay 1; give one",
    ],
    [
      "neither form",
      () => exponential({ from: 1 }),
      "exponential: gamma is undefined and decay undefined; give one",
    ],
    [
      "a rising peak",
      () => triangular({ from: 2, peak: 1, up: 3 }),
      "triangular: peak is 1 and from 2; use a peak of at",
    ],
    [
      "a mode",
      () => (triangular as any)({ from: 1, peak: 2, up: 3, mode: "square" }),
      'triangular: mode is "square"; use "triangular" or "triangular2" or "exp_range".',
    ],
    [
      "places that fall",
      () =>
        piecewise({
          points: [
            [3, 1],
            [2, 0],
          ],
        }),
      "piecewise: points is [[3, 1], [2, 0]]; use a list of [place",
    ],
    [
      "more than a run",
      () =>
        piecewise({
          points: [
            [0, 1],
            [2, 0],
          ],
          unit: "share",
        }),
      "piecewise: the last place is 2; use shares from 0 to 1.",
    ],
    [
      "a factor that grows",
      () => reduceOnPlateau({ from: 1, factor: 1 }),
      "reduceOnPlateau: factor is 1; use a number above 0, below 1.",
    ],
    ["no steps of warm-up", () => warmUp(0, 1), "warmUp: steps is 0; use a finite number above 0."],
    [
      "a share above 1",
      () => oneCycle({ peak: 1, warmup: 1 }),
      "oneCycle: warmup is 1; use a share of the steps from 0 to below 1.",
    ],
  ] as [string, () => unknown, string][])("%s", (_, make, message) => {
    expect(make).toThrow(OptionError);
    expect(make).toThrow(message);
  });
});
