import type { Backend } from "../backend/backend.ts";
import { type DeviceTensor, deviceTensor } from "../backend/variable.ts";
import { checkWhole } from "../core/check.ts";
import { CheckpointError, DescentError, OptionError, ShapeError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import { isTensor, type Tensor, type Variable } from "../core/op.ts";
import type { Shape, TensorType } from "../core/shape.ts";
import { kindOf, leavesOf, type Mapped, mapTree, type Tree } from "../core/tree.ts";
import { read } from "../graph/node.ts";
import { decodeTensors, encodeTensors, type TensorFile } from "../interchange/safetensors.ts";
import { describe } from "../nn/describe.ts";
import { type AnyModule, type Module, Trace, type TracedLayer } from "../nn/module.ts";
import { releaseStates } from "../optim/minimize.ts";
import type { Trainable } from "../optim/state.ts";
import { checkDevice, checkSeed, runnerOf } from "./compile.ts";
import {
  batchesOf,
  type EvaluateOptions,
  type Examples,
  evaluateExamples,
  type Means,
  type MetricRecord,
} from "./evaluate.ts";
import {
  batchesIn,
  checkFinite,
  checkFit,
  compareFile,
  countersOf,
  descriptionIn,
  type LoadReport,
  stored,
} from "./files.ts";
import { checkNormalization, hostInputs, type ModelInput, type Normalization } from "./host-inputs.ts";
import { isNDArray } from "./inputs.ts";
import { feedsOf, type Types } from "./program.ts";
import { Programs } from "./programs.ts";
import { replaced } from "./replaced.ts";
import { partOf, type Selection, select } from "./select.ts";
import { type Summary, summaryOf } from "./summary.ts";
import { ModelTensors } from "./tensors.ts";
import { TraceContext } from "./tracing.ts";

export type { ModelInput, Normalization } from "./host-inputs.ts";

/** What a model has beside its network. */
export interface ModelOptions {
  /** Decides the initial parameters: a whole number from 0 to 2³² − 1; 0 unless given. */
  readonly seed?: number;
  /** What the network's outputs are called, in their order. */
  readonly labels?: readonly string[];
  /** Mean and deviation of each channel, in units of 0..1, by which images of bytes are normalised. */
  readonly normalization?: Normalization;
}

/** A class and its probability. */
export interface Guess {
  readonly label: string;
  readonly probability: number;
}

/** Which tensors a pass computes with instead of the model's own: a moving average, for instance. */
export type Substitutes = ReadonlyMap<Variable, Variable>;

/**
 * A network with its tensors on a device: it predicts, loads and saves without a loss, an optimizer or a data set, and
 * its `forward` is part of any traced step.
 *
 * @example
 * const model = new Model(device, nn.sequential(nn.linear({ in: 2, out: 16 }), nn.tanh(), nn.linear({ in: 16, out: 1 })));
 * const y = await model.predict([[0.5, -1]]);
 */
export class Model<In = Tensor, Out = Tensor> implements Trainable {
  /** @internal */
  readonly tensors: ModelTensors;
  readonly frozen = new Set<Variable>();
  labels: readonly string[] | undefined;
  normalization: Normalization | undefined;
  /**
   * Batches that the running statistics have seen: PyTorch's num_batches_tracked.
   * @internal
   */
  batchesTracked = 0;
  private readonly programs = new Programs();
  private disposed = false;

  constructor(
    readonly device: Backend,
    readonly network: Module<In, Out>,
    options: ModelOptions = {},
  ) {
    const { seed = 0, labels, normalization } = options;
    checkDevice(device, "new Model");
    if (typeof network !== "object" || network === null || typeof network.forward !== "function")
      throw new OptionError(
        `new Model: the second argument is ${kindOf(network)}, no network; pass a layer or nn.sequential(…).`,
      );
    checkSeed(seed, "new Model");
    checkNormalization(normalization, "new Model");
    this.tensors = new ModelTensors(device, network, seed);
    this.labels = labels;
    this.normalization = normalization;
  }

  /** The seed of the initial parameters. */
  get seed(): number {
    return this.tensors.seed;
  }

  /** All parameters, in the order of their names in checkpoints. */
  get parameters(): readonly Variable[] {
    return this.tensors.parameterVariables;
  }

  /** The network within a trace: `t` is what the traced function received. */
  forward(x: In, t: TraceContext, substitutes?: Substitutes): Out {
    return this.pass(x, t, substitutes).output;
  }

  /**
   * The network within a trace, with every layer's result.
   * @internal
   */
  pass(x: In, t: TraceContext, substitutes?: Substitutes): { output: Out; layers: readonly TracedLayer[] } {
    this.checkAlive();
    if (!(t instanceof TraceContext))
      throw new OptionError(
        "forward: the second argument is missing; pass the t that the traced function of compile receives.",
      );
    const { tensors } = this;
    const current = (module: AnyModule, key: string): Tensor => {
      const variable = tensors.variable(module, key);
      return t.varied?.get(variable) ?? read(substitutes?.get(variable) ?? variable);
    };
    const source = {
      counters: t.counters,
      examples: t.examples,
      parameter: current,
      buffer: current,
      nextLayer: () => t.nextLayer(),
    };
    const trace = new Trace(this.network, source, t.training);
    const output = trace.run(this.network, x);
    t.penalties.push(...trace.penalties);
    if (t.training) t.passes.push({ model: this, tracked: trace.tracked });
    return { output, layers: trace.layers };
  }

  /**
   * The network's output for a batch, with running statistics and without dropout.
   * @throws ShapeError when the network does not take such inputs.
   */
  async predict(inputs: Mapped<In, Tensor, ModelInput>): Promise<Mapped<Out, Tensor, NDArray>> {
    const arrays = hostInputs(inputs, this.normalization);
    return this.runCompiled("predict", arrays, (x, t) => this.forward(x, t) as Tree<Tensor>) as Promise<
      Mapped<Out, Tensor, NDArray>
    >;
  }

  /** What the network says of one input, by the probabilities of its classes (softmax of its outputs), best first. */
  async classify(
    input: Mapped<In, Tensor, ModelInput>,
    { top = 1 }: { readonly top?: number } = {},
  ): Promise<Guess[]> {
    checkWhole("classify: top", top, 1);
    const given = hostInputs(input, this.normalization);
    const arrays = mapTree(given, isNDArray, (x) => ({ ...x, shape: [1, ...x.shape] }));
    const { data } = (await this.runCompiled("classify", arrays, (x, t) => {
      const output = this.forward(x, t);
      if (!isTensor(output) || output.shape.length !== 2)
        throw new ShapeError("classify: the network gives no row of numbers for each class; use predict.");
      return output.softmax({ axis: 1 });
    })) as NDArray;
    const { labels } = this;
    return Array.from(data, (probability, i) => ({ label: labels?.[i] ?? String(i), probability }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, top);
  }

  /**
   * The network's output for a batch and every layer's result, by the layers' paths; further results of a layer that is
   * used several times are `path (2)` and so on.
   */
  async trace(
    inputs: Mapped<In, Tensor, ModelInput>,
  ): Promise<{ output: Mapped<Out, Tensor, NDArray>; activations: Record<string, NDArray> }> {
    const arrays = hostInputs(inputs, this.normalization);
    return (await this.runCompiled("trace", arrays, (x, t) => {
      const { output, layers } = this.pass(x, t);
      const activations: Record<string, Tensor> = {};
      for (const layer of layers) {
        if (layer.module === this.network) continue;
        let name = layer.path;
        for (let use = 2; name in activations; use++) name = `${layer.path} (${use})`;
        activations[name] = layer.output;
      }
      return { output: output as Tree<Tensor>, activations };
    })) as never;
  }

  /**
   * Means over every example once, with running statistics and without dropout: the loss, the share of examples that
   * were predicted right (absent where targets are not labels), and metrics by their names.
   * @throws OptionError for a loss or metric that gives no scalar.
   *
   * @example await model.evaluate(test, { loss: losses.mse(), metrics: { mae: metrics.meanAbsoluteError() } })
   */
  async evaluate<const M extends MetricRecord = Readonly<Record<never, never>>>(
    data: Examples,
    options: EvaluateOptions<M>,
  ): Promise<Means<M>> {
    this.checkAlive();
    const prepare = (x: unknown) => hostInputs(x, this.normalization);
    const forward = (x: unknown, t: TraceContext) => this.forward(x as In, t);
    return evaluateExamples(this.device, forward, batchesOf(data, prepare), options);
  }

  /**
   * A parameter or running statistic by its name in checkpoints, `0.weight`.
   * @throws OptionError for a name that the model does not have.
   */
  tensor(name: string): DeviceTensor {
    const variable = this.tensors.all.find((candidate) => candidate.name === name);
    if (!variable)
      throw new OptionError(
        `The model has no tensor "${name}"; it has ${this.tensors.all.map((v) => v.name).join(", ") || "none"}.`,
      );
    return deviceTensor(this.device, variable);
  }

  /**
   * Writes a file's tensors into the model: all of it or, on an error, nothing. With `strict: false` what fits goes in,
   * and the report says what did not.
   * @throws CheckpointError when a tensor is missing, unknown, of another shape or not finite.
   */
  async load(
    file: TensorFile | Uint8Array<ArrayBuffer>,
    { strict = true, name = "The file" }: { readonly strict?: boolean; readonly name?: string } = {},
  ): Promise<LoadReport> {
    const tensors = file instanceof Uint8Array ? decodeTensors(file, name) : file;
    return this.restore(tensors, { strict, name });
  }

  /**
   * `load` of a file that is decoded already.
   * @internal
   */
  restore(file: TensorFile, { strict = true, name = "The file" } = {}): LoadReport {
    this.checkAlive();
    const report = compareFile(this.tensors, file);
    if (strict) checkFit(this.tensors, report, file, name);
    else if (report.loaded.length === 0)
      throw new CheckpointError(`${name} has no tensor that the network has; it belongs to another network.`);
    checkFinite(report.loaded, file, name);
    const { normalization, labels } = descriptionIn(file, name);
    // Nothing was changed so far, and nothing fails from here on.
    for (const key of report.loaded) this.tensor(key).write(file.tensors.get(key)!.data as Float32Array);
    const batches = batchesIn(this.tensors, file);
    if (strict || batches !== undefined) this.batchesTracked = batches ?? 0;
    this.normalization = normalization ?? this.normalization;
    // Where only parts fit, the outputs are others.
    if (strict) this.labels ??= labels;
    return report;
  }

  /**
   * The model as a file that PyTorch's load_state_dict(strict=True) takes. It describes itself, as far as it is made of
   * this library's layers: `loadModel` makes the same model of it.
   */
  async file(metadata: Readonly<Record<string, string>> = {}): Promise<TensorFile> {
    const tensors = new Map<
      string,
      ReturnType<typeof stored> | { dtype: "I64"; shape: []; data: BigInt64Array<ArrayBuffer> }
    >();
    for (const variable of this.tensors.all)
      tensors.set(variable.name, stored({ ...variable, data: await this.device.read(variable) }));
    for (const name of countersOf(this.tensors))
      tensors.set(name, { dtype: "I64", shape: [], data: BigInt64Array.of(BigInt(this.batchesTracked)) });
    return { tensors, metadata: { format: "pt", ...this.description(), ...metadata } };
  }

  /**
   * A file of the tensors that are meant, which go into a model by `load` with `strict: false`.
   * @throws OptionError for a selection that no tensor fits.
   *
   * @example const bytes = encodeTensors(await model.filePart({ match: "**.lora_*" }));
   */
  async filePart(selection: Selection): Promise<TensorFile> {
    return partOf(await this.file(), selection);
  }

  /** Network, labels and preprocessing, as strings in a file's metadata. */
  description(): Record<string, string> {
    const network = describe(this.network);
    return {
      ...("unknown" in network
        ? { parts_made_in_code: network.unknown }
        : { network: JSON.stringify(network) }),
      ...(this.labels && { labels: JSON.stringify(this.labels) }),
      ...(this.normalization && { normalization: JSON.stringify(this.normalization) }),
    };
  }

  /** The model's file as bytes, for a download. */
  async encode(metadata?: Readonly<Record<string, string>>): Promise<Uint8Array<ArrayBuffer>> {
    return encodeTensors(await this.file(metadata));
  }

  /**
   * A table of the layers for inputs of the given shapes, the batch first: results, parameters, operations of a forward
   * pass (multiplications and additions one each) and bytes. Nothing is computed.
   *
   * @example console.log(String(model.summary([1, 3, 32, 32])))
   */
  summary(input: Tree<TensorType> | Shape): Summary {
    const isShape = Array.isArray(input) && input.every((dim) => typeof dim === "number");
    const types = isShape ? { shape: input as Shape, dtype: "f32" as const } : input;
    const { output, layers } = this.pass(feedsOf(types as Types) as In, new TraceContext(false));
    const outputs = leavesOf(output, isTensor).map(({ leaf }) => leaf);
    return summaryOf(
      { layers, outputs },
      { all: this.tensors.all, parameters: this.parameters },
      this.frozen,
    );
  }

  /**
   * Keeps the parameters that fit a pattern (`0.**`, `*.bias`), and not `except`, as they are: no gradient, no update, no
   * backward pass behind them. For steps that are compiled, and epochs that begin, from now on; optimizers keep what they
   * have of the others.
   * @throws OptionError when none fits.
   */
  freeze(pattern: string, options: Pick<Selection, "except"> = {}): void {
    for (const variable of this.parametersOf("freeze", { ...options, match: pattern }))
      this.frozen.add(variable);
  }

  /**
   * Trains the parameters that fit a pattern, and not `except`, again, from the next compiled step or epoch on; optimizers
   * begin with empty slots of them. Schedules and Adam's bias corrections go on counting the optimizer's steps: with moments that
   * begin as zeros late, Adam's first steps of such a parameter are up to some six times as long.
   * @throws OptionError when none fits.
   *
   * @example for await (const { epoch } of trainer.fit(set, { epochs: 9, batchSize: 64 })) if (epoch === 3) model.unfreeze("body.**");
   */
  unfreeze(pattern: string, options: Pick<Selection, "except"> = {}): void {
    for (const variable of this.parametersOf("unfreeze", { ...options, match: pattern }))
      this.frozen.delete(variable);
  }

  /**
   * A new model with another part at a path of its network, a head for another task for instance: its tensors begin as they
   * are initialised, all others are copies of this model's, and what is frozen stays so. This model stays as it is.
   * @throws OptionError for a path at which there is no part.
   *
   * @example const model = first.replacePart("1", nn.linear({ in: 16, out: 3 }), { seed: 2 });
   */
  replacePart(path: string, part: AnyModule, options: ModelOptions = {}): this {
    this.checkAlive();
    return replaced(this, path, part, options);
  }

  private parametersOf(who: string, selection: Selection): readonly Variable[] {
    const names = select(
      who,
      this.parameters.map(({ name }) => name),
      selection,
    );
    return this.parameters.filter(({ name }) => names.includes(name));
  }

  /** Frees the tensors, what optimizers keep of them for compiled steps, and what was compiled for predictions. */
  async dispose(): Promise<void> {
    this.disposed = true;
    await this.forget();
    releaseStates(this);
    this.tensors.release();
  }

  /** Frees what was compiled for predictions. */
  async forget(): Promise<void> {
    await this.programs.clear();
  }

  private checkAlive(): void {
    if (this.disposed) throw new DescentError("The model was disposed of; make it anew.");
  }

  /** Runs a function of the network's inputs, compiled once for each of their shapes. */
  private runCompiled(
    kind: string,
    arrays: unknown,
    trace: (x: In, t: TraceContext) => Tree<Tensor>,
  ): Promise<unknown> {
    this.checkAlive();
    const types = mapTree(arrays, isNDArray, ({ shape, dtype }) => ({ shape, dtype })) as Types;
    const make = () => runnerOf(this.device, types, trace, { name: kind, training: false });
    return this.programs.outputsOf(`${kind} ${JSON.stringify(types)}`, make, arrays);
  }
}
