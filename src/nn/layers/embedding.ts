import { checkNames } from "../../core/check.ts";
import * as f from "../../ops/f.ts";
import { type Initializer, normal } from "../init.ts";
import type { Module } from "../module.ts";
import { positive } from "./options.ts";

/** Rows of a trained table: i32 or u32 indices [...] → [..., features]; weight [count, features], N(0, 1) at first; as torch.nn.Embedding. */
export function embedding(options: { count: number; features: number; init?: Initializer }): Module {
  checkNames("embedding", options, ["count", "features", "init"]);
  positive("embedding", { count: options.count, features: options.features });
  const module: Module = {
    label: `embedding(${options.count} × ${options.features})`,
    description: { layer: "embedding", args: [options] },
    parameters: { weight: { shape: [options.count, options.features], init: options.init ?? normal(1) } },
    forward: (x, context) => f.gather(context.parameter(module, "weight"), x),
  };
  return module;
}
