import type { Tensor, Variable } from "../core/op.ts";
import type { Tree } from "../core/tree.ts";
import type { ResidentData } from "../data/resident.ts";
import { gradients } from "../graph/autodiff.ts";
import { read, standalone } from "../graph/node.ts";
import type { Model } from "../model/model.ts";
import {
  isTensor,
  type Precision,
  type TracedProgram,
  type Types,
  traceProgram,
  type Updates,
} from "../model/program.ts";
import type { Tracing } from "../model/tracing.ts";
import type { Loss } from "../nn/losses.ts";
import type { Metric } from "../nn/metrics.ts";
import type { TracedLayer } from "../nn/module.ts";
import { batchIndices } from "../ops/data/batch.ts";
import { constant } from "../ops/elementwise/unary.ts";
import { MOST_VALUES, recordRow } from "../ops/step/record-row.ts";
import { STATS_SIZE } from "../ops/step/stats.ts";
import { recordMetrics } from "../ops/step/step.ts";
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

export interface Forward {
  readonly layers: readonly TracedLayer[];
  readonly output: Tree<Tensor>;
  readonly target: Tree<Tensor>;
  readonly loss: Tensor;
  /** Logits and labels, of which the metrics count the right ones; nothing where targets are not labels. */
  readonly predictions: readonly Tensor[];
}

/** Batch, network and loss. */
export function forward(
  { model, state, source, lossOf, averaged }: StepParts,
  inputs: unknown,
  t: Tracing,
): Forward {
  const { x, y } =
    "data" in source
      ? source.data.batch(batchIndices(read(source.order), t.counters, { count: source.batchSize }))
      : source.batch(inputs);
  const { output, layers } = model.pass(x, t, averaged ? state.averages : undefined);
  const loss = lossOf(output, y as Tensor);
  const labelled =
    isTensor(y) && isTensor(output) && y.dtype === "i32" && y.shape.length === 1 && output.shape.length === 2;
  return {
    layers,
    output,
    target: y as Tree<Tensor>,
    loss,
    predictions: labelled ? [output, y as Tensor] : [],
  };
}

const typesOf = (source: Source): Types => ("types" in source ? source.types : {});

/** The updates that put a run's numbers into its row. */
function record(
  { metrics }: StepParts,
  rings: Rings,
  t: Tracing,
  { loss, output, target, predictions }: Forward,
  stats: Tensor,
): Updates {
  const row = recordMetrics(read(rings.main), t.counters, loss, stats, predictions);
  const updates = [{ variable: rings.main, value: row }];
  if (!rings.metrics) return updates;
  const values = Object.values(metrics).map((metric) => metric(output as Tensor, target as Tensor));
  let own = read(rings.metrics);
  for (let at = 0; at < values.length; at += MOST_VALUES)
    own = recordRow(own, t.counters, values.slice(at, at + MOST_VALUES), { at });
  return [...updates, { variable: rings.metrics, value: own }];
}

/** One training step: forward, backward, clip, update, running statistics, one row of metrics. */
export function trainingProgram(parts: StepParts, rings: Rings): TracedProgram {
  const { state, source, precision } = parts;
  const scaling = precision === "mixed";
  return traceProgram(
    `training step, batch ${source.batchSize}`,
    typesOf(source),
    (inputs, t) => {
      const pass = forward(parts, inputs, t);
      const { gradients } = differentiate(state, pass.loss, { scaling });
      const minimization = applyGradients(state, pass.loss, gradients, { scaling });
      return { updates: [minimization, record(parts, rings, t, pass, minimization.stats)] };
    },
    { precision },
  );
}

/** A step's gradients, summed into the arena that outlives it: what an update follows that looks at them first. */
export interface SplitStep {
  readonly gradients: TracedProgram;
  readonly update: TracedProgram;
}

/**
 * A training step as two programs that meet in a gradient arena: the first adds its share (1/`shares`) of the gradients,
 * the second clips and updates. `first` is the form that begins a sum instead of going on with it.
 */
export function gradientProgram(
  parts: StepParts,
  rings: Rings,
  loss: Variable,
  shares: number,
  first: boolean,
): TracedProgram {
  const { state, source, precision } = parts;
  const scaling = precision === "mixed";
  return traceProgram(
    `gradients, batch ${source.batchSize}`,
    typesOf(source),
    (inputs, t) => {
      const pass = forward(parts, inputs, t);
      const share = pass.loss.mul(1 / shares);
      const { gradients } = differentiate(state, share, { scaling });
      const none = constant({ value: 0, shape: [STATS_SIZE] });
      return {
        updates: [
          ...gradients.map((gradient, i) => {
            const variable = state.gradients[i]!;
            return { variable, value: first ? gradient : read(variable).add(gradient) };
          }),
          { variable: loss, value: first ? share.mul(1) : read(loss).add(share) },
          record(parts, rings, t, pass, none),
        ],
      };
    },
    { precision },
  );
}

/** Clip and update by the gradients in the arena: the second half of a split step. */
export function updateProgram({ state, precision }: StepParts, rings: Rings, loss: Variable): TracedProgram {
  return traceProgram("update", {}, (_, t) => {
    const minimization = applyGradients(state, read(loss), state.gradients.map(read), {
      scaling: precision === "mixed",
    });
    const row = recordMetrics(read(rings.main), t.counters, read(loss), minimization.stats, []);
    return { updates: [minimization, { variable: rings.main, value: row }] };
  });
}

/** One evaluation batch: inference form, one row of metrics. */
export function evaluationProgram(parts: StepParts, rings: Rings): TracedProgram {
  const { source, precision } = parts;
  return traceProgram(
    `evaluation, batch ${source.batchSize}`,
    typesOf(source),
    (inputs, t) => {
      const none = constant({ value: 0, shape: [STATS_SIZE] });
      return { updates: record(parts, rings, t, forward(parts, inputs, t), none) };
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
