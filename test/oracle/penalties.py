"""Layers that add to what is minimised: penalties.json. See common.py.

Written out after Keras's ActivityRegularization: (l1 * sum |x| + l2 * sum x^2) / N.
"""

import torch
from torch import nn

from common import layer_case, part, values, write

torch.manual_seed(12)


def penalty(l1=0.0, l2=0.0):
    return lambda y: (l1 * y.abs().sum() + l2 * (y * y).sum()) / y.shape[0]


cases = [
    layer_case("activityRegularization", [options], lambda x: x * 1, values(4, 3), training=training, penalty=penalty(**options))
    for options in [{"l1": 0.25}, {"l2": 0.5}, {"l1": 0.125, "l2": 0.25}]
    for training in [True, False]
]
cases.append(layer_case("activityRegularization", [{"l1": 0.5}], lambda x: x * 1, values(2, 2, 3), penalty=penalty(l1=0.5)))
for options in [{"l1": 0.25, "l2": 0.125}, {"l2": 0.5, "tensors": ["weight", "bias"]}]:
    linear = nn.Sequential(nn.Linear(4, 3))
    counted = [linear[0].weight, linear[0].bias] if "tensors" in options else [linear[0].weight]
    cases.append(
        layer_case(
            "penalized",
            [part("linear", {"in": 4, "out": 3}), options],
            linear,
            values(2, 4),
            penalty=lambda _: sum(options.get("l1", 0) * w.abs().sum() + options.get("l2", 0) * (w * w).sum() for w in counted),
        )
    )
write("penalties", cases, "Keras's formula, by penalties.py")
