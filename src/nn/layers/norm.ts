import { checkNames, checkNumber } from "../../core/check.ts";
import { OptionError, ShapeError } from "../../core/errors.ts";
import { recomputed, type Tensor } from "../../core/op.ts";
import { type Shape, sameShape, showShape, sizeOf } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import { batchNormApply, batchNormStatistics } from "../../ops/norm/batch-norm.ts";
import { parameter } from "../compose.ts";
import { ones, zeros } from "../init.ts";
import type { Module } from "../module.ts";
import { defineLayer } from "./define.ts";
import { positive } from "./options.ts";

/** Options of `batchNorm`: eps 1e-5 and momentum 0.1 unless given, the rest true. */
export interface BatchNormOptions {
  readonly eps?: number;
  /** The share of a running statistic that each batch replaces, from 0 to 1. */
  readonly momentum?: number;
  /** Whether it has a weight and a bias. */
  readonly affine?: boolean;
  /** Whether it has a weight; without, a bias alone. */
  readonly scale?: boolean;
  /** Whether it keeps running statistics; without, it goes by the batch's outside training too. */
  readonly trackRunningStats?: boolean;
}

/**
 * Batch normalisation over the channels of [N, C], [N, C, L] or [N, C, H, W]: (x − mean)/√(variance + eps)·weight + bias,
 * with the batch's statistics in training and the running ones otherwise, as torch.nn.BatchNorm1d and 2d.
 * Source: Ioffe, Szegedy, 2015, algorithms 1 and 2.
 */
export function batchNorm(features: number, options: BatchNormOptions = {}): Module {
  positive("batchNorm", { features });
  checkNames("batchNorm", options, ["eps", "momentum", "affine", "scale", "trackRunningStats"]);
  const { eps = 1e-5, momentum = 0.1, affine = true, scale = true, trackRunningStats = true } = options;
  checkNumber("batchNorm: eps", eps, [0]);
  checkNumber("batchNorm: momentum", momentum, [0, 1]);
  const shape = [features];
  const module: Module = {
    label: `batchNorm(${features})`,
    description: { layer: "batchNorm", args: [features, options] },
    parameters: {
      ...(affine && scale && { weight: { shape, init: ones } }),
      ...(affine && { bias: { shape, init: zeros } }),
    },
    ...(trackRunningStats && {
      buffers: { running_mean: { shape, value: 0 }, running_var: { shape, value: 1 } },
      countsBatches: true,
    }),
    forward(x, context) {
      if (x.shape.length < 2 || x.shape[1] !== features)
        throw new ShapeError(
          `batchNorm: takes [batch, ${features}, …], got ${showShape(x.shape)}; its number must be the channels of the layer before.`,
        );
      const gamma = affine && scale ? context.parameter(module, "weight") : f.constant({ value: 1, shape });
      const beta = affine ? context.parameter(module, "bias") : f.constant({ value: 0, shape });
      if (!context.training && trackRunningStats)
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
      if (trackRunningStats) {
        context.track(module, "running_mean", mean, momentum, 1);
        context.track(module, "running_var", variance, momentum, count / (count - 1));
      }
      return y;
    },
  };
  return module;
}

/**
 * (x − mean)/√(variance + eps)·weight + bias for each row of x in the shape [1, rows, …], over which weight and bias are
 * spread: batch norm of one example whose channels are the rows, since its statistics and its gradient are kernels that read
 * a row once each. What is normalised is computed again by the backward pass, which costs less than to keep it.
 */
function normalizedRows(
  x: Tensor,
  shape: Shape,
  eps: number,
  { weight, bias }: { readonly weight?: Tensor; readonly bias?: Tensor },
): Tensor {
  const [, rows = 0, ...row] = shape;
  const flat = x.reshape({ shape });
  const spread = { shape: [1, rows, ...row.map(() => 1)] };
  const [one, zero] = [1, 0].map((value) => f.constant({ value, ...spread })) as [Tensor, Tensor];
  const [mean, , inverse] = sizeOf(row) > 1 ? batchNormStatistics(flat, { eps }) : [];
  const y = recomputed(() => {
    const plain =
      mean && inverse
        ? batchNormApply(flat, one, zero, mean.reshape(spread), inverse.reshape(spread))
        : flat.mul(0);
    const scaled = weight ? plain.mul(weight) : plain;
    return bias ? scaled.add(bias) : scaled;
  });
  return y.reshape({ shape: x.shape });
}

