import { checkNames } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import type { Tensor } from "../../core/op.ts";
import * as f from "../../ops/f.ts";
import { parameter } from "../compose.ts";
import { torchDefault } from "../init.ts";
import type { Module } from "../module.ts";
import { type Cell, elmanCell, gruCell, lstmCell } from "./cells.ts";
import { defineLayer } from "./define.ts";
import { positive, probability } from "./options.ts";
import { type Form, readSequences, recur, type SequenceResult, type Sequences } from "./recurrence.ts";

export type { SequenceResult, Sequences };

/** Options of `gru` and `lstm`: layers 1, one direction, no dropout, with biases and without the state unless given. */
export interface RecurrentOptions {
  readonly in: number;
  readonly hidden: number;
  /** Each takes what the one before it gives. */
  readonly layers?: number;
  /** Another set of weights goes through each sequence from its end; its outputs stand behind the others. */
  readonly bidirectional?: boolean;
  /** How probable it is in training that an output of a layer but the last is 0 for the next. */
  readonly dropout?: number;
  readonly bias?: boolean;
  /** The result is { output, state }, not the output alone. */
  readonly returnState?: boolean;
}

/** Options of `rnn`: as of the others, and nonlinearity "tanh". */
export interface RnnOptions extends RecurrentOptions {
  readonly nonlinearity?: "tanh" | "relu";
}

// Types and no interfaces: a step may return them, and its results are trees.

/** A state of `rnn` and `gru`: [layers·directions, batch, hidden]. */
export type HiddenState = {
  readonly h: Tensor;
};

/** A state of `lstm`: both [layers·directions, batch, hidden]. */
export type CellState = HiddenState & {
  readonly c: Tensor;
};

const OPTIONS = ["in", "hidden", "layers", "bidirectional", "dropout", "bias", "returnState"];

/** A layer of recurrent networks of one kind. */
function recurrent(name: string, cell: Cell, options: RecurrentOptions, others: readonly string[] = []) {
  checkNames(name, options, [...OPTIONS, ...others]);
  const { in: features, hidden, layers = 1, bidirectional = false, dropout = 0, bias = true } = options;
  positive(name, { in: features, hidden, layers });
  probability(name, dropout, "dropout");
  const directions = bidirectional ? ["", "_reverse"] : [""];
  const form: Form = { name, features, hidden, count: layers * directions.length, cell };
  const init = torchDefault(hidden);
  const suffixes = Array.from({ length: layers }, (_, layer) => directions.map((end) => `_l${layer}${end}`));
  const tensors = suffixes.flatMap((ends, layer) =>
    ends.flatMap((end) => {
      const rows = cell.gates * hidden;
      const shapes: Readonly<Record<string, number[]>> = {
        weight_ih: [rows, layer === 0 ? features : hidden * directions.length],
        weight_hh: [rows, hidden],
        ...(bias && { bias_ih: [rows], bias_hh: [rows] }),
      };
      return Object.entries(shapes).map(([key, shape]) => [`${key}${end}`, parameter(shape, init)] as const);
    }),
  );
  const details = [
    `${features} → ${hidden}`,
    ...(layers > 1 ? [`${layers} layers`] : []),
    ...(bidirectional ? ["both directions"] : []),
  ];
  return defineLayer(
    name,
    [options],
    Object.fromEntries(tensors),
    (all: Readonly<Record<string, Tensor>>, input: unknown, context) => {
      const given = readSequences(form, input);
      const { x, batch, time } = given;
      let rows = x.transpose({ perm: [1, 0, 2] }).reshape({ shape: [time * batch, features] });
      const last: (readonly Tensor[])[] = [];
      for (const [layer, ends] of suffixes.entries()) {
        if (layer > 0 && dropout > 0 && context.training)
          rows = f.dropout(rows, context.counters, { p: dropout, layer: context.nextLayer() });
        const results = ends.map((end, direction) => {
          const weights = {
            weight_ih: all[`weight_ih${end}`]!,
            weight_hh: all[`weight_hh${end}`]!,
            bias_ih: all[`bias_ih${end}`],
            bias_hh: all[`bias_hh${end}`],
          };
          const first = given.state.map((part) => part[ends.length * layer + direction]!);
          return recur(form, rows, weights, given, first, direction === 1);
        });
        last.push(...results.map(({ state }) => state));
        const outputs = results.map((result) => result.rows);
        rows = outputs.length > 1 ? f.concat(outputs, { axis: 1 }) : outputs[0]!;
      }
      const width = rows.shape[1]!;
      const output = rows.reshape({ shape: [time, batch, width] }).transpose({ perm: [1, 0, 2] });
      if (!options.returnState) return output;
      const state = cell.state.map((part, i) => [part, f.stack(last.map((of) => of[i]!))] as const);
      return { output, state: Object.fromEntries(state) };
    },
    `${name}(${details.join(", ")})`,
  );
}

