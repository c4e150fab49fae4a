import type { Backend } from "../backend/backend.ts";
import type { Arena, Tensor, Variable } from "../core/op.ts";
import { Random } from "../core/rng.ts";
import { sizeOf } from "../core/shape.ts";
import { layOut, read } from "../graph/node.ts";
import {
  type AnyModule,
  type BufferSpec,
  buffersOf,
  modulesOf,
  type NamedTensor,
  type ParameterSpec,
  parametersOf,
} from "../nn/module.ts";

/** The key of a stream of random numbers that initialises a parameter: apart from those of shuffles. */
const INIT_STREAM = 0x1000_0000;

/** The tensors of a network on a device: its parameters and its running statistics, in flat arenas. */
export class ModelTensors {
  readonly parameters: readonly NamedTensor<ParameterSpec>[];
  readonly buffers: readonly NamedTensor<BufferSpec>[];
  readonly parameterVariables: readonly Variable[];
  readonly bufferVariables: readonly Variable[];
  readonly parameterArenas: readonly Arena[];
  readonly bufferArenas: readonly Arena[];
  /** Modules that count batches, by path. */
  readonly counting: readonly string[];
  private readonly variableOf = new Map<AnyModule, Map<string, Variable>>();

  constructor(
    readonly device: Backend,
    readonly network: AnyModule,
    readonly seed: number,
  ) {
    this.parameters = parametersOf(network);
    this.buffers = buffersOf(network);
    const limit = device.facts.maxBindingBytes;
    const shapes = (list: readonly NamedTensor<{ shape: readonly number[] }>[]) =>
      list.map(({ name, spec }) => ({ name, shape: spec.shape }));
    const parameters = layOut("parameters", shapes(this.parameters), limit);
    const buffers = layOut("statistics", shapes(this.buffers), limit);
    this.parameterVariables = parameters.variables;
    this.parameterArenas = parameters.arenas;
    this.bufferVariables = buffers.variables;
    this.bufferArenas = buffers.arenas;
    this.counting = modulesOf(network)
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
    this.initialize();
  }

  /** Fills parameters from their initialisers and buffers with their first values. */
  initialize(): void {
    this.buffers.forEach(({ spec }, i) => {
      this.device.write(this.bufferVariables[i]!, new Float32Array(sizeOf(spec.shape)).fill(spec.value));
    });
    this.parameters.forEach(({ spec }, i) => {
      const values = spec.init(spec.shape, new Random(this.seed, INIT_STREAM + i));
      this.device.write(this.parameterVariables[i]!, values);
    });
  }

  get all(): readonly Variable[] {
    return [...this.parameterVariables, ...this.bufferVariables];
  }

  has(module: AnyModule, key: string): boolean {
    return this.variableOf.get(module)?.has(key) ?? false;
  }

  variable(module: AnyModule, key: string): Variable {
    const variable = this.variableOf.get(module)?.get(key);
    if (!variable) throw new Error(`${module.label} has no tensor "${key}" in this network.`);
    return variable;
  }

  value(module: AnyModule, key: string): Tensor {
    return read(this.variable(module, key));
  }

  release(): void {
    for (const arena of [...this.parameterArenas, ...this.bufferArenas]) this.device.release(arena);
  }
}
