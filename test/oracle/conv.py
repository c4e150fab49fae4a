"""Convolutions: conv.json. See common.py."""

import torch
from torch import nn

from common import layer_case, values, write

torch.manual_seed(10)


class Separable(nn.Module):
    """Chollet, 2017, "Xception", §3, out of PyTorch's own convolutions."""

    def __init__(self, channels, out, kernel, multiplier=1, bias=True, **options):
        super().__init__()
        between = channels * multiplier
        self.depthwise = nn.Conv2d(channels, between, kernel, groups=channels, bias=False, **options)
        self.pointwise = nn.Conv2d(between, out, 1, bias=bias)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


cases = [
    layer_case("conv2d", [{"in": 2, "out": 3, "kernel": 3}], nn.Conv2d(2, 3, 3), values(2, 2, 4, 5)),
    layer_case("conv2d", [{"in": 4, "out": 2, "kernel": [2, 3], "stride": [2, 1], "padding": [1, 2], "dilation": [1, 2], "groups": 2, "bias": False}],
               nn.Conv2d(4, 2, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False), values(1, 4, 5, 4)),
    layer_case("conv2d", [{"in": 1, "out": 2, "kernel": [2, 3], "padding": "same"}], nn.Conv2d(1, 2, (2, 3), padding="same"), values(2, 1, 4, 3)),
    layer_case("conv2d", [{"in": 3, "out": 6, "kernel": 3, "padding": 1, "groups": 3}], nn.Conv2d(3, 6, 3, padding=1, groups=3), values(1, 3, 4, 4)),
    layer_case("conv1d", [{"in": 2, "out": 3, "kernel": 3}], nn.Conv1d(2, 3, 3), values(2, 2, 7)),
    layer_case("conv1d", [{"in": 4, "out": 6, "kernel": 2, "stride": 2, "padding": 1, "dilation": 3, "groups": 2, "bias": False}],
               nn.Conv1d(4, 6, 2, stride=2, padding=1, dilation=3, groups=2, bias=False), values(2, 4, 8)),
    layer_case("conv1d", [{"in": 2, "out": 2, "kernel": 4, "padding": "same"}], nn.Conv1d(2, 2, 4, padding="same"), values(1, 2, 5)),
    layer_case("conv1d", [{"in": 3, "out": 3, "kernel": 3, "padding": 1, "groups": 3}], nn.Conv1d(3, 3, 3, padding=1, groups=3), values(2, 3, 6)),
    layer_case("separableConv2d", [{"in": 2, "out": 3, "kernel": 3, "padding": 1}], Separable(2, 3, 3, padding=1), values(2, 2, 4, 3)),
    layer_case("separableConv2d", [{"in": 2, "out": 2, "kernel": [3, 2], "stride": 2, "depthMultiplier": 2, "bias": False}],
               Separable(2, 2, (3, 2), multiplier=2, bias=False, stride=2), values(1, 2, 5, 6)),
    layer_case("convTranspose2d", [{"in": 2, "out": 3, "kernel": 3}], nn.ConvTranspose2d(2, 3, 3), values(2, 2, 3, 2)),
    layer_case("convTranspose2d", [{"in": 2, "out": 2, "kernel": 3, "stride": 2, "padding": 1, "outputPadding": 1}],
               nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1, output_padding=1), values(1, 2, 3, 4)),
    layer_case("convTranspose2d", [{"in": 4, "out": 2, "kernel": [2, 4], "stride": [3, 2], "padding": [0, 1], "outputPadding": [2, 0], "groups": 2, "bias": False}],
               nn.ConvTranspose2d(4, 2, (2, 4), stride=(3, 2), padding=(0, 1), output_padding=(2, 0), groups=2, bias=False), values(1, 4, 2, 3)),
    layer_case("convTranspose2d", [{"in": 1, "out": 2, "kernel": 2, "stride": [1, 2], "dilation": [3, 4], "padding": [0, 1], "outputPadding": [2, 3]}],
               nn.ConvTranspose2d(1, 2, 2, stride=(1, 2), dilation=(3, 4), padding=(0, 1), output_padding=(2, 3)), values(1, 1, 2, 3)),
    layer_case("convTranspose1d", [{"in": 2, "out": 3, "kernel": 3}], nn.ConvTranspose1d(2, 3, 3), values(2, 2, 4)),
    layer_case("convTranspose1d", [{"in": 2, "out": 4, "kernel": 4, "stride": 2, "padding": 1, "groups": 2}],
               nn.ConvTranspose1d(2, 4, 4, stride=2, padding=1, groups=2), values(2, 2, 5)),
    layer_case("convTranspose1d", [{"in": 1, "out": 1, "kernel": 2, "stride": 3, "dilation": 2, "outputPadding": 2, "bias": False}],
               nn.ConvTranspose1d(1, 1, 2, stride=3, dilation=2, output_padding=2, bias=False), values(1, 1, 4)),
]
write("conv", cases, "torch.nn.Conv1d, Conv2d, ConvTranspose1d and ConvTranspose2d, by conv.py")
