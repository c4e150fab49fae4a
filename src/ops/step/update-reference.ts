import type { NDArray } from "../../core/ndarray.ts";
import { UNIT_ROUNDOFF } from "../../core/tolerance.ts";
import { BLOCK, COMMON, type Elements, type Numbers, partsOf, type UpdateRule } from "./rule.ts";
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
  readonly average?: Float64Array;
  readonly hyper: Numbers;
  readonly applied: boolean;
  /** What takes the loss scale out of a gradient and clips it by the global norm: Pascanu, Mikolov, Bengio, 2013, algorithm 1. */
  readonly factor: number;
}

function stepOf(rule: UpdateRule, inputs: readonly NDArray[]): Step {
  const { params, grads, slots, average, hyper: row, stats, blocks } = partsOf(rule, inputs)!;
  const names = [...COMMON, ...rule.numbers];
  const hyper = Object.fromEntries(names.map((name, i) => [name, row.data[i]!]));
  const place = blocks
    ? (i: number) => blocks.data[Math.floor(i / BLOCK)]! * BLOCK + (i % BLOCK)
    : (i: number) => i;
  const largest = hyper.maxNorm!;
  const clip = largest > 0 ? Math.min(1, largest / (stats.data[STATS.norm]! + 1e-6)) : 1;
  const factor = stats.data[STATS.unscale]! * clip;
  const decay = hyper.weightDecay!;
  const p = Float64Array.from(grads.data, (_, i) => params.data[place(i)]!);
  const g = Float64Array.from(
    grads.data,
    (value, i) => value * factor + (rule.decoupled ? 0 : decay * p[i]!),
  );
  if (rule.decoupled) for (let i = 0; i < p.length; i++) p[i]! -= hyper.lr! * decay * p[i]!;
  const elements: Record<string, Float64Array> = { p, g };
  rule.slots.forEach((slot, k) => {
    elements[slot] = Float64Array.from(slots[k]!.data);
  });
  return {
    elements,
    params: Float64Array.from(params.data),
    place,
    ...(average && { average: Float64Array.from(average.data) }),
    hyper,
    applied: stats.data[STATS.status] === STATUS.applied,
    factor,
  };
}

/** The next parameters, slots and average in float64. */
export function runUpdate(rule: UpdateRule, inputs: readonly NDArray[]): NDArray[] {
  const { elements, params, place, average, hyper, applied } = stepOf(rule, inputs);
  const before = rule.slots.map((slot) => elements[slot]!);
  let results = average ? [params, ...before, average] : [params, ...before];
  if (applied) {
    const next = rule.reference(elements, hyper);
    next.p!.forEach((value, i) => {
      params[place(i)] = value;
    });
    const followed = average?.map((a, i) => a + hyper.averageWeight! * (next.p![i]! - a));
    results = [params, ...rule.slots.map((slot) => next[slot]!), ...(followed ? [followed] : [])];
  }
  return results.map((data) => ({ shape: [data.length], dtype: "f32", data }));
}

/**
 * S of the tolerance 16·u·S. Parameters: |p|/8 (2u·|p| for the last subtraction) plus the size of the move with nothing
 * cancelling. Average a, with w = 1 − decay: |a| + w·(|p| + 2·S of p), which covers the parameter's own error times w
 * and, in both of torch.lerp's forms, the roundings of p − a, of its product and of the sum.
 */
export function moveMagnitudes(rule: UpdateRule, inputs: readonly NDArray[]): Float64Array[] {
  const { hyper: row, stats, blocks } = partsOf(rule, inputs)!;
  const absolute = inputs.map((x) =>
    x === row || x === stats || x === blocks ? x : { ...x, data: Float64Array.from(x.data, Math.abs) },
  );
  const still = absolute.map((x, i) => (i === 0 ? { ...x, data: new Float64Array(x.data.length) } : x));
  const [moves] = runUpdate(rule, still);
  const slots = runUpdate(rule, absolute).slice(1, 1 + rule.slots.length);
  const { params, place, average, hyper, applied } = stepOf(rule, absolute);
  const decay = hyper.lr! * hyper.weightDecay!;
  const moved = Float64Array.from(
    moves!.data,
    (move: number, i: number) => Math.abs(move) + params[i]! * (1 / 8 + decay),
  );
  const results = [moved, ...slots.map((x) => x.data as Float64Array)];
  if (!average) return results;
  const weight = applied ? hyper.averageWeight! : 0;
  return [...results, average.map((a, i) => a + weight * (params[place(i)]! + 2 * moved[place(i)]!))];
}

/**
 * The bounds of a rule that knows its own, as S of the tolerance 4·u·S. The gradient comes to it with 8 roundings of its
 * terms (the factor has 4), the parameter with 4 where decay is decoupled; the average adds 4 of its own.
 */
export function boundedBy(rule: UpdateRule, inputs: readonly NDArray[]): Float64Array[] {
  const { elements, params, place, average, hyper, applied, factor } = stepOf(rule, inputs);
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
  const weight = hyper.averageWeight!;
  const next = rule.reference(elements, hyper).p!;
  const followed = average?.map((a, i) =>
    applied ? weight * moved[place(i)]! + Math.abs(a) + weight * Math.abs(next[i]!) : 0,
  );
  return [moved, ...rule.slots.map((slot) => scaled(bounds[slot]!)), ...(followed ? [followed] : [])];
}
