import lookAhead from "../../../shaders/step/look-ahead.part.wgsl?raw";
import placeBlocks from "../../../shaders/step/place-blocks.part.wgsl?raw";
import store from "../../../shaders/step/store.part.wgsl?raw";
import storeAverage from "../../../shaders/step/store-average.part.wgsl?raw";
import harness from "../../../shaders/step/update.wgsl?raw";
import { ShapeError } from "../../core/errors.ts";
import {
  type AdapterFacts,
  type Binding,
  type Dispatch,
  gridOf,
  input,
  output,
  specialize,
  wgslStruct,
} from "../../core/kernel.ts";
import { defineOp, type Op, type Tensor } from "../../core/op.ts";
import { sameShape, showType, type TensorType } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import { BLOCK, hyperSizeOf, namesOf, partsOf, type UpdateRule } from "./rule.ts";
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
  const fewest = 4 + rule.slots.length + (rule.lookahead ? 1 : 0);
  if (!parts)
    throw new ShapeError(
      `${name}: takes ${fewest} tensors, or ${fewest + 1} with an average, and perhaps blocks in u32, got ${inputs.length}.`,
    );
  const { params, grads, slots, slow, average, hyper, stats, blocks } = parts;
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
  const size = hyperSizeOf(rule);
  if (!sameShape(hyper.shape, [size]) || !sameShape(stats.shape, [STATS_SIZE]))
    throw new ShapeError(`${name}: hyperparameters are f32[${size}] and statistics f32[${STATS_SIZE}].`);
  return [params, ...moved];
}

/** The bindings of an update, and their declarations. */
function bind(rule: UpdateRule, inputs: readonly TensorType[]): { bindings: Binding[]; declared: string[] } {
  const { slow, average, blocks } = partsOf(rule, inputs)!;
  const bindings: Binding[] = [];
  const declared: string[] = [];
  const declare = (binding: Binding, name: string, type: string) => {
    declared.push(`@group(0) @binding(${bindings.length}) var<storage, ${binding.access}> ${name}: ${type};`);
    bindings.push(binding);
  };
  declare(output(0), "params", "array<vec4f>");
  declare(input(1), "grads", "array<vec4f>");
  for (const [k, slot] of rule.slots.entries()) declare(output(1 + k), `slot_${slot}`, "array<vec4f>");
  const last = inputs.length - (blocks ? 2 : 1);
  declare(input(last - 1), "hyper", "Hyper");
  declare(input(last), "stats", "Stats");
  let next = 1 + rule.slots.length;
  if (slow) declare(output(next++), "slow", "array<vec4f>");
  if (average) declare(output(next), "average", "array<vec4f>");
  if (blocks) declare(input(last + 1), "blocks", "array<u32>");
  return { bindings, declared };
}

/** WGSL that runs the rule on the slots in memory. */
const stepCode = (slots: readonly string[]) =>
  [
    "fn step_of(i: u32, p: vec4f, g: vec4f) -> vec4f {",
    `  let next = update(${["p", "g", ...slots.map((slot) => `slot_${slot}[i]`)].join(", ")});`,
    ...slots.map((slot) => `  slot_${slot}[i] = next.slot_${slot};`),
    "  return settle(i, next.p);",
    "}",
  ].join("\n");

function updateDispatch(rule: UpdateRule, inputs: readonly TensorType[], facts: AdapterFacts): Dispatch {
  const { grads, slots, slow, average, blocks } = partsOf(rule, inputs)!;
  const groups = grads.shape[0]! / 4;
  const { bindings, declared } = bind(rule, inputs);
  const source = [
    specialize(harness, {
      COUNT: groups,
      DECOUPLED: rule.decoupled ?? false,
    }),
    wgslStruct("Hyper", namesOf(rule)),
    STATS_STRUCT,
    wgslStruct("Next", ["p", ...rule.slots.map((slot) => `slot_${slot}`)], "vec4f"),
    ...declared,
    specialize(rule.source, rule.constants),
    ...(rule.source.includes("fn prepare(") ? [] : ["fn prepare() {}"]),
    slow ? lookAhead : "fn settle(i: u32, p: vec4f) -> vec4f { return p; }",
    stepCode(rule.slots),
    blocks ? placeBlocks : "fn place(i: u32) -> u32 { return i; }",
    average ? storeAverage : store,
  ].join("\n");
  return {
    kernel: [rule.name, ...(average ? ["average"] : []), ...(blocks ? ["blocks"] : [])].join("/"),
    source,
    bindings,
    workgroups: gridOf(Math.ceil(groups / 256), facts),
    // Slow weights are read and written at few steps.
    bytes: 16 * groups * (3 + 2 * (slots.length + (average ? 1 : 0))),
  };
}

/** The op that applies a rule to whole arenas, with everything that parity needs: one dispatch. */
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
      kernel: ({ inputs, facts }) => [{ name: "flat", dispatches: [updateDispatch(rule, inputs, facts)] }],
    },
    // Outputs overwrite the parameters, the slots and the average they come from.
    inPlace: [0, ...Array.from({ length: moved }, (_, k) => 2 + k)],
    tolerance: rule.bounds
      ? accumulated(() => 1, { scale: (inputs) => boundedBy(rule, inputs) })
      : accumulated(() => 1, { factor: 4, scale: (inputs) => moveMagnitudes(rule, inputs) }),
    samples: (s) => updateSamples(rule, s),
    errors: updateMistakes(rule),
  });
}
