import * as nn from "../layers/index.ts";
import { flag, kind, type LayerKind, needed, number, perhaps, word } from "./settings.ts";

/** The channels of a layer's input where there is to be a number for each, else 1. */
const features = (each: boolean, input: readonly number[]) => (each ? input[1]! : 1);

/** Activations with their parameters. */
export const activations: Readonly<Record<string, LayerKind>> = {
  relu: kind({}, () => nn.relu()),
  relu6: kind({}, () => nn.relu6()),
  leakyRelu: kind({ slope: number(0.01) }, ({ slope }) => nn.leakyRelu(slope)),
  prelu: kind({ alpha: number(0.25), perChannel: flag(false) }, ({ alpha, perChannel }, input) =>
    nn.prelu({ alpha, features: features(perChannel, input) }),
  ),
  thresholdedRelu: kind({ theta: number(1) }, ({ theta }) => nn.thresholdedRelu(theta)),
  thresholdedLinear: kind({ theta: number(1) }, ({ theta }) => nn.thresholdedLinear(theta)),
  threshold: kind({ threshold: needed(0.5), value: needed(0) }, ({ threshold, value }) =>
    nn.threshold(threshold, value),
  ),
  elu: kind({ alpha: number(1) }, ({ alpha }) => nn.elu(alpha)),
  selu: kind({}, () => nn.selu()),
  celu: kind({ alpha: number(1) }, ({ alpha }) => nn.celu(alpha)),
  gelu: kind({ approximate: word(["none", "tanh"], "none") }, ({ approximate }) => nn.gelu(approximate)),
  silu: kind({}, () => nn.silu()),
  swish: kind({ beta: number(1), learned: flag(false) }, (options) => nn.swish(options)),
  mish: kind({}, () => nn.mish()),
  hardSwish: kind({}, () => nn.hardSwish()),
  tanh: kind({}, () => nn.tanh()),
  hardTanh: kind({ min: number(-1), max: number(1) }, (options) => nn.hardTanh(options)),
  sigmoid: kind({}, () => nn.sigmoid()),
  hardSigmoid: kind({}, () => nn.hardSigmoid()),
  softsign: kind({}, () => nn.softsign()),
  softplus: kind({ beta: number(1), threshold: perhaps(20) }, ({ beta, threshold }) =>
    nn.softplus(threshold === undefined ? { beta } : { beta, threshold }),
  ),
  parametricSoftplus: kind(
    { alpha: number(0.2), beta: number(5), perChannel: flag(false) },
    ({ alpha, beta, perChannel }, input) =>
      nn.parametricSoftplus({ alpha, beta, features: features(perChannel, input) }),
  ),
  softshrink: kind({ lambda: number(0.5) }, ({ lambda }) => nn.softshrink(lambda)),
  hardshrink: kind({ lambda: number(0.5) }, ({ lambda }) => nn.hardshrink(lambda)),
  softmax: kind({ axis: number(1) }, ({ axis }) => nn.softmax(axis)),
  logSoftmax: kind({ axis: number(1) }, ({ axis }) => nn.logSoftmax(axis)),
  glu: kind({ axis: number(1) }, ({ axis }) => nn.glu(axis)),
};
