import type { Backend } from "../backend/backend.ts";
import type { NumericArray } from "../core/dtype.ts";
import { OptionError } from "../core/errors.ts";
import { type Arena, callOp, type Tensor, type Variable } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import { gradients } from "../graph/autodiff.ts";
import { feed, layOut, read, standalone, wholeArena } from "../graph/node.ts";
import type { Update } from "../graph/program.ts";
import { constant } from "../ops/elementwise/unary.ts";
import { pack } from "../ops/layout/layout.ts";
import { LOSS_SCALE, STATS, STATS_SIZE, STATUS } from "../ops/step/stats.ts";
import { gradientStats } from "../ops/step/step.ts";
import { AVERAGE, type Group, type Optimizer, partition } from "./optimizer.ts";

/** What an optimizer needs of a model. */
export interface Trainable {
  readonly device: Backend;
  /** All parameters, by their names in checkpoints. */
  readonly parameters: readonly Variable[];
  /** Those that are trained by nobody. */
  readonly frozen: ReadonlySet<Variable>;
}

/** Parameters of one group in one arena, with flat tensors for their gradients and slots beside them. */
export interface Part {
  readonly group: Group | undefined;
  readonly parameters: Arena;
  readonly members: readonly Variable[];
  /** Where each member's gradient and slots lie in the part's flat tensors, and how long those are. */
  readonly offsets: readonly number[];
  readonly size: number;
  readonly slots: readonly Variable[];
  /** For each 64 elements of the flat tensors the 64 of the parameters' arena; absent where they are the same. */
  readonly blocks: Variable | undefined;
  /** The name of the feed with its row of hyperparameters. */
  readonly hyper: string;
}

/** Where a dynamic loss scale stands: see ops/step/stats.ts. */
export interface LossScaler {
  readonly scale: number;
  readonly good: number;
  readonly skipped: number;
}

export const FRESH_SCALER: LossScaler = { scale: LOSS_SCALE.initial, good: 0, skipped: 0 };

/** Elements that variables are aligned to. */
const BLOCK = 64;

let states = 0;

/** Everything that an optimizer keeps of a model on the device from step to step. */
export class OptimizerState {
  readonly parts: readonly Part[];
  /** What the last step's update knew of its gradients, and the loss scale: see ops/step/stats.ts. */
  readonly stats = standalone("gradient statistics", [STATS_SIZE]);
  /** The moving average of each parameter, where the optimizer keeps one. */
  readonly averages: ReadonlyMap<Variable, Variable>;
  /** Steps that its slots have seen, of a trainer or of compiled functions: schedules and bias corrections count them. */
  steps = 0;
  private gradientArenas: readonly Variable[] | undefined;
  private readonly frozen: ReadonlySet<Variable>;

  /** Goes on from what `before` keeps of the parameters that both train. */
  constructor(
    readonly device: Backend,
    readonly optimizer: Optimizer,
    readonly model: Trainable,
    before?: OptimizerState,
  ) {
    this.frozen = new Set(model.frozen);
    const trained = model.parameters.filter((variable) => !model.frozen.has(variable));
    const id = states++;
    const parts: Part[] = [];
    for (const { group, members } of partition(
      optimizer,
      trained.map(({ name }) => name),
    )) {
      const variables = members.map((i) => trained[i]!);
      for (const arena of new Set(variables.map((variable) => variable.arena))) {
        const own = variables.filter((variable) => variable.arena === arena);
        const whole = own.length === model.parameters.filter((v) => v.arena === arena).length;
        parts.push(this.part(`hyper ${id}.${parts.length}`, group, arena, own, whole));
      }
    }
    this.parts = parts;
    const at = optimizer.slots.indexOf(AVERAGE);
    this.averages = new Map(
      at < 0
        ? []
        : parts.flatMap((part) => part.members.map((variable) => [variable, slotOf(part, at, variable)])),
    );
    this.initialize();
    if (before) this.takeOver(before);
  }

  /** Whether it is for those parameters that are trained now. */
  isOfNow(): boolean {
    const { frozen } = this.model;
    return frozen.size === this.frozen.size && [...frozen].every((variable) => this.frozen.has(variable));
  }

  private takeOver(before: OptimizerState): void {
    for (const variable of this.parts.flatMap((part) => part.members)) {
      const old = before.slotsOf(variable);
      for (const [name, slot] of this.slotsOf(variable))
        if (old.has(name)) this.device.copy(old.get(name)!, slot);
    }
    this.device.copy(before.stats, this.stats);
    this.steps = before.steps;
  }

  /** Slots of zeros, averages as copies of their parameters, and statistics of no step. */
  initialize(): void {
    for (const { slots } of this.parts)
      for (const slot of slots) this.device.write(slot, new Float32Array(slot.arena.size));
    for (const [variable, average] of this.averages) this.device.copy(variable, average);
    this.resetStats();
    this.steps = 0;
  }

