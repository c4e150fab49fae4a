// Optimizers of one's own: written with the methods of tensors, run as one dispatch.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { OptionError } from "../../src/core/errors.ts";
import type { Tensor } from "../../src/core/op.ts";
import { Random } from "../../src/core/rng.ts";
import { feed } from "../../src/graph/node.ts";
import * as f from "../../src/ops/f.ts";
import { adam, type Optimizer, rule, sgd } from "../../src/optim/index.ts";
import { AVERAGE } from "../../src/optim/optimizer.ts";
import { parityCases, runCase } from "../../src/verify/parity.ts";
import { gpu } from "../support/gpu.ts";
import { compileMinimise, minimise } from "../support/minimise.ts";

const backends: [string, () => Promise<Backend>][] = [
  ["webgpu", gpu],
  ["cpu", async () => cpuBackend()],
];

const signum = rule(
  { name: "signum", slots: ["momentum"], hyper: { lr: 1e-3, beta: 0.9 } },
  ({ p, g, momentum, lr, beta }) => {
    const m = momentum.mul(beta).add(g.mul(f.sub(1, beta)));
    return { p: p.sub(m.sign().mul(lr)), momentum: m };
  },
);

const heavyBall = rule(
  { name: "heavyBall", slots: ["velocity"], hyper: { lr: 0.1, mu: 0.9 } },
  ({ p, g, velocity, lr, mu }) => {
    const v = mu.mul(velocity).add(g);
    return { p: p.sub(lr.mul(v)), velocity: v };
  },
);

/** Adam with its bias corrections worked out on the device. */
const ownAdam = rule(
  {
    name: "ownAdam",
    slots: ["m", "v"],
    hyper: { lr: 1e-3, beta1: 0.9, beta2: 0.99, eps: 1e-8 },
    positive: ["v"],
  },
  ({ p, g, m, v, lr, beta1, beta2, eps, step }) => {
    const first = m.mul(beta1).add(g.mul(f.sub(1, beta1)));
    const second = v.mul(beta2).add(g.square().mul(f.sub(1, beta2)));
    const unbiased = second.div(f.sub(1, beta2.pow(step)));
    const move = first.div(f.sub(1, beta1.pow(step))).div(unbiased.sqrt().add(eps));
    return { p: p.sub(move.mul(lr)), m: first, v: second };
  },
);

/** Names that mean something in WGSL, functions from a file, a result that is a constant, an infinite literal. */
const awkward = rule(
  { name: "awkward", slots: ["array", "loop", "Next"], hyper: { lr: 0.1, final: 1, p0: -2 } },
  ({ p, g, array, lr, final, p0 }) => ({
    p: p.sub(f.where(g.greater(0), g.tanh(), g.mul(final)).mul(lr)),
    array: f.maximum(array, g).mul(p0),
    loop: f.constant({ value: 3, shape: [], dtype: "f32" }),
    Next: f.minimum(array.abs(), Number.POSITIVE_INFINITY),
  }),
);

const plain = rule({ slots: [], hyper: { lr: 0.1 } }, ({ p, g, lr }) => ({ p: p.sub(g.mul(lr)) }));

const random = new Random(5);
const start = Array.from({ length: 200 }, () => random.normal());
const bowl = (w: Tensor) => f.mul(0.5, f.sum(f.square(w)));

describe.each(backends)("rules on %s", (_, open) => {
  test("signum goes by the sign of an averaged gradient", async () => {
    // g = w = (4, −2), β = 1/2: m = (2, −1), then (2.75, −1.25): the same signs.
    const path = await minimise(await open(), signum({ lr: 0.25, beta: 0.5 }), [4, -2], bowl, 2);
    expect(path).toEqual([
      [4, -2],
      [3.75, -1.75],
      [3.5, -1.5],
    ]);
  });

  test("a rule that is one of ours goes its way bit for bit, with decay, clipping and average", async () => {
    const backend = await open();
    const options = { lr: 0.125, weightDecay: 0.0625, clipNorm: 4, ema: { decay: 0.75 } };
    for (const slot of [undefined, AVERAGE]) {
      const ours = await minimise(backend, sgd({ ...options, momentum: 0.5 }), start, bowl, 5, slot);
      expect(await minimise(backend, heavyBall({ ...options, mu: 0.5 }), start, bowl, 5, slot)).toEqual(ours);
    }
    expect(await minimise(backend, plain({ lr: 0.5 }), start, bowl, 4)).toEqual(
      await minimise(backend, sgd({ lr: 0.5 }), start, bowl, 4),
    );
  });

  test("the step's number counts from 1", async () => {
    const backend = await open();
    const own = await minimise(backend, ownAdam({ lr: 0.125 }), start, bowl, 5);
    const ours = await minimise(backend, adam({ lr: 0.125, betas: [0.9, 0.99] }), start, bowl, 5);
    own.forEach((row, step) => {
      for (const [i, w] of row.entries()) expect(Math.abs(w - ours[step]![i]!)).toBeLessThan(1e-4);
    });
  });

  test("decoupled decay shrinks the parameter alone", async () => {
    const still = rule({ slots: [], hyper: { lr: 0.5 }, decoupled: true }, ({ p, g }) => ({
      p: p.add(g.mul(0)),
    }));
    const path = await minimise(await open(), still({ weightDecay: 0.5 }), [1], bowl, 3);
    expect(path.map(([w]) => w)).toEqual([1, 0.75, 0.5625, 0.421875]);
  });
});

