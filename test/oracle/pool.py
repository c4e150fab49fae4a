"""Pooling: pool.json. See common.py. Inputs of maxima have no two equal numbers but where a note says so."""

import torch
from torch import nn

from common import layer_case, values, write

torch.manual_seed(11)


def distinct(*shape):
    count = torch.Size(shape).numel()
    return (torch.randperm(count) - count // 2).reshape(shape) / 16.0


def pooled(kind, axes, kernel, options=None, **torch_options):
    module = getattr(nn, {"max": f"MaxPool{axes}d", "avg": f"AvgPool{axes}d"}[kind])
    args = [kernel] if options is None else [kernel, options]
    draw = distinct if kind == "max" else values
    return lambda *shape: layer_case(f"{kind}Pool{axes}d", args, module(kernel, **torch_options), draw(*shape))


def adaptive(kind, axes, size, *shape):
    module = getattr(nn, f"Adaptive{kind}Pool{axes}d")(size)
    return layer_case(f"adaptive{kind}Pool{axes}d", [size], module, (distinct if kind == "Max" else values)(*shape))


cases = []
for kind in ("max", "avg"):
    cases += [
        pooled(kind, 2, 2)(2, 2, 4, 5),
        pooled(kind, 2, [3, 2], {"stride": [2, 1], "padding": [1, 0]}, stride=(2, 1), padding=(1, 0))(1, 2, 5, 4),
        pooled(kind, 2, 3, {"stride": 2, "padding": 1, "ceilMode": True}, stride=2, padding=1, ceil_mode=True)(1, 2, 6, 5),
        pooled(kind, 2, [2, 4], {"stride": [3, 3], "padding": [1, 2], "ceilMode": True}, stride=3, padding=(1, 2), ceil_mode=True)(1, 1, 6, 5),
        pooled(kind, 2, [4, 2], {"stride": [2, 2], "ceilMode": True}, stride=2, ceil_mode=True)(1, 1, 3, 5),
        pooled(kind, 1, 2)(2, 2, 5),
        pooled(kind, 1, 3, {"stride": 2, "padding": 1, "ceilMode": True}, stride=2, padding=1, ceil_mode=True)(2, 2, 6),
        pooled(kind, 1, 4, {"stride": 1, "padding": 2}, stride=1, padding=2)(1, 2, 4),
    ]
cases += [
    pooled("avg", 2, 3, {"stride": 2, "padding": 1, "countIncludePad": False}, stride=2, padding=1, count_include_pad=False)(1, 2, 5, 4),
    pooled("avg", 2, 3, {"stride": 2, "padding": 1, "ceilMode": True, "countIncludePad": False},
           stride=2, padding=1, ceil_mode=True, count_include_pad=False)(1, 2, 6, 4),
    pooled("avg", 1, 3, {"padding": 1, "countIncludePad": False}, padding=1, count_include_pad=False)(2, 1, 5),
    layer_case("globalAvgPool2d", [], lambda x: nn.functional.adaptive_avg_pool2d(x, 1).flatten(1), values(2, 3, 3, 4)),
    layer_case("globalAvgPool1d", [], lambda x: nn.functional.adaptive_avg_pool1d(x, 1).flatten(1), values(2, 3, 5)),
    layer_case("globalMaxPool2d", [], lambda x: nn.functional.adaptive_max_pool2d(x, 1).flatten(1), distinct(2, 3, 3, 4)),
    layer_case("globalMaxPool2d", [], lambda x: torch.amax(x, (2, 3)), values(2, 2, 3, 3, low=-1 / 16, high=1 / 16), note="ties"),
    layer_case("globalMaxPool1d", [], lambda x: nn.functional.adaptive_max_pool1d(x, 1).flatten(1), distinct(2, 3, 5)),
    layer_case("maxPool2d", [2, {"stride": 1}], nn.MaxPool2d(2, stride=1), values(1, 2, 4, 4, low=-1 / 16, high=1 / 16), note="ties"),
    layer_case("adaptiveMaxPool2d", [[2, 3]], nn.AdaptiveMaxPool2d((2, 3)), values(2, 2, 5, 4, low=-1 / 16, high=1 / 16), note="ties"),
]
for kind in ("Avg", "Max"):
    cases += [
        adaptive(kind, 2, 1, 2, 2, 3, 4),
        adaptive(kind, 2, 2, 1, 2, 4, 6),
        adaptive(kind, 2, [3, 2], 2, 1, 7, 5),
        adaptive(kind, 2, [2, 3], 1, 2, 4, 5),
        adaptive(kind, 2, [5, 4], 1, 1, 3, 4),
        adaptive(kind, 1, 3, 2, 2, 6),
        adaptive(kind, 1, 4, 2, 1, 7),
    ]
write("pool", cases, "torch.nn.MaxPool, AvgPool, AdaptiveMaxPool and AdaptiveAvgPool, 1d and 2d, by pool.py")
