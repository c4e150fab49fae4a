import type { Executable } from "../backend/backend.ts";
import type { NumericArray } from "../core/dtype.ts";
import { callOp, type Tensor } from "../core/op.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import { gradients } from "../graph/autodiff.ts";
import { feed, read, wholeArena } from "../graph/node.ts";
import type { Program } from "../graph/program.ts";
import { Trace, type TracedLayer } from "../nn/module.ts";
import { pack } from "../ops/layout/layout.ts";
import { gradientStats } from "../ops/step/step.ts";
import { type Distribution, distributionOf, silentShare } from "./distribution.ts";
import type { TrainingData } from "./options.ts";
import { counters, forward, type StepParts } from "./step.ts";
import type { Trainer } from "./trainer.ts";

/** What one layer did in a step: its results, and the loss's gradient in them. */
export interface LayerLook {
  readonly path: string;
  readonly label: string;
  readonly activations: Distribution;
  readonly gradients: Distribution;
  /** The share of units, channels or features, that were 0 for every image looked at: dead, after a ReLU. */
  readonly silent: number;
}

/** A parameter, its gradient and what the step would add to it. */
export interface ParameterLook {
  readonly name: string;
  readonly values: Distribution;
  readonly gradients: Distribution;
  readonly updates: Distribution;
}

export interface Look {
  /** Steps trained when it was taken. */
  readonly step: number;
  readonly layers: readonly LayerLook[];
  readonly parameters: readonly ParameterLook[];
}

/** One layer's results for one image. */
export interface LayerPicture {
  readonly path: string;
  readonly label: string;
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** Leaves of the network that compute something of their own. */
const shown = (layers: readonly TracedLayer[]) =>
  layers.filter(({ module, output }) => !module.children && output.node.op?.implementation.kind !== "view");

/** The first `count` rows of a batch. */
function head(x: Tensor, count: number): Tensor {
  const starts = x.shape.map(() => 0);
  return x.shape[0]! <= count ? x : x.slice({ starts, ends: [count, ...x.shape.slice(1)] });
}

/** The next training step with everything in it kept and nothing applied. */
function inspectionProgram(parts: StepParts, images: number): { program: Program; layers: TracedLayer[] } {
  const { state } = parts;
  const { layers, loss } = forward(parts, true);
  const own = shown(layers);
  const targets = state.parameterVariables.map(read);
  const grads = gradients(loss, [...own.map((layer) => layer.output), ...targets]);
  const outputs: Record<string, Tensor> = {};
  own.forEach((layer, i) => {
    outputs[`activations ${i}`] = head(layer.output, images);
    outputs[`gradients ${i}`] = head(grads[i]!, images);
  });
  const packed = state.parameterArenas.map(({ arena, variables }) =>
    pack(
      variables.map((v) => grads[own.length + state.parameterVariables.indexOf(v)]!),
      {
        offsets: variables.map((v) => v.offset),
        size: arena.size,
      },
    ),
  );
  const stats = gradientStats(read(state.stats), loss, packed);
  const hyper = feed("hyper", [state.optimizer.hyperSize]);
  state.parameterArenas.forEach(({ arena, slots }, i) => {
    const before = read(wholeArena(arena));
    const [after] = callOp(state.optimizer.op, [before, packed[i]!, ...slots.map(read), hyper, stats]);
    outputs[`values ${i}`] = before.mul(1);
    outputs[`packed ${i}`] = packed[i]!;
    outputs[`updates ${i}`] = after!.sub(before);
  });
  return { program: { name: `inspection, batch ${parts.batchSize}`, outputs }, layers: own };
}

/** The network's output for images of a data set, in inference form. */
function predictionProgram(parts: StepParts): Program {
  return { name: `prediction, batch ${parts.batchSize}`, outputs: { output: forward(parts, false).output } };
}

/** The network on one image from the host, every layer's result kept. */
function pictureProgram(parts: StepParts, shape: Shape): { program: Program; layers: TracedLayer[] } {
  const { state, averaged } = parts;
  const source = {
    counters: counters(),
    parameter: averaged ? state.averageValue.bind(state) : state.value.bind(state),
    buffer: state.value.bind(state),
  };
  const trace = new Trace(state.model, source, false);
  const output = trace.run(state.model, feed("image", [1, ...shape]));
  const layers = shown(trace.layers);
  const outputs: Record<string, Tensor> = { output };
  layers.forEach((layer, i) => {
    outputs[`activations ${i}`] = layer.output;
  });
  return { program: { name: "picture", outputs }, layers };
}

/**
 * Looks at a network while it trains, by programs of their own: they read its tensors and write none, so training gives
 * the same bits with and without. Use it between steps (`FitOptions.between`), and dispose of it before the trainer
 * goes back to a checkpoint.
 */
export class Probe {
  private readonly compiled = new Map<string, Promise<{ executable: Executable; layers: TracedLayer[] }>>();

