import type { Backend } from "../backend/backend.ts";
import { OptionError } from "../core/errors.ts";
import type { Arena, Variable } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import { layOut, standalone, wholeArena } from "../graph/node.ts";
import { LOSS_SCALE, STATS, STATS_SIZE, STATUS } from "../ops/step/stats.ts";
import { AVERAGE, type Group, type Optimizer, partition, SLOW } from "./optimizer.ts";

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
  /** The optimizer of the state, or its rest. */
  readonly optimizer: Optimizer;
  readonly parameters: Arena;
  readonly members: readonly Variable[];
  /** Where each member's gradient and slots lie in the part's flat tensors, and how long those are. */
  readonly offsets: readonly number[];
  readonly size: number;
  readonly slots: readonly Variable[];
  /** For each 64 elements of the flat tensors the 64 of the parameters' arena; absent where they are the same. */
  readonly blocks: Variable | undefined;
  /** The first block of each member and how many it has, where the optimizer goes by tensors. */
  readonly tensors: Variable | undefined;
  /** Where each row of the members of two axes and more begins in the parameters' arena, and how long it is, where they are limited. */
  readonly rows: Variable | undefined;
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
  /** The loss that goes with the gradients in the arenas. */
  readonly loss = standalone("loss of the gradients", []);
  private gradientArenas: readonly Variable[] | undefined;
  private readonly frozen: ReadonlySet<Variable>;

  constructor(
    readonly device: Backend,
    readonly optimizer: Optimizer,
    readonly model: Trainable,
  ) {
    this.frozen = new Set(model.frozen);
    const trained = model.parameters.filter((variable) => !model.frozen.has(variable));
    const id = states++;
    const parts: Part[] = [];
    for (const { group, members: variables, optimizer: own } of shared(optimizer, trained)) {
      for (const arena of new Set(variables.map((variable) => variable.arena))) {
        const members = variables.filter((variable) => variable.arena === arena);
        const whole = members.length === model.parameters.filter((v) => v.arena === arena).length;
        parts.push(this.part(`hyper ${id}.${parts.length}`, own, group, arena, members, whole));
      }
    }
    this.parts = parts;
    this.averages = this.copies(AVERAGE);
    this.initialize();
  }

  /** Whether it is for those parameters that are trained now. */
  isOfNow(): boolean {
    const { frozen } = this.model;
    return frozen.size === this.frozen.size && [...frozen].every((variable) => this.frozen.has(variable));
  }

  /** Goes on from what another state keeps of the parameters that both train, and begins with the others. */
  takeOver(before: OptimizerState): void {
    this.initialize();
    for (const variable of this.parts.flatMap((part) => part.members)) {
      const old = before.slotsOf(variable);
      for (const [name, slot] of this.slotsOf(variable))
        if (old.has(name)) this.device.copy(old.get(name)!, slot);
    }
    this.device.copy(before.stats, this.stats);
    this.steps = before.steps;
  }

  /** The place of each parameter in a slot, where the optimizer keeps it. */
  private copies(slot: string): Map<Variable, Variable> {
    return new Map(
      this.parts.flatMap((part) => {
        const at = part.optimizer.slots.indexOf(slot);
        const members = at < 0 ? [] : part.members;
        return members.map((variable) => [variable, slotOf(part, at, variable)] as const);
      }),
    );
  }

  /** Slots as they begin, and statistics of no step. */
  initialize(): void {
    for (const { slots, optimizer } of this.parts)
      for (const [k, slot] of slots.entries()) {
        const value = optimizer.initial[optimizer.slots[k]!] ?? 0;
        this.device.write(slot, new Float32Array(slot.arena.size).fill(value));
      }
    this.copyParameters();
    this.resetStats();
    this.steps = 0;
  }

  /** Averages and slow weights as copies of their parameters: as they are before the first step. */
  copyParameters(): void {
    for (const copies of [this.averages, this.copies(SLOW)])
      for (const [variable, copy] of copies) this.device.copy(variable, copy);
  }

  private part(
    hyper: string,
    optimizer: Optimizer,
    group: Group | undefined,
    parameters: Arena,
    members: readonly Variable[],
    whole: boolean,
  ): Part {
    const laid = layOut("", members, Number.POSITIVE_INFINITY);
    const offsets = (whole ? members : laid.variables).map(({ offset }) => offset);
    const size = whole ? parameters.size : laid.arenas[0]!.size;
    const slots = optimizer.slots.map((slot) =>
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
    const tensors = optimizer.byTensors ? standalone("tensors", [members.length, 2], "u32") : undefined;
    if (tensors) {
      const table = members.flatMap(({ shape }, i) => [
        offsets[i]! / BLOCK,
        Math.ceil(sizeOf(shape) / BLOCK),
      ]);
      this.device.write(tensors, Uint32Array.from(table));
    }
    const rows = optimizer.limits(group) ? this.rowsOf(members) : undefined;
    return { group, optimizer, parameters, members, offsets, size, slots, blocks, tensors, rows, hyper };
  }

  private rowsOf(members: readonly Variable[]): Variable | undefined {
    const table = members.flatMap(({ shape, offset }) => {
      const length = shape.length > 1 ? sizeOf(shape.slice(1)) : 0;
      return length === 0 ? [] : Array.from({ length: shape[0]! }, (_, k) => [offset + k * length, length]);
    });
    if (table.length === 0) return undefined;
    const rows = standalone("rows", [table.length, 2], "u32");
    this.device.write(rows, Uint32Array.from(table.flat()));
    return rows;
  }

  /** The slots of a parameter by their names, `momentum_buffer` for instance. */
  slotsOf(variable: Variable): ReadonlyMap<string, Variable> {
    const part = this.parts.find(({ members }) => members.includes(variable));
    return new Map(part?.optimizer.slots.map((name, k) => [name, slotOf(part, k, variable)]));
  }

  /** Flat tensors that hold the gradients between two programs, one for each part. */
  get gradients(): readonly Variable[] {
    this.gradientArenas ??= this.parts.map(({ size, parameters }) =>
      standalone(`gradients of ${parameters.name}`, [size]),
    );
    return this.gradientArenas;
  }

  /**
   * Where a parameter's gradient lies between two programs.
   * @throws OptionError when it is frozen, or there is none of that name.
   */
  gradientOf(name: string): Variable {
    for (const [i, { members, offsets }] of this.parts.entries()) {
      const k = members.findIndex((member) => member.name === name);
      if (k >= 0) return { ...this.gradients[i]!, name, shape: members[k]!.shape, offset: offsets[k]! };
    }
    throw new OptionError(
      `There is no gradient of "${name}"; there are those of ${this.trained.join(", ") || "none"}.`,
    );
  }

  /** The names of the parameters that it trains. */
  get trained(): string[] {
    return this.parts.flatMap(({ members }) => members.map(({ name }) => name));
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
      this.parts.map(({ hyper, group, optimizer }) => [hyper, optimizer.hyper(step, total, group)]),
    );
  }

  /** Whether its numbers depend on how many steps there are: tried at some of 100, and of 10,000. */
  get needsTotal(): boolean {
    const rows = (step: number, total: number) => {
      try {
        return String(Object.values(this.hyper(step, total)));
      } catch {
        return ""; // it is told when that step is taken
      }
    };
    return [1, 7, 50, 99].some((step) => rows(step, 100) !== rows(step, 10_000));
  }

  release(): void {
    for (const { slots, blocks, tensors, rows } of this.parts) {
      for (const variable of [...slots, blocks, tensors, rows])
        if (variable) this.device.release(variable.arena);
    }
    for (const variable of this.gradientArenas ?? []) this.device.release(variable.arena);
    for (const { arena } of [this.stats, this.loss]) this.device.release(arena);
  }
}

