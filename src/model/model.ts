import type { Backend } from "../backend/backend.ts";
import { CheckpointError, DescentError, OptionError, ShapeError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import type { Tensor, Variable } from "../core/op.ts";
import { type Shape, showShape, sizeOf, type TensorType } from "../core/shape.ts";
import { leavesOf, type Mapped, mapTree, type Tree } from "../core/tree.ts";
import { read } from "../graph/node.ts";
import { decodeTensors, encodeTensors, type TensorFile } from "../interchange/safetensors.ts";
import { describe } from "../nn/describe.ts";
import { type AnyModule, type Module, Trace, type TracedLayer } from "../nn/module.ts";
import { releaseStates } from "../optim/minimize.ts";
import { matches } from "../optim/optimizer.ts";
import type { Trainable } from "../optim/state.ts";
import { type Compiled, compile, type DeviceTensor, Result } from "./compile.ts";
import { checkFinite, checkFit, compareFile, countersOf, type LoadReport, stored } from "./files.ts";
import { feedsOf, hostArray, isTensor, type Types } from "./program.ts";
import { type Summary, showSummary, summaryRows } from "./summary.ts";
import { ModelTensors } from "./tensors.ts";
import { Tracing } from "./tracing.ts";

export interface ModelOptions {
  /** Decides the initial parameters: a whole number from 0 to 2³² − 1; 0 unless given. */
  readonly seed?: number;
  /** What the network's outputs are called, in their order. */
  readonly labels?: readonly string[];
  /** Mean and deviation of each channel, in units of 0..1, by which images of bytes are normalised. */
  readonly normalization?: Normalization;
}

export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Numbers for one input of a model: nested arrays, or a flat array with its shape; bytes are images to be normalised. */
export type ModelInput = readonly Numbers[] | NDArray;
type Numbers = number | readonly Numbers[];

/** A tensor of a model: a parameter or a running statistic. */
export interface ModelTensor extends DeviceTensor {
  readonly name: string;
  /** Its numbers. */
  read(): Promise<NDArray>;
  /** @throws DescentError when there are not exactly as many numbers as it holds. */
  write(values: ArrayLike<number>): void;
}

export interface Guess {
  readonly label: string;
  readonly probability: number;
}

const isArray = (x: unknown): x is NDArray =>
  typeof x === "object" && x !== null && "data" in x && "shape" in x;
/** An array of numbers, nested or not, is one input; an array of anything else is a list of inputs. */
const isHostInput = (x: unknown): x is ModelInput =>
  isArray(x) || typeof x === "number" || ArrayBuffer.isView(x) || (Array.isArray(x) && isNumbers(x));
const isNumbers = (x: unknown): boolean =>
  typeof x === "number" || ArrayBuffer.isView(x) || (Array.isArray(x) && x.every(isNumbers));

const isResult = (x: unknown): x is Result => x instanceof Result;

/** The numbers of all results of a run. */
async function readAll(results: unknown): Promise<unknown> {
  const arrays = new Map<string, NDArray>();
  for (const { path, leaf } of leavesOf(results, isResult)) arrays.set(path, await leaf.read());
  return mapTree(results, isResult, (_, path) => arrays.get(path));
}

/** Programs that are kept for further inputs of the same shapes; the one that was used longest ago goes first. */
const MOST_PROGRAMS = 8;
const MOST_SEED = 2 ** 32;

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
  readonly tensors: ModelTensors;
  readonly frozen = new Set<Variable>();
  labels: readonly string[] | undefined;
  normalization: Normalization | undefined;
  /** Batches that the running statistics have seen: PyTorch's num_batches_tracked. */
  batchesTracked = 0;
  private readonly programs = new Map<string, Compiled<any, any>>();
  private disposed = false;

  constructor(
    readonly device: Backend,
    readonly network: Module<In, Out>,
    options: ModelOptions = {},
  ) {
    const { seed = 0, labels, normalization } = options;
    if (typeof device !== "object" || device === null || !("compile" in device))
      throw new OptionError("new Model: the first argument is no device; pass what await gpu() gives.");
    if (typeof network !== "object" || network === null || typeof network.forward !== "function")
      throw new OptionError(
        "new Model: the second argument is no network; pass a layer or nn.sequential(…).",
      );
    if (!Number.isInteger(seed) || seed < 0 || seed >= MOST_SEED)
      throw new OptionError(`The seed is ${seed}; use a whole number from 0 to ${MOST_SEED - 1}.`);
    this.tensors = new ModelTensors(device, network, seed);
    this.labels = labels;
    this.normalization = normalization;
  }

  get seed(): number {
    return this.tensors.seed;
  }

  get parameters(): readonly Variable[] {
    return this.tensors.parameterVariables;
  }

  /** The network within a trace: `t` is what the traced function received. */
  forward(x: In, t: Tracing, substitutes?: Substitutes): Out {
    return this.pass(x, t, substitutes).output;
  }

  /** The network within a trace, with every layer's result. */
  pass(x: In, t: Tracing, substitutes?: Substitutes): { output: Out; layers: readonly TracedLayer[] } {
    if (this.disposed) throw new DescentError("The model was disposed of; make it anew.");
    if (!(t instanceof Tracing))
      throw new OptionError(
        "forward: the second argument is missing; pass the t that the traced function of compile receives.",
      );
    const { tensors } = this;
    const current = (module: AnyModule, key: string): Tensor => {
      const variable = tensors.variable(module, key);
      return read(substitutes?.get(variable) ?? variable);
    };
    const source = {
      counters: t.counters,
      parameter: current,
      buffer: current,
      nextLayer: () => t.nextLayer(),
    };
    const trace = new Trace(this.network, source, t.training);
    const output = trace.run(this.network, x);
    if (t.training) t.passes.push({ model: this, trace });
    return { output, layers: trace.layers };
  }

  /**
   * The network's output for a batch, with running statistics and without dropout.
   * @throws ShapeError when the network does not take such inputs.
   */
  async predict(inputs: Mapped<In, Tensor, ModelInput>): Promise<Mapped<Out, Tensor, NDArray>> {
    const arrays = this.hostInputs(inputs);
    const run = this.program("predict", arrays, (x, t) => this.forward(x, t));
    return readAll(await run(arrays)) as Promise<Mapped<Out, Tensor, NDArray>>;
  }

  /** What the network says of one input, by the probabilities of its classes (softmax of its outputs), best first. */
  async classify(
    input: Mapped<In, Tensor, ModelInput>,
    { top = 1 }: { readonly top?: number } = {},
  ): Promise<Guess[]> {
    if (!Number.isInteger(top) || top < 1)
      throw new OptionError(`classify: top is ${top}; use a whole number of at least 1.`);
    const arrays = mapTree(this.hostInputs(input), isArray, (x) => ({ ...x, shape: [1, ...x.shape] }));
    const run = this.program("classify", arrays, (x, t) => {
      const output = this.forward(x, t);
      if (!isTensor(output) || output.shape.length !== 2)
        throw new ShapeError("classify: the network gives no row of numbers for each class; use predict.");
      return output.softmax({ axis: 1 });
    });
    const { data } = (await readAll(await run(arrays))) as NDArray;
    const { labels } = this;
    return Array.from(data, (probability, i) => ({ label: labels?.[i] ?? String(i), probability }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, top);
  }

  /** The network's output for a batch and every layer's result, by the layers' paths. */
  async trace(
    inputs: Mapped<In, Tensor, ModelInput>,
  ): Promise<{ output: Mapped<Out, Tensor, NDArray>; activations: Record<string, NDArray> }> {
    const arrays = this.hostInputs(inputs);
    const run = this.program("trace", arrays, (x, t) => {
      const { output, layers } = this.pass(x, t);
      const inner = layers.filter(({ path }) => path !== "");
      return { output, activations: Object.fromEntries(inner.map((layer) => [layer.path, layer.output])) };
    });
    return (await readAll(await run(arrays))) as never;
  }

  /**
   * A parameter or running statistic by its name in checkpoints, `0.weight`.
   * @throws OptionError for a name that the model does not have.
   */
  tensor(name: string): ModelTensor {
    const variable = this.tensors.all.find((candidate) => candidate.name === name);
    if (!variable)
      throw new OptionError(
        `The model has no tensor "${name}"; it has ${this.tensors.all.map((v) => v.name).join(", ") || "none"}.`,
      );
    const { device } = this;
    const { shape, dtype } = variable;
    return {
      name,
      shape,
      dtype,
      variable,
      read: async () => ({ shape, dtype, data: await device.read(variable) }),
      write: (values) => device.write(variable, Float32Array.from(values)),
    };
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

  /** `load` of a file that is decoded already. */
  restore(file: TensorFile, { strict = true, name = "The file" } = {}): LoadReport {
    const report = compareFile(this.tensors, file);
    if (strict) checkFit(this.tensors, report, file, name);
    else if (report.loaded.length === 0)
      throw new CheckpointError(`${name} has no tensor that the network has; it belongs to another network.`);
    checkFinite(report.loaded, file, name);
    for (const key of report.loaded) this.tensor(key).write(file.tensors.get(key)!.data as Float32Array);
    const [counter] = countersOf(this.tensors);
    const count = counter === undefined ? undefined : file.tensors.get(counter);
    this.batchesTracked = count?.dtype === "I64" ? Number(count.data[0] ?? 0n) : 0;
    const { normalization } = file.metadata;
    if (normalization) this.normalization = JSON.parse(normalization);
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

  /** Network, labels and preprocessing, as strings in a file's metadata. */
  description(): Record<string, string> {
    const network = describe(this.network);
    return {
      ...(!("unknown" in network) && { network: JSON.stringify(network) }),
      ...(this.labels && { labels: JSON.stringify(this.labels) }),
      ...(this.normalization && { normalization: JSON.stringify(this.normalization) }),
    };
  }

  /** The model's file as bytes, for a download. */
  async encode(metadata?: Readonly<Record<string, string>>): Promise<Uint8Array<ArrayBuffer>> {
    return encodeTensors(await this.file(metadata));
  }

  /**
   * A table of the layers for a batch of the given shape (a batch of one where the first layer says what it takes):
   * results, parameters, operations and bytes. Nothing is computed.
   */
  summary(input: Tree<TensorType> | Shape): Summary {
    const types = Array.isArray(input) ? { shape: input as Shape, dtype: "f32" as const } : input;
    const t = new Tracing(false);
    const x = feedsOf(types as Types);
    const rows = summaryRows(this.pass(x as In, t).layers);
    const count = (list: readonly Variable[]) => list.reduce((n, { shape }) => n + sizeOf(shape), 0);
    const summary = {
      rows,
      parameters: count(this.parameters),
      trained: count(this.parameters.filter((variable) => !this.frozen.has(variable))),
      flops: rows.reduce((n, row) => n + row.flops, 0),
      bytes: 4 * count(this.tensors.all),
    };
    return { ...summary, toString: () => showSummary(summary) };
  }

  /**
   * Keeps the parameters that fit a pattern (`0.**`, `*.bias`) as they are: no gradient, no update, no backward pass
   * behind them. For steps that are compiled from now on.
   * @throws OptionError when none fits.
   */
  freeze(pattern: string): void {
    const found = this.parameters.filter(({ name }) => matches(pattern, name));
    if (found.length === 0)
      throw new OptionError(
        `freeze: no parameter fits "${pattern}"; there are ${this.parameters.map(({ name }) => name).join(", ")}.`,
      );
    for (const variable of found) this.frozen.add(variable);
  }

  /** Frees the tensors and what was compiled. */
  async dispose(): Promise<void> {
    this.disposed = true;
    await this.forget();
    releaseStates(this);
    this.tensors.release();
  }

  /** Frees what was compiled for predictions. */
  async forget(): Promise<void> {
    const programs = [...this.programs.values()];
    this.programs.clear();
    for (const program of programs) await program.dispose();
  }

  private hostInputs(inputs: unknown): unknown {
    return mapTree(inputs, isHostInput, (x, path) => {
      const array = isArray(x) ? x : hostArray(x as readonly number[]);
      return array.dtype === "u8" ? this.normalized(array, path) : array;
    });
  }

  /** Bytes of images [..., C, H, W] as the network was trained on them. */
  private normalized({ shape, data }: NDArray, path: string): NDArray {
    const { normalization } = this;
    const channels = shape.at(-3);
    if (!normalization || channels !== normalization.mean.length)
      throw new OptionError(
        `${path === "" ? "The input" : path} is u8${showShape(shape)}, and the model ${normalization ? `normalises images of ${normalization.mean.length} channels` : "has no normalization for images of bytes"}; give numbers as the network takes them, or images that fit.`,
      );
    const plane = (shape.at(-2) ?? 1) * (shape.at(-1) ?? 1);
    const { mean, std } = normalization;
    const values = Float32Array.from(data, (byte, i) => {
      const channel = Math.floor(i / plane) % channels;
      return (byte / 255 - mean[channel]!) / std[channel]!;
    });
    return { shape, dtype: "f32", data: values };
  }

  private program(
    kind: string,
    arrays: unknown,
    trace: (x: In, t: Tracing) => unknown,
  ): (arrays: unknown) => Promise<unknown> {
    if (this.disposed) throw new DescentError("The model was disposed of; make it anew.");
    const types = mapTree(arrays, isArray, ({ shape, dtype }) => ({ shape, dtype }));
    const key = `${kind} ${JSON.stringify(types)}`;
    let compiled = this.programs.get(key);
    if (compiled) this.programs.delete(key);
    else {
      compiled = compile(this.device, types as TensorType, trace as never, { name: kind, training: false });
    }
    this.programs.set(key, compiled);
    if (this.programs.size > MOST_PROGRAMS) {
      const [oldest, program] = this.programs.entries().next().value!;
      this.programs.delete(oldest);
      void program.dispose();
    }
    return compiled as (arrays: unknown) => Promise<unknown>;
  }
}
