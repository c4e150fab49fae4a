import type { Tensor } from "../../core/op.ts";
import { gruCell as gru } from "../../ops/sequence/gru-cell.ts";
import { lstmCell as lstm } from "../../ops/sequence/lstm-cell.ts";

/** A kind of recurrent network: how a time step makes the next state. */
export interface Cell {
  /** Blocks of `hidden` rows in the weights. */
  readonly gates: number;
  /** So many blocks of bias_hh are added where those of bias_ih are; the rest meets the product with weight_hh alone. */
  readonly joined: number;
  /** What the state consists of; the first is the output, too. */
  readonly state: readonly string[];
  /**
   * The next state: from what the input gives, [N, gates·hidden] with the biases that are joined, and beside it the rest of
   * bias_hh; from the product of h with weight_hh, [N, gates·hidden]; and from the state, each [N, hidden].
   */
  step(given: Tensor, product: Tensor, state: readonly Tensor[]): Tensor[];
}

export const elmanCell = (nonlinearity: "tanh" | "relu"): Cell => ({
  gates: 1,
  joined: 1,
  state: ["h"],
  step: (given, product) => [nonlinearity === "relu" ? product.add(given).relu() : product.add(given).tanh()],
});

export const gruCell: Cell = {
  gates: 3,
  joined: 2,
  state: ["h"],
  step: (given, product, [h]) => [gru(given, product, h!)],
};

export const lstmCell: Cell = {
  gates: 4,
  joined: 4,
  state: ["h", "c"],
  step: (given, product, [, c]) => lstm(product.add(given), c!),
};
