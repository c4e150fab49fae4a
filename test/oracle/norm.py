"""Normalisation layers: norm.json. See common.py."""

import torch
from torch import nn

from common import layer_case, values, write

torch.manual_seed(2)


def single(x):
    """A number as float32 holds it: that is how options reach the graph."""
    return torch.tensor(x, dtype=torch.float32).item()


def batch_norm(kind, features, momentum=0.1, eps=1e-5, **options):
    return kind(features, momentum=single(momentum), eps=single(eps), **options)


class ShiftedBatchNorm(nn.BatchNorm2d):
    """Without a weight, but with a bias."""

    def __init__(self, features, **options):
        super().__init__(features, affine=False, **options)
        self.bias = nn.Parameter(torch.zeros(features))


class ScaledLayerNorm(nn.Module):
    """Layer norm without a bias, which PyTorch has since 2.1."""

    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x):
        return nn.functional.layer_norm(x, self.weight.shape, self.weight)


class RMSNorm(nn.Module):
    """Zhang, Sennrich, 2019, eq. 4, with PyTorch's eps, which it has since 2.4."""

    def __init__(self, shape, eps=2**-23, affine=True):
        super().__init__()
        self.axes = tuple(range(-len(shape), 0))
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(*shape)) if affine else None

    def forward(self, x):
        y = x / torch.sqrt((x * x).mean(self.axes, keepdim=True) + self.eps)
        return y if self.weight is None else y * self.weight


def running(module):
    """Running statistics that are not those of the start."""
    with torch.no_grad():
        module.running_mean.copy_(values(*module.running_mean.shape))
        module.running_var.copy_(values(*module.running_var.shape, low=0.25, high=2))
    return module


# Of 5 and 9 values for each channel n/(n - 1), which makes the running variance unbiased, is the same in float32.
flat, line, plane = values(5, 3), values(3, 3, 3), values(3, 4, 1, 3)
image = values(2, 4, 3, 3)
cases = []
for training in (True, False):
    cases += [
        layer_case("batchNorm", [3], running(batch_norm(nn.BatchNorm1d, 3)), flat, training=training),
        layer_case("batchNorm", [3, {"momentum": 0.6, "eps": 0.015625}], running(batch_norm(nn.BatchNorm1d, 3, momentum=0.6, eps=0.015625)), line, training=training),
        layer_case("batchNorm", [4], running(batch_norm(nn.BatchNorm2d, 4)), plane, training=training),
        layer_case("batchNorm", [4, {"affine": False}], running(batch_norm(nn.BatchNorm2d, 4, affine=False)), plane, training=training),
        layer_case("batchNorm", [4, {"scale": False, "momentum": 0.6}], running(batch_norm(ShiftedBatchNorm, 4, momentum=0.6)), plane, training=training),
        layer_case("batchNorm", [4, {"trackRunningStats": False}], batch_norm(nn.BatchNorm2d, 4, track_running_stats=False), plane, training=training),
    ]
cases += [
    layer_case("layerNorm", [5], nn.LayerNorm(5), values(3, 5)),
    layer_case("layerNorm", [5], nn.LayerNorm(5), values(5), training=False),
    layer_case("layerNorm", [[5], {"eps": 0.5}], nn.LayerNorm(5, eps=0.5), values(2, 3, 5)),
    layer_case("layerNorm", [[4, 3, 3]], nn.LayerNorm([4, 3, 3]), image),
    layer_case("layerNorm", [[3, 3], {"affine": False}], nn.LayerNorm([3, 3], elementwise_affine=False), image),
    layer_case("layerNorm", [5, {"bias": False}], ScaledLayerNorm(5), values(2, 3, 5)),
    layer_case("layerNorm", [5], nn.LayerNorm(5), values(3, 5) + 1000, note="a mean far from 0"),
    layer_case("layerNorm", [1], nn.LayerNorm(1), values(3, 1)),
    layer_case("groupNorm", [2, 4], nn.GroupNorm(2, 4), image),
    layer_case("groupNorm", [1, 4, {"eps": 0.125}], nn.GroupNorm(1, 4, eps=0.125), values(2, 4, 3), training=False),
    layer_case("groupNorm", [3, 6, {"affine": False}], nn.GroupNorm(3, 6, affine=False), values(2, 6, 2)),
    layer_case("groupNorm", [4, 4], nn.GroupNorm(4, 4), image),
    layer_case("instanceNorm", [3], nn.InstanceNorm1d(3), line),
    layer_case("instanceNorm", [4, {"affine": True}], nn.InstanceNorm2d(4, affine=True), image),
    layer_case("instanceNorm", [4, {"eps": 0.01}], nn.InstanceNorm2d(4, eps=0.01), image, training=False),
    layer_case("instanceNorm", [3, {"affine": True}], nn.InstanceNorm1d(3, affine=True), line, training=False),
    layer_case("rmsNorm", [5], RMSNorm([5]), values(2, 3, 5)),
    layer_case("rmsNorm", [[4, 3], {"eps": 0.01}], RMSNorm([4, 3], eps=0.01), values(2, 4, 3), training=False),
    layer_case("rmsNorm", [5, {"affine": False}], RMSNorm([5], affine=False), values(4, 5)),
]
write("norm", cases, "torch.nn.BatchNorm1d and 2d, LayerNorm, GroupNorm, InstanceNorm1d and 2d; RMS norm after its paper; by norm.py")
