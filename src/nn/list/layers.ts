import { heNormal } from "../init.ts";
import * as nn from "../layers/index.ts";
import type { Module } from "../module.ts";
import { initial } from "./initializers.ts";
import {
  channelsOf,
  flag,
  kind,
  type LayerKind,
  needed,
  number,
  numberOr,
  perhaps,
  type Setting,
  word,
} from "./settings.ts";

/** Of a convolution to `out` channels. */
const convolution = {
  out: needed(32),
  kernel: number(3),
  stride: number(1),
  padding: numberOr(["same", "valid"], "valid", "same"),
  dilation: number(1),
};

/** Pooling by windows: `make` with its options, those of `more` among them. */
function pooling<More extends Readonly<Record<string, Setting<any>>>>(
  make: (kernel: number, options: nn.Pool2dOptions) => Module,
  more: More,
): LayerKind {
  const settings: Readonly<Record<string, Setting<any>>> = {
    kernel: needed(2),
    stride: perhaps(2),
    padding: number(0),
    ceilMode: flag(false),
    ...more,
  };
  return kind(settings, ({ kernel, stride = kernel, ...options }, input) => {
    channelsOf(input, 4);
    return make(kernel, { stride, ...options });
  });
}

/** As many rows and columns at each side, and a function that adds or removes them. */
const sides = (make: (sides: number) => Module): LayerKind =>
  kind({ sides: needed(1) }, ({ sides }) => make(sides));
/** A module of a share of what is left out, or noise. */
const noise = (make: (p: number) => Module): LayerKind => kind({ p: number(0.5, 0.2) }, ({ p }) => make(p));
const square = { size: number(1) };
const eps = number(1e-5);
const affine = flag(true);

/** Two 3×3 convolutions with batch norm around a shortcut, ReLU after the sum. He et al., 2016, figure 2 and table 1. */
function basicBlock(input: number, output: number, stride: number): Module {
  const conv = (from: number, kernel: number, step: number) => [
    nn.conv2d({
      in: from,
      out: output,
      kernel,
      stride: step,
      padding: (kernel - 1) / 2,
      bias: false,
      init: heNormal(),
    }),
    nn.batchNorm(output),
  ];
  const body = nn.sequential(...conv(input, 3, stride), nn.relu(), ...conv(output, 3, 1));
  const same = input === output && stride === 1;
  return {
    ...nn.sequential(
      nn.residual(body, same ? undefined : nn.sequential(...conv(input, 1, stride))),
      nn.relu(),
    ),
    label: `residual(${input} → ${output}${stride === 1 ? "" : `, stride ${stride}`})`,
  };
}

/** Layers that are no activations, one declaration each: the function that makes it, and what it is called with. */
export const layers: Readonly<Record<string, LayerKind>> = {
  conv2d: kind(
    { ...convolution, groups: number(1), bias: flag(true), init: initial },
    ({ init, ...options }, input) => nn.conv2d({ in: channelsOf(input, 4), ...options, ...init }),
  ),
  separableConv2d: kind(
    { ...convolution, depthMultiplier: number(1), bias: flag(true), init: initial },
    ({ init, ...options }, input) => nn.separableConv2d({ in: channelsOf(input, 4), ...options, ...init }),
  ),
  convTranspose2d: kind(
    {
      out: needed(32),
      kernel: number(2),
      stride: number(2),
      padding: number(0),
      outputPadding: number(0),
      dilation: number(1),
      groups: number(1),
      bias: flag(true),
      init: initial,
    },
    ({ init, ...options }, input) => nn.convTranspose2d({ in: channelsOf(input, 4), ...options, ...init }),
  ),
  linear: kind({ out: needed(128), bias: flag(true), init: initial }, ({ init, ...options }, input) =>
    nn.linear({ in: channelsOf(input, 2), ...options, ...init }),
  ),
  residual: kind({ out: needed(32), stride: number(1, 2) }, ({ out, stride }, input) =>
    basicBlock(channelsOf(input, 4), out, stride),
  ),
  maxout: kind(
    { out: needed(128), pieces: number(2), bias: flag(true), init: initial },
    ({ init, ...options }, input) => nn.maxout({ in: channelsOf(input, 2), ...options, ...init }),
  ),
  highway: kind({ activation: word(["relu", "tanh"], "relu"), gateBias: number(-1) }, (options, input) =>
    nn.highway({ features: channelsOf(input, 2), ...options }),
  ),
  dropConnect: kind(
    { out: needed(128), p: number(0.5), bias: flag(true), init: initial },
    ({ init, ...options }, input) => nn.dropConnect({ in: channelsOf(input, 2), ...options, ...init }),
  ),
  squeezeExcitation: kind({ squeeze: perhaps(4) }, ({ squeeze }, input) =>
    nn.squeezeExcitation({ channels: channelsOf(input, 4), ...(squeeze !== undefined && { squeeze }) }),
  ),
  batchNorm: kind({ eps, momentum: number(0.1) }, (options, input) => nn.batchNorm(input[1]!, options)),
  // Over all axes but the batch's.
  layerNorm: kind({ eps, affine }, (options, input) => nn.layerNorm(input.slice(1), options)),
  rmsNorm: kind({ eps: number(2 ** -23), affine }, (options, input) => nn.rmsNorm(input.slice(1), options)),
  groupNorm: kind({ groups: needed(4), eps, affine }, ({ groups, ...options }, input) =>
    nn.groupNorm(groups, input[1]!, options),
  ),
  instanceNorm: kind({ eps, affine: flag(false) }, (options, input) => nn.instanceNorm(input[1]!, options)),
  maxPool2d: pooling(nn.maxPool2d, {}),
  avgPool2d: pooling(nn.avgPool2d, { countIncludePad: flag(true) }),
  globalAvgPool2d: kind({}, () => nn.globalAvgPool2d()),
  globalMaxPool2d: kind({}, () => nn.globalMaxPool2d()),
  adaptiveAvgPool2d: kind(square, ({ size }) => nn.adaptiveAvgPool2d(size)),
  adaptiveMaxPool2d: kind(square, ({ size }) => nn.adaptiveMaxPool2d(size)),
  upsample2d: kind({ scale: number(2), mode: word(["nearest", "bilinear"], "nearest") }, (options) =>
    nn.upsample2d(options),
  ),
  zeroPad2d: sides(nn.zeroPad2d),
  constantPad2d: kind({ sides: needed(1), value: needed(0) }, ({ sides, value }) =>
    nn.constantPad2d(sides, value),
  ),
  reflectionPad2d: sides(nn.reflectionPad2d),
  replicationPad2d: sides(nn.replicationPad2d),
  crop2d: sides(nn.crop2d),
  flatten: kind({}, () => nn.flatten()),
  dropout: noise(nn.dropout),
  spatialDropout: noise(nn.spatialDropout),
  alphaDropout: noise(nn.alphaDropout),
  gaussianDropout: noise(nn.gaussianDropout),
  gaussianNoise: kind({ std: needed(0.1) }, ({ std }) => nn.gaussianNoise(std)),
};