  private part(
    hyper: string,
    group: Group | undefined,
    parameters: Arena,
    members: readonly Variable[],
    whole: boolean,
  ): Part {
    const laid = layOut("", members, Number.POSITIVE_INFINITY);
    const offsets = (whole ? members : laid.variables).map(({ offset }) => offset);
    const size = whole ? parameters.size : laid.arenas[0]!.size;
    const slots = this.optimizer.slots.map((slot) =>
      wholeArena({ name: `${slot} of ${parameters.name}`, dtype: "f32", size }),
    );
    let blocks: Variable | undefined;
    if (!whole) {
      const table = new Uint32Array(size / BLOCK);
      members.forEach(({ offset, shape }, i) => {
        const count = Math.ceil(sizeOf(shape) / BLOCK);
        for (let k = 0; k < count; k++) table[offsets[i]! / BLOCK + k] = offset / BLOCK + k;
      });
      blocks = standalone("blocks", [table.length], "u32");
      this.device.write(blocks, table);
    }
    return { group, parameters, members, offsets, size, slots, blocks, hyper };
  }

  /** The slots of a parameter by their names, `momentum_buffer` for instance. */
  slotsOf(variable: Variable): ReadonlyMap<string, Variable> {
    const part = this.parts.find(({ members }) => members.includes(variable));
    return new Map(part && this.optimizer.slots.map((name, k) => [name, slotOf(part, k, variable)]));
  }

  /** Flat tensors that hold the gradients between two programs, one for each part. */
  get gradients(): readonly Variable[] {
    this.gradientArenas ??= this.parts.map(({ size, parameters }) =>
      standalone(`gradients of ${parameters.name}`, [size]),
    );
    return this.gradientArenas;
  }

  /** Sets a parameter's average, where one is kept. */
  writeAverage(variable: Variable, values: NumericArray): void {
    const average = this.averages.get(variable);
    if (average) this.device.write(average, values);
  }

  /** Clears the halt of a step that was not finite; the loss scale goes on from `scaler`. */
  resetStats(scaler: LossScaler = FRESH_SCALER): void {
    const { scale, good, skipped } = scaler;
    this.device.write(this.stats, Float32Array.of(0, STATUS.applied, 1 / scale, scale, good, skipped));
  }

  async lossScaler(): Promise<LossScaler> {
    const stats = await this.device.read(this.stats);
    return { scale: stats[STATS.scale]!, good: stats[STATS.good]!, skipped: stats[STATS.skipped]! };
  }

  /** The rows of hyperparameters for `step` (from 0) of `total`, by the names of their feeds. */
  hyper(step: number, total: number): Record<string, Float32Array<ArrayBuffer>> {
    return Object.fromEntries(
      this.parts.map(({ hyper, group }) => [hyper, this.optimizer.hyper(step, total, group)]),
    );
  }

  release(): void {
    for (const { slots, blocks } of this.parts) {
      for (const slot of slots) this.device.release(slot.arena);
      if (blocks) this.device.release(blocks.arena);
    }
    for (const variable of this.gradientArenas ?? []) this.device.release(variable.arena);
    this.device.release(this.stats.arena);
  }
}

const slotOf = ({ members, offsets, slots }: Part, k: number, variable: Variable): Variable => {
  const { name, shape } = variable;
  return { ...slots[k]!, name, shape, offset: offsets[members.indexOf(variable)]! };
};

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
}

/** How a loss is minimised. */
export interface MinimizeOptions {
  /** Multiplies the loss by a scale that adapts itself, for gradients kept as f16. Micikevicius et al., 2018, §3.2. */
  readonly scaling?: boolean;
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
  if (members.length === 0)
    throw new OptionError(
      "There is nothing to train: the model has no parameters, or all of them are frozen.",
    );
  const scaled = scaling ? loss.mul(lossScale(state)) : loss;
  const grads = gradients(scaled, [...others, ...members]);
  if (grads.slice(others.length).every(isZero))
    throw new OptionError(
      "The loss depends on no parameter of the model; compute it from what the model's forward gives, without stopGradient.",
    );
  let from = others.length;
  const packed = state.parts.map(({ members, offsets, size }) =>
    pack(grads.slice(from, (from += members.length)), { offsets, size }),
  );
  return { gradients: packed, others: grads.slice(0, others.length) };
}

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
  { scaling = false }: MinimizeOptions = {},
): Minimization {
  const stats = gradientStats(read(state.stats), loss, gradients, { scaling });
  const updates: Update[] = [{ variable: state.stats, value: stats }];
  const latest = new Map<Arena, Tensor>();
  const parameters = state.parts.map(({ parameters, slots, blocks, hyper }, i) => {
    const before = latest.get(parameters) ?? read(wholeArena(parameters));
    const [after, ...moved] = callOp(state.optimizer.op, [
      before,
      gradients[i],
      ...slots.map(read),
      feed(hyper, [state.optimizer.hyperSize]),
      stats,
      ...(blocks ? [read(blocks)] : []),
    ]);
    latest.set(parameters, after!);
    slots.forEach((variable, k) => {
      updates.push({ variable, value: moved[k]! });
    });
    return after!;
  });
  for (const [arena, value] of latest) updates.push({ variable: wholeArena(arena), value });
  return { state, loss, gradients, stats, parameters, updates };
}