test.each([
  ["signum", signum],
  ["ownAdam", ownAdam],
  ["awkward", awkward],
] as const)("%s agrees with its reference, by bounds of its own", async (_name, factory) => {
  const backend = await gpu();
  for (const parity of parityCases(factory.ops[0]!))
    for (const variant of parity.variants(backend.facts)) {
      const row = await runCase(backend, parity, variant);
      expect(row.message ?? "", parity.label).toBe("");
      expect(row.tolerance, parity.label).toBeLessThan(1e-4);
    }
});

test("a wrong rule fails parity", async () => {
  const backend = await gpu();
  const op = signum.ops[0]!;
  const [parity] = parityCases(op);
  const [inputs] = [parity!.sample.inputs];
  const results = op.reference(inputs, undefined);
  const wrong = {
    ...parity!,
    expected: () => results.map((x) => ({ ...x, data: Float32Array.from(x.data, (v) => v + 1e-5) })),
  };
  const [variant] = parity!.variants(backend.facts);
  expect((await runCase(backend, wrong, variant!)).pass).toBe(false);
});

test("it is as many dispatches as with ours", async () => {
  const backend = await gpu();
  const steps = async (optimizer: Optimizer) => {
    const { executable, release } = await compileMinimise(backend, optimizer, start, bowl);
    const count = executable.plan.steps.length;
    release();
    return count;
  };
  expect(await steps(ownAdam({ ema: { decay: 0.9 } }))).toBe(await steps(sgd({ lr: 1 })));
});

describe("a rule that cannot work is told so", () => {
  const define = (slots: string[], hyper: object, update: (all: any) => any, name = "mine") =>
    rule({ name, slots, hyper: hyper as { lr: number } }, update);
  const same = (all: { p: Tensor }) => ({ p: all.p });
  const outside = feed("x", []);
  const cases: [string, () => unknown, string][] = [
    [
      "a forgotten slot",
      () => define(["momentum"], { lr: 1 }, same),
      'mine: the rule forgets the slot "momentum"; return { p, momentum }.',
    ],
    [
      "a slot that is none",
      () => define([], { lr: 1 }, ({ p, g }) => ({ p, velocity: g })),
      'mine: the rule returns "velocity", which is no slot; return { p }.',
    ],
    ["no p", () => define([], { lr: 1 }, () => ({})), "mine: the rule forgets p; return { p }."],
    [
      "nothing",
      () => define([], { lr: 1 }, () => undefined),
      "mine: the rule returns undefined; return { p }.",
    ],
    [
      "a number",
      () => define(["m"], { lr: 1 }, ({ p }) => ({ p, m: 0 })),
      "mine: the rule returns 0 as m; return a tensor made of what it gets.",
    ],
    [
      "a name that it does not get",
      () => define([], { lr: 1 }, ({ p, momentm }) => ({ p: p.sub(momentm) })),
      'mine: the rule reads "momentm", which it does not get; it gets p, g, lr, step.',
    ],
    [
      "a sum",
      () => define([], { lr: 1 }, ({ p, g }) => ({ p: p.sub(f.softmax(g.reshape({ shape: [1] })).sum()) })),
      "which is not elementwise; it sees one element, so use add, mul, sqrt, where and their like.",
    ],
    [
      "another shape",
      () =>
        define([], { lr: 1 }, ({ p }) => ({ p: p.add(f.constant({ value: 1, shape: [3], dtype: "f32" })) })),
      "mine: the rule returns f32[3] as p; return one f32 number, made of what it gets.",
    ],
    [
      "another dtype",
      () => define(["m"], { lr: 1 }, ({ p, g }) => ({ p, m: g.greater(0) })),
      "mine: the rule returns bool[] as m; return one f32 number, made of what it gets.",
    ],
    [
      "a tensor from outside",
      () => define([], { lr: 1 }, ({ p }) => ({ p: p.sub(outside) })),
      "mine: the rule reads x, a tensor from outside; hand numbers to it as hyperparameters.",
    ],
    [
      "no learning rate",
      () => define([], { rate: 1 }, same),
      "mine: hyper has no lr; give the learning rate a default, { lr: 0.001 }.",
    ],
    [
      "a default that is no number",
      () => define([], { lr: 1, beta: Number.NaN }, same),
      "mine: the default of beta is NaN; use a finite number that float32 can hold.",
    ],
    [
      "a name that is taken",
      () => define([], { lr: 1, weightDecay: 0 }, same),
      'mine: "weightDecay" is what every optimizer has; call the slot or hyperparameter something else.',
    ],
    [
      "a name twice",
      () => define(["beta"], { lr: 1, beta: 0 }, same),
      'mine: two things are called "beta"; give each a name of its own.',
    ],
    [
      "no name",
      () => define([], { lr: 1 }, same, "my rule"),
      "A rule's name is my rule; use letters, digits and _, a letter first.",
    ],
  ];
  test.each(cases)("%s", (_, make, message) => {
    expect(make).toThrow(OptionError);
    expect(make).toThrow(message);
  });

  test("by its types, too", () => {
    expect(() =>
      // @ts-expect-error the slot is forgotten
      rule({ slots: ["momentum"], hyper: { lr: 1 } }, ({ p }) => ({ p })),
    ).toThrow(OptionError);
    // @ts-expect-error there is no such option
    expect(() => signum({ lr: 1, betta: 0.9 })).toThrow('signum: there is no option "betta"; use lr, beta, ');
    expect(signum({ lr: 1, beta: (step) => 1 / (step + 1) }).hyper(3, 9)).toContain(0.25);
  });
});
