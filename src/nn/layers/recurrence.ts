import { checkNames } from "../../core/check.ts";
import { ShapeError } from "../../core/errors.ts";
import { isTensor, type Tensor } from "../../core/op.ts";
import { sameShape, showShape, showType } from "../../core/shape.ts";
import { kindOf } from "../../core/tree.ts";
import { demand } from "../../graph/demands.ts";
import { keeps } from "../../losses/masks.ts";
import * as f from "../../ops/f.ts";
import { affine } from "./affine.ts";
import type { Cell } from "./cells.ts";

/** What a recurrent layer takes where it takes more than a tensor. */
export interface Sequences<State> {
  /** [batch, time, in]. */
  readonly x: Tensor;
  /** Steps of each sequence, i32 or u32 [batch], from 1 to time; what follows them counts for nothing. */
  readonly lengths?: Tensor;
  /** Instead of lengths: which steps count, bool or f32 [batch, time]; at another the state stays as it is. */
  readonly mask?: Tensor;
  /** What the sequences go on from, as the layer gave it; zeros unless given. */
  readonly state?: State;
}

/** What a recurrent layer gives with `returnState`. */
export type SequenceResult<State> = {
  /** [batch, time, hidden·directions]. */
  readonly output: Tensor;
  /** After each sequence's last step. */
  readonly state: State;
};

/** What is made of one input: the sequences, checked, and the state by name. */
export interface Given {
  readonly x: Tensor;
  readonly batch: number;
  readonly time: number;
  /** For each time step which sequences it counts for, bool [batch, 1]; absent where it counts for all. */
  readonly steps?: readonly Tensor[];
  /** Of each layer and direction, by name: [batch, hidden]. */
  readonly state: readonly (readonly Tensor[])[];
}

/** What is to be known of a layer to read its input. */
export interface Form {
  readonly name: string;
  readonly features: number;
  readonly hidden: number;
  /** Layers times directions. */
  readonly count: number;
  readonly cell: Cell;
}

/** @throws ShapeError for what does not fit the layer, or each other. */
export function readSequences(form: Form, input: unknown): Given {
  const { name, features } = form;
  const given = (isTensor(input) ? { x: input } : input) as Sequences<Readonly<Record<string, Tensor>>>;
  if (typeof given !== "object" || given === null || !isTensor(given.x))
    throw new ShapeError(
      `${name}: takes a tensor or { x, lengths, mask, state }, got ${kindOf(input)}; give [batch, time, ${features}].`,
    );
  checkNames(`${name}: its input`, given, ["x", "lengths", "mask", "state"]);
  const { x } = given;
  const [batch = 0, time = 0] = x.shape;
  if (x.shape.length !== 3 || x.shape[2] !== features || time === 0 || x.dtype !== "f32")
    throw new ShapeError(
      `${name}: takes f32[batch, time, ${features}] of at least one step, got ${showType(x)}; change "in", or reshape or embed it.`,
    );
  const steps = stepsOf(form, given, batch, time);
  return { x, batch, time, ...(steps && { steps }), state: statesOf(form, given.state, batch) };
}

function stepsOf({ name }: Form, { lengths, mask }: Sequences<unknown>, batch: number, time: number) {
  if (!lengths && !mask) return undefined;
  if (lengths && mask)
    throw new ShapeError(`${name}: takes lengths or a mask, got both; leave one of them out.`);
  const of = (what: string, value: unknown, dtypes: readonly string[], shape: readonly number[]) => {
    if (isTensor(value) && dtypes.includes(value.dtype) && sameShape(value.shape, shape)) return value;
    throw new ShapeError(
      `${name}: ${what} is ${isTensor(value) ? showType(value) : kindOf(value)}; use ${dtypes.join(" or ")}${showShape(shape)}, as x has ${batch} sequences of ${time} steps.`,
    );
  };
  const counts = lengths
    ? within(name, of("lengths", lengths, ["i32", "u32"], [batch]), batch, time)
    : keeps(of("mask", mask, ["bool", "f32"], [batch, time])).transpose({ perm: [1, 0] });
  return f.split(counts.reshape({ shape: [time * batch, 1] }), { sizes: batch, axis: 0 });
}