/** Options of `layerNorm`: eps 1e-5 unless given, the rest true. */
export interface LayerNormOptions {
  readonly eps?: number;
  /** Whether it has a weight and a bias: PyTorch's elementwise_affine. */
  readonly affine?: boolean;
  /** Whether it has a bias, where it has a weight. */
  readonly bias?: boolean;
}

/** The shape of the last axes, given as a list or as the length of the last one alone. */
function lastAxes(layer: string, normalizedShape: number | Shape): Shape {
  const shape = typeof normalizedShape === "number" ? [normalizedShape] : normalizedShape;
  if (!Array.isArray(shape) || shape.length === 0)
    throw new OptionError(
      `${layer}: normalizedShape is ${JSON.stringify(normalizedShape)}; use the length of the last axis, or a list of the last axes' lengths.`,
    );
  for (const dim of shape) positive(layer, { normalizedShape: dim });
  return shape;
}

function checkLast(layer: string, x: Tensor, shape: Shape): void {
  if (x.shape.length < shape.length || !sameShape(x.shape.slice(-shape.length), shape))
    throw new ShapeError(
      `${layer}: takes [..., ${shape.join(", ")}], got ${showShape(x.shape)}; its shape must be that of the last axes.`,
    );
}

/**
 * Layer normalisation over the last axes, of which normalizedShape says the lengths: [..., normalizedShape] → the same;
 * (x − mean)/√(variance + eps)·weight + bias, weight and bias of normalizedShape, as torch.nn.LayerNorm.
 * Source: Ba, Kiros, Hinton, 2016, eq. 4.
 *
 * @example nn.layerNorm(64)
 */
export function layerNorm(normalizedShape: number | Shape, options: LayerNormOptions = {}): Module {
  const shape = lastAxes("layerNorm", normalizedShape);
  checkNames("layerNorm", options, ["eps", "affine", "bias"]);
  const { eps = 1e-5, affine = true, bias = true } = options;
  checkNumber("layerNorm: eps", eps, [0]);
  return defineLayer(
    "layerNorm",
    [normalizedShape, options],
    {
      ...(affine && { weight: parameter(shape, ones) }),
      ...(affine && bias && { bias: parameter(shape, zeros) }),
    },
    ({ weight, bias }, x) => {
      checkLast("layerNorm", x, shape);
      const size = sizeOf(shape);
      const row = { shape: [1, 1, size] };
      return normalizedRows(x, [1, sizeOf(x.shape) / size, size], eps, {
        weight: weight?.reshape(row),
        bias: bias?.reshape(row),
      });
    },
    `layerNorm(${shape.join("×")})`,
  );
}

/** Options of `rmsNorm`: eps 2⁻²³ and a weight unless given. */
export interface RmsNormOptions {
  readonly eps?: number;
  /** Whether it has a weight: PyTorch's elementwise_affine. */
  readonly affine?: boolean;
}

/**
 * x/√(mean(x²) + eps)·weight over the last axes: [..., normalizedShape] → the same; layer norm without its centring, as
 * torch.nn.RMSNorm. Source: Zhang, Sennrich, 2019, eq. 4.
 */
export function rmsNorm(normalizedShape: number | Shape, options: RmsNormOptions = {}): Module {
  const shape = lastAxes("rmsNorm", normalizedShape);
  checkNames("rmsNorm", options, ["eps", "affine"]);
  const { eps = 2 ** -23, affine = true } = options;
  checkNumber("rmsNorm: eps", eps, [0]);
  return defineLayer(
    "rmsNorm",
    [normalizedShape, options],
    { ...(affine && { weight: parameter(shape, ones) }) },
    ({ weight }, x) => {
      checkLast("rmsNorm", x, shape);
      const axes = shape.map((_, i) => i - shape.length);
      const inverse = f.div(1, x.square().mean({ axes, keepdims: true }).add(eps).sqrt());
      return recomputed(() => (weight ? x.mul(inverse).mul(weight) : x.mul(inverse)));
    },
    `rmsNorm(${shape.join("×")})`,
  );
}

