import store from "../../../shaders/functions/store-parameters.part.wgsl?raw";
import storeAverage from "../../../shaders/functions/store-parameters-average.part.wgsl?raw";
import clip from "../../../shaders/functions/update.part.wgsl?raw";
import adamSource from "../../../shaders/step/adam.wgsl?raw";
import momentumSource from "../../../shaders/step/momentum.wgsl?raw";
import sgdSource from "../../../shaders/step/sgd.wgsl?raw";
import { ShapeError } from "../../core/errors.ts";
import { type Binding, gridOf, input, output, specialize } from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Sample, type Tensor } from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { sameShape, showType, type TensorType } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import { STATS, STATS_SIZE, STATUS } from "./stats.ts";

/**
 * Places of the hyperparameters in the row that the host writes for every step: learning rate, weight decay, momentum
 * or β₁, β₂, ε, 1 − β₁ᵗ, 1 − β₂ᵗ, the largest gradient norm (0: no clipping), 1 − β₁, 1 − β₂ and 1 − the decay of the
 * average. The last three are the host's: taken from a float32 β they would lose half their digits.
 */
export const HYPER = {
  rate: 0,
  decay: 1,
  momentum: 2,
  beta1: 2,
  beta2: 3,
  epsilon: 4,
  correction1: 5,
  correction2: 6,
  maxNorm: 7,
  fresh1: 8,
  fresh2: 9,
  freshAverage: 10,
} as const;
export const HYPER_SIZE = 12;

/** What one element's update does: its new parameter and slots. */
type Rule = (p: number, g: number, slots: number[], h: ArrayLike<number>) => { p: number; slots: number[] };

interface UpdateDefinition {
  readonly name: string;
  readonly slots: number;
  readonly source: string;
  readonly constants: Record<string, boolean>;
  readonly rule: Rule;
}

/**
 * What takes the loss scale out of a gradient and clips it by the global norm: Pascanu, Mikolov, Bengio, 2013, algorithm 1.
 */
function gradientFactor(stats: ArrayLike<number>, hyper: ArrayLike<number>): number {
  const largest = hyper[HYPER.maxNorm]!;
  const clip = largest > 0 ? Math.min(1, largest / (stats[STATS.norm]! + 1e-6)) : 1;
  return stats[STATS.unscale]! * clip;
}

/** Inputs by what they are: parameters, gradients, the rule's slots, perhaps an average, hyperparameters, statistics. */
function parts(definition: UpdateDefinition, inputs: readonly NDArray[]) {
  const [params, grads] = [inputs[0]!.data, inputs[1]!.data];
  const slots = inputs.slice(2, 2 + definition.slots).map((x) => x.data);
  const [average] = inputs.slice(2 + definition.slots, -2).map((x) => x.data);
  const [hyper, stats] = [inputs.at(-2)!.data, inputs.at(-1)!.data];
  return { params, grads, slots, average, hyper, stats };
}

function run(definition: UpdateDefinition, inputs: readonly NDArray[]): Float64Array[] {
  const { params, grads, hyper, stats, ...rest } = parts(definition, inputs);
  const slots = rest.slots.map((x) => Float64Array.from(x));
  const average = rest.average && Float64Array.from(rest.average);
  const next = Float64Array.from(params);
  const results = average ? [next, ...slots, average] : [next, ...slots];
  if (stats[STATS.status] !== STATUS.applied) return results;
  const factor = gradientFactor(stats, hyper);
  for (let i = 0; i < next.length; i++) {
    const result = definition.rule(
      params[i]!,
      grads[i]! * factor,
      slots.map((s) => s[i]!),
      hyper,
    );
    next[i] = result.p;
    result.slots.forEach((value, k) => {
      slots[k]![i] = value;
    });
    if (average) average[i]! += hyper[HYPER.freshAverage]! * (result.p - average[i]!);
  }
  return results;
}

/**
 * S of the tolerance 4·u·S. Parameters: |p|/8 (2u·|p| for the last subtraction) plus the size of the move with nothing
 * cancelling. Average a, with w = 1 − decay: |a| + w·(|p| + 2·S of p), which covers the parameter's own error times w
 * (4u·w·S) and, in both of torch.lerp's forms, the roundings of p − a, of its product and of the sum.
 */
