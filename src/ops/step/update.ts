import clipSource from "../../../shaders/step/clip-tensors.part.wgsl?raw";
import gradientSource from "../../../shaders/step/gradient.part.wgsl?raw";
import gradientFactor from "../../../shaders/step/gradient-factor.part.wgsl?raw";
import lookAhead from "../../../shaders/step/look-ahead.part.wgsl?raw";
import placeBlocks from "../../../shaders/step/place-blocks.part.wgsl?raw";
import store from "../../../shaders/step/store.part.wgsl?raw";
import storeAverage from "../../../shaders/step/store-average.part.wgsl?raw";
import tensorFactors from "../../../shaders/step/tensor-factors.wgsl?raw";
import tensorNorms from "../../../shaders/step/tensor-norms.wgsl?raw";
import trustSource from "../../../shaders/step/trust.part.wgsl?raw";
import harness from "../../../shaders/step/update.wgsl?raw";
import { ShapeError } from "../../core/errors.ts";
import {
  type AdapterFacts,
  type Binding,
  type Dispatch,
  gridOf,
  input,
  output,
  scratch,
  specialize,
  wgslStruct,
} from "../../core/kernel.ts";
import { defineOp, type Op, type Tensor } from "../../core/op.ts";
import { sameShape, showType, type TensorType } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import { BLOCK, goesByTensors, hyperSizeOf, namesOf, partsOf, type UpdateRule } from "./rule.ts";
import { STATS_SIZE, STATS_STRUCT } from "./stats.ts";
import { boundedBy, moveMagnitudes, runUpdate } from "./update-reference.ts";
import { updateMistakes, updateSamples } from "./update-samples.ts";

/**
 * An update: parameters, gradients, slots, perhaps slow weights and the average, the row of numbers, statistics and perhaps
 * blocks; the next parameters, slots, slow weights and average in place.
 */
export type Update = Op<(tensors: readonly Tensor[]) => Tensor | readonly Tensor[], undefined>;

function inferUpdate(rule: UpdateRule, inputs: readonly TensorType[]): TensorType[] {
  const { name } = rule;
  const parts = partsOf(rule, inputs);
  const fewest = 4 + rule.slots.length + (rule.lookahead ? 1 : 0) + (goesByTensors(rule) ? 1 : 0);
  if (!parts)
    throw new ShapeError(
      `${name}: takes ${fewest} tensors, or ${fewest + 1} with an average, and perhaps blocks in u32, got ${inputs.length}.`,
    );
  const { params, grads, slots, slow, average, hyper, stats, blocks, tensors } = parts;
  const moved = [...slots, ...(slow ? [slow] : []), ...(average ? [average] : [])];
  const flat = [...(blocks ? [] : [params]), grads, ...moved];
  const first = flat[0]!;
  if (params.dtype !== "f32" || flat.some((x) => x.dtype !== "f32" || !sameShape(x.shape, first.shape)))
    throw new ShapeError(
      `${name}: ${[params, grads, ...moved].map(showType).join(" and ")} differ; parameters, gradients, slots and average must have one shape in f32.`,
    );
  const multiple = blocks ? BLOCK : 4;
  for (const x of [params, grads])
    if (x.shape.length !== 1 || x.shape[0]! % multiple !== 0)
      throw new ShapeError(
        `${name}: ${showType(x)} is not a flat arena whose size is a multiple of ${multiple}.`,
      );
  if (blocks && !sameShape(blocks.shape, [grads.shape[0]! / BLOCK]))
    throw new ShapeError(
      `${name}: blocks are ${showType(blocks)}; use u32[${grads.shape[0]! / BLOCK}], one for each ${BLOCK} gradients.`,
    );
  if (tensors && (tensors.dtype !== "u32" || tensors.shape[1] !== 2))
    throw new ShapeError(
      `${name}: tensors are ${showType(tensors)}; use u32[tensors, 2], the first block of each and how many it has.`,
    );
  const size = hyperSizeOf(rule);
  if (!sameShape(hyper.shape, [size]) || !sameShape(stats.shape, [STATS_SIZE]))
    throw new ShapeError(`${name}: hyperparameters are f32[${size}] and statistics f32[${STATS_SIZE}].`);
  return [params, ...moved];
}

/** Bindings, in order, with their declarations. */
class Bindings {
  readonly list: Binding[] = [];
  readonly declared: string[] = [];

