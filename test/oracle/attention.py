"""Attention, positions and the transformer's blocks: attention.json. See common.py."""

import torch
from torch import nn

from common import layer_case, number, stored, values, write

torch.manual_seed(21)


def small(*shape):
    """Such that no softmax is next to one-hot."""
    return values(*shape, low=-1, high=1)


def case(layer, options, module, *inputs, **more):
    if isinstance(module, nn.Module):
        with torch.no_grad():
            for p in module.parameters():
                p.copy_(values(*p.shape, low=-0.75, high=0.75))
    return layer_case(layer, [options], module, *inputs, random=False, **more)


class Attention(nn.MultiheadAttention):
    """Our inputs and masks, which are true where a key is seen."""

    def __init__(self, features, heads, causal=False, bias=True, names=()):
        super().__init__(features, heads, bias=bias, batch_first=True)
        self.causal, self.names = causal, names

    def forward(self, *inputs):
        given = dict(zip(self.names or ["query"], inputs))
        query = given["query"]
        key = given.get("key", query)
        mask = given.get("mask")
        if self.causal:
            mask = torch.ones(query.shape[1], key.shape[1], dtype=torch.bool).tril()
        if mask is not None and mask.dtype == torch.bool:
            mask = ~mask
        if mask is not None and mask.dim() == 4:
            mask = mask.expand(query.shape[0], self.num_heads, -1, -1).flatten(0, 1)
        padding = ~given["keyMask"] if "keyMask" in given else None
        return super().forward(query, key, given.get("value", key), attn_mask=mask, key_padding_mask=padding)[0]


def rotate(x, base=10000.0):
    """Su et al., 2021, equation 34: each pair by its angle, written as complex numbers. x is [..., time, features]."""
    time, width = x.shape[-2:]
    angles = torch.arange(time).double()[:, None] * base ** (-torch.arange(0, width, 2).double() / width)
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


