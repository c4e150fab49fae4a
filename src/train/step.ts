import { ShapeError } from "../core/errors.ts";
import { type Arena, isTensor, type Tensor, type Variable } from "../core/op.ts";
import { showType, sizeOf } from "../core/shape.ts";
import type { Tree } from "../core/tree.ts";
import type { ResidentData } from "../data/resident.ts";
import { gradients } from "../graph/autodiff.ts";
import type { Demand } from "../graph/demands.ts";
import { read, standalone, wholeArena } from "../graph/node.ts";
import type { Update } from "../graph/program.ts";
import type { Loss } from "../losses/index.ts";
import { keeps } from "../losses/masks.ts";
import type { Metric } from "../metrics/index.ts";
import { labelsOf, rightOf } from "../model/evaluate.ts";
import type { Model } from "../model/model.ts";
import {
  type Precision,
  statisticUpdates,
  type Traced,
  type TracedProgram,
  type Types,
  traceProgram,
  type Updates,
} from "../model/program.ts";
import type { Tallies } from "../model/tallies.ts";
import type { TraceContext } from "../model/tracing.ts";
import type { TracedLayer } from "../nn/module.ts";
import { batchIndices } from "../ops/data/batch-indices.ts";
import { constant } from "../ops/elementwise/unary.ts";
import { where } from "../ops/f.ts";
import { MOST_VALUES, recordRow } from "../ops/step/record-row.ts";
import { STATS_SIZE } from "../ops/step/stats.ts";
import { recordMetrics, updateStatistics } from "../ops/step/step.ts";
import type { Penalty } from "../optim/penalties.ts";
import type { OptimizerState } from "../optim/state.ts";
import { backward, minimize, step } from "../optim/steps.ts";
import { checkPenalties, checkStatistics, checkUses, MASK, maskBeside } from "./masking.ts";
import { demandsOn } from "./targets.ts";

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
  readonly lossOf: Loss<any, any>;
  /** By their names, beside the loss. */
  readonly metrics: Readonly<Record<string, Metric<any, any>>>;
  /** What counts over batches. */
  readonly tallies?: Tallies;
  readonly precision: Precision;
  readonly penalties?: readonly Penalty[];
  /** Whether what is recorded as the loss is what is minimised, penalties included. */
  readonly total?: boolean;
  /** Whether the host says which rows of a batch are examples; the others count for nothing. */
  readonly masked?: boolean;
  /** Computes with the parameters' moving average, which the optimizer must keep. */
  readonly averaged?: boolean;
}

/** Rows of a run's numbers: loss, right predictions, gradient norm, status; and those of the metrics. */
export interface Rings {
  readonly main: Variable;
  readonly metrics: Variable | undefined;
  /** What penalties add, written by programs that have some. */
  readonly penalty: Variable;
  /** Whether there are such programs. */
  penalized: boolean;
}

export function makeRings(metrics: Readonly<Record<string, Metric<any, any>>>): Rings {
  const width = Object.keys(metrics).length;
  return {
    main: standalone("metrics ring", [RING_ROWS, 4]),
    metrics: width > 0 ? standalone("metrics ring, own", [RING_ROWS, width]) : undefined,
    penalty: standalone("metrics ring, penalty", [RING_ROWS, 1]),
    penalized: false,
  };
}

/** A traced step, and how many labels an example has, of which a share is predicted right: 0 where targets are no labels. */
export interface StepProgram extends TracedProgram {
  readonly labels: number;
  /** Whether penalties are minimised beside its loss. */
  readonly penalized: boolean;
  /** What is asked of the numbers of its targets, by their paths. */
  readonly targets: ReadonlyMap<string, readonly Demand[]>;
}

