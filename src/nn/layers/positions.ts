import { checkNames, checkNumber } from "../../core/check.ts";
import { ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import { sinusoids } from "../../ops/sequence/positions.ts";
import { parameter } from "../compose.ts";
import { type Initializer, normal } from "../init.ts";
import type { Module } from "../module.ts";
import { defineLayer } from "./define.ts";
import { positive } from "./options.ts";

/** Options of `positionalEmbedding`; init is N(0, 1) unless given. */
export interface PositionalEmbeddingOptions {
  /** The longest sequence. */
  readonly positions: number;
  readonly features: number;
  readonly init?: Initializer;
}

/**
 * y = x + a trained row for each place: [..., time, features] → the same, for sequences no longer than the positions; weight
 * [positions, features], as torch.nn.Embedding of the places. Gehring et al., 2017, §3.1.
 *
 * @example nn.sequential(nn.linear({ in: 8, out: 32 }), nn.positionalEmbedding({ positions: 64, features: 32 }))
 */
export function positionalEmbedding(options: PositionalEmbeddingOptions): Module {
  const { positions, features, init = normal(1) } = options;
  checkNames("positionalEmbedding", options, ["positions", "features", "init"]);
  positive("positionalEmbedding", { positions, features });
  return defineLayer(
    "positionalEmbedding",
    [options],
    { weight: parameter([positions, features], init) },
    ({ weight }, x) => {
      const [time = 0, width] = x.shape.length > 1 ? x.shape.slice(-2) : [];
      if (width !== features)
        throw new ShapeError(
          `positionalEmbedding: takes [..., time, ${features}], got ${showShape(x.shape)}.`,
        );
      if (time > positions)
        throw new ShapeError(
          `positionalEmbedding: a sequence of ${time} is longer than its ${positions} positions; cut it, or give more positions.`,
        );
      return x.add(time === positions ? weight : weight.slice({ starts: [0, 0], ends: [time, features] }));
    },
    `positionalEmbedding(${positions} × ${features})`,
  );
}

/** Options of `positionalEncoding`: base 10000 unless given. */
export interface PositionalEncodingOptions {
  readonly base?: number;
}

/**
 * y = x + sin(p/base^(2i/features)) in column 2i of row p, and the cosine of the same in column 2i + 1: [..., time, features] →
 * the same, for sequences of any length; it has no tensors. Vaswani et al., 2017, §3.5.
 */
export function positionalEncoding(options: PositionalEncodingOptions = {}): Module {
  checkNames("positionalEncoding", options, ["base"]);
  const { base = 10000 } = options;
  checkNumber("positionalEncoding: base", base, "above 0");
  return defineLayer("positionalEncoding", [options], {}, (_, x) => {
    const [time, features] = x.shape.slice(-2);
    if (time === undefined || features === undefined)
      throw new ShapeError(`positionalEncoding: takes [..., time, features], got ${showShape(x.shape)}.`);
    return x.add(sinusoids(time, features, base));
  });
}
