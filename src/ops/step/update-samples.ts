import type { ErrorCase, Sample } from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import {
  BLOCK,
  goesByTensors,
  hyperSizeOf,
  type Numbers,
  namesOf,
  SLOW_SHARE,
  TENSOR_NORM,
  type UpdateRule,
} from "./rule.ts";
import { STATS_SIZE, STATUS } from "./stats.ts";

interface Given {
  readonly name?: string;
  readonly size: number;
  readonly hyper?: Numbers;
  readonly norm?: number;
  readonly status?: number;
  readonly scale?: number;
  readonly averaged?: boolean;
  /** The parameter block of each gradient block, and how many there are. */
  readonly blocks?: readonly number[];
  readonly all?: number;
}

function sample(rule: UpdateRule, s: Sampler, given: Given): Sample<undefined> {
  const { name, size, norm = 3, status = STATUS.applied, scale = 1, averaged, blocks, all } = given;
  const numbers: Numbers = {
    ...rule.typical,
    lr: 0.05,
    weightDecay: 0.01,
    [TENSOR_NORM]: 0.5,
    ...given.hyper,
  };
  const row = namesOf(rule).map((number) => numbers[number] ?? 0);
  const slots = rule.slots.map((slot) =>
    rule.positive?.includes(slot) ? s.uniform(0, 2, [size]) : s.randn(size),
  );
  return {
    ...(name && { name }),
    inputs: [
      s.randn(all === undefined ? size : all * BLOCK),
      s.randn(size),
      ...slots,
      ...(rule.lookahead ? [s.randn(size)] : []),
      ...(averaged ? [s.randn(size)] : []),
      s.values(row),
      s.values([norm, status, 1 / scale, scale, 0, 0]),
      ...(blocks ? [s.values(blocks, [blocks.length], "u32")] : []),
      ...(goesByTensors(rule) ? [tensorsOf(s, size)] : []),
    ],
  };
}

/** Two tensors, the first two thirds of the blocks and the rest, or one. */
function tensorsOf(s: Sampler, size: number) {
  const blocks = Math.ceil(size / BLOCK);
  const first = Math.ceil((2 * blocks) / 3);
  const table = blocks === 1 ? [0, 1] : [0, first, first, blocks - first];
  return s.values(table, [table.length / 2, 2], "u32");
}

/** Applied, halted and skipped steps; clipped, scaled, averaged; all of an arena or some blocks of it. */
export function updateSamples(rule: UpdateRule, s: Sampler): Sample<undefined>[] {
  const average = { averaged: true, hyper: { averageWeight: 0.75 } };
  // A tensor of one block tells nothing of the order of blocks.
  const least = goesByTensors(rule) ? 3 * BLOCK : BLOCK;
  const scattered = { blocks: [6, 0, 3], all: 7, size: 3 * BLOCK };
  const samples: Given[] = [
    { size: least },
    { size: 1028, hyper: { maxNorm: 0.5 }, norm: 7.25 },
    { name: "values clipped", size: least, hyper: { maxValue: 0.25 } },
    ...(rule.clipTensors ? [{ name: "tensors left", size: 1028, hyper: { [TENSOR_NORM]: 0 } }] : []),
    // A tensor of more blocks than a workgroup has lanes.
    ...(goesByTensors(rule) ? [{ name: "long", size: 110 * BLOCK }] : []),
    ...(rule.lookahead
      ? [{ name: "back to the slow weights", size: 1028, hyper: { [SLOW_SHARE]: 0.25 } }]
      : []),
    { name: "halted", size: 192, norm: 0, status: STATUS.halted },
    { name: "skipped", size: 192, norm: 0, status: STATUS.skipped },
    { name: "norm below the limit", size: least, hyper: { weightDecay: 0, maxNorm: 100 }, norm: 7.25 },
    { name: "scaled", size: least, hyper: { maxNorm: 0.5 }, norm: 7.25, scale: 8 },
    { name: "average", size: 1028, ...average, hyper: { averageWeight: 0.125 } },
    { name: "average, fresh", size: least, ...average },
    { name: "average, halted", size: least, ...average, status: STATUS.halted },
    { name: "blocks", ...scattered },
    { name: "blocks, average", ...scattered, ...average },
    { name: "blocks, halted", ...scattered, status: STATUS.halted },
  ];
  return samples.map((given) => sample(rule, s, given));
}

/** What wrong inputs are told. */
export function updateMistakes(rule: UpdateRule): ErrorCase<undefined>[] {
  const { name } = rule;
  const slots = rule.lookahead ? [...rule.slots, "slow"] : rule.slots;
  const flat = (size: number) => slots.map(() => type([size]));
  const tensors = goesByTensors(rule) ? [type([1, 2], "u32")] : [];
  const row = [type([hyperSizeOf(rule)]), type([STATS_SIZE])];
  const last = [...row, ...tensors];
  return [
    {
      inputs: [type([64]), type([32]), ...flat(64), ...last],
      message: new RegExp(`${name}: .* differ; parameters, gradients, slots and average`),
    },
    {
      inputs: [type([7]), type([7]), ...flat(7), ...last],
      message: new RegExp(`${name}: .* multiple of 4`),
    },
    {
      inputs: [type([64]), ...last],
      message: new RegExp(`${name}: takes ${4 + slots.length + tensors.length} tensors`),
    },
    {
      inputs: [type([64]), type([64]), ...flat(64), type([1]), type([STATS_SIZE]), ...tensors],
      message: new RegExp(`${name}: hyperparameters are f32\\[${hyperSizeOf(rule)}\\]`),
    },
    {
      inputs: [type([256]), type([128]), ...flat(128), ...row, type([3], "u32"), ...tensors],
      message: new RegExp(`${name}: blocks are u32\\[3\\]; use u32\\[2\\], one for each 64 gradients`),
    },
  ];
}