function magnitudes(definition: UpdateDefinition, inputs: readonly NDArray[]): Float64Array[] {
  const absolute = inputs.map((x, i) =>
    i < inputs.length - 2 ? { ...x, data: Float64Array.from(x.data, Math.abs) } : x,
  );
  const still = run(
    definition,
    absolute.map((x, i) => (i === 0 ? { ...x, data: new Float64Array(x.data.length) } : x)),
  );
  const slots = run(definition, absolute).slice(1, 1 + definition.slots);
  const { params, hyper, average, stats } = parts(definition, absolute);
  const decay = hyper[HYPER.rate]! * hyper[HYPER.decay]!;
  const moved = still[0]!.map((move, i) => Math.abs(move) + params[i]! * (1 / 8 + decay));
  if (!average) return [moved, ...slots];
  const fresh = stats[1] === 0 ? hyper[HYPER.freshAverage]! : 0;
  return [moved, ...slots, Float64Array.from(average, (a, i) => a + fresh * (params[i]! + 2 * moved[i]!))];
}

function hyperSample(s: Sampler, values: Partial<Record<keyof typeof HYPER, number>>): NDArray {
  const row = new Array<number>(HYPER_SIZE).fill(0);
  for (const [name, value] of Object.entries(values)) row[HYPER[name as keyof typeof HYPER]] = value;
  return s.values(row, [HYPER_SIZE]);
}

function updateSamples(definition: UpdateDefinition, s: Sampler): Sample<undefined>[] {
  const make = (
    size: number,
    hyper: Partial<Record<keyof typeof HYPER, number>>,
    norm: number,
    status: number,
    { scale = 1, averaged = false } = {},
  ): Sample<undefined> => ({
    inputs: [
      s.randn(size),
      s.randn(size),
      // The second moment of Adam is never negative.
      ...Array.from({ length: definition.slots }, (_, i) =>
        i === 1 ? s.uniform(0, 2, [size]) : s.randn(size),
      ),
      ...(averaged ? [s.randn(size)] : []),
      hyperSample(s, hyper),
      s.values([norm, status, 1 / scale, scale, 0, 0]),
    ],
  });
  const usual = {
    rate: 0.05,
    decay: 0.01,
    beta1: 0.9,
    beta2: 0.99,
    fresh1: 0.1,
    fresh2: 0.01,
    epsilon: 1e-8,
    correction1: 0.271,
    correction2: 0.0297,
  };
  return [
    make(64, usual, 3, STATUS.applied),
    make(1028, { ...usual, maxNorm: 0.5 }, 7.25, STATUS.applied),
    { ...make(192, usual, 0, STATUS.halted), name: "halted" },
    { ...make(192, usual, 0, STATUS.skipped), name: "skipped" },
    { ...make(64, { ...usual, decay: 0, maxNorm: 100 }, 7.25, STATUS.applied), name: "norm below the limit" },
    { ...make(64, { ...usual, maxNorm: 0.5 }, 7.25, STATUS.applied, { scale: 8 }), name: "scaled" },
    {
      ...make(1028, { ...usual, freshAverage: 0.125 }, 3, STATUS.applied, { averaged: true }),
      name: "average",
    },
    {
      ...make(64, { ...usual, freshAverage: 0.75 }, 3, STATUS.applied, { averaged: true }),
      name: "average, fresh",
    },
    {
      ...make(64, { ...usual, freshAverage: 0.75 }, 3, STATUS.halted, { averaged: true }),
      name: "average, halted",
    },
  ];
}

type Update = Op<(tensors: readonly Tensor[]) => Tensor | readonly Tensor[], undefined>;

