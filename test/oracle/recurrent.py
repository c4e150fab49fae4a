"""Recurrent layers, and the training of a small language model: recurrent.json. See common.py."""

import math

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from common import layer_case, number, values, write

torch.manual_seed(11)


def form(kind, returns):
    """A kind whose inputs are tensors in a row: x, perhaps lengths, perhaps the state's parts."""

    class Form(kind):
        def forward(self, x, *others):
            others = list(others)
            lengths = others.pop(0) if others and not others[0].dtype.is_floating_point else None
            state = (tuple(others) if len(others) > 1 else others[0]) if others else None
            time = x.shape[1]
            if lengths is not None:
                x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            y, last = super().forward(x, state)
            if lengths is not None:
                y, _ = pad_packed_sequence(y, batch_first=True, total_length=time)
            return [y, *(last if isinstance(last, tuple) else [last])] if returns else y

    return Form


KINDS = {"rnn": (nn.RNN, ["state.h"]), "gru": (nn.GRU, ["state.h"]), "lstm": (nn.LSTM, ["state.h", "state.c"])}
FEATURES, HIDDEN, BATCH, TIME = 3, 2, 3, 4


def case(layer, lengths=None, carried=False, returns=False, training=True, note=None, **options):
    kind, parts = KINDS[layer]
    layers, both = options.get("layers", 1), options.get("bidirectional", False)
    named = {"num_layers": layers, "bidirectional": both, "bias": options.get("bias", True)}
    if "nonlinearity" in options:
        named["nonlinearity"] = options["nonlinearity"]
    module = form(kind, returns)(FEATURES, HIDDEN, batch_first=True, **named)
    inputs, names = [values(BATCH, TIME, FEATURES, low=-1, high=1)], ["x"]
    if lengths:
        inputs.append(torch.tensor(lengths))
        names.append("lengths")
    if carried:
        inputs += [values(layers * (2 if both else 1), BATCH, HIDDEN, low=-1, high=1) for _ in parts]
        names += parts
    args = {"in": FEATURES, "hidden": HIDDEN, **options, **({"returnState": True} if returns else {})}
    return layer_case(layer, [args], module, *inputs, training=training, note=note, names=names if len(names) > 1 else None)


cases = []
for layer in KINDS:
    cases += [
        case(layer),
        case(layer, returns=True, carried=True),
        case(layer, layers=2, bias=False, training=False),
        case(layer, layers=2, bidirectional=True, returns=True),
        case(layer, lengths=[2, 4, 1], returns=True, carried=True),
        case(layer, lengths=[4, 1, 3], layers=2, bidirectional=True, returns=True, carried=True),
    ]
cases.append(case("rnn", nonlinearity="relu", lengths=[1, 3, 2], bidirectional=True))

# The opening of Lewis Carroll, "Alice's Adventures in Wonderland", 1865.
TEXT = (
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or "
    "twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it, "
)


class Characters(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.embed, self.lstm, self.head = nn.Embedding(count, 8), nn.LSTM(8, 16, batch_first=True), nn.Linear(16, count)

    def forward(self, x, state):
        y, state = self.lstm(self.embed(x), state)
        return self.head(y), state


def learn(steps, rows, time, lr):
    """Losses by truncated back-propagation through time: the state goes on, and starts anew with the text."""
    letters = sorted(set(TEXT))
    length = len(TEXT) // rows
    text = torch.tensor([[letters.index(c) for c in TEXT[row * length : (row + 1) * length]] for row in range(rows)])
    model = Characters(len(letters))
    with torch.no_grad():
        for k, p in enumerate(model.parameters()):
            p.copy_(torch.tensor([0.3 * math.cos(3 * i + k) for i in range(p.numel())]).view(p.shape))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses, state, parts = [], None, (length - 1) // time
    for step in range(steps):
        at = step % parts * time
        state = None if at == 0 else tuple(part.detach() for part in state)
        logits, state = model(text[:, at : at + time], state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), text[:, at + 1 : at + time + 1].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(number(loss.item()))
    return {"course": "lstm", "args": [{"rows": rows, "time": time, "lr": lr}], "text": TEXT, "losses": losses}


cases.append(learn(steps=20, rows=4, time=16, lr=0.02))
write("recurrent", cases, "torch.nn.RNN, GRU and LSTM, variable lengths by pack_padded_sequence; by recurrent.py")
