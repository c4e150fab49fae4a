import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import { type Shape, showShape } from "../core/shape.ts";
import type { Initializer } from "./init.ts";

/** A tensor that is trained. */
export interface ParameterSpec {
  readonly shape: Shape;
  readonly init: Initializer;
}

/** A tensor that is kept but not trained: a running statistic. */
export interface BufferSpec {
  readonly shape: Shape;
  readonly value: number;
}

/** A layer or a network: its tensors, its parts, and what it computes. */
export interface Module {
  /** As it is written in code: `conv2d(3 → 32, kernel 3)`. */
  readonly label: string;
  readonly parameters?: Readonly<Record<string, ParameterSpec>>;
  readonly buffers?: Readonly<Record<string, BufferSpec>>;
  /** Parts by the name they have in checkpoints. */
  readonly children?: Readonly<Record<string, Module>>;
  /** Batch norm counts its batches; PyTorch keeps the count beside the running statistics. */
  readonly countsBatches?: boolean;
  forward(x: Tensor, context: ForwardContext): Tensor;
}

/** What a module may ask for while it is traced. */
export interface ForwardContext {
  readonly training: boolean;
  /** u32[4]: step, seed, position in the epoch, row of the metrics ring. */
  readonly counters: Tensor;
  parameter(module: Module, name: string): Tensor;
  buffer(module: Module, name: string): Tensor;
  /** Notes a batch statistic for a running one: running ← (1 − momentum)·running + momentum·scale·batch. */
  track(module: Module, name: string, batch: Tensor, momentum: number, scale: number): void;
  /** A number that differs between calls, for random keys: a module used twice draws twice. */
  nextLayer(): number;
  /** Runs a part, so that its result can be looked at by name. */
  run(module: Module, x: Tensor): Tensor;
}

export interface NamedModule {
  readonly path: string;
  readonly module: Module;
}

/** All modules of a network with their paths, parents first; a module used twice is named once, by its first place. */
export function modulesOf(root: Module, path = "", seen = new Set<Module>()): NamedModule[] {
  if (seen.has(root)) return [];
  seen.add(root);
  const children = Object.entries(root.children ?? {});
  return [
    { path, module: root },
    ...children.flatMap(([name, child]) => modulesOf(child, path === "" ? name : `${path}.${name}`, seen)),
  ];
}

export interface NamedTensor<T> {
  /** As in a PyTorch state_dict: `0.weight`, `1.running_mean`. */
  readonly name: string;
  readonly module: Module;
  /** The tensor's name within its module. */
  readonly key: string;
  readonly spec: T;
}

function named<T>(
  root: Module,
  pick: (module: Module) => Readonly<Record<string, T>> | undefined,
): NamedTensor<T>[] {
  return modulesOf(root).flatMap(({ path, module }) =>
    Object.entries(pick(module) ?? {}).map(([key, spec]) => ({
      name: path === "" ? key : `${path}.${key}`,
      module,
      key,
      spec,
    })),
  );
}

export const parametersOf = (root: Module): NamedTensor<ParameterSpec>[] =>
  named(root, (module) => module.parameters);
export const buffersOf = (root: Module): NamedTensor<BufferSpec>[] => named(root, (module) => module.buffers);

/** One traced call of a module. */
export interface TracedLayer {
  readonly path: string;
  readonly module: Module;
  readonly input: Tensor;
  readonly output: Tensor;
}

/** Where a trace finds the current values of the network's tensors. */
export interface TensorSource {
  readonly counters: Tensor;
  parameter(module: Module, name: string): Tensor;
  buffer(module: Module, name: string): Tensor;
}

export interface TrackedStatistic {
  readonly module: Module;
  readonly name: string;
  readonly batch: Tensor;
  readonly momentum: number;
  readonly scale: number;
}

/** Traces a network once: every layer's input and output, and the statistics its batch norms ask to track. */
export class Trace implements ForwardContext {
  readonly layers: TracedLayer[] = [];
  readonly tracked: TrackedStatistic[] = [];
  private readonly paths: Map<Module, string>;
  private drawn = 0;

  constructor(
    root: Module,
    private readonly source: TensorSource,
    readonly training: boolean,
  ) {
    this.paths = new Map(modulesOf(root).map(({ path, module }) => [module, path]));
  }

  get counters(): Tensor {
    return this.source.counters;
  }

  parameter(module: Module, name: string): Tensor {
    return this.source.parameter(module, name);
  }

  buffer(module: Module, name: string): Tensor {
    return this.source.buffer(module, name);
  }

  track(module: Module, name: string, batch: Tensor, momentum: number, scale: number): void {
    if (this.tracked.some((t) => t.module === module && t.name === name))
      throw new ShapeError(
        `${module.label}: is used in two places, and its running statistics can follow only one; make one for each place.`,
      );
    this.tracked.push({ module, name, batch, momentum, scale });
  }

  nextLayer(): number {
    return this.drawn++;
  }

  run(module: Module, x: Tensor): Tensor {
    const path = this.paths.get(module) ?? "";
    try {
      const output = module.forward(x, this);
      this.layers.push({ path, module, input: x, output });
      return output;
    } catch (error) {
      // The innermost layer names itself; its parents add nothing.
      if (error instanceof ShapeError && path !== "" && !error.message.startsWith("Layer "))
        throw new ShapeError(
          `Layer ${path}, ${module.label}, does not take ${showShape(x.shape)}: ${error.message}`,
        );
      throw error;
    }
  }
}
