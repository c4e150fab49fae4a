import { OptionError } from "../core/errors.ts";
import { type Arena, callOp, type Tensor } from "../core/op.ts";
import { gradients } from "../graph/autodiff.ts";
import { feed, read, wholeArena } from "../graph/node.ts";
import type { Update } from "../graph/program.ts";
import { constant } from "../ops/elementwise/unary.ts";
import { pack } from "../ops/layout/layout.ts";
import { limitRows } from "../ops/step/limit-rows.ts";
import { COMMON } from "../ops/step/rule.ts";
import { STATS } from "../ops/step/stats.ts";
import { gradientStats } from "../ops/step/step.ts";
import type { OptimizerState } from "./state.ts";

/** The gradients of a loss in a model's parameters, and the updates that follow from them. */
export interface Minimization {
  /** @internal */
  readonly state: OptimizerState;
  readonly loss: Tensor;
  /** Flat, one for each part of the state. */
  readonly gradients: readonly Tensor[];
  /** What the update knew of its gradients: see ops/step/stats.ts. */
  readonly stats: Tensor;
  /** Each part's parameters after the update. */
  readonly parameters: readonly Tensor[];
  readonly updates: readonly Update[];
  /** Whether it goes by gradients that earlier runs have left in the arena. */
  readonly later?: boolean;
}

/** How an optimizer takes a step. */
export interface MinimizeOptions {
  /** Multiplies the loss by a scale that adapts itself, for gradients kept as f16. Micikevicius et al., 2018, §3.2. */
  readonly scaling?: boolean;
}

/** With `lasting` a step that is not finite halts those after it, until resetStats: for trainers, who look. */
type StepOptions = MinimizeOptions & { readonly lasting?: boolean };

/** How `backward` puts gradients into the arena. */
export interface BackwardOptions extends MinimizeOptions {
  /** Adds them to those that are there, as PyTorch does unless zero_grad was called; false, in their place, unless given. */
  readonly accumulate?: boolean;
}

/**
 * The flat gradients of a scalar loss in the parameters that an optimizer trains, and in other tensors on the way to it.
 * @throws OptionError when the loss depends on none of the parameters.
 */
export function differentiate(
  state: OptimizerState,
  loss: Tensor,
  { scaling = false }: MinimizeOptions = {},
  others: readonly Tensor[] = [],
): { gradients: Tensor[]; others: Tensor[] } {
  const members = state.parts.flatMap((part) => part.members).map(read);
  if (members.length === 0) throw new OptionError(NOTHING);
  const scaled = scaling ? loss.mul(lossScale(state)) : loss;
  const grads = gradients(scaled, [...others, ...members]);
  if (grads.slice(others.length).every(isZero))
    throw new OptionError(
      "The loss depends on no parameter of the model; compute it from what the model's forward gives, without stopGradient or whole numbers (argmax, casts) between.",
    );
  let from = others.length;
  const packed = state.parts.map(({ members, offsets, size }) =>
    pack(grads.slice(from, (from += members.length)), { offsets, size }),
  );
  return { gradients: packed, others: grads.slice(0, others.length) };
}

const NOTHING = "There is nothing to train: the model has no parameters, or all of them are frozen.";

/** What `gradients` gives for a tensor that nothing comes back to. */
const isZero = ({ node: { op, attrs } }: Tensor): boolean =>
  op === constant && (attrs as { value: number }).value === 0;

const lossScale = (state: OptimizerState): Tensor =>
  read(state.stats)
    .slice({ starts: [STATS.scale], ends: [STATS.scale + 1] })
    .reshape({ shape: [] });

/**
 * Clip, decay and update, as the optimizer's record says: one dispatch for each part, nothing applied where a number is
 * not finite.
 */
export function applyGradients(
  state: OptimizerState,
  loss: Tensor,
  gradients: readonly Tensor[],
  { scaling = false, lasting = false }: StepOptions = {},
): Minimization {
  const stats = gradientStats(read(state.stats), loss, gradients, { scaling, lasting });
  const updates: Update[] = [{ variable: state.stats, value: stats }];
  const latest = new Map<Arena, Tensor>();
  const parameters = state.parts.map((part, i) => {
    const { parameters, slots, blocks, tensors, rows, hyper, optimizer } = part;
    const before = latest.get(parameters) ?? read(wholeArena(parameters));
    const row = feed(hyper, [optimizer.hyperSize]);
    const { redirect } = optimizer;
    const own = slots.slice(0, redirect?.slots.length ?? 0).map(read);
    const turned = redirect?.turn(part, gradients[i]!, own, row, stats);
    const [next, ...updated] = callOp(optimizer.op, [
      before,
      turned?.gradient ?? gradients[i],
      ...slots.slice(own.length).map(read),
      turned?.row ?? row,
      turned?.stats ?? stats,
      ...[blocks, tensors].flatMap((variable) => (variable ? [read(variable)] : [])),
    ]);
    const at = COMMON.indexOf("rowNorm");
    const limit = row.slice({ starts: [at], ends: [at + 1] });
    const after = rows ? limitRows(next!, read(rows), limit, stats) : next;
    const moved = [...(turned?.slots ?? []), ...updated];
    latest.set(parameters, after!);
    slots.forEach((variable, k) => {
      updates.push({ variable, value: moved[k]! });
    });
    return after!;
  });
  for (const [arena, value] of latest) updates.push({ variable: wholeArena(arena), value });
  return { state, loss, gradients, stats, parameters, updates };
}

/** Gradients and update in one program. */
export const minimize = (state: OptimizerState, loss: Tensor, options?: StepOptions): Minimization =>
  applyGradients(state, loss, differentiate(state, loss, options).gradients, options);

/** The first half of `minimize`, as a program of its own: leaves gradients and loss for `step`. */
export function backward(
  state: OptimizerState,
  loss: Tensor,
  { accumulate = false, ...options }: BackwardOptions = {},
): readonly Update[] {
  const packed = differentiate(state, loss, options).gradients;
  const put = (variable: Update["variable"], value: Tensor): Update => ({
    variable,
    value: accumulate ? read(variable).add(value) : value,
  });
  return [
    ...packed.map((gradient, i) => put(state.gradients[i]!, gradient)),
    // A loss may have the shape [1], and be a tensor that something else computes already.
    put(state.loss, loss.reshape({ shape: [] }).mul(1)),
  ];
}

/** The second half: clip and update by the gradients in the arena. */
export const step = (state: OptimizerState, options?: StepOptions): Minimization => {
  if (state.trained.length === 0) throw new OptionError(NOTHING);
  return { ...applyGradients(state, read(state.loss), state.gradients.map(read), options), later: true };
};
