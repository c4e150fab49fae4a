import type { Executable } from "../backend/backend.ts";
import type { NumericArray } from "../core/dtype.ts";
import type { Arena, Tensor } from "../core/op.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import type { ResidentData } from "../data/resident.ts";
import { read, wholeArena } from "../graph/node.ts";
import { mixedPrecision } from "../graph/precision.ts";
import { type TracedProgram, traceProgram } from "../model/program.ts";
import type { TracedLayer } from "../nn/module.ts";
import { STATS } from "../ops/step/stats.ts";
import type { Rate } from "../optim/schedules.ts";
import type { OptimizerState } from "../optim/state.ts";
import { applyGradients, differentiate } from "../optim/steps.ts";
import type { AnyDataset } from "./data-sets.ts";
import { type Distribution, distributionOf, silentShare } from "./distribution.ts";
import type { LastBatch } from "./options.ts";
import { forward, leafLayers, type StepParts } from "./step.ts";
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

/** A training step seen from inside. */
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

/** Which steps are looked at, as `FitOptions` says, and how much of them. */
export interface InspectOptions {
  readonly batchSize: Rate;
  readonly epochs: number;
  readonly lastBatch?: LastBatch;
  readonly accumulate?: number;
  readonly images?: number;
}

/** Leaves of the network that compute something of their own. */
const shown = (layers: readonly TracedLayer[]) =>
  leafLayers(layers).filter(({ output }) => output.node.op?.implementation.kind !== "view");

/** The first `count` rows of a batch. */
function head(x: Tensor, count: number): Tensor {
  const starts = x.shape.map(() => 0);
  return x.shape[0]! <= count ? x : x.slice({ starts, ends: [count, ...x.shape.slice(1)] });
}

interface Looking {
  readonly traced: TracedProgram;
  readonly layers: readonly TracedLayer[];
}

/** The next training step with everything in it kept and nothing applied, in the precision of the training. */
function inspectionProgram(parts: StepParts, images: number): Looking {
  const { state, precision } = parts;
  const scaling = precision === "mixed";
  const row = (size: number) => ({ shape: [size], dtype: "f32" }) as const;
  const hyper = Object.fromEntries(
    state.parts.map(({ hyper, optimizer }) => [hyper, row(optimizer.hyperSize)]),
  );
  let own: readonly TracedLayer[] = [];
  const traced = traceProgram(`inspection, batch ${parts.source.batchSize}`, hyper, (_, t) => {
    const { layers, minimized: loss } = forward(parts, {}, t);
    own = shown(layers);
    const { gradients, others } = differentiate(
      state,
      loss,
      { scaling },
      own.map((layer) => layer.output),
    );
    const { stats, parameters } = applyGradients(state, loss, gradients, { scaling });
    const unscale = stats.slice({ starts: [STATS.unscale], ends: [STATS.unscale + 1] });
    const plain = (x: Tensor) => (scaling ? x.mul(unscale) : x);
    const outputs: Record<string, Tensor> = {};
    own.forEach((layer, i) => {
      outputs[`activations ${i}`] = head(layer.output, images);
      outputs[`gradients ${i}`] = plain(head(others[i]!, images));
    });
    const latest = new Map<Arena, Tensor>();
    state.parts.forEach(({ parameters: arena }, i) => {
      const before = read(wholeArena(arena));
      latest.set(arena, parameters[i]!);
      outputs[`packed ${i}`] = plain(gradients[i]!).mul(1);
      outputs[`values ${i}`] = before.mul(1);
    });
    for (const [i, { parameters: arena }] of state.parts.entries())
      outputs[`updates ${i}`] = latest.get(arena)!.sub(read(wholeArena(arena)));
    t.passes.length = 0; // nothing is to be updated
    return { outputs };
  });
  if (precision !== "mixed") return { traced, layers: own };
  const { program } = traced;
  const steps = Object.entries(program.outputs ?? {}).filter(([name]) => name.startsWith("updates"));
  const mixed = mixedPrecision(program, { ...program, outputs: Object.fromEntries(steps) });
  return { traced: { ...traced, program: mixed }, layers: own };
}

/** The network's output for images of a data set, in inference form. */
function predictionProgram(parts: StepParts): Looking {
  const traced = traceProgram(
    `prediction, batch ${parts.source.batchSize}`,
    {},
    (_, t) => ({ outputs: { output: forward(parts, {}, t).output } }),
    { training: false, precision: parts.precision },
  );
  return { traced, layers: [] };
}

/** The network on one image from the host, every layer's result kept. */
function pictureProgram({ model, state, precision, averaged }: StepParts, shape: Shape): Looking {
  let layers: readonly TracedLayer[] = [];
  const traced = traceProgram(
    "picture",
    { image: { shape: [1, ...shape], dtype: "f32" } },
    ({ image }, t) => {
      const pass = model.pass(image, t, averaged ? state.averages : undefined);
      layers = shown(pass.layers);
      const outputs: Record<string, Tensor> = { output: pass.output };
      layers.forEach((layer, i) => {
        outputs[`activations ${i}`] = layer.output;
      });
      return { outputs };
    },
    { training: false, precision },
  );
  return { traced, layers };
}