/**
 * hₜ = tanh(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh), or relu: [batch, time, in] → [batch, time, hidden·directions], the batch
 * first, as torch.nn.RNN with batch_first. weight_ih_l0 [hidden, in], weight_hh_l0 [hidden, hidden], bias_ih_l0 and bias_hh_l0
 * [hidden], `_l1` and so on, `_reverse`, within ±1/√hidden at first. Elman, 1990, "Finding structure in time".
 *
 * Beside a tensor it takes { x, lengths, mask, state }: see `nn.Sequences`. Outputs at steps that do not count are 0.
 * @throws OptionError for options outside their range.
 * @throws DataError where lengths of the host are no steps of x.
 */
export function rnn(
  options: RnnOptions & { readonly returnState: true },
): Module<Tensor | Sequences<HiddenState>, SequenceResult<HiddenState>>;
export function rnn(options: RnnOptions): Module<Tensor | Sequences<HiddenState>, Tensor>;
export function rnn(options: RnnOptions): Module<any, any> {
  const { nonlinearity = "tanh" } = options;
  if (nonlinearity !== "tanh" && nonlinearity !== "relu")
    throw new OptionError(`rnn: nonlinearity is ${JSON.stringify(nonlinearity)}; use "tanh" or "relu".`);
  return recurrent("rnn", elmanCell(nonlinearity), options, ["nonlinearity"]);
}

/**
 * hₜ = (1 − z)·n + z·hₜ₋₁ with the gates r, z = σ(W_i xₜ + b_i + W_h hₜ₋₁ + b_h) and n = tanh(W_in xₜ + b_in + r·(W_hn hₜ₋₁ + b_hn)):
 * [batch, time, in] → [batch, time, hidden·directions], the batch first, as torch.nn.GRU with batch_first. weight_ih_l0
 * [3·hidden, in] and weight_hh_l0 [3·hidden, hidden] hold r, z and n, one under the other; bias_ih_l0 and bias_hh_l0
 * [3·hidden]; `_l1` and so on, `_reverse`; within ±1/√hidden at first. Cho et al., 2014, §2.3.
 *
 * Beside a tensor it takes { x, lengths, mask, state }: see `nn.Sequences`. Outputs at steps that do not count are 0.
 * @throws OptionError for options outside their range.
 * @throws DataError where lengths of the host are no steps of x.
 */
export function gru(
  options: RecurrentOptions & { readonly returnState: true },
): Module<Tensor | Sequences<HiddenState>, SequenceResult<HiddenState>>;
export function gru(options: RecurrentOptions): Module<Tensor | Sequences<HiddenState>, Tensor>;
export function gru(options: RecurrentOptions): Module<any, any> {
  return recurrent("gru", gruCell, options);
}

/**
 * cₜ = f·cₜ₋₁ + i·g, hₜ = o·tanh(cₜ) with the gates i, f, o = σ(W_i xₜ + b_i + W_h hₜ₋₁ + b_h) and g the tanh of such a sum:
 * [batch, time, in] → [batch, time, hidden·directions], the batch first, as torch.nn.LSTM with batch_first. weight_ih_l0
 * [4·hidden, in] and weight_hh_l0 [4·hidden, hidden] hold i, f, g and o, one under the other; bias_ih_l0 and bias_hh_l0
 * [4·hidden]; `_l1` and so on, `_reverse`; within ±1/√hidden at first. Hochreiter, Schmidhuber, 1997; Gers et al., 2000.
 *
 * Beside a tensor it takes { x, lengths, mask, state }: see `nn.Sequences`. Outputs at steps that do not count are 0.
 * With `returnState` a state can be carried on, from one run to the next or within a trace: `stopGradient` of it cuts
 * back-propagation through time there.
 * @throws OptionError for options outside their range.
 * @throws DataError where lengths of the host are no steps of x.
 *
 * @example
 * nn.sequential(
 *   nn.embedding({ count: 96, features: 64 }),
 *   nn.lstm({ in: 64, hidden: 256, layers: 2, dropout: 0.2 }),
 *   nn.linear({ in: 256, out: 96 }),
 * );
 */
export function lstm(
  options: RecurrentOptions & { readonly returnState: true },
): Module<Tensor | Sequences<CellState>, SequenceResult<CellState>>;
export function lstm(options: RecurrentOptions): Module<Tensor | Sequences<CellState>, Tensor>;
export function lstm(options: RecurrentOptions): Module<any, any> {
  return recurrent("lstm", lstmCell, options);
}