export interface Forward {
  readonly layers: readonly TracedLayer[];
  readonly output: Tree<Tensor>;
  readonly target: Tree<Tensor>;
  /** Beside the target: 1 for examples, 0 for padding; nothing where all rows are examples. */
  readonly mask: Tensor | undefined;
  readonly loss: Tensor;
  readonly penalty: Tensor | undefined;
  /** What training minimises: the loss, and the penalty where there is one. */
  readonly minimized: Tensor;
  /** How many labels an example has. */
  readonly labels: number;
  readonly targets: ReadonlyMap<string, readonly Demand[]>;
  /** Logits and labels, of which the metrics count the right ones, or how many are right; nothing where targets are not labels. */
  readonly predictions: readonly Tensor[];
}

/** @throws ShapeError when what a loss or metric gives is not one f32 number. */
function oneNumber(what: string, value: unknown): Tensor {
  if (isTensor(value) && value.dtype === "f32" && sizeOf(value.shape) === 1) return value;
  throw new ShapeError(
    `The ${what} gives ${isTensor(value) ? showType(value) : "no tensor"}; give one f32 number, a mean for instance.`,
  );
}

/** A batch of a data set on the device. */
function gathered({ data, order, batchSize }: Extract<Source, { data: ResidentData }>, t: TraceContext) {
  const indices = batchIndices(read(order), t.counters, { count: batchSize });
  t.examples = { indices, count: data.count };
  return data.batch(indices);
}

/** Batch, network and loss. */
export function forward(
  { model, state, source, lossOf, averaged, masked, penalties = [] }: StepParts,
  inputs: any,
  t: TraceContext,
): Forward {
  const { x, y } = "data" in source ? gathered(source, t) : source.batch(inputs);
  const averages = averaged ? state.averages : undefined;
  const current = (variable: Variable) => read(averages?.get(variable) ?? variable);
  const { output, layers } = model.pass(x, t, averages);
  const mask = masked ? maskBeside(inputs[MASK], y) : undefined;
  const loss = oneNumber("loss", lossOf(output, y as Tensor, mask));
  const terms = [...t.penalties.map(({ value }) => value), ...penalties.map((one) => one(model, current))];
  const penalty = terms.length > 0 ? terms.reduce((sum, value) => sum.add(value)) : undefined;
  if (mask) {
    checkUses("loss", loss, inputs[MASK]);
    checkStatistics(t);
    checkPenalties(t);
  }
  const labels = labelsOf(output, y);
  // No class has the number −1.
  const targets = mask && labels > 0 ? where(keeps(mask), y as Tensor, -1) : y;
  return {
    layers,
    output,
    target: y as Tree<Tensor>,
    mask,
    loss,
    penalty,
    minimized: penalty ? loss.reshape({ shape: [] }).add(penalty) : loss,
    labels,
    targets: demandsOn(y, mask),
    predictions:
      labels === 1 ? ([output, targets] as Tensor[]) : labels > 1 ? [rightOf(output, targets)] : [],
  };
}

const typesOf = ({ source, masked }: StepParts): object => ({
  ...("types" in source ? (source.types as object) : {}),
  ...(masked ? { [MASK]: { shape: [source.batchSize], dtype: "f32" } } : {}),
});

/** The updates that put a run's numbers into its row. */
function record(
  { metrics, tallies, total }: StepParts,
  rings: Rings,
  t: TraceContext,
  { loss, penalty, minimized, output, target, mask, predictions }: Forward,
  stats: Tensor,
): Updates {
  const shown = total ? minimized : loss;
  const row = recordMetrics(read(rings.main), t.counters, shown, stats, predictions);
  const uses = (what: string, value: Tensor) => mask && checkUses(what, value, mask);
  const counted = tallies?.updates(output, target, mask, uses) ?? [];
  const updates: Update[] = [{ variable: rings.main, value: row }, ...counted];
  if (penalty) {
    rings.penalized = true;
    updates.push({
      variable: rings.penalty,
      value: recordRow(read(rings.penalty), t.counters, [penalty]),
    });
  }
  if (!rings.metrics) return updates;
  const values = Object.entries(metrics).map(([name, metric]) => {
    const value = oneNumber(`metric "${name}"`, metric(output as Tensor, target as Tensor, mask));
    uses(`metric "${name}"`, value);
    return value;
  });
  let own = read(rings.metrics);
  for (let at = 0; at < values.length; at += MOST_VALUES)
    own = recordRow(own, t.counters, values.slice(at, at + MOST_VALUES), { at });
  return [...updates, { variable: rings.metrics, value: own }];
}

