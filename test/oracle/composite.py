"""Layers made of others: composite.json. See common.py."""

import torch
from torch import nn

from common import layer_case, part, values, write

torch.manual_seed(5)


class Maxout(nn.Linear):
    """Goodfellow et al., 2013, section 2."""

    def __init__(self, inputs, outputs, pieces, bias=True):
        super().__init__(inputs, outputs * pieces, bias=bias)
        self.pieces = pieces

    def forward(self, x):
        return super().forward(x).unflatten(-1, (-1, self.pieces)).amax(-1)


class Highway(nn.Module):
    """Srivastava, Greff, Schmidhuber, 2015, equation 3."""

    def __init__(self, features, activation=torch.relu):
        super().__init__()
        self.weight, self.gate_weight = (nn.Parameter(torch.empty(features, features)) for _ in range(2))
        self.bias, self.gate_bias = (nn.Parameter(torch.empty(features)) for _ in range(2))
        self.activation = activation

    def forward(self, x):
        gate = torch.sigmoid(x @ self.gate_weight.T + self.gate_bias)
        return self.activation(x @ self.weight.T + self.bias) * gate + x * (1 - gate)


class SqueezeExcitation(nn.Module):
    """torchvision.ops.SqueezeExcitation; Hu, Shen, Sun, 2018, equations 2 to 4."""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.fc2 = nn.Conv2d(squeeze, channels, 1)

    def forward(self, x):
        scale = nn.functional.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(scale))))


class Tied(nn.Module):
    """Back through another layer's weight: x W^T for an embedding, x W for a linear layer."""

    def __init__(self, source, back, bias=True):
        super().__init__()
        if bias:
            self.bias = nn.Parameter(torch.zeros(source.weight.shape[1 if back else 0]))
        self.source, self.back = source, back

    def forward(self, x):
        weight = self.source.weight.T if self.back else self.source.weight
        return nn.functional.linear(x, weight, getattr(self, "bias", None))


class Lora(nn.Module):
    """Hu et al., 2021, section 4.1: the weight W + alpha/rank B A, under the names of the layer and lora_A, lora_B."""

    def __init__(self, base, rank, alpha):
        super().__init__()
        self.weight, self.bias = base.weight, base.bias
        self.base = [base]  # in a list, so that it is no part
        self.lora_A = nn.Parameter(torch.empty(rank, *base.weight.shape[1:]))
        self.lora_B = nn.Parameter(torch.empty(base.weight.shape[0], rank))
        self.scale = alpha / rank

    def forward(self, x):
        change = (self.lora_B @ self.lora_A.flatten(1)).view(self.weight.shape)
        weight = self.weight + self.scale * change
        (base,) = self.base
        if isinstance(base, nn.Linear):
            return nn.functional.linear(x, weight, self.bias)
        return base._conv_forward(x, weight, self.bias)


x = values(3, 4)
cases = [
    layer_case("maxout", [{"in": 4, "out": 3, "pieces": 2}], Maxout(4, 3, 2), x),
    layer_case("maxout", [{"in": 4, "out": 2, "pieces": 3, "bias": False}], Maxout(4, 2, 3, bias=False), values(2, 3, 4), training=False),
    layer_case("highway", [{"features": 4}], Highway(4), x),
    layer_case("highway", [{"features": 4, "activation": "tanh", "gateBias": -2}], Highway(4, torch.tanh), values(2, 2, 4), training=False),
    layer_case("squeezeExcitation", [{"channels": 4, "squeeze": 2}], SqueezeExcitation(4, 2), values(2, 4, 3, 2)),
    layer_case("squeezeExcitation", [{"channels": 4}], SqueezeExcitation(4, 1), values(2, 4, 2, 2), training=False),
    layer_case("tied", [part("embedding", {"count": 6, "features": 4})], Tied(nn.Embedding(6, 4), False), x),
    layer_case("tied", [part("linear", {"in": 3, "out": 4, "bias": False})], Tied(nn.Linear(3, 4, bias=False), True), x),
    layer_case("tied", [part("linear", {"in": 3, "out": 4, "bias": False}), {"bias": False}], Tied(nn.Linear(3, 4, bias=False), True, bias=False), values(2, 2, 4)),
    layer_case("lora", [part("linear", {"in": 4, "out": 3}), {"rank": 2}], Lora(nn.Linear(4, 3), 2, 2), x),
    layer_case("lora", [part("linear", {"in": 4, "out": 3, "bias": False}), {"rank": 1, "alpha": 4}], Lora(nn.Linear(4, 3, bias=False), 1, 4), values(2, 2, 4), training=False),
    layer_case("lora", [part("conv2d", {"in": 4, "out": 2, "kernel": [2, 3], "stride": [1, 2], "padding": 1, "groups": 2}), {"rank": 2, "alpha": 1}], Lora(nn.Conv2d(4, 2, (2, 3), stride=(1, 2), padding=1, groups=2), 2, 1), values(2, 4, 3, 4)),
    layer_case("lora", [part("sequential", parts=[part("linear", {"in": 4, "out": 3}), part("relu"), part("linear", {"in": 3, "out": 2})]), {"rank": 2, "alpha": 1, "match": "2"}], nn.Sequential(nn.Linear(4, 3), nn.ReLU(), Lora(nn.Linear(3, 2), 2, 1)), x),
]
write("composite", cases, "after the papers that composite.py names, with torch.nn; by composite.py")