class Grouped(nn.Module):
    """Ainslie et al., 2023, section 2.2: heads of queries beside each other share a head of keys and values.

    Rotary after Su et al., 2021, and 0 where a query sees no key, which torch.nn.MultiheadAttention has not."""

    def __init__(self, features, heads, groups, base=None, causal=False, names=()):
        super().__init__()
        self.heads, self.groups, self.base, self.causal, self.names = heads, groups, base, causal, names
        width = features // heads
        if groups != heads:
            self.q_proj = nn.Linear(features, features)
            self.k_proj, self.v_proj = (nn.Linear(features, groups * width) for _ in range(2))
        else:
            self.in_proj_weight = nn.Parameter(torch.empty(3 * features, features))
            self.in_proj_bias = nn.Parameter(torch.empty(3 * features))
        self.out_proj = nn.Linear(features, features)

    def split(self, x, heads):
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    def forward(self, *inputs):
        given = dict(zip(self.names or ["query"], inputs))
        x = given["query"]
        other = given.get("key", x)
        if self.groups != self.heads:
            q, k, v = self.q_proj(x), self.k_proj(other), self.v_proj(other)
        else:
            linear = [nn.functional.linear(one, self.in_proj_weight, self.in_proj_bias).chunk(3, -1) for one in (x, other)]
            q, k, v = linear[0][0], linear[1][1], linear[1][2]
        q, k, v = self.split(q, self.heads), self.split(k, self.groups), self.split(v, self.groups)
        if self.base:
            q, k = rotate(q, self.base), rotate(k, self.base)
        k, v = (one.repeat_interleave(self.heads // self.groups, 1) for one in (k, v))
        seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool)
        if self.causal:
            seen = seen.tril(k.shape[2] - q.shape[2])
        for name, shape in (("mask", None), ("keyMask", (len(x), 1, 1, -1))):
            if name in given:
                seen = seen & (given[name].view(shape) if shape else given[name])
        scores = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(~seen, -1e300)
        weights = scores.softmax(-1) * seen.any(-1, keepdim=True)
        return self.out_proj((weights @ v).transpose(1, 2).flatten(2))


class Encoder(nn.TransformerEncoderLayer):
    def __init__(self, features, heads, hidden, names=(), causal=False, **more):
        super().__init__(features, heads, hidden, dropout=0, batch_first=True, **more)
        self.names, self.causal = names, causal

    def forward(self, *inputs):
        given = dict(zip(self.names or ["x"], inputs))
        mask = given.get("mask")
        if self.causal:
            mask = torch.ones(given["x"].shape[1], given["x"].shape[1], dtype=torch.bool).tril()
        if mask is not None and mask.dtype == torch.bool:
            mask = ~mask
        padding = ~given["keyMask"] if "keyMask" in given else None
        return super().forward(given["x"], src_mask=mask, src_key_padding_mask=padding)


class Decoder(nn.TransformerDecoderLayer):
    def __init__(self, features, heads, hidden, names, causal=False, **more):
        super().__init__(features, heads, hidden, dropout=0, batch_first=True, **more)
        self.names, self.causal = names, causal

    def forward(self, *inputs):
        given = dict(zip(self.names, inputs))
        x = given["x"]
        hidden = {name: ~given[name] for name in ("mask", "memoryMask", "keyMask", "memoryKeyMask") if name in given}
        if self.causal:
            hidden["mask"] = ~torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        return super().forward(x, given["memory"], tgt_mask=hidden.get("mask"), memory_mask=hidden.get("memoryMask"),
                               tgt_key_padding_mask=hidden.get("keyMask"), memory_key_padding_mask=hidden.get("memoryKeyMask"))


class Places(nn.Module):
    def __init__(self, positions, features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(positions, features))

    def forward(self, x):
        return x + self.weight[: x.shape[-2]]


class Embedding(nn.Embedding):
    def __init__(self, count, features, positions):
        super().__init__(count, features)
        self.positions = Places(positions, features)

    def forward(self, x):
        return self.positions(super().forward(x))


def encoding(x, base=10000.0):
    """Vaswani et al., 2017, section 3.5."""
    time, features = x.shape[-2:]
    angles = [[p / base ** (2 * (c // 2) / features) for c in range(features)] for p in range(time)]
    sines = torch.tensor(angles).sin()
    sines[:, 1::2] = torch.tensor(angles).cos()[:, 1::2]
    return x + sines


def bools(*rows):
    return torch.tensor(rows, dtype=torch.bool)


def names(*list_):
    return {"names": list(list_)}


# Heads of 1, 2 or 4 features.
F, H = 4, 4
x, memory = small(2, 3, F), small(2, 4, F)
seen = bools([1, 0, 1], [1, 1, 0], [0, 1, 0])
padded = bools([1, 1, 0], [1, 1, 1])
added = torch.tensor([[0.5, -1, float("-inf")], [0, 0.25, 1], [float("-inf"), -0.5, 2]])
wide = bools([1, 1, 0, 1], [1, 0, 1, 1])


def attention(options, inputs, *given, features=F, heads=H, **more):
    module = Attention(features, heads, names=given, **more)
    every = {"features": features, "heads": heads, **options}
    return case("multiHeadAttention", every, module, *inputs, **(names(*given) if given else {}))


def grouped(options, groups, inputs, *given, features=F, heads=H, **more):
    every = {"features": features, "heads": heads, **({"keyValueHeads": groups} if groups != heads else {}), **options}
    module = Grouped(features, heads, groups, names=given, **more)
    return case("multiHeadAttention", every, module, *inputs, **(names(*given) if given else {}))


def block(options, inputs, *given):
    module = Encoder(F, H, options.get("feedForward", 4 * F), names=given, causal=options.get("causal", False),
                     norm_first=options.get("norm") != "post", activation=options.get("activation", "gelu"))
    return case("transformerBlock", {"features": F, "heads": H, **options}, module, *inputs, **(names(*given) if given else {}))


def decoder(options, inputs, *given):
    module = Decoder(F, H, options["feedForward"], given, causal=options.get("causal", False),
                     norm_first=options.get("norm") != "post", activation=options.get("activation", "gelu"))
    return case("transformerDecoderBlock", {"features": F, "heads": H, **options}, module, *inputs, **names(*given))


def noted(note, made):
    return {**made, "note": note}


cases = [
    attention({}, [small(2, 3, 8)], features=8, heads=2),
    attention({"bias": False, "causal": True}, [small(1, 5, 8)], features=8, heads=2, bias=False, causal=True),
    attention({}, [x, seen], "query", "mask"),
    attention({}, [x, added], "query", "mask"),
    attention({}, [x, (torch.rand(2, H, 3, 3) < 0.6) | torch.eye(3, dtype=torch.bool)], "query", "mask"),
    attention({"causal": True}, [x, padded], "query", "keyMask", causal=True),
    attention({}, [x, added, padded], "query", "mask", "keyMask"),
    attention({}, [x, memory], "query", "key"),
    attention({}, [x, memory, small(2, 4, F), wide], "query", "key", "value", "keyMask"),
    grouped({}, 1, [x]),
    grouped({"causal": True}, 2, [small(2, 3, 8)], features=8, causal=True),
    grouped({}, 2, [small(2, 3, 8), small(2, 4, 8), wide], "query", "key", "keyMask", features=8),
    grouped({"rotary": True}, 2, [small(2, 3, 8)], features=8, heads=2, base=10000.0),
    grouped({"rotary": {"base": 100}, "causal": True}, 1, [small(1, 5, 8)], features=8, heads=2, base=100.0, causal=True),
    noted("no key at all: 0 and out_proj's bias", grouped({}, H, [x, bools([1, 1, 0], [0, 0, 0])], "query", "keyMask")),
    noted("padding before the text", grouped({"causal": True}, H, [x, bools([0, 1, 1], [1, 1, 1])], "query", "keyMask", causal=True)),
    noted("the last query sees all keys", grouped({"causal": True}, H, [x, memory], "query", "key", causal=True)),
    block({}, [x]),
    block({"norm": "post", "activation": "relu", "feedForward": 5}, [x]),
    block({"causal": True, "feedForward": 6}, [x]),
    block({"norm": "post", "feedForward": 5}, [x, seen, padded], "x", "mask", "keyMask"),
    block({"feedForward": 5}, [x, added], "x", "mask"),
    decoder({"feedForward": 5}, [x, memory], "x", "memory"),
    decoder({"norm": "post", "activation": "relu", "feedForward": 5, "causal": True}, [x, memory, wide], "x", "memory", "memoryKeyMask"),
    decoder({"feedForward": 5}, [x, memory, seen, bools([1, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 0])], "x", "memory", "mask", "memoryMask"),
    decoder({"norm": "post", "feedForward": 5}, [x, memory, padded, wide], "x", "memory", "keyMask", "memoryKeyMask"),
    case("positionalEmbedding", {"positions": 4, "features": 3}, Places(4, 3), small(2, 4, 3)),
    case("positionalEmbedding", {"positions": 6, "features": 3}, Places(6, 3), small(4, 3)),
    case("positionalEncoding", {}, encoding, small(2, 5, 6)),
    case("positionalEncoding", {"base": 100}, lambda y: encoding(y, 100.0), small(3, 5)),
    case("embedding", {"count": 6, "features": 3, "positions": 5}, Embedding(6, 3, 5), values(2, 4, low=0, high=5, dtype=torch.int64)),
]

TEXT = """Tyger Tyger, burning bright,
In the forests of the night;
What immortal hand or eye,
Could frame thy fearful symmetry?
In what distant deeps or skies,
Burnt the fire of thine eyes?
"""
BATCH, TIME, STEPS, WIDTH = 4, 16, 20, 16


def training():
    """A causal transformer over the characters of Blake, 1794, "The Tyger": its loss in each of some steps of Adam."""
    letters = sorted(set(TEXT))
    text = torch.tensor([letters.index(c) for c in TEXT])
    block = {"features": WIDTH, "heads": 2, "causal": True}
    model = nn.Sequential(
        Embedding(len(letters), WIDTH, TIME),
        *(Encoder(WIDTH, 2, 4 * WIDTH, causal=True, norm_first=True, activation="gelu") for _ in range(2)),
        nn.LayerNorm(WIDTH),
        nn.Linear(WIDTH, len(letters)),
    )
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(1 + values(*p.shape, low=-0.25, high=0.25) if "norm" in name and p.dim() == 1 else values(*p.shape, low=-0.25, high=0.25))
    tensors = {name: stored(p) for name, p in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    starts = torch.randint(len(text) - TIME, (STEPS, BATCH))
    losses = []
    for rows in starts:
        x = torch.stack([text[i : i + TIME] for i in rows])
        y = torch.stack([text[i + 1 : i + 1 + TIME] for i in rows])
        loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        losses.append(number(loss.item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"steps": "a causal transformer", "text": TEXT, "time": TIME, "block": block, "args": [], "starts": starts.tolist(),
            "tensors": tensors, "losses": losses}


cases.append(training())
write("attention", cases, "torch.nn.MultiheadAttention, TransformerEncoderLayer, TransformerDecoderLayer and the papers, by attention.py")
