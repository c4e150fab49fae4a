import { ShapeError } from "../core/errors.ts";
import { isTensor, type Tensor } from "../core/op.ts";
import { type Shape, showShape, showType, sizeOf } from "../core/shape.ts";
import { kindOf, leavesOf } from "../core/tree.ts";
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

/** A layer's options, from which a file that holds the network makes it again: see describe.ts. */
export interface Description {
  readonly layer: string;
  readonly args?: readonly unknown[];
  /** The network that it is a form of, whose parts it has. */
  readonly wraps?: AnyModule;
  /** Its parts follow from its arguments. */
  readonly whole?: true;
}

/** A layer or a network: its tensors, its parts, and what it computes from In, a tensor or a tree of them. */
export interface Module<In = Tensor, Out = Tensor> {
  /** As it is written in code: `conv2d(3 → 32, kernel 3)`. */
  readonly label: string;
  readonly parameters?: Readonly<Record<string, ParameterSpec>>;
  readonly buffers?: Readonly<Record<string, BufferSpec>>;
  /** Parts by the name they have in checkpoints. */
  readonly children?: Readonly<Record<string, AnyModule>>;
  /** How a file says what it is; absent for layers that only code can make. */
  readonly description?: Description;
  /** The same with other parts under the same names; absent where only code can make it again. */
  remake?(parts: Readonly<Record<string, AnyModule>>): AnyModule;
  /** Batch norm counts its batches; PyTorch keeps the count beside the running statistics. */
  readonly countsBatches?: boolean;
  forward(x: In, context: ForwardContext): Out;
}

/** A module of any inputs and results. */
export type AnyModule = Module<any, any>;

/** The examples of a batch, which counters[2] / count (rounded down) epochs have seen before. */
export interface BatchExamples {
  /** Their indices in the data set, u32[N]. */
  readonly indices: Tensor;
  /** How many the data set has. */
  readonly count: number;
}

/** What a module may ask for while it is traced. */
export interface ForwardContext {
  readonly training: boolean;
  /** u32[4]: step, seed, position over all epochs, row of the metrics ring. */
  readonly counters: Tensor;
  /** Absent for a stream, and outside of a trainer. */
  readonly examples?: BatchExamples | undefined;
  parameter(module: AnyModule, name: string): Tensor;
  buffer(module: AnyModule, name: string): Tensor;
  /** Notes a batch statistic for a running one: running ← (1 − momentum)·running + momentum·scale·batch. */
  track(module: AnyModule, name: string, batch: Tensor, momentum: number, scale: number): void;
  /**
   * Adds a term to what training minimises, beside the loss: one f32 number. `name` is what messages and `t.penalties` call
   * it, after the path of the module that is run.
   */
  penalize(value: Tensor, name: string): void;
  /** A number that differs between calls, for random keys: a module used twice draws twice. */
  nextLayer(): number;
  /** Runs a part, so that its result can be looked at by name. */
  run<In, Out>(module: Module<In, Out>, x: In): Out;
}

export interface NamedModule {
  readonly path: string;
  readonly module: AnyModule;
}

/** All modules of a network with their paths, parents first; a module used twice is named once, by its first place. */
export function modulesOf(root: AnyModule, path = "", seen = new Set<AnyModule>()): NamedModule[] {
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
  readonly module: AnyModule;
  /** The tensor's name within its module. */
  readonly key: string;
  readonly spec: T;
}

function named<T>(
  root: AnyModule,
  pick: (module: AnyModule) => Readonly<Record<string, T>> | undefined,
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

export const parametersOf = (root: AnyModule): NamedTensor<ParameterSpec>[] =>
  named(root, (module) => module.parameters);
export const buffersOf = (root: AnyModule): NamedTensor<BufferSpec>[] =>
  named(root, (module) => module.buffers);

/** One tensor that a traced call of a module gave; a result of several has a path for each. */
export interface TracedLayer {
  readonly path: string;
  readonly module: AnyModule;
  readonly output: Tensor;
}

/** Where a trace finds the current values of the network's tensors. */
export interface TensorSource {
  readonly counters: Tensor;
  readonly examples?: BatchExamples | undefined;
  parameter(module: AnyModule, name: string): Tensor;
  buffer(module: AnyModule, name: string): Tensor;
  /** By default counted from 0 within one trace. */
  nextLayer?(): number;
}

export interface TrackedStatistic {
  readonly module: AnyModule;
  readonly name: string;
  readonly batch: Tensor;
  readonly momentum: number;
  readonly scale: number;
}

/** A term of what training minimises that a layer has added. */
export interface PenaltyTerm {
  /** The layer's path and what it calls the term: `0.activity`. */
  readonly name: string;
  readonly value: Tensor;
}

const showTree = (x: unknown) => (isTensor(x) ? showShape(x.shape) : "its inputs");

/** Traces a network once: every layer's input and output, and the statistics its batch norms ask to track. */
export class Trace implements ForwardContext {
  readonly layers: TracedLayer[] = [];
  readonly tracked: TrackedStatistic[] = [];
  readonly penalties: PenaltyTerm[] = [];
  private readonly paths: Map<AnyModule, string>;
  private drawn = 0;
  /** Of the module that is run. */
  private path = "";

  constructor(
    root: AnyModule,
    private readonly source: TensorSource,
    readonly training: boolean,
  ) {
    this.paths = new Map(modulesOf(root).map(({ path, module }) => [module, path]));
  }

  get counters(): Tensor {
    return this.source.counters;
  }

  get examples(): BatchExamples | undefined {
    return this.source.examples;
  }

  parameter(module: AnyModule, name: string): Tensor {
    return this.source.parameter(module, name);
  }

  buffer(module: AnyModule, name: string): Tensor {
    return this.source.buffer(module, name);
  }

  track(module: AnyModule, name: string, batch: Tensor, momentum: number, scale: number): void {
    if (this.tracked.some((t) => t.module === module && t.name === name))
      throw new ShapeError(
        `${module.label}: is used in two places, and its running statistics can follow only one; make one for each place.`,
      );
    this.tracked.push({ module, name, batch, momentum, scale });
  }

  penalize(value: Tensor, name: string): void {
    const path = [this.path, name].filter(Boolean).join(".");
    if (!isTensor(value) || value.dtype !== "f32" || sizeOf(value.shape) !== 1)
      throw new ShapeError(
        `penalize: the penalty ${path} is ${isTensor(value) ? showType(value) : kindOf(value)}; give one f32 number, a sum for instance.`,
      );
    this.penalties.push({ name: path, value: value.reshape({ shape: [] }) });
  }

  nextLayer(): number {
    return this.source.nextLayer?.() ?? this.drawn++;
  }

  run<In, Out>(module: Module<In, Out>, x: In): Out {
    const path = this.paths.get(module) ?? "";
    const outer = this.path;
    this.path = path;
    try {
      const output = module.forward(x, this);
      for (const { path: part, leaf } of leavesOf(output, isTensor))
        this.layers.push({ path: [path, part].filter(Boolean).join("."), module, output: leaf });
      return output;
    } catch (error) {
      // The innermost layer names itself; its parents add nothing.
      if (error instanceof ShapeError && path !== "" && !error.message.startsWith("Layer "))
        throw new ShapeError(
          `Layer ${path}, ${module.label}, does not take ${showTree(x)}: ${error.message}`,
        );
      throw error;
    } finally {
      this.path = outer;
    }
  }
}
