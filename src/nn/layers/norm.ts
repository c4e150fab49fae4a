import { ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import { ones, zeros } from "../init.ts";
import type { Module } from "../module.ts";
import { positive } from "./options.ts";

/** Options of `batchNorm`: eps 1e-5 and momentum 0.1 unless given. */
export interface BatchNormOptions {
  readonly eps?: number;
  readonly momentum?: number;
}

/**
 * Batch normalisation over the channels of [N, C], [N, C, L] or [N, C, H, W]: (x − mean)/√(variance + eps)·weight + bias,
 * with the batch's statistics in training and the running ones otherwise, as torch.nn.BatchNorm1d and 2d.
 * Source: Ioffe, Szegedy, 2015, algorithms 1 and 2.
 */
export function batchNorm(features: number, options: BatchNormOptions = {}): Module {
  positive("batchNorm", { features });
  const { eps = 1e-5, momentum = 0.1 } = options;
  const module: Module = {
    label: `batchNorm(${features})`,
    description: { layer: "batchNorm", args: [features, options] },
    parameters: { weight: { shape: [features], init: ones }, bias: { shape: [features], init: zeros } },
    buffers: { running_mean: { shape: [features], value: 0 }, running_var: { shape: [features], value: 1 } },
    countsBatches: true,
    forward(x, context) {
      if (x.shape.length < 2 || x.shape[1] !== features)
        throw new ShapeError(
          `batchNorm: takes [batch, ${features}, …], got ${showShape(x.shape)}; its number must be the channels of the layer before.`,
        );
      const gamma = context.parameter(module, "weight");
      const beta = context.parameter(module, "bias");
      if (!context.training)
        return f.batchNormInference(
          x,
          gamma,
          beta,
          context.buffer(module, "running_mean"),
          context.buffer(module, "running_var"),
          { eps },
        );
      const count = x.shape.reduce((n, dim) => n * dim, 1) / features;
      if (count < 2)
        throw new ShapeError(
          `batchNorm: one value per channel has no variance in ${showShape(x.shape)}; use a batch of at least 2.`,
        );
      const [y, mean, variance] = f.batchNorm(x, gamma, beta, { eps });
      context.track(module, "running_mean", mean, momentum, 1);
      context.track(module, "running_var", variance, momentum, count / (count - 1));
      return y;
    },
  };
  return module;
}
