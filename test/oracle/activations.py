"""Activations: activations.json. See common.py.

Each on random numbers, at its kinks and far from 0, and on NaN (value alone). After their papers, as PyTorch 1.13 lacks
them: parametric softplus (McFarland, Cui, Butts, 2013), swish with a beta (Ramachandran, Zoph, Le, 2017, section 4).
Slopes are such as float32 holds. At -3 and 3 PyTorch 1.13 gives hardswish the slopes of its middle and later versions
those beyond, as ours; those two points are left out.
"""

import numpy
import torch
from torch import nn

from common import layer_case, stored, values, write

torch.manual_seed(11)
cases = []
KINKS = [-100.0, -40, -6, -3, -2, -1, -0.5, -0.0625, 0, 0.0625, 0.5, 1, 2, 3, 6, 6.5, 40, 100]
leaky = float(numpy.float32(0.01))


def nan_case(layer, args, module):
    """NaN among numbers; the gradient there is anybody's guess."""
    x = torch.tensor([[1.0, float("nan"), -2.0]])
    module.eval()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(values(*p.shape, low=1))
        y = module(x)
    assert y[0, 1].isnan()
    tensors = {k: stored(v) for k, v in module.state_dict().items()}
    return {"layer": layer, "args": args, "training": False, "inputs": [stored(x)], "tensors": tensors, "output": stored(y),
            "upstream": stored(torch.ones_like(y)), "gradients": {"inputs": [None], "tensors": {}}, "note": "NaN passes through"}


def activation(layer, args, make, points=KINKS):
    cases.append(layer_case(layer, args, make(), values(3, 5, low=-2.5, high=2.5)))
    cases.append(layer_case(layer, args, make(), torch.tensor(points), note="kinks and far from 0"))
    if layer != "softshrink":  # which makes 0 of it in PyTorch 1.13
        cases.append(nan_case(layer, args, make()))


class HardSigmoid(nn.Module):
    """Hardsigmoid by its formula: its own gradient multiplies by a sixth as float32 has it, even in float64."""

    def forward(self, x):
        assert torch.equal(nn.functional.hardsigmoid(x).nan_to_num(9), (nn.functional.relu6(x + 3) / 6).nan_to_num(9))
        return nn.functional.relu6(x + 3) / 6


activation("relu", [], nn.ReLU)
activation("relu6", [], nn.ReLU6)
activation("sigmoid", [], nn.Sigmoid)
activation("hardSigmoid", [], HardSigmoid)
activation("tanh", [], nn.Tanh)
activation("hardTanh", [], nn.Hardtanh)
activation("hardTanh", [{"min": -2, "max": 0.5}], lambda: nn.Hardtanh(-2, 0.5))
activation("leakyRelu", [], lambda: nn.LeakyReLU(leaky))
activation("leakyRelu", [0.25], lambda: nn.LeakyReLU(0.25))
activation("elu", [], nn.ELU)
activation("elu", [0.5], lambda: nn.ELU(0.5))
activation("selu", [], nn.SELU)
activation("celu", [], nn.CELU)
activation("celu", [0.5], lambda: nn.CELU(0.5))
activation("gelu", [], nn.GELU)
activation("gelu", ["tanh"], lambda: nn.GELU("tanh"))
activation("softplus", [], lambda: nn.Softplus(threshold=1000))
activation("softplus", [{"threshold": 20}], nn.Softplus)
activation("softplus", [{"beta": 2, "threshold": 1}], lambda: nn.Softplus(2, 1))
activation("softplus", [{"beta": 0.25}], lambda: nn.Softplus(0.25, 1000))
activation("thresholdedRelu", [], lambda: nn.Threshold(1, 0))
activation("thresholdedRelu", [0.5], lambda: nn.Threshold(0.5, 0))
activation("threshold", [-0.5, 20], lambda: nn.Threshold(-0.5, 20))
activation("thresholdedLinear", [], lambda: nn.Hardshrink(1))
activation("hardshrink", [], nn.Hardshrink)
activation("hardshrink", [2], lambda: nn.Hardshrink(2))
activation("softshrink", [], nn.Softshrink)
activation("softshrink", [2], lambda: nn.Softshrink(2))
activation("softsign", [], nn.Softsign)
activation("silu", [], nn.SiLU)
activation("hardSwish", [], nn.Hardswish, [x for x in KINKS if abs(x) != 3])
activation("mish", [], nn.Mish)


class Swish(nn.Module):
    def __init__(self, beta, learned):
        super().__init__()
        self.beta = nn.Parameter(torch.tensor([beta])) if learned else beta

    def forward(self, x):
        return x * torch.sigmoid(self.beta * x)


class ParametricSoftplus(nn.Module):
    def __init__(self, features=1):
        super().__init__()
        self.alpha = nn.Parameter(torch.full((features,), 0.2))
        self.beta = nn.Parameter(torch.full((features,), 5.0))

    def forward(self, x):
        alpha, beta = (p.reshape(-1, *[1] * (x.dim() - 2)) if len(p) > 1 else p for p in (self.alpha, self.beta))
        return alpha * torch.logaddexp(beta * x, torch.zeros_like(x))


activation("swish", [], lambda: Swish(1.0, False))
activation("swish", [{"beta": 1.5}], lambda: Swish(1.5, False))
activation("swish", [{"beta": 0.5, "learned": True}], lambda: Swish(0.5, True))
activation("prelu", [], nn.PReLU)
cases.append(layer_case("prelu", [{"features": 3}], nn.PReLU(3), values(2, 3)))
cases.append(layer_case("prelu", [{"features": 3}], nn.PReLU(3), values(2, 3, 2, 2)))
activation("parametricSoftplus", [], ParametricSoftplus)
cases.append(layer_case("parametricSoftplus", [{"features": 3}], ParametricSoftplus(3), values(2, 3)))
cases.append(layer_case("parametricSoftplus", [{"features": 2}], ParametricSoftplus(2), values(3, 2, 3)))

for layer, module in [("softmax", nn.Softmax), ("logSoftmax", nn.LogSoftmax)]:
    cases.append(layer_case(layer, [], module(-1), values(3, 5)))
    cases.append(layer_case(layer, [1], module(1), values(2, 3, 2)))
    cases.append(layer_case(layer, [0], module(0), values(4, 3)))
    cases.append(layer_case(layer, [], module(-1), torch.tensor([[100.0, -100, 0], [-1000, -1000, -1000]]), note="far from 0"))
for args, dim, shape in [([], -1, (3, 6)), ([1], 1, (2, 4, 3)), ([0], 0, (2, 3)), ([-2], -2, (3, 2, 2))]:
    cases.append(layer_case("glu", args, nn.GLU(dim), values(*shape)))

write("activations", cases, "torch.nn activations, by activations.py")