/*#__NO_SIDE_EFFECTS__*/
function updateOp(definition: UpdateDefinition): Update {
  const { name, slots } = definition;
  const fewest = 4 + slots;
  return defineOp({
    name,
    operands: ["parameters", "gradients", "...rest"],
    infer: (inputs) => {
      if (inputs.length !== fewest && inputs.length !== fewest + 1)
        throw new ShapeError(
          `${name}: takes ${fewest} tensors, or ${fewest + 1} with an average, got ${inputs.length}.`,
        );
      const flat = inputs.slice(0, -2);
      const first = flat[0]!;
      if (flat.some((x) => x.dtype !== "f32" || !sameShape(x.shape, first.shape)))
        throw new ShapeError(
          `${name}: ${flat.map(showType).join(" and ")} differ; parameters, gradients, slots and average must have one shape in f32.`,
        );
      if (first.shape.length !== 1 || first.shape[0]! % 4 !== 0)
        throw new ShapeError(
          `${name}: ${showType(first)} is not a flat arena whose size is a multiple of 4.`,
        );
      if (!sameShape(inputs.at(-2)!.shape, [HYPER_SIZE]) || !sameShape(inputs.at(-1)!.shape, [STATS_SIZE]))
        throw new ShapeError(
          `${name}: hyperparameters are f32[${HYPER_SIZE}] and statistics f32[${STATS_SIZE}].`,
        );
      return Array.from({ length: inputs.length - 3 }, (): TensorType => first);
    },
    reference: (inputs) =>
      run(definition, inputs).map((data) => ({ shape: inputs[0]!.shape, dtype: "f32" as const, data })),
    implementation: {
      kind: "kernel",
      kernel: ({ inputs, facts }) => {
        const groups = inputs[0]!.shape[0]! / 4;
        const bindings: Binding[] = [output(0), input(1)];
        for (let k = 0; k < slots; k++) bindings.push(output(1 + k));
        bindings.push(input(inputs.length - 2), input(inputs.length - 1));
        const averaged = inputs.length > fewest;
        const storing = averaged ? specialize(storeAverage, { AVERAGE: bindings.length }) : store;
        if (averaged) bindings.push(output(1 + slots));
        const update = specialize(definition.source, { COUNT: groups, ...definition.constants });
        const source = [update, clip, storing].join("\n");
        const dispatch = {
          kernel: averaged ? `${name}/average` : name,
          source,
          bindings,
          workgroups: gridOf(Math.ceil(groups / 256), facts),
          bytes: 16 * groups * (3 + 2 * (inputs.length - 4)),
        };
        return [{ name: "flat", dispatches: [dispatch] }];
      },
    },
    // Outputs overwrite the parameters, the slots and the average they come from.
    inPlace: [0, ...Array.from({ length: slots + 1 }, (_, k) => 2 + k)],
    tolerance: accumulated(() => 1, { factor: 4, scale: (inputs) => magnitudes(definition, inputs) }),
    samples: (s) => updateSamples(definition, s),
    errors: [
      {
        inputs: [
          type([64]),
          type([32]),
          ...Array.from({ length: slots }, () => type([64])),
          type([HYPER_SIZE]),
          type([STATS_SIZE]),
        ],
        message: new RegExp(`${name}: .* differ; parameters, gradients, slots and average`),
      },
      {
        inputs: [
          ...Array.from({ length: 2 + slots }, () => type([7])),
          type([HYPER_SIZE]),
          type([STATS_SIZE]),
        ],
        message: new RegExp(`${name}: .* multiple of 4`),
      },
    ],
  });
}

/** p ← p − lr·g, with g ← clip·g + decay·p. Robbins, Monro, 1951. */
export const sgd: Update = updateOp({
  name: "sgd",
  slots: 0,
  source: sgdSource,
  constants: {},
  rule: (p, g, _, h) => ({ p: p - h[HYPER.rate]! * (g + h[HYPER.decay]! * p), slots: [] }),
});

/** v ← μ·v + g, p ← p − lr·v. Polyak, 1964; in PyTorch's form. */
export const momentum: Update = updateOp({
  name: "momentum",
  slots: 1,
  source: momentumSource,
  constants: { NESTEROV: false },
  rule: (p, g, [v], h) => {
    const velocity = h[HYPER.momentum]! * v! + g + h[HYPER.decay]! * p;
    return { p: p - h[HYPER.rate]! * velocity, slots: [velocity] };
  },
});

/** v ← μ·v + g, p ← p − lr·(g + μ·v). Nesterov, 1983; Sutskever et al., 2013, in PyTorch's form. */
export const nesterov: Update = updateOp({
  name: "nesterov",
  slots: 1,
  source: momentumSource,
  constants: { NESTEROV: true },
  rule: (p, g, [v], h) => {
    const gradient = g + h[HYPER.decay]! * p;
    const velocity = h[HYPER.momentum]! * v! + gradient;
    return { p: p - h[HYPER.rate]! * (gradient + h[HYPER.momentum]! * velocity), slots: [velocity] };
  },
});

function adamRule(decoupled: boolean): Rule {
  return (p, g, [m, v], h) => {
    const rate = h[HYPER.rate]!;
    const shrunk = decoupled ? p - rate * h[HYPER.decay]! * p : p;
    const gradient = decoupled ? g : g + h[HYPER.decay]! * p;
    const first = h[HYPER.beta1]! * m! + h[HYPER.fresh1]! * gradient;
    const second = h[HYPER.beta2]! * v! + h[HYPER.fresh2]! * gradient * gradient;
    const step = (rate / h[HYPER.correction1]!) * first;
    return {
      p: shrunk - step / (Math.sqrt(second) / Math.sqrt(h[HYPER.correction2]!) + h[HYPER.epsilon]!),
      slots: [first, second],
    };
  };
}

/** Adam with bias correction; weight decay is added to the gradient. Kingma, Ba, 2015, algorithm 1. */
export const adam: Update = updateOp({
  name: "adam",
  slots: 2,
  source: adamSource,
  constants: { DECOUPLED: false },
  rule: adamRule(false),
});

/** Adam with decoupled weight decay. Loshchilov, Hutter, 2019, algorithm 2. */
export const adamW: Update = updateOp({
  name: "adamW",
  slots: 2,
  source: adamSource,
  constants: { DECOUPLED: true },
  rule: adamRule(true),
});