/** Which steps lie within their sequences: bool [time, batch]. */
function within(name: string, lengths: Tensor, batch: number, time: number): Tensor {
  demand(lengths, {
    who: name,
    accepts: (length) => length >= 1 && length <= time,
    expects: `lengths from 1 to ${time}, the steps of x`,
  });
  const step = f.iota({ size: time, dtype: lengths.dtype }).reshape({ shape: [time, 1] });
  return step.less(lengths.reshape({ shape: [1, batch] }));
}

function statesOf({ name, cell, hidden, count }: Form, state: unknown, batch: number): Tensor[][] {
  const nothing = () => f.constant({ value: 0, shape: [batch, hidden] });
  if (state === undefined) return cell.state.map(() => Array.from({ length: count }, nothing));
  const form = `{ ${cell.state.join(", ")} }`;
  if (typeof state !== "object" || state === null || isTensor(state))
    throw new ShapeError(
      `${name}: the state is ${isTensor(state) ? "a tensor" : kindOf(state)}; give ${form}.`,
    );
  checkNames(`${name}: its state`, state, cell.state);
  return cell.state.map((part) => {
    const value = (state as Readonly<Record<string, unknown>>)[part];
    const shape = [count, batch, hidden];
    if (!isTensor(value) || value.dtype !== "f32" || !sameShape(value.shape, shape))
      throw new ShapeError(
        `${name}: state.${part} is ${isTensor(value) ? showType(value) : kindOf(value)}; use f32${showShape(shape)}, layers × directions first.`,
      );
    return f.split(value, { sizes: 1, axis: 0 }).map((one) => one.reshape({ shape: [batch, hidden] }));
  });
}

/** The tensors of one layer and direction; without biases both are absent. */
export interface Weights {
  readonly weight_ih: Tensor;
  readonly weight_hh: Tensor;
  readonly bias_ih?: Tensor | undefined;
  readonly bias_hh?: Tensor | undefined;
}

/** What all inputs give, in one product, and beside it what is not joined: see `Cell`. Rows [time·batch, in] → as many. */
function project({ name, cell, hidden }: Form, rows: Tensor, weights: Weights): Tensor {
  const { weight_ih, bias_ih, bias_hh } = weights;
  const rest = (cell.gates - cell.joined) * hidden;
  if (rest === 0) return affine(name, rows, weight_ih, bias_hh && bias_ih?.add(bias_hh));
  const end = cell.joined * hidden;
  const joined = bias_hh?.slice({ starts: [0], ends: [end] }).pad({ low: [0], high: [rest], value: 0 });
  const shape = [rows.shape[0]!, rest];
  const apart = bias_hh?.slice({ starts: [end], ends: [end + rest] });
  const beside = apart ? f.broadcastTo(apart, { shape }) : f.constant({ value: 0, shape });
  return f.concat([affine(name, rows, weight_ih, joined && bias_ih?.add(joined)), beside], { axis: 1 });
}

/**
 * One layer in one direction: rows [time·batch, in], a time step's rows side by side → rows [time·batch, hidden], and the
 * last state. At a step that does not count for a sequence its output is 0 and its state stays: the reverse direction thus
 * begins at each sequence's own end.
 */
export function recur(
  form: Form,
  rows: Tensor,
  weights: Weights,
  { batch, steps }: Pick<Given, "batch" | "steps">,
  first: readonly Tensor[],
  reverse: boolean,
): { rows: Tensor; state: readonly Tensor[] } {
  const given = [...f.split(project(form, rows, weights), { sizes: batch, axis: 0 }).entries()];
  const outputs: Tensor[] = [];
  let state = first;
  for (const [t, now] of reverse ? given.reverse() : given) {
    const product = state[0]!.matmul(weights.weight_hh, { transposeB: true });
    const next = form.cell.step(now, product, state);
    const counts = steps?.[t];
    outputs[t] = counts ? f.where(counts, next[0]!, 0) : next[0]!;
    state = counts ? next.map((value, i) => f.where(counts, value, state[i]!)) : next;
  }
  return { rows: f.concat(outputs, { axis: 0 }), state };
}
