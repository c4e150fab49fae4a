import type { Tensor } from "../../core/op.ts";
import * as f from "../../ops/f.ts";

/** A kind of recurrent network: how a time step makes the next state. */
export interface Cell {
  /** Blocks of `hidden` rows in the weights. */
  readonly gates: number;
  /** So many blocks of bias_hh are added where those of bias_ih are; the rest meets the product with weight_hh alone. */
  readonly joined: number;
  /** What the state consists of; the first is the output, too. */
  readonly state: readonly string[];
  /**
   * The next state: from what the input gives, [N, gates·hidden] with the biases that are joined and, where there is a rest
   * of bias_hh, that beside it; from the product of h with weight_hh, [N, gates·hidden]; and from the state, each [N, hidden].
   */
  step(given: Tensor, product: Tensor, state: readonly Tensor[]): Tensor[];
}

export const elmanCell = (nonlinearity: "tanh" | "relu"): Cell => ({
  gates: 1,
  joined: 1,
  state: ["h"],
  step: (given, product) => [nonlinearity === "relu" ? product.add(given).relu() : product.add(given).tanh()],
});

const blocks = <Count extends readonly (Tensor | undefined)[]>(x: Tensor, hidden: number) =>
  f.split(x, { sizes: hidden, axis: 1 }) as readonly Tensor[] as unknown as Count;

export const gruCell: Cell = {
  gates: 3,
  joined: 2,
  state: ["h"],
  step(given, product, state) {
    const [h] = state as [Tensor];
    const hidden = h.shape[1]!;
    const [r, z, n, bias] = blocks<[Tensor, Tensor, Tensor, Tensor?]>(given, hidden);
    const [hr, hz, hn] = blocks<[Tensor, Tensor, Tensor]>(product, hidden);
    const fresh = n
      .add(
        r
          .add(hr)
          .sigmoid()
          .mul(bias ? hn.add(bias) : hn),
      )
      .tanh();
    // n + z·(h − n) is (1 − z)·n + z·h with a product less.
    return [fresh.add(z.add(hz).sigmoid().mul(h.sub(fresh)))];
  },
};

export const lstmCell: Cell = {
  gates: 4,
  joined: 4,
  state: ["h", "c"],
  step(given, product, state) {
    const [, c] = state as [Tensor, Tensor];
    const [i, forget, g, o] = blocks<[Tensor, Tensor, Tensor, Tensor]>(product.add(given), c.shape[1]!);
    const next = forget.sigmoid().mul(c).add(i.sigmoid().mul(g.tanh()));
    return [o.sigmoid().mul(next.tanh()), next];
  },
};