/** Traces a program that begins with the network and its loss on a batch. */
function traceStep(
  name: string,
  inputs: object,
  parts: StepParts,
  trace: (pass: Forward, t: TraceContext, inputs: any) => Traced,
  options: { readonly training?: boolean; readonly precision: Precision },
): StepProgram {
  let given: Pick<Forward, "labels" | "targets" | "penalty"> | undefined;
  const traced = traceProgram(
    name,
    { ...typesOf(parts), ...inputs } as Types,
    (tensors, t) => {
      const pass = forward(parts, tensors, t);
      given = pass;
      return trace(pass, t, tensors);
    },
    options,
  );
  const { labels, targets, penalty } = given!;
  return { ...traced, labels, targets, penalized: penalty !== undefined };
}

/** One training step: forward, backward, clip, update, running statistics, one row of metrics. */
export function trainingProgram(parts: StepParts, rings: Rings): StepProgram {
  const { state, source, precision } = parts;
  const scaling = precision === "mixed";
  return traceStep(
    `training step, batch ${source.batchSize}`,
    {},
    parts,
    (pass, t) => {
      const minimization = minimize(state, pass.minimized, { scaling, lasting: true });
      return { updates: [minimization, record(parts, rings, t, pass, minimization.stats)] };
    },
    { precision },
  );
}

/** What the parts of a split step leave for one another on the device. */
export interface Between {
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
    { [SHARE]: { shape: [], dtype: "f32" } },
    parts,
    (pass, t, inputs) => {
      const share = pass.minimized.mul(inputs[SHARE]);
      const none = constant({ value: 0, shape: [STATS_SIZE] });
      const statistics = statisticUpdates(t.passes, new Map(), (running) =>
        read(first ? running : between.statistics(running.arena)),
      ).map(({ variable, value }) => ({ variable: between.statistics(variable.arena), value }));
      t.passes.length = 0; // their statistics wait for the update
      return {
        updates: [
          ...backward(state, share, { scaling, accumulate: !first }),
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
    const minimization = step(state, { scaling: precision === "mixed", lasting: true });
    const row = recordMetrics(read(rings.main), t.counters, minimization.loss, minimization.stats, []);
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
  return { ...traced, labels: 0, penalized: false, targets: new Map() };
}

/** The momentum of a batch in statistics that are made anew: fed by the host. */
const MOMENTUM = "momentum";

/** A batch's statistics in training form, with the momentum that is fed; nothing is trained. */
export function statisticsProgram(parts: StepParts): StepProgram {
  const { source, precision } = parts;
  return traceStep(
    `statistics, batch ${source.batchSize}`,
    { [MOMENTUM]: { shape: [], dtype: "f32" } },
    parts,
    (_pass, t, inputs) => {
      const updates = statisticUpdates(t.passes, new Map(), read, inputs[MOMENTUM]);
      t.passes.length = 0; // these are all
      return { updates };
    },
    { precision },
  );
}

/** One evaluation batch: inference form, one row of metrics. */
export function evaluationProgram(parts: StepParts, rings: Rings): StepProgram {
  const { source, precision } = parts;
  return traceStep(
    `evaluation, batch ${source.batchSize}`,
    {},
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
  const { model, precision } = parts;
  const parameters = model.parameters.filter((variable) => !model.frozen.has(variable));
  let own: readonly TracedLayer[] = [];
  const traced = traceProgram(
    "diagnosis",
    typesOf(parts) as Types,
    (inputs, t) => {
      const { layers, minimized: loss } = forward(parts, inputs, t);
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
