import { ShapeError } from "../core/errors.ts";
import type { Arena, Tensor, Variable } from "../core/op.ts";
import { showType, sizeOf } from "../core/shape.ts";
import type { Tree } from "../core/tree.ts";
import type { ResidentData } from "../data/resident.ts";
import { gradients } from "../graph/autodiff.ts";
import { read, standalone, wholeArena } from "../graph/node.ts";
import { labelsOf } from "../model/evaluate.ts";
import type { Model } from "../model/model.ts";
import {
  isTensor,
  type Precision,
  statisticUpdates,
  type Traced,
  type TracedProgram,
  type Types,
  traceProgram,
  type Updates,
} from "../model/program.ts";
import type { TraceContext } from "../model/tracing.ts";
import type { Loss } from "../nn/losses.ts";
import type { Metric } from "../nn/metrics.ts";
import type { TracedLayer } from "../nn/module.ts";
import { batchIndices } from "../ops/data/batch-indices.ts";
import { constant } from "../ops/elementwise/unary.ts";
import { MOST_VALUES, recordRow } from "../ops/step/record-row.ts";
import { STATS_SIZE } from "../ops/step/stats.ts";
import { recordMetrics, updateStatistics } from "../ops/step/step.ts";
import { applyGradients, differentiate, type OptimizerState } from "../optim/state.ts";

export type { Precision };

/** Rows of the metrics rings; the host reads them before they wrap. */
export const RING_ROWS = 1024;

/** Where a batch comes from: a data set on the device, in an order that is uploaded, or the host, run by run. */
export type Source =
  | { readonly data: ResidentData; readonly order: Variable; readonly batchSize: number }
  | {
      readonly types: Types;
      readonly batch: (inputs: any) => { x: unknown; y: unknown };
      readonly batchSize: number;
    };

/** What programs over a network and its training are made of. */
export interface StepParts {
  readonly model: Model<any, any>;
  readonly state: OptimizerState;
  readonly source: Source;
  readonly lossOf: Loss;
  /** By their names, beside the loss. */
  readonly metrics: Readonly<Record<string, Metric>>;
  readonly precision: Precision;
  /** Computes with the parameters' moving average, which the optimizer must keep. */
  readonly averaged?: boolean;
}

/** Rows of a run's numbers: loss, right predictions, gradient norm, status; and those of the metrics. */
export interface Rings {
  readonly main: Variable;
  readonly metrics: Variable | undefined;
}

export function makeRings(metrics: Readonly<Record<string, Metric>>): Rings {
  const width = Object.keys(metrics).length;
  return {
    main: standalone("metrics ring", [RING_ROWS, 4]),
    metrics: width > 0 ? standalone("metrics ring, own", [RING_ROWS, width]) : undefined,
  };
}

/** A traced step, and how many labels an example has, of which a share is predicted right: 0 where targets are no labels. */
export interface StepProgram extends TracedProgram {
  readonly labels: number;
}

export interface Forward {
  readonly layers: readonly TracedLayer[];
  readonly output: Tree<Tensor>;
  readonly target: Tree<Tensor>;
  readonly loss: Tensor;
  /** How many labels an example has. */
  readonly labels: number;
  /** Rows of logits and their labels, of which the metrics count the right ones; nothing where targets are not labels. */
  readonly predictions: readonly Tensor[];
}

/** @throws ShapeError when what a loss or metric gives is not one f32 number. */
function oneNumber(what: string, value: unknown): Tensor {
  if (isTensor(value) && value.dtype === "f32" && sizeOf(value.shape) === 1) return value;
  throw new ShapeError(
    `The ${what} gives ${isTensor(value) ? showType(value) : "no tensor"}; give one f32 number, a mean for instance.`,
  );
}

/** Batch, network and loss. */
export function forward(
  { model, state, source, lossOf, averaged }: StepParts,
  inputs: unknown,
  t: TraceContext,
): Forward {
  const { x, y } =
    "data" in source
      ? source.data.batch(batchIndices(read(source.order), t.counters, { count: source.batchSize }))
      : source.batch(inputs);
  const { output, layers } = model.pass(x, t, averaged ? state.averages : undefined);
  const loss = oneNumber("loss", lossOf(output, y as Tensor));
  const labels = labelsOf(output, y);
  const [logits, targets] = [output, y] as [Tensor, Tensor];
  return {
    layers,
    output,
    target: y as Tree<Tensor>,
    loss,
    labels,
    predictions:
      labels > 0
        ? [logits.reshape({ shape: [-1, logits.shape.at(-1)!] }), targets.reshape({ shape: [-1] })]
        : [],
  };
}

const typesOf = (source: Source): Types => ("types" in source ? source.types : {});

/** The updates that put a run's numbers into its row. */
function record(
  { metrics }: StepParts,
  rings: Rings,
  t: TraceContext,
  { loss, output, target, predictions }: Forward,
  stats: Tensor,
): Updates {
  const row = recordMetrics(read(rings.main), t.counters, loss, stats, predictions);
  const updates = [{ variable: rings.main, value: row }];
  if (!rings.metrics) return updates;
  const values = Object.entries(metrics).map(([name, metric]) =>
    oneNumber(`metric "${name}"`, metric(output as Tensor, target as Tensor)),
  );
  let own = read(rings.metrics);
  for (let at = 0; at < values.length; at += MOST_VALUES)
    own = recordRow(own, t.counters, values.slice(at, at + MOST_VALUES), { at });
  return [...updates, { variable: rings.metrics, value: own }];
}