  add(binding: Binding | undefined, name: string, type: string): void {
    if (!binding) return;
    this.declared.push(
      `@group(0) @binding(${this.list.length}) var<storage, ${binding.access}> ${name}: ${type};`,
    );
    this.list.push(binding);
  }
}

/** Where an update's inputs lie. */
function placesOf(rule: UpdateRule, inputs: readonly TensorType[]) {
  const { slow, average, blocks, tensors } = partsOf(rule, inputs)!;
  const last = inputs.length - 1 - (blocks ? 1 : 0) - (tensors ? 1 : 0);
  const followers = 1 + rule.slots.length;
  return {
    params: output(0),
    grads: input(1),
    slots: rule.slots.map((_, k) => output(1 + k)),
    slow: slow && output(followers),
    average: average && output(followers + (slow ? 1 : 0)),
    hyper: input(last - 1),
    stats: input(last),
    blocks: blocks && input(last + 1),
    tensors: tensors && input(inputs.length - 1),
  };
}

/** What the numbers of a step, its parameters, gradients and slots are bound as. */
function bindState(rule: UpdateRule, inputs: readonly TensorType[]): Bindings {
  const places = placesOf(rule, inputs);
  const bindings = new Bindings();
  bindings.add(places.params, "params", "array<vec4f>");
  bindings.add(places.grads, "grads", "array<vec4f>");
  rule.slots.forEach((slot, k) => {
    bindings.add(places.slots[k], `slot_${slot}`, "array<vec4f>");
  });
  bindings.add(places.hyper, "hyper", "Hyper");
  bindings.add(places.stats, "stats", "Stats");
  return bindings;
}

const callOf = (name: string, slots: readonly string[], p: string, g: string) =>
  `${name}(${[p, g, ...slots.map((slot) => `slot_${slot}[i]`)].join(", ")})`;

/** WGSL that runs the rule on the slots in memory. */
const stepCode = ({ slots, trust }: UpdateRule) =>
  [
    "fn step_of(i: u32, p: vec4f, g: vec4f) -> vec4f {",
    ...(trust ? ["  trust = factors[i / 16u];"] : []),
    `  let next = ${callOf("update", slots, "p", "g")};`,
    ...slots.map((slot) => `  slot_${slot}[i] = next.slot_${slot};`),
    "  return settle(i, next.p);",
    "}",
  ].join("\n");

const IN_ORDER = "fn place(i: u32) -> u32 { return i; }";

/** What all shaders of an update begin with: the row, the statistics, and the rule. */
const ruleCode = (rule: UpdateRule) => [
  wgslStruct("Hyper", namesOf(rule)),
  STATS_STRUCT,
  wgslStruct("Next", ["p", ...rule.slots.map((slot) => `slot_${slot}`)], "vec4f"),
  gradientFactor,
  gradientSource,
  specialize(rule.source, rule.constants),
  ...(rule.source.includes("fn prepare(") ? [] : ["fn prepare() {}"]),
  ...(rule.trust ? ["var<private> trust: f32;"] : []),
];

function updateDispatch(rule: UpdateRule, inputs: readonly TensorType[], facts: AdapterFacts): Dispatch {
  const { grads, slots, slow, average, blocks } = partsOf(rule, inputs)!;
  const places = placesOf(rule, inputs);
  const groups = grads.shape[0]! / 4;
  const bindings = bindState(rule, inputs);
  bindings.add(places.slow, "slow", "array<vec4f>");
  bindings.add(places.average, "average", "array<vec4f>");
  bindings.add(places.blocks, "blocks", "array<u32>");
  if (goesByTensors(rule)) bindings.add(scratch(1, "read"), "factors", "array<f32>");
  const source = [
    specialize(harness, {
      COUNT: groups,
      DECOUPLED: rule.decoupled ?? false,
      COUPLED: rule.trust === undefined,
    }),
    ...bindings.declared,
    ...ruleCode(rule),
    `fn clip_of(i: u32) -> f32 { return ${rule.clipTensors ? "factors[i / 16u]" : "1.0"}; }`,
    slow ? lookAhead : "fn settle(i: u32, p: vec4f) -> vec4f { return p; }",
    stepCode(rule),
    blocks ? placeBlocks : IN_ORDER,
    average ? storeAverage : store,
  ].join("\n");
  return {
    kernel: [rule.name, ...(average ? ["average"] : []), ...(blocks ? ["blocks"] : [])].join("/"),
    source,
    bindings: bindings.list,
    workgroups: gridOf(Math.ceil(groups / 256), facts),
    // Slow weights are read and written at few steps.
    bytes: 16 * groups * (3 + 2 * (slots.length + (average ? 1 : 0))),
    remedy: remedyOf(rule, inputs),
  };
}

