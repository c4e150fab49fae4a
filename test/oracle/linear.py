"""Linear layers and embeddings: linear.json. See common.py."""

import torch
from torch import nn

from common import layer_case, values, write

torch.manual_seed(1)
cases = [
    layer_case("linear", [{"in": 5, "out": 3}], nn.Linear(5, 3), values(4, 5)),
    layer_case("linear", [{"in": 5, "out": 2, "bias": False}], nn.Linear(5, 2, bias=False), values(2, 3, 5)),
    layer_case("linear", [{"in": 4, "out": 2}], nn.Linear(4, 2), values(4)),
    layer_case("embedding", [{"count": 6, "features": 3}], nn.Embedding(6, 3), values(2, 4, low=0, high=5, dtype=torch.int64)),
]
write("linear", cases, "torch.nn.Linear and Embedding, by linear.py")
