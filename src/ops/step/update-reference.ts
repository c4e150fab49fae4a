import type { NDArray } from "../../core/ndarray.ts";
import { UNIT_ROUNDOFF } from "../../core/tolerance.ts";
import {
  BLOCK,
  type Elements,
  type Numbers,
  namesOf,
  partsOf,
  SLOW_SHARE,
  TENSOR_NORM,
  type UpdateRule,
} from "./rule.ts";
import { STATS, STATUS } from "./stats.ts";

/** A rule for one element, as a reference over whole arenas. */
/*#__NO_SIDE_EFFECTS__*/
export function eachElement(
  rule: (element: Record<string, number>, hyper: Numbers) => Numbers,
): UpdateRule["reference"] {
  return (elements, hyper) => {
    const names = Object.keys(elements);
    const next: Record<string, Float64Array> = {};
    const element: Record<string, number> = {};
    for (const name of names) if (name !== "g") next[name] = new Float64Array(elements.p!.length);
    for (let i = 0; i < elements.p!.length; i++) {
      for (const name of names) element[name] = elements[name]![i]!;
      const result = rule(element, hyper);
      for (const name of names) if (name !== "g") next[name]![i] = result[name]!;
    }
    return next;
  };
}

/** An update's inputs as the rule sees them. */
interface Step {
  /** The parameters that have gradients, decayed where decay is decoupled; gradients as they go into the rule; slots. */
  readonly elements: Elements;
  readonly params: Float64Array;
  /** Where the parameters of the gradients lie. */
  readonly place: (i: number) => number;
  readonly slow?: Float64Array;
  readonly average?: Float64Array;
  readonly hyper: Numbers;
  readonly applied: boolean;
  /** What takes the loss scale out of a gradient and clips it by the global norm: Pascanu, Mikolov, Bengio, 2013, algorithm 1. */
  readonly factor: number;
  /** The factor of each element's tensor: by which its gradient is clipped, or its trust ratio. */
  readonly factors: Float64Array | undefined;
}

/** What `measure` gives for each tensor, from the elements from its first block on, for each of its elements. */
function byTensor(
  tensors: NDArray,
  size: number,
  measure: (from: number, to: number) => number,
): Float64Array {
  const factors = new Float64Array(size).fill(1);
  for (let k = 0; k < tensors.shape[0]!; k++) {
    const [first, count] = [tensors.data[2 * k]!, tensors.data[2 * k + 1]!];
    const [from, to] = [first * BLOCK, Math.min(size, (first + count) * BLOCK)];
    factors.fill(measure(from, to), from, to);
  }
  return factors;
}

const squares = (x: ArrayLike<number>, from: number, to: number) => {
  let sum = 0;
  for (let i = from; i < to; i++) sum += x[i]! * x[i]!;
  return sum;
};

/** With `known` the factors of tensors are those, and not what these inputs have. */
function stepOf(rule: UpdateRule, inputs: readonly NDArray[], known?: Float64Array): Step {
  const { params, grads, slots, slow, average, hyper: row, stats, blocks, tensors } = partsOf(rule, inputs)!;
  const hyper = Object.fromEntries(namesOf(rule).map((name, i) => [name, row.data[i]!]));
  const place = blocks
    ? (i: number) => blocks.data[Math.floor(i / BLOCK)]! * BLOCK + (i % BLOCK)
    : (i: number) => i;
  const largest = hyper.maxNorm!;
  const clip = largest > 0 ? Math.min(1, largest / (stats.data[STATS.norm]! + 1e-6)) : 1;
  const factor = stats.data[STATS.unscale]! * clip;
  const decay = hyper.weightDecay!;
  const most = hyper.maxValue! > 0 ? hyper.maxValue! : Number.POSITIVE_INFINITY;
  const clamp = (x: number) => Math.min(Math.max(x, -most), most);
  const p = Float64Array.from(grads.data, (_, i) => params.data[place(i)]!);
  let factors = known;
  if (rule.clipTensors && !known) {
    const most = hyper[TENSOR_NORM]!;
    factors = byTensor(tensors!, p.length, (from, to) =>
      most > 0 ? Math.min(1, most / (Math.sqrt(squares(grads.data, from, to)) * factor + 1e-6)) : 1,
    );
  }
  const clips = rule.clipTensors ? factors : undefined;
  const g = Float64Array.from(
    grads.data,
    (value, i) =>
      clamp(value * factor * (clips?.[i] ?? 1)) + (rule.decoupled || rule.trust ? 0 : decay * p[i]!),
  );
  if (rule.decoupled) for (let i = 0; i < p.length; i++) p[i]! -= hyper.lr! * decay * p[i]!;
  const elements: Record<string, Float64Array> = { p, g };
  rule.slots.forEach((slot, k) => {
    elements[slot] = Float64Array.from(slots[k]!.data);
  });
  if (rule.trust) {
    const direction = rule.trust(elements, hyper);
    factors ??= byTensor(tensors!, p.length, (from, to) => {
      const [own, step] = [squares(p, from, to), squares(direction, from, to)];
      return own > 0 && step > 0 ? Math.sqrt(own) / Math.sqrt(step) : 1;
    });
    elements.trust = factors;
  }
  return {
    elements,
    factors,
    params: Float64Array.from(params.data),
    place,
    ...(slow && { slow: Float64Array.from(slow.data) }),
    ...(average && { average: Float64Array.from(average.data) }),
    hyper,
    applied: stats.data[STATS.status] === STATUS.applied,
    factor,
  };
}