/** What a user may leave out where an update binds too many buffers. */
function remedyOf(rule: UpdateRule, inputs: readonly TensorType[]): string {
  const { slow, average, blocks } = partsOf(rule, inputs)!;
  const extras = [
    ...(rule.clipTensors ? ["clipTensorNorm"] : []),
    ...(slow ? ["lookahead"] : []),
    ...(average ? ["ema or swa"] : []),
    ...(blocks ? ["groups and frozen parameters"] : []),
  ];
  return extras.length > 0 ? `leave out ${extras.join(", or ")}` : "let the rule keep fewer slots";
}

/** The two dispatches that measure tensors, for an update that goes by them. */
function tensorDispatches(rule: UpdateRule, inputs: readonly TensorType[], facts: AdapterFacts): Dispatch[] {
  const { grads, slots, blocks, tensors } = partsOf(rule, inputs)!;
  const places = placesOf(rule, inputs);
  const groups = grads.shape[0]! / 4;
  const bindings = bindState(rule, inputs);
  bindings.add(places.blocks, "blocks", "array<u32>");
  bindings.add(scratch(0), "partials", "array<vec2f>");
  const measure = rule.trust
    ? [
        "  let p = params[place(i)];",
        `  let r = ${callOf("direction_of", rule.slots, "p", "gradient_at(i, factor)")};`,
        "  return vec2f(dot(p, p), dot(r, r));",
      ]
    : ["  return vec2f(dot(grads[i], grads[i]), 0.0);"];
  const count = tensors!.shape[0]!;
  return [
    {
      kernel: `${rule.name}/norms${blocks ? "/blocks" : ""}`,
      source: [
        specialize(tensorNorms, { COUNT: groups }),
        ...bindings.declared,
        ...ruleCode(rule),
        blocks ? placeBlocks : IN_ORDER,
        ...["fn measure(i: u32) -> vec2f {", ...measure, "}"],
      ].join("\n"),
      bindings: bindings.list,
      workgroups: gridOf(Math.ceil(groups / 64), facts),
      bytes: 16 * groups * (rule.trust ? 2 + slots.length : 1),
      remedy: remedyOf(rule, inputs),
    },
    {
      kernel: `${rule.name}/factors`,
      source: [
        specialize(tensorFactors, { TENSORS: count }),
        wgslStruct("Hyper", namesOf(rule)),
        STATS_STRUCT,
        rule.trust ? trustSource : clipSource + gradientFactor,
      ].join("\n"),
      bindings: [scratch(1), scratch(0, "read"), places.tensors!, places.hyper, places.stats],
      workgroups: gridOf(count, facts),
      bytes: 12 * Math.ceil(groups / 16),
    },
  ];
}

/** The op that applies a rule to whole arenas, with everything that parity needs: one dispatch, and two before it where it goes by tensors. */
/*#__NO_SIDE_EFFECTS__*/
export function updateOp(rule: UpdateRule): Update {
  const moved = rule.slots.length + (rule.lookahead ? 1 : 0) + 1;
  return defineOp({
    name: rule.name,
    operands: ["parameters", "gradients", "...rest"],
    infer: (inputs) => inferUpdate(rule, inputs),
    reference: (inputs) => runUpdate(rule, inputs),
    implementation: {
      kind: "kernel",
      kernel: ({ inputs, facts }) => {
        const update = updateDispatch(rule, inputs, facts);
        if (!goesByTensors(rule)) return [{ name: "flat", dispatches: [update] }];
        const blocks = Math.max(1, Math.ceil(partsOf(rule, inputs)!.grads.shape[0]! / BLOCK));
        const dispatches = [...tensorDispatches(rule, inputs, facts), update];
        return [{ name: "by tensors", dispatches, scratch: [8 * blocks, 4 * blocks] }];
      },
    },
    // Outputs overwrite the parameters, the slots and the average they come from.
    inPlace: [0, ...Array.from({ length: moved }, (_, k) => 2 + k)],
    tolerance: rule.bounds
      ? accumulated(() => 1, { scale: (inputs) => boundedBy(rule, inputs) })
      : accumulated(() => 1, {
          factor: goesByTensors(rule) ? 12 : 4,
          scale: (inputs) => moveMagnitudes(rule, inputs),
        }),
    samples: (s) => updateSamples(rule, s),
    errors: updateMistakes(rule),
  });
}
