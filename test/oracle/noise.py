"""Layers with random numbers, outside training: noise.json. See common.py.

What they do in training is in test/nn/noise.test.ts."""

import torch
from torch import nn

from common import layer_case, part, values, write

torch.manual_seed(4)


def same(x):
    """What Keras's noise layers are outside training."""
    return x * 1


x, image = values(3, 4), values(2, 3, 2, 2)
cases = [
    layer_case("dropout", [], nn.Dropout(), x, training=False),
    layer_case("dropout", [0.2], nn.Dropout(0.2), image, training=False),
    layer_case("dropout", [0], nn.Dropout(0), x),
    layer_case("spatialDropout", [], nn.Dropout2d(), image, training=False),
    layer_case("spatialDropout", [0.25], nn.Dropout1d(0.25), values(2, 3, 4), training=False),
    layer_case("spatialDropout", [0], nn.Dropout2d(0), image),
    layer_case("gaussianNoise", [0.5], same, x, training=False),
    layer_case("gaussianDropout", [0.5], same, x, training=False),
    layer_case("alphaDropout", [0.25], nn.AlphaDropout(0.25), x, training=False),
    layer_case("alphaDropout", [0], nn.AlphaDropout(0), x),
    layer_case("stochasticDepth", [part("linear", {"in": 4, "out": 2}), 0.5], nn.Sequential(nn.Linear(4, 2)), x, training=False),
    layer_case("stochasticDepth", [part("linear", {"in": 4, "out": 2}), 0], nn.Sequential(nn.Linear(4, 2)), x),
    layer_case("dropConnect", [{"in": 4, "out": 2}], nn.Linear(4, 2), x, training=False),
    layer_case("dropConnect", [{"in": 4, "out": 2, "bias": False, "p": 0.2}], nn.Linear(4, 2, bias=False), values(2, 3, 4), training=False),
]
write("noise", cases, "torch.nn.Dropout, Dropout1d and 2d, AlphaDropout and Linear, by noise.py")
