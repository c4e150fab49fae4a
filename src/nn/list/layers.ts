import { heNormal } from "../init.ts";
import * as nn from "../layers/index.ts";
import type { Module } from "../module.ts";
import { initial } from "./initializers.ts";
import { channelsOf, flag, kind, type LayerKind, needed, number, numberOr, perhaps } from "./settings.ts";

const kernel = needed(2);
const stride = perhaps(2);
const padding = number(0);

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
    {
      out: needed(32),
      kernel: number(3),
      stride: number(1),
      padding: numberOr(["same", "valid"], "valid", "same"),
      dilation: number(1),
      groups: number(1),
      bias: flag(true),
      init: initial,
    },
    ({ init, ...options }, input) => nn.conv2d({ in: channelsOf(input, 4), ...options, ...init }),
  ),
  linear: kind({ out: needed(128), bias: flag(true), init: initial }, ({ init, ...options }, input) =>
    nn.linear({ in: channelsOf(input, 2), ...options, ...init }),
  ),
  residual: kind({ out: needed(32), stride: number(1, 2) }, ({ out, stride }, input) =>
    basicBlock(channelsOf(input, 4), out, stride),
  ),
  batchNorm: kind({ eps: number(1e-5), momentum: number(0.1) }, (options, input) =>
    nn.batchNorm(input[1]!, options),
  ),
  maxPool2d: kind({ kernel, stride, padding }, ({ kernel, stride = kernel, padding }, input) => {
    channelsOf(input, 4);
    return nn.maxPool2d(kernel, { stride, padding });
  }),
  avgPool2d: kind(
    { kernel, stride, padding, countIncludePad: flag(true) },
    ({ kernel, stride = kernel, ...options }, input) => {
      channelsOf(input, 4);
      return nn.avgPool2d(kernel, { stride, ...options });
    },
  ),
  globalAvgPool2d: kind({}, () => nn.globalAvgPool2d()),
  flatten: kind({}, () => nn.flatten()),
  dropout: kind({ p: number(0.5, 0.2) }, ({ p }) => nn.dropout(p)),
};