/** The next parameters, slots, slow weights and average in float64. */
export function runUpdate(rule: UpdateRule, inputs: readonly NDArray[], known?: Float64Array): NDArray[] {
  const { elements, params, place, slow, average, hyper, applied } = stepOf(rule, inputs, known);
  const all = (slots: readonly Float64Array[], ...rest: (Float64Array | undefined)[]) => [
    params,
    ...slots,
    ...rest.filter((x) => x !== undefined),
  ];
  let results = all(
    rule.slots.map((slot) => elements[slot]!),
    slow,
    average,
  );
  if (applied) {
    const next = rule.reference(elements, hyper);
    const share = hyper[SLOW_SHARE] ?? 0;
    const settled = slow?.map((s, i) => (share === 0 ? s : s + share * (next.p![i]! - s)));
    const p = settled && share !== 0 ? settled : next.p!;
    p.forEach((value, i) => {
      params[place(i)] = value;
    });
    const followed = average?.map((a, i) => a + hyper.averageWeight! * (p[i]! - a));
    results = all(
      rule.slots.map((slot) => next[slot]!),
      settled,
      followed,
    );
  }
  return results.map((data) => ({ shape: [data.length], dtype: "f32", data }));
}

/**
 * S of the tolerance 16·u·S. Parameters: |p|/8 (2u·|p| for the last subtraction) plus the size of the move with nothing
 * cancelling. Average a, with w = 1 − decay: |a| + w·(|p| + 2·S of p), which covers the parameter's own error times w
 * and, in both of torch.lerp's forms, the roundings of p − a, of its product and of the sum. Slow weights s with their
 * share w: likewise |s| + w·(|p| + 2·S of p), which the parameters then are.
 */
export function moveMagnitudes(rule: UpdateRule, inputs: readonly NDArray[]): Float64Array[] {
  const { hyper: row, stats, blocks, tensors } = partsOf(rule, inputs)!;
  const { factors } = stepOf(rule, inputs);
  const absolute = inputs.map((x) =>
    x === row || x === stats || x === blocks || x === tensors
      ? x
      : { ...x, data: Float64Array.from(x.data, Math.abs) },
  );
  const still = absolute.map((x, i) => (i === 0 ? { ...x, data: new Float64Array(x.data.length) } : x));
  const [moves] = runUpdate(rule, still, factors);
  const slots = runUpdate(rule, absolute, factors).slice(1, 1 + rule.slots.length);
  const { params, place, slow, average, hyper, applied } = stepOf(rule, absolute, factors);
  const decay = hyper.lr! * hyper.weightDecay!;
  const moved = Float64Array.from(
    moves!.data,
    (move: number, i: number) => Math.abs(move) + params[i]! * (1 / 8 + (rule.trust ? 0 : decay)),
  );
  if (rule.trust)
    factors!.forEach((trust, i) => {
      moved[place(i)]! += decay * trust * params[place(i)]!;
    });
  const own = slots.map((x) => x.data as Float64Array);
  return [moved, ...own, ...followers({ params, place, slow, average, hyper, applied }, moved)];
}

/** S of slow weights and average, where there are any; parameters that went back to slow weights get theirs. */
function followers(
  {
    params,
    place,
    slow,
    average,
    hyper,
    applied,
  }: Pick<Step, "params" | "place" | "slow" | "average" | "hyper" | "applied">,
  moved: Float64Array,
): Float64Array[] {
  const share = applied ? (hyper[SLOW_SHARE] ?? 0) : 0;
  const at = (i: number) => Math.abs(params[place(i)]!) + 2 * moved[place(i)]!;
  const settled = slow?.map((s, i) => Math.abs(s) + share * at(i));
  if (settled && share !== 0)
    settled.forEach((s, i) => {
      moved[place(i)] = s;
    });
  const weight = applied ? hyper.averageWeight! : 0;
  const followed = average?.map((a, i) => Math.abs(a) + weight * at(i));
  return [settled, followed].filter((x) => x !== undefined);
}

/**
 * The bounds of a rule that knows its own, as S of the tolerance 4·u·S. The gradient comes to it with 8 roundings of its
 * terms (the factor has 4), the parameter with 4 where decay is decoupled; the average adds 4 of its own.
 */
export function boundedBy(rule: UpdateRule, inputs: readonly NDArray[]): Float64Array[] {
  const step = stepOf(rule, inputs);
  const { elements, params, place, hyper, applied, factor } = step;
  const unit = UNIT_ROUNDOFF;
  const grads = partsOf(rule, inputs)!.grads.data;
  const p = elements.p!.map((value) => (rule.decoupled ? 4 * unit * Math.abs(value) : 0));
  const g = Float64Array.from(
    grads,
    (value: number, i: number) =>
      8 * unit * (Math.abs(value * factor) + hyper.weightDecay! * Math.abs(elements.p![i]!)),
  );
  const bounds = rule.bounds!(elements, { p, g }, hyper);
  const moved = new Float64Array(params.length);
  const scaled = (x: Float64Array) => x.map((bound) => (applied ? bound / (4 * unit) : 0));
  scaled(bounds.p!).forEach((bound, i) => {
    moved[place(i)] = bound;
  });
  const after = Float64Array.from(params);
  if (applied)
    rule.reference(elements, hyper).p!.forEach((value, i) => {
      after[place(i)] = value;
    });
  return [
    moved,
    ...rule.slots.map((slot) => scaled(bounds[slot]!)),
    ...followers({ ...step, params: after }, moved),
  ];
}
