import adamSource from "../../shaders/adam.wgsl?raw";
import clip from "../../shaders/functions/update.wgsl?raw";
import momentumSource from "../../shaders/momentum.wgsl?raw";
import sgdSource from "../../shaders/sgd.wgsl?raw";
import { ShapeError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import { sameShape, showType, type TensorType } from "../core/shape.ts";
import { accumulated } from "../core/tolerance.ts";
import { type Binding, gridOf, input, output, specialize } from "./kernel.ts";
import { defineOp, type ErrorCase, type OpRecord, type Sample } from "./op.ts";
import { type Sampler, type } from "./samples.ts";
import { STATS, STATS_SIZE, STATUS } from "./step-stats.ts";

/**
 * Places of the hyperparameters in the row that the host writes for every step: learning rate, weight decay, momentum
 * or β₁, β₂, ε, 1 − β₁ᵗ, 1 − β₂ᵗ, the largest gradient norm (0: no clipping), 1 − β₁ and 1 − β₂. The last two are the
 * host's: taken from a float32 β they would lose half their digits.
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

function run(definition: UpdateDefinition, inputs: readonly NDArray[]): Float64Array[] {
  const [params, grads] = [inputs[0]!.data, inputs[1]!.data];
  const slots = inputs.slice(2, 2 + definition.slots).map((x) => Float64Array.from(x.data));
  const hyper = inputs[2 + definition.slots]!.data;
  const stats = inputs[3 + definition.slots]!.data;
  const next = Float64Array.from(params);
  if (stats[STATS.status] !== STATUS.applied) return [next, ...slots];
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
  }
  return [next, ...slots];
}

/** S of the tolerance: |p|/8 (2u·|p| for the last subtraction) plus the size of the move with nothing cancelling. */
function magnitudes(definition: UpdateDefinition, inputs: readonly NDArray[]): Float64Array[] {
  const absolute = inputs.map((x, i) =>
    i < 2 + definition.slots ? { ...x, data: Float64Array.from(x.data, Math.abs) } : x,
  );
  const still = run(
    definition,
    absolute.map((x, i) => (i === 0 ? { ...x, data: new Float64Array(x.data.length) } : x)),
  );
  const [, ...slots] = run(definition, absolute);
  const hyper = inputs[2 + definition.slots]!.data;
  const params = absolute[0]!.data;
  const decay = hyper[HYPER.rate]! * hyper[HYPER.decay]!;
  return [still[0]!.map((move, i) => Math.abs(move) + params[i]! * (1 / 8 + decay)), ...slots];
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
    scale = 1,
  ): Sample<undefined> => ({
    inputs: [
      s.randn(size),
      s.randn(size),
      // The second moment of Adam is never negative.
      ...Array.from({ length: definition.slots }, (_, i) =>
        i === 1 ? s.uniform(0, 2, [size]) : s.randn(size),
      ),
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
    { ...make(64, { ...usual, maxNorm: 0.5 }, 7.25, STATUS.applied, 8), name: "scaled" },
  ];
}

function updateOp(definition: UpdateDefinition): OpRecord<undefined> {
  const { name, slots } = definition;
  const count = 4 + slots;
  const errors: ErrorCase<undefined>[] = [
    {
      inputs: [
        type([64]),
        type([32]),
        ...Array.from({ length: slots }, () => type([64])),
        type([HYPER_SIZE]),
        type([STATS_SIZE]),
      ],
      message: new RegExp(`${name}: .* differ; parameters, gradients and slots`),
    },
    {
      inputs: [...Array.from({ length: 2 + slots }, () => type([7])), type([HYPER_SIZE]), type([STATS_SIZE])],
      message: new RegExp(`${name}: .* multiple of 4`),
    },
  ];
  return defineOp<undefined>({
    name,
    infer: (inputs) => {
      if (inputs.length !== count)
        throw new ShapeError(`${name}: takes ${count} tensors, got ${inputs.length}.`);
      const flat = inputs.slice(0, 2 + slots);
      const first = flat[0]!;
      if (flat.some((x) => x.dtype !== "f32" || !sameShape(x.shape, first.shape)))
        throw new ShapeError(
          `${name}: ${flat.map(showType).join(" and ")} differ; parameters, gradients and slots must have one shape in f32.`,
        );
      if (first.shape.length !== 1 || first.shape[0]! % 4 !== 0)
        throw new ShapeError(
          `${name}: ${showType(first)} is not a flat arena whose size is a multiple of 4.`,
        );
      if (
        !sameShape(inputs[count - 2]!.shape, [HYPER_SIZE]) ||
        !sameShape(inputs[count - 1]!.shape, [STATS_SIZE])
      )
        throw new ShapeError(
          `${name}: hyperparameters are f32[${HYPER_SIZE}] and statistics f32[${STATS_SIZE}].`,
        );
      return Array.from({ length: 1 + slots }, (): TensorType => first);
    },
    reference: (inputs) =>
      run(definition, inputs).map((data) => ({ shape: inputs[0]!.shape, dtype: "f32" as const, data })),
    implementation: {
      kind: "kernel",
      kernel: ({ inputs, facts }) => {
        const groups = inputs[0]!.shape[0]! / 4;
        const bindings: Binding[] = [output(0), input(1)];
        for (let k = 0; k < slots; k++) bindings.push(output(1 + k));
        bindings.push(input(2 + slots), input(3 + slots));
        const source = [specialize(definition.source, { COUNT: groups, ...definition.constants }), clip].join(
          "\n",
        );
        const dispatch = {
          kernel: name,
          source,
          bindings,
          workgroups: gridOf(Math.ceil(groups / 256), facts),
          bytes: 16 * groups * (3 + 2 * slots),
        };
        return [{ name: "flat", dispatches: [dispatch] }];
      },
    },
    // Outputs overwrite the parameters and the slots they come from.
    inPlace: [0, ...Array.from({ length: slots }, (_, k) => 2 + k)],
    tolerance: accumulated(() => 1, { factor: 4, scale: (inputs) => magnitudes(definition, inputs) }),
    samples: (s) => updateSamples(definition, s),
    errors,
  });
}

/** p ← p − lr·g, with g ← clip·g + decay·p. Robbins, Monro, 1951. */
export const sgd = updateOp({
  name: "sgd",
  slots: 0,
  source: sgdSource,
  constants: {},
  rule: (p, g, _, h) => ({ p: p - h[HYPER.rate]! * (g + h[HYPER.decay]! * p), slots: [] }),
});

/** v ← μ·v + g, p ← p − lr·v. Polyak, 1964; in PyTorch's form. */
export const momentum = updateOp({
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
export const nesterov = updateOp({
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
export const adam = updateOp({
  name: "adam",
  slots: 2,
  source: adamSource,
  constants: { DECOUPLED: false },
  rule: adamRule(false),
});

/** Adam with decoupled weight decay. Loshchilov, Hutter, 2019, algorithm 2. */
export const adamW = updateOp({
  name: "adamW",
  slots: 2,
  source: adamSource,
  constants: { DECOUPLED: true },
  rule: adamRule(true),
});