/** Options of `groupNorm` and `instanceNorm`: eps 1e-5; affine true for the first and false for the second unless given. */
export interface GroupNormOptions {
  readonly eps?: number;
  /** Whether it has a weight and a bias for each channel. */
  readonly affine?: boolean;
}

/** Each example's channels normalised in equal groups, then scaled and shifted by channel. */
function normalizedGroups(
  { weight, bias }: { readonly weight?: Tensor; readonly bias?: Tensor },
  x: Tensor,
  groups: number,
  eps: number,
): Tensor {
  const [batch = 0, channels = 0, ...positions] = x.shape;
  const each = channels / groups;
  /** A number for each channel, as every example's groups have them. */
  const spread = (value: Tensor | undefined) =>
    value
      ?.reshape({ shape: [1, groups, each, 1] })
      .broadcastTo({ shape: [batch, groups, each, 1] })
      .reshape({ shape: [1, batch * groups, each, 1] });
  const shape = [1, batch * groups, each, sizeOf(positions)];
  return normalizedRows(x, shape, eps, { weight: spread(weight), bias: spread(bias) });
}

const perChannel = (affine: boolean, channels: number) => ({
  ...(affine && { weight: parameter([channels], ones), bias: parameter([channels], zeros) }),
});

/**
 * Group normalisation: [N, C, …] → the same; (x − mean)/√(variance + eps)·weight + bias, with the statistics of each
 * example's `groups` equal parts of the channels, weight and bias [C], as torch.nn.GroupNorm. Source: Wu, He, 2018, eq. 7.
 *
 * @example nn.groupNorm(8, 64)
 */
export function groupNorm(groups: number, channels: number, options: GroupNormOptions = {}): Module {
  positive("groupNorm", { groups, channels });
  checkNames("groupNorm", options, ["eps", "affine"]);
  if (channels % groups !== 0)
    throw new OptionError(
      `groupNorm: ${groups} groups do not divide ${channels} channels evenly; choose a divisor.`,
    );
  const { eps = 1e-5, affine = true } = options;
  checkNumber("groupNorm: eps", eps, [0]);
  return defineLayer("groupNorm", [groups, channels, options], perChannel(affine, channels), (tensors, x) => {
    if (x.shape.length < 2 || x.shape[1] !== channels)
      throw new ShapeError(`groupNorm: takes [batch, ${channels}, …], got ${showShape(x.shape)}.`);
    return normalizedGroups(tensors, x, groups, eps);
  });
}

/**
 * Instance normalisation: [N, C, L] or [N, C, H, W] → the same; (x − mean)/√(variance + eps)·weight + bias, with the
 * statistics of each channel of each example, as torch.nn.InstanceNorm1d and 2d. Source: Ulyanov, Vedaldi, Lempitsky, 2016, §2.
 */
export function instanceNorm(channels: number, options: GroupNormOptions = {}): Module {
  positive("instanceNorm", { channels });
  checkNames("instanceNorm", options, ["eps", "affine"]);
  const { eps = 1e-5, affine = false } = options;
  checkNumber("instanceNorm: eps", eps, [0]);
  return defineLayer("instanceNorm", [channels, options], perChannel(affine, channels), (tensors, x) => {
    if (x.shape.length < 3 || x.shape[1] !== channels)
      throw new ShapeError(
        `instanceNorm: takes [batch, ${channels}, positions, …], got ${showShape(x.shape)}.`,
      );
    if (sizeOf(x.shape.slice(2)) < 2)
      throw new ShapeError(
        `instanceNorm: one value per channel has no variance in ${showShape(x.shape)}; use at least 2 positions.`,
      );
    return normalizedGroups(tensors, x, channels, eps);
  });
}
