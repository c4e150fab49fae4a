"""Upsampling, padding, cropping and layers that change shapes: space.json. See common.py."""

import torch
from torch import nn

from common import layer_case, values, write

torch.manual_seed(12)


def upsampled(axes, options, *shape):
    names = {"scale": "scale_factor", "alignCorners": "align_corners"}
    given = {names.get(k, k): tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return layer_case(f"upsample{axes}d", [options], nn.Upsample(**given), values(*shape))


def padded(layer, sides, module, *shape, more=()):
    return layer_case(layer, [sides, *more], module, values(*shape))


pad = nn.functional.pad
cases = [
    upsampled(2, {"scale": 2}, 2, 2, 2, 3),
    upsampled(2, {"scale": [1, 3]}, 1, 2, 2, 2),
    upsampled(2, {"size": [4, 5]}, 1, 2, 3, 2),
    upsampled(2, {"size": [2, 2]}, 1, 1, 3, 5),
    upsampled(2, {"scale": 2, "mode": "bilinear"}, 2, 2, 3, 2),
    upsampled(2, {"scale": [3, 4], "mode": "bilinear"}, 1, 1, 2, 2),
    upsampled(2, {"scale": [1, 2], "mode": "bilinear"}, 1, 2, 2, 1),
    upsampled(2, {"size": 5, "mode": "bilinear"}, 1, 2, 3, 4),
    upsampled(2, {"size": [2, 3], "mode": "bilinear"}, 1, 1, 5, 4),
    upsampled(2, {"scale": 2, "mode": "bilinear", "alignCorners": True}, 1, 2, 3, 2),
    upsampled(2, {"size": [1, 7], "mode": "bilinear", "alignCorners": True}, 1, 1, 3, 3),
    upsampled(1, {"scale": 3}, 2, 2, 3),
    upsampled(1, {"size": 7}, 2, 1, 3),
    upsampled(1, {"scale": 2, "mode": "linear"}, 2, 2, 4),
    upsampled(1, {"scale": 5, "mode": "linear"}, 1, 1, 3),
    upsampled(1, {"size": 4, "mode": "linear"}, 1, 2, 7),
    upsampled(1, {"scale": 3, "mode": "linear", "alignCorners": True}, 2, 1, 3),
    padded("zeroPad2d", 1, nn.ZeroPad2d(1), 2, 2, 2, 3),
    padded("zeroPad2d", [1, 2, 0, 3], nn.ZeroPad2d((1, 2, 0, 3)), 1, 2, 3, 2),
    padded("zeroPad1d", [2, 1], nn.ConstantPad1d((2, 1), 0.0), 2, 2, 3),
    padded("constantPad2d", [0, 2, 1, 0], nn.ConstantPad2d((0, 2, 1, 0), -1.5), 1, 2, 2, 2, more=[-1.5]),
    padded("constantPad1d", 2, nn.ConstantPad1d(2, 0.75), 2, 1, 3, more=[0.75]),
    padded("reflectionPad2d", 1, nn.ReflectionPad2d(1), 2, 2, 2, 3),
    padded("reflectionPad2d", [3, 1, 0, 2], nn.ReflectionPad2d((3, 1, 0, 2)), 1, 2, 3, 4),
    padded("reflectionPad1d", [4, 2], nn.ReflectionPad1d((4, 2)), 2, 2, 5),
    padded("replicationPad2d", 2, nn.ReplicationPad2d(2), 2, 2, 1, 3),
    padded("replicationPad2d", [0, 3, 1, 2], nn.ReplicationPad2d((0, 3, 1, 2)), 1, 2, 3, 2),
    padded("replicationPad1d", [1, 4], nn.ReplicationPad1d((1, 4)), 2, 2, 3),
    padded("crop2d", 1, lambda x: pad(x, (-1, -1, -1, -1)), 2, 2, 4, 3),
    padded("crop2d", [1, 0, 0, 2], lambda x: pad(x, (-1, 0, 0, -2)), 1, 2, 4, 3),
    padded("crop1d", [1, 2], lambda x: pad(x, (-1, -2)), 2, 2, 5),
    layer_case("flatten", [], nn.Flatten(), values(2, 2, 3, 2)),
    layer_case("flatten", [2], nn.Flatten(2), values(2, 2, 3, 2)),
    layer_case("reshape", [[3, 4]], nn.Unflatten(1, (3, 4)), values(2, 12)),
    layer_case("reshape", [[2, -1, 3]], lambda x: x.reshape(x.shape[0], 2, -1, 3), values(2, 6, 2)),
    layer_case("permute", [[2, 1]], lambda x: x.permute(0, 2, 1), values(2, 3, 4)),
    layer_case("permute", [[3, 1, 2]], lambda x: x.permute(0, 3, 1, 2), values(2, 3, 2, 4)),
    layer_case("repeatVector", [3], lambda x: x.unsqueeze(1).repeat(1, 3, 1), values(2, 4)),
    layer_case("unsqueeze", [1], lambda x: x.unsqueeze(1), values(2, 3)),
    layer_case("unsqueeze", [-1], lambda x: x.unsqueeze(-1), values(2, 3)),
    layer_case("squeeze", [2], lambda x: x.squeeze(2), values(2, 3, 1, 2)),
    layer_case("squeeze", [-1], lambda x: x.squeeze(-1), values(2, 3, 1)),
]
write("space", cases, "torch.nn.Upsample, ZeroPad, ConstantPad, ReflectionPad, ReplicationPad, Flatten and others, by space.py")