/** Traces a program that begins with the network and its loss on a batch. */
function traceStep(
  name: string,
  inputs: Types,
  parts: StepParts,
  trace: (pass: Forward, t: TraceContext, inputs: any) => Traced,
  options: { readonly training?: boolean; readonly precision: Precision },
): StepProgram {
  let labels = 0;
  const traced = traceProgram(
    name,
    inputs,
    (tensors, t) => {
      const pass = forward(parts, tensors, t);
      labels = pass.labels;
      return trace(pass, t, tensors);
    },
    options,
  );
  return { ...traced, labels };
}

/** One training step: forward, backward, clip, update, running statistics, one row of metrics. */
export function trainingProgram(parts: StepParts, rings: Rings): StepProgram {
  const { state, source, precision } = parts;
  const scaling = precision === "mixed";
  return traceStep(
    `training step, batch ${source.batchSize}`,
    typesOf(source),
    parts,
    (pass, t) => {
      const { gradients } = differentiate(state, pass.loss, { scaling });
      const minimization = applyGradients(state, pass.loss, gradients, { scaling });
      return { updates: [minimization, record(parts, rings, t, pass, minimization.stats)] };
    },
    { precision },
  );
}

/** What the parts of a split step leave for one another on the device. */
export interface Between {
  /** The loss that goes with the gradients in the arenas. */
  readonly loss: Variable;
  /** Where the running statistics of an arena wait until the update is applied. */
  statistics(running: Arena): Variable;
  /** Those that have been asked for. */
  readonly waiting: ReadonlyMap<Arena, Variable>;
}

/** What part of its step a batch is: fed by the host, so that one program serves them all. */
const SHARE = "share";

/**
 * The first half of a split step: adds a batch's share of the gradients to those in the arena, and of the running
 * statistics to those that wait. `first` is the form that begins a sum instead of going on with it.
 */
export function gradientProgram(
  parts: StepParts,
  rings: Rings,
  between: Between,
  first: boolean,
): StepProgram {
  const { state, source, precision } = parts;
  const scaling = precision === "mixed";
  return traceStep(
    `gradients, batch ${source.batchSize}`,
    { ...(typesOf(source) as object), [SHARE]: { shape: [], dtype: "f32" } } as Types,
    parts,
    (pass, t, inputs) => {
      const share = pass.loss.mul(inputs[SHARE]);
      const { gradients } = differentiate(state, share, { scaling });
      const none = constant({ value: 0, shape: [STATS_SIZE] });
      const statistics = statisticUpdates(t.passes, new Map(), (running) =>
        read(first ? running : between.statistics(running.arena)),
      ).map(({ variable, value }) => ({ variable: between.statistics(variable.arena), value }));
      t.passes.length = 0; // their statistics wait for the update
      return {
        updates: [
          ...gradients.map((gradient, i) => {
            const variable = state.gradients[i]!;
            return { variable, value: first ? gradient : read(variable).add(gradient) };
          }),
          { variable: between.loss, value: first ? share.mul(1) : read(between.loss).add(share) },
          ...statistics,
          record(parts, rings, t, pass, none),
        ],
      };
    },
    { precision },
  );
}

/** Clip and update by the gradients in the arena: the second half of a split step. */
export function updateProgram({ state, precision }: StepParts, rings: Rings, between: Between): StepProgram {
  const traced = traceProgram("update", {}, (_, t) => {
    const loss = read(between.loss);
    const minimization = applyGradients(state, loss, state.gradients.map(read), {
      scaling: precision === "mixed",
    });
    const row = recordMetrics(read(rings.main), t.counters, loss, minimization.stats, []);
    const statistics = [...between.waiting].map(([arena, waiting]) => {
      const all = constant({ value: 1, shape: [arena.size] });
      const running = wholeArena(arena);
      return {
        variable: running,
        value: updateStatistics(read(running), read(waiting), all, all, minimization.stats),
      };
    });
    return { updates: [minimization, { variable: rings.main, value: row }, ...statistics] };
  });
  return { ...traced, labels: 0 };
}

/** One evaluation batch: inference form, one row of metrics. */
export function evaluationProgram(parts: StepParts, rings: Rings): StepProgram {
  const { source, precision } = parts;
  return traceStep(
    `evaluation, batch ${source.batchSize}`,
    typesOf(source),
    parts,
    (pass, t) => {
      const none = constant({ value: 0, shape: [STATS_SIZE] });
      return { updates: record(parts, rings, t, pass, none) };
    },
    { precision, training: false },
  );
}

/** Leaves of the network: layers without parts. */
export const leafLayers = (layers: readonly TracedLayer[]) => layers.filter(({ module }) => !module.children);

/**
 * The forward and backward pass of a step with every layer's result and gradient kept, to find what is not finite. The
 * loss is not scaled: a step is halted for its gradients only when no scale helps.
 */
export function diagnosticProgram(parts: StepParts): {
  traced: TracedProgram;
  layers: readonly TracedLayer[];
  parameters: readonly Variable[];
} {
  const { model, source, precision } = parts;
  const parameters = model.parameters.filter((variable) => !model.frozen.has(variable));
  let own: readonly TracedLayer[] = [];
  const traced = traceProgram(
    "diagnosis",
    typesOf(source),
    (inputs, t) => {
      const { layers, loss } = forward(parts, inputs, t);
      own = leafLayers(layers);
      const grads = gradients(loss, [...own.map((layer) => layer.output), ...parameters.map(read)]);
      const outputs: Record<string, Tensor> = { loss };
      own.forEach((layer, i) => {
        outputs[`layer ${i}`] = layer.output;
        outputs[`gradient ${i}`] = grads[i]!;
      });
      parameters.forEach((_, i) => {
        outputs[`parameter ${i}`] = grads[own.length + i]!;
      });
      t.passes.length = 0; // nothing is to be updated
      return { outputs };
    },
    { precision },
  );
  return { traced, layers: own, parameters };
}