/**
 * Looks at a network while it trains, by programs of their own: they read its tensors and write none, so training gives
 * the same bits with and without. Use it between steps (`FitOptions.between`), and dispose of it before the trainer
 * goes back to a checkpoint.
 */
export class Probe {
  /** In the order of their last use. */
  private readonly programs: Program[] = [];

  constructor(private readonly trainer: Trainer<any>) {}

  /**
   * The next training step seen from inside: what every layer gives, the gradients, and what the update would be. Of a
   * step of several batches it is the first one. The run that goes on says how its epochs are divided; before it begins,
   * `lastBatch` and `accumulate` do.
   * @param options.images of how many images of the batch the layers' numbers are read back
   */
  inspect(set: AnyDataset, options: InspectOptions): Promise<Look> {
    return this.trainer.during(set, () => this.look(set, options));
  }

  private async look(set: AnyDataset, options: InspectOptions): Promise<Look> {
    const { images = 8 } = options;
    const { trainer } = this;
    const { state, step } = trainer;
    const next = trainer.next(set, options);
    const parts = trainer.parts(set, next.images);
    const { executable, layers } = await this.program(dataOf(parts), `inspect ${next.images} ${images}`, () =>
      inspectionProgram(parts, images),
    );
    executable.run(next.feeds);
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
    const arenas = state.parts.map(async ({ members, offsets }, i): Promise<ParameterLook[]> => {
      const [values, slopes, updates] = await Promise.all([
        get(`values ${i}`),
        get(`packed ${i}`),
        get(`updates ${i}`),
      ]);
      return members.map(({ name, offset, shape }, k) => {
        const part = (data: NumericArray, at: number) =>
          distributionOf(data.subarray(at, at + sizeOf(shape)));
        return {
          name,
          values: part(values, offset),
          gradients: part(slopes, offsets[k]!),
          updates: part(updates, offset),
        };
      });
    });
    return {
      step,
      layers: await Promise.all(layerLooks),
      parameters: (await Promise.all(arenas)).flat(),
    };
  }

  /** What is asked of the network is answered by the parameters' moving average where one is kept, as `evaluate` does. */
  private answering(set: AnyDataset, batchSize: number): StepParts {
    const { trainer } = this;
    return { ...trainer.parts(set, batchSize), averaged: trainer.state.averages.size > 0 };
  }

  /** The network's output for the first `count` images of a held-out set, row by row. */
  predict(set: AnyDataset, count: number): Promise<Float32Array> {
    return this.trainer.during(set, () => this.answer(set, count));
  }

  private async answer(set: AnyDataset, count: number): Promise<Float32Array> {
    const size = Math.min(count, PREDICTION_BATCH);
    const parts = this.answering(set, size);
    const { executable } = await this.program(dataOf(parts), `predict ${size}`, () =>
      predictionProgram(parts),
    );
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
    set: AnyDataset,
    image: { readonly shape: Shape; readonly data: Float32Array<ArrayBuffer> },
  ): Promise<{ output: Float32Array; layers: LayerPicture[] }> {
    const { executable, layers } = await this.program(this.trainer, `picture ${image.shape}`, () =>
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

  private program(owner: object, key: string, make: () => Looking): Promise<Compiled> {
    const { state } = this.trainer;
    const known = this.programs.find((one) => one.owner === owner && one.key === key && one.state === state);
    if (known) this.remove(known);
    const program = known ?? { owner, key, state, compiled: this.compile(make) };
    this.programs.push(program);
    // A failure is told to who asked; the next one tries again.
    program.compiled.catch(() => this.remove(program));
    if (this.programs.length > MOST_PROGRAMS) void this.free([this.programs.shift()!]);
    return program.compiled;
  }

  private remove(program: Program): void {
    const at = this.programs.indexOf(program);
    if (at >= 0) this.programs.splice(at, 1);
  }

  private async free(programs: readonly Program[]): Promise<void> {
    for (const one of await Promise.allSettled(programs.map(({ compiled }) => compiled)))
      if (one.status === "fulfilled") one.value.executable.dispose();
  }

  private async compile(make: () => Looking): Promise<Compiled> {
    const { traced, layers } = make();
    return { executable: await this.trainer.compile(traced.program), layers };
  }

  /** Frees its programs; the network stays. */
  async dispose(): Promise<void> {
    await this.free(this.programs.splice(0));
  }
}

/** A program by the very data that it looks at, what it looks for, and the state, another one once more is frozen. */
interface Program {
  readonly owner: object;
  readonly key: string;
  readonly state: OptimizerState;
  readonly compiled: Promise<Compiled>;
}

interface Compiled {
  readonly executable: Executable;
  readonly layers: readonly TracedLayer[];
}

/** The data that parts of a data set's programs gather from. */
function dataOf({ source }: StepParts): ResidentData {
  if (!("data" in source)) throw new Error("Only data sets are looked at.");
  return source.data;
}

const PREDICTION_BATCH = 250;
/** Programs that are kept for further looks. */
const MOST_PROGRAMS = 8;
