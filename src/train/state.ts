import type { Backend } from "../backend/backend.ts";
import type { NumericArray } from "../core/dtype.ts";
import type { Arena, Tensor, Variable } from "../core/op.ts";
import { Random } from "../core/rng.ts";
import { sizeOf } from "../core/shape.ts";
import { layOut, read, standalone, wholeArena } from "../graph/node.ts";
import {
  type BufferSpec,
  buffersOf,
  type Module,
  modulesOf,
  type NamedTensor,
  type ParameterSpec,
  parametersOf,
} from "../nn/module.ts";
import { LOSS_SCALE, STATS, STATS_SIZE, STATUS } from "../ops/step/stats.ts";
import { AVERAGE, type Optimizer } from "../optim/optimizers.ts";

/** One flat arena of parameters with the optimizer's slots beside it. */
export interface ParameterArena {
  readonly arena: Arena;
  readonly variables: readonly Variable[];
  /** As large as the arena, one for each slot of the optimizer. */
  readonly slots: readonly Variable[];
}

/** Where a dynamic loss scale stands: see ops/step/stats.ts. */
export interface LossScaler {
  readonly scale: number;
  readonly good: number;
  readonly skipped: number;
}

export const FRESH_SCALER: LossScaler = { scale: LOSS_SCALE.initial, good: 0, skipped: 0 };

/** The key of a stream of random numbers that initialises a parameter: apart from those of shuffles. */
const INIT_STREAM = 0x1000_0000;

/** Everything of a network that lives on the device and outlasts a step. */
export class ModelState {
  readonly parameters: readonly NamedTensor<ParameterSpec>[];
  readonly buffers: readonly NamedTensor<BufferSpec>[];
  readonly parameterVariables: readonly Variable[];
  readonly bufferVariables: readonly Variable[];
  readonly parameterArenas: readonly ParameterArena[];
  readonly bufferArenas: readonly Arena[];
  /** The moving average of each parameter, where the optimizer keeps one. */
  readonly averages: ReadonlyMap<Variable, Variable>;
  /** What the last step's update knew of its gradients, and the loss scale: see ops/step/stats.ts. */
  readonly stats = standalone("gradient statistics", [STATS_SIZE]);
  /** Modules that count batches, by path. */
  readonly counting: readonly string[];
  private readonly variableOf = new Map<Module, Map<string, Variable>>();

  constructor(
    readonly backend: Backend,
    readonly model: Module,
    readonly optimizer: Optimizer,
    readonly seed: number,
  ) {
    this.parameters = parametersOf(model);
    this.buffers = buffersOf(model);
    const limit = backend.facts.maxBindingBytes;
    const shapes = (list: readonly NamedTensor<{ shape: readonly number[] }>[]) =>
      list.map(({ name, spec }) => ({ name, shape: spec.shape }));
    const parameters = layOut("parameters", shapes(this.parameters), limit);
    const buffers = layOut("statistics", shapes(this.buffers), limit);
    this.parameterVariables = parameters.variables;
    this.bufferVariables = buffers.variables;
    this.bufferArenas = buffers.arenas;
    this.parameterArenas = parameters.arenas.map((arena) => ({
      arena,
      variables: parameters.variables.filter((v) => v.arena === arena),
      slots: optimizer.slots.map((slot) => wholeArena({ ...arena, name: `${slot} of ${arena.name}` })),
    }));
    const at = optimizer.slots.indexOf(AVERAGE);
    this.averages = new Map(
      this.parameterArenas.flatMap(({ variables, slots }) => {
        const slot = slots[at];
        return slot
          ? variables.map((v) => [v, { ...slot, name: v.name, offset: v.offset, shape: v.shape }] as const)
          : [];
      }),
    );
    this.counting = modulesOf(model)
      .filter(({ module }) => module.countsBatches)
      .map(({ path }) => path);
    const index = (list: readonly NamedTensor<unknown>[], variables: readonly Variable[]) =>
      list.forEach(({ module, key }, i) => {
        const map = this.variableOf.get(module) ?? new Map<string, Variable>();
        map.set(key, variables[i]!);
        this.variableOf.set(module, map);
      });
    index(this.parameters, this.parameterVariables);
    index(this.buffers, this.bufferVariables);
  }

  /** Fills parameters from their initialisers, buffers with their first values and slots with zeros. */
  initialize(): void {
    this.buffers.forEach(({ spec }, i) => {
      this.backend.write(this.bufferVariables[i]!, new Float32Array(sizeOf(spec.shape)).fill(spec.value));
    });
    for (const { slots } of this.parameterArenas)
      for (const slot of slots) this.backend.write(slot, new Float32Array(sizeOf(slot.shape)));
    this.parameters.forEach(({ spec }, i) => {
      const values = spec.init(spec.shape, new Random(this.seed, INIT_STREAM + i));
      this.writeParameter(this.parameterVariables[i]!, values);
    });
    this.resetStats();
  }

  /** Sets a parameter, and its average with it. */
  writeParameter(variable: Variable, values: NumericArray): void {
    this.backend.write(variable, values);
    const average = this.averages.get(variable);
    if (average) this.backend.write(average, values);
  }

  /** Clears the halt of a step that was not finite; the loss scale goes on from `scaler`. */
  resetStats(scaler: LossScaler = FRESH_SCALER): void {
    const { scale, good, skipped } = scaler;
    this.backend.write(this.stats, Float32Array.of(0, STATUS.applied, 1 / scale, scale, good, skipped));
  }

  async lossScaler(): Promise<LossScaler> {
    const stats = await this.backend.read(this.stats);
    return { scale: stats[STATS.scale]!, good: stats[STATS.good]!, skipped: stats[STATS.skipped]! };
  }

  variable(module: Module, key: string): Variable {
    const variable = this.variableOf.get(module)?.get(key);
    if (!variable) throw new Error(`${module.label} has no tensor "${key}" in this network.`);
    return variable;
  }

  value(module: Module, key: string): Tensor {
    return read(this.variable(module, key));
  }

  /** The moving average of a parameter. */
  averageValue(module: Module, key: string): Tensor {
    return read(this.averages.get(this.variable(module, key))!);
  }

  release(): void {
    for (const { arena, slots } of this.parameterArenas) {
      this.backend.release(arena);
      for (const slot of slots) this.backend.release(slot.arena);
    }
    for (const arena of this.bufferArenas) this.backend.release(arena);
    this.backend.release(this.stats.arena);
  }
}