  constructor(private readonly trainer: Trainer) {}

  /**
   * The next training step seen from inside: what every layer gives, the gradients, and what the update would be.
   * @param options.images of how many images of the batch the layers' numbers are read back
   */
  async inspect(
    set: TrainingData,
    options: { batchSize: number; epochs: number; images?: number },
  ): Promise<Look> {
    const { batchSize, epochs, images = 8 } = options;
    const { trainer } = this;
    const { state, step } = trainer;
    const parts = trainer.parts(set, batchSize);
    const { executable, layers } = await this.program(`inspect ${batchSize}`, () =>
      inspectionProgram(parts, images),
    );
    const stepsPerEpoch = Math.ceil(parts.data.count / batchSize);
    const position = (step % stepsPerEpoch) * batchSize;
    executable.run(trainer.feeds(step, position, Math.max(step + 1, stepsPerEpoch * epochs)));
    const get = async (name: string) => (await executable.fetch(name)).data;
    const layerLooks = layers.map(async ({ path, module, output }, i): Promise<LayerLook> => {
      const [activations, slopes] = await Promise.all([get(`activations ${i}`), get(`gradients ${i}`)]);
      return {
        path,
        label: module.label,
        activations: distributionOf(activations),
        gradients: distributionOf(slopes),
        silent: silentShare(activations, output.shape),
      };
    });
    const arenas = state.parameterArenas.map(async ({ variables }, i): Promise<ParameterLook[]> => {
      const [values, slopes, updates] = await Promise.all([
        get(`values ${i}`),
        get(`packed ${i}`),
        get(`updates ${i}`),
      ]);
      return variables.map(({ name, offset, shape }) => {
        const part = (data: NumericArray) => distributionOf(data.subarray(offset, offset + sizeOf(shape)));
        return { name, values: part(values), gradients: part(slopes), updates: part(updates) };
      });
    });
    return {
      step,
      layers: await Promise.all(layerLooks),
      parameters: (await Promise.all(arenas)).flat(),
    };
  }

  /** What is asked of the network is answered by the parameters' moving average where one is kept, as `evaluate` does. */
  private answering(set: TrainingData, batchSize: number): StepParts {
    const { trainer } = this;
    return { ...trainer.parts(set, batchSize), averaged: trainer.state.averages.size > 0 };
  }

  /** The network's output for the first `count` images of a held-out set, row by row. */
  async predict(set: TrainingData, count: number): Promise<Float32Array> {
    const size = Math.min(count, PREDICTION_BATCH);
    const parts = this.answering(set, size);
    const { executable } = await this.program(`predict ${parts.data.name} ${size}`, () => ({
      program: predictionProgram(parts),
      layers: [],
    }));
    let rows: Float32Array | undefined;
    for (let at = 0; at < count; at += size) {
      // The last batch reaches back, so that one compiled batch size serves them all.
      const from = Math.max(0, Math.min(at, count - size));
      executable.run({ counters: Uint32Array.of(0, 0, from, 0) });
      const data = (await executable.fetch("output")).data as Float32Array;
      rows ??= new Float32Array((data.length / size) * count);
      rows.set(data, (data.length / size) * from);
    }
    return rows ?? new Float32Array(0);
  }

  /** The network on one normalised image [C, H, W]: its output, and what each layer makes of it. */
  async picture(
    set: TrainingData,
    image: { readonly shape: Shape; readonly data: Float32Array<ArrayBuffer> },
  ): Promise<{ output: Float32Array; layers: LayerPicture[] }> {
    const { executable, layers } = await this.program(`picture ${image.shape}`, () =>
      pictureProgram(this.answering(set, 1), image.shape),
    );
    executable.run({ image: image.data });
    const get = async (name: string) => (await executable.fetch(name)).data as Float32Array;
    const [output, ...results] = await Promise.all([
      get("output"),
      ...layers.map((_, i) => get(`activations ${i}`)),
    ]);
    return {
      output: output!,
      layers: layers.map(({ path, module, output: { shape } }, i) => ({
        path,
        label: module.label,
        shape: shape.slice(1),
        data: results[i]!,
      })),
    };
  }

  private program(key: string, make: () => { program: Program; layers: TracedLayer[] }) {
    let compiled = this.compiled.get(key);
    if (!compiled) {
      const { program, layers } = make();
      compiled = this.trainer.compile(program).then((executable) => ({ executable, layers }));
      this.compiled.set(key, compiled);
    }
    return compiled;
  }

  /** Frees its programs; the network stays. */
  async dispose(): Promise<void> {
    const all = [...this.compiled.values()];
    this.compiled.clear();
    for (const one of await Promise.allSettled(all))
      if (one.status === "fulfilled") one.value.executable.dispose();
  }
}

const PREDICTION_BATCH = 250;
