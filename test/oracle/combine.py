"""Layers that join others: combine.json. See common.py."""

import torch
from torch import nn

from common import layer_case, part, values, write

torch.manual_seed(3)


class Parts(nn.Module):
    """Parts by name, and a function of them and the inputs."""

    def __init__(self, apply, **parts):
        super().__init__()
        self.apply_parts = apply
        for name, one in parts.items():
            self.add_module(name.strip("_"), one)

    def forward(self, *inputs):
        return self.apply_parts(self, *inputs)


class Branched(nn.Sequential):
    """Two branches behind each other, under another layer."""

    def __init__(self):
        super().__init__(nn.ModuleList([linear(3, 2, False), linear(3, 2)]), nn.Identity(), linear(4, 2))

    def forward(self, x):
        return self[2](torch.cat([branch(x) for branch in self[0]], 1))


def linear(inputs, outputs, bias=True):
    return nn.Linear(inputs, outputs, bias=bias)


def linear_part(inputs, outputs, bias=True):
    return part("linear", {"in": inputs, "out": outputs, "bias": bias})


def dot(a, b, axes=(-1, -1), normalize=False):
    """keras.layers.Dot: the sum over an axis of each, for each example."""
    a, b = a.movedim(axes[0], -1), b.movedim(axes[1], -1)
    if normalize:
        a, b = (x / torch.sqrt(torch.clamp((x * x).sum(-1, keepdim=True), min=eps)) for x in (a, b))
    shape = [a.shape[0], *a.shape[1:-1], *b.shape[1:-1]]
    y = a.reshape(len(a), -1, a.shape[-1]) @ b.reshape(len(b), -1, b.shape[-1]).transpose(1, 2)
    return y.reshape(shape if len(shape) > 1 else [len(a), 1])


# As float32 holds it.
eps = torch.tensor(1e-12, dtype=torch.float32).item()


def steps(module, x):
    """A module on every step of [N, T, ...]."""
    return torch.stack([module(x[:, t]) for t in range(x.shape[1])], 1)


two, three = linear(3, 2), linear(3, 4)
pair = values(2, 3), values(2, 3)
triple = values(2, 3), values(2, 3), values(1, 3)
cases = [
    layer_case("add", [], lambda a, b: a + b, *pair),
    layer_case("add", [], lambda a, b, c: a + b + c, *triple, training=False),
    layer_case("multiply", [], lambda a, b, c: a * b * c, *triple),
    layer_case("average", [], lambda a, b, c: (a + b + c) / 3, *triple),
    layer_case("average", [], lambda a, b: torch.stack([a, b]).mean(0), *pair),
    layer_case("maximum", [], torch.maximum, *pair),
    layer_case("maximum", [], torch.maximum, torch.tensor([[1.0, 2, -1]]), torch.tensor([[1.0, 0, -1]]), note="ties share the gradient"),
    layer_case("maximum", [], lambda a, b, c: torch.maximum(torch.maximum(a, b), c), *triple),
    layer_case("concat", [], lambda a, b: torch.cat([a, b], 1), values(2, 3, 2), values(2, 1, 2)),
    layer_case("concat", [{"axis": -1}], lambda a, b, c: torch.cat([a, b, c], -1), values(2, 3, 1), values(2, 3, 2), values(2, 3, 1)),
    layer_case("dot", [], dot, *pair),
    layer_case("dot", [{"normalize": True}], lambda a, b: torch.cosine_similarity(a, b).reshape(-1, 1), *pair),
    layer_case("dot", [{"axes": 1}], lambda a, b: dot(a, b, (1, 1)), values(2, 3, 4), values(2, 3, 2)),
    layer_case("dot", [{"axes": [2, 1]}], lambda a, b: dot(a, b, (2, 1)), values(2, 3, 4), values(2, 4, 2)),
    layer_case("dot", [{"axes": [1, -1], "normalize": True}], lambda a, b: dot(a, b, (1, -1), True), values(2, 4), values(2, 3, 2, 4)),
    layer_case("parallel", [linear_part(3, 2), linear_part(3, 4)], Parts(lambda m, x: [getattr(m, "0")(x), getattr(m, "1")(x)], _0=two, _1=three), values(2, 3)),
    layer_case("siamese", [linear_part(3, 2)], Parts(lambda m, a, b: [m.network(a), m.network(b)], network=linear(3, 2)), *pair),
    layer_case("timeDistributed", [linear_part(3, 2)], Parts(lambda m, x: steps(m.network, x), network=linear(3, 2)), values(2, 4, 3)),
    layer_case("timeDistributed", [part("conv2d", {"in": 2, "out": 3, "kernel": 2})], Parts(lambda m, x: steps(m.network, x), network=nn.Conv2d(2, 3, 2)), values(2, 3, 2, 3, 3)),
    layer_case("sequential", [linear_part(3, 4), part("relu"), linear_part(4, 2)], nn.Sequential(linear(3, 4), nn.ReLU(), linear(4, 2)), values(5, 3)),
    layer_case("sequential", [part("parallel", parts=[linear_part(3, 2, False), linear_part(3, 2)]), part("concat"), linear_part(4, 2)], Branched(), values(5, 3)),
    layer_case("checkpoint", [linear_part(3, 4)], nn.Sequential(linear(3, 4)), values(2, 3)),
    layer_case("residual", [linear_part(3, 3)], Parts(lambda m, x: x + m.body(x), body=linear(3, 3)), values(4, 3)),
    layer_case("residual", [linear_part(3, 2), linear_part(3, 2, False)], Parts(lambda m, x: m.shortcut(x) + m.body(x), body=linear(3, 2), shortcut=linear(3, 2, False)), values(4, 3)),
    layer_case("augmented", [linear_part(3, 2), {"flip": True, "shift": 1}], nn.Sequential(linear(3, 2)), values(4, 3), training=False),
]
write("combine", cases, "torch functions and torch.nn modules, by combine.py")