/** Parameters that are trained alike. */
interface Share {
  readonly group: Group | undefined;
  readonly optimizer: Optimizer;
  readonly members: readonly Variable[];
}

const byGroup = (optimizer: Optimizer, list: readonly Variable[]): Share[] =>
  partition(
    optimizer,
    list.map(({ name }) => name),
  ).map(({ group, members }) => ({ group, optimizer, members: members.map((i) => list[i]!) }));

/**
 * The parameters by optimizer and group: those of fewer than two axes are trained by the rest, where there is one. What a
 * group freezes is frozen for both.
 */
function shared(optimizer: Optimizer, trained: readonly Variable[]): Share[] {
  const shares = byGroup(optimizer, trained);
  const { name, rest } = optimizer;
  if (!rest) return shares;
  const isMatrix = ({ shape }: Variable) => shape.length > 1;
  const matrices = shares.map((share) => ({ ...share, members: share.members.filter(isMatrix) }));
  for (const { group, members } of matrices)
    if (group && members.length === 0)
      throw new OptionError(
        `${name}: the group "${group.match}" matches no parameter of two axes or more, which are what it trains; give the group to its rest.`,
      );
  const vectors = trained.filter(
    (variable) => !isMatrix(variable) && shares.some(({ members }) => members.includes(variable)),
  );
  return [...matrices, ...byGroup(rest, vectors)];
}

const slotOf = ({ members, offsets, slots }: Part, k: number, variable: Variable): Variable => {
  const { name, shape } = variable;
  return { ...slots[k]!, name, shape, offset: offsets[members.indexOf(variable)]! };
};
