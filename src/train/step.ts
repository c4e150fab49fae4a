import { callOp, type Tensor, type Variable } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import type { ResidentData } from "../data/resident.ts";
import { gradients } from "../graph/autodiff.ts";
import { feed, read, wholeArena } from "../graph/node.ts";
import { mixedPrecision } from "../graph/precision.ts";
import type { Program, Update } from "../graph/program.ts";
import type { Loss } from "../nn/losses.ts";
import { Trace, type TracedLayer } from "../nn/module.ts";
import { batchIndices } from "../ops/data/batch.ts";
import { constant } from "../ops/elementwise/unary.ts";
import { pack } from "../ops/layout/layout.ts";
import { STATS, STATS_SIZE } from "../ops/step/stats.ts";
import { gradientStats, recordMetrics, updateStatistics } from "../ops/step/step.ts";
import type { ModelState } from "./state.ts";

/** Rows of the metrics ring; the host reads it before it wraps. */
export const RING_ROWS = 1024;

/** u32[4]: step, seed, position in the epoch's order, row of the metrics ring. */
export const counters = () => feed("counters", [4], "u32");

export interface Forward {
  readonly layers: readonly TracedLayer[];
  readonly trace: Trace;
  readonly output: Tensor;
  readonly target: Tensor;
  readonly loss: Tensor;
  /** Logits and labels, of which the metrics count the right ones; nothing where targets are not labels. */
  readonly predictions: readonly Tensor[];
  readonly counters: Tensor;
}

export interface StepParts {
  readonly state: ModelState;
  readonly data: ResidentData;
  readonly order: Variable;
  readonly lossOf: Loss;
  readonly batchSize: number;
  readonly precision: Precision;
  /** Computes with the parameters' moving average, which the optimizer must keep. */
  readonly averaged?: boolean;
}

/** "mixed" keeps activations, their gradients and working copies of the weights as f16, and scales the loss. */
export type Precision = "f32" | "mixed";

/** A program as its precision says: see mixedPrecision. */
const inPrecision = (precision: Precision, program: Program): Program =>
  precision === "mixed" ? mixedPrecision(program) : program;

/** Batch, network, loss and the count of correct predictions. */
export function forward(
  { state, data, order, lossOf, batchSize, averaged }: StepParts,
  training: boolean,
): Forward {
  const counts = counters();
  const indices = batchIndices(read(order), counts, { count: batchSize });
  const { x, y } = data.batch(indices);
  const source = {
    counters: counts,
    parameter: averaged ? state.averageValue.bind(state) : state.value.bind(state),
    buffer: state.value.bind(state),
  };
  const trace = new Trace(state.model, source, training);
  const output = trace.run(state.model, x);
  const loss = lossOf(output, y);
  const labelled = y.dtype === "i32" && output.shape.length === 2;
  const predictions = labelled ? [output, y] : [];
  return { layers: trace.layers, trace, output, target: y, loss, predictions, counters: counts };
}

/** One training step: forward, backward, clip, update, running statistics, one row of metrics. */
export function trainingProgram(parts: StepParts, ring: Variable, constants: ConstantTable): Program {
  const { state } = parts;
  const { trace, loss, predictions, counters: counts } = forward(parts, true);
  const targets = state.parameterVariables.map(read);
  const scaling = parts.precision === "mixed";
  const grads = gradients(scaling ? loss.mul(lossScale(state)) : loss, targets);
  const packed = state.parameterArenas.map(({ arena, variables }) =>
    pack(
      variables.map((v) => grads[state.parameterVariables.indexOf(v)]!),
      {
        offsets: variables.map((v) => v.offset),
        size: arena.size,
      },
    ),
  );
  const stats = gradientStats(read(state.stats), loss, packed, { scaling });
  const updates: Update[] = [{ variable: state.stats, value: stats }];
  const hyper = feed("hyper", [state.optimizer.hyperSize]);
  state.parameterArenas.forEach(({ arena, slots }, i) => {
    const params = wholeArena(arena);
    const results = callOp(state.optimizer.op, [read(params), packed[i]!, ...slots.map(read), hyper, stats]);
    updates.push({ variable: params, value: results[0]! });
    slots.forEach((slot, k) => {
      updates.push({ variable: slot, value: results[1 + k]! });
    });
  });
  updates.push(...statisticUpdates(state, trace, constants, stats));
  const row = recordMetrics(read(ring), counts, loss, stats, predictions);
  updates.push({ variable: ring, value: row });
  return inPrecision(parts.precision, { name: `training step, batch ${parts.batchSize}`, updates });
}

function lossScale(state: ModelState): Tensor {
  const scale = read(state.stats).slice({ starts: [STATS.scale], ends: [STATS.scale + 1] });
  return scale.reshape({ shape: [] });
}

/** Makes a variable of `size` zeros with some ranges set: constants that a program reads. */
export type ConstantTable = (
  size: number,
  entries: readonly { offset: number; size: number; value: number }[],
) => Variable;

function statisticUpdates(
  state: ModelState,
  trace: Trace,
  constants: ConstantTable,
  stats: Tensor,
): Update[] {
  if (trace.tracked.length === 0) return [];
  return state.bufferArenas.map((arena) => {
    const tracked = trace.tracked
      .map((t) => ({ ...t, variable: state.variable(t.module, t.name) }))
      .filter((t) => t.variable.arena === arena)
      .sort((a, b) => a.variable.offset - b.variable.offset);
    const batch = pack(
      tracked.map((t) => t.batch),
      {
        offsets: tracked.map((t) => t.variable.offset),
        size: arena.size,
      },
    );
    const table = (kind: "momentum" | "scale") =>
      constants(
        arena.size,
        tracked.map((t) => ({ offset: t.variable.offset, size: sizeOf(t.variable.shape), value: t[kind] })),
      );
    const running = wholeArena(arena);
    const value = updateStatistics(
      read(running),
      batch,
      read(table("momentum")),
      read(table("scale")),
      stats,
    );
    return { variable: running, value };
  });
}

/** One evaluation batch: inference form, one row of metrics. */
export function evaluationProgram(parts: StepParts, ring: Variable): Program {
  const { loss, predictions, counters: counts } = forward(parts, false);
  const none = constant({ value: 0, shape: [STATS_SIZE], dtype: "f32" });
  const row = recordMetrics(read(ring), counts, loss, none, predictions);
  return inPrecision(parts.precision, {
    name: `evaluation, batch ${parts.batchSize}`,
    updates: [{ variable: ring, value: row }],
  });
}

/**
 * The forward and backward pass of a step with every layer's result and gradient kept, to find what is not finite. The
 * loss is not scaled: a step is halted for its gradients only when no scale helps.
 */
export function diagnosticProgram(parts: StepParts): {
  program: Program;
  layers: readonly TracedLayer[];
  parameters: readonly string[];
} {
  const { state } = parts;
  const { layers, loss } = forward(parts, true);
  const own = layers.filter((layer) => !layer.module.children);
  const targets = state.parameterVariables.map(read);
  const grads = gradients(loss, [...own.map((layer) => layer.output), ...targets]);
  const outputs: Record<string, Tensor> = { loss };
  own.forEach((layer, i) => {
    outputs[`layer ${i}`] = layer.output;
    outputs[`gradient ${i}`] = grads[i]!;
  });
  targets.forEach((_, i) => {
    outputs[`parameter ${i}`] = grads[own.length + i]!;
  });
  return {
    program: inPrecision(parts.precision, { name: "diagnosis", outputs }),
    layers: own,
    parameters: state.parameters.map((p) => p.name),
  };
}
