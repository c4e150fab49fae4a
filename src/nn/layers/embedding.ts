import { checkNames } from "../../core/check.ts";
import * as f from "../../ops/f.ts";
import { type Initializer, normal } from "../init.ts";
import type { AnyModule, Description, Module } from "../module.ts";
import { positive } from "./options.ts";
import { positionalEmbedding } from "./positions.ts";

/** Options of `embedding`; init is N(0, 1) and there are no positions unless given. */
export interface EmbeddingOptions {
  readonly count: number;
  readonly features: number;
  /** The longest sequence, where a trained row for each place is added: see `positionalEmbedding`. */
  readonly positions?: number;
  readonly init?: Initializer;
}

/**
 * y = weight[x], rows of a trained table: i32 or u32 indices [...] → [..., features]; weight [count, features], N(0, 1) at first;
 * as torch.nn.Embedding. With positions, indices [..., time] and a row for each place added: positions.weight [positions, features].
 *
 * @example nn.embedding({ count: 96, features: 128, positions: 256 })
 */
export function embedding(options: EmbeddingOptions): Module {
  const { count, features, positions, init = normal(1) } = options;
  checkNames("embedding", options, ["count", "features", "positions", "init"]);
  positive("embedding", { count, features });
  const make = (places?: AnyModule, description?: Description): Module => {
    const module: Module = {
      label: `embedding(${count} × ${features}${positions === undefined ? "" : `, ${positions} positions`})`,
      description,
      parameters: { weight: { shape: [count, features], init } },
      ...(places && { children: { positions: places }, remake: (parts) => make(parts.positions) }),
      forward(x, context) {
        const rows = f.gather(context.parameter(module, "weight"), x);
        return places ? context.run(places, rows) : rows;
      },
    };
    return module;
  };
  return make(positions === undefined ? undefined : positionalEmbedding({ positions, features, init }), {
    layer: "embedding",
    args: [options],
    whole: true,
  });
}
