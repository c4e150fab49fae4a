"""Losses: losses.json. See common.py.

Classes stand last here and in axis 1 in PyTorch. What PyTorch 1.13 lacks is written out: the hinge losses (Cortes, Vapnik,
1995; Tang, 2013), the focal losses (Lin et al., 2017, eq. 5) and the contrastive loss (Hadsell et al., 2006, eq. 4).
"""

import torch
import torch.nn.functional as F

from common import loss_case, values, write

torch.manual_seed(10)
cases = []
REDUCTIONS = ["mean", "sum", "none"]


def first(x):
    """Classes from the last axis to axis 1."""
    return x if x.dim() < 3 else x.movedim(-1, 1)


def reduce(x, reduction):
    return x.mean() if reduction == "mean" else x.sum() if reduction == "sum" else x


def masked(function):
    """Of the rows that a mask keeps alone."""
    return lambda mask: lambda x, y: function(x[mask], y[mask])


def labels(classes, *shape):
    return values(*shape, low=0, high=classes - 1, dtype=torch.int64)


def elements(name, function, args=({},), pair=None, shape=(2, 4)):
    """Every option with every reduction, and one mask.

    Counts are powers of two here and below: a mean's factor is a constant of the graph, which is a float32."""
    make = pair or (lambda *s: (values(*s), values(*s)))
    for i, options in enumerate(args):
        for reduction in REDUCTIONS if i == 0 else ["mean"]:
            given = {**options, **({} if reduction == "mean" else {"reduction": reduction})}
            x, y = make(*shape)
            cases.append(loss_case(name, [given] if given else [], lambda a, b: function(a, b, reduction=reduction, **options), x, y))
    x, y = make(2, 3, 2)
    mask = torch.tensor([[True, False, True], [False, True, True]])
    cases.append(loss_case(name, [args[0]] if args[0] else [], lambda a, b: function(a[mask], b[mask], reduction="mean", **args[0]),
                           x, y, mask=mask.reshape(2, 3, 1), note="what the mask keeps"))


# Regression.
def mse(x, y, reduction, half=False):
    return F.mse_loss(x, y, reduction=reduction) * (0.5 if half else 1)


elements("mse", mse, [{}, {"half": True}])
cases.append(loss_case("mse", [{"half": True, "reduction": "sum"}], lambda a, b: 0.5 * ((a - b) ** 2).sum(), values(5), values(5)))
elements("l1", F.l1_loss)
elements("huber", F.huber_loss, [{}, {"delta": 0.5}, {"delta": 2}])
elements("smoothL1", F.smooth_l1_loss, [{}, {"beta": 0.25}, {"beta": 2}, {"beta": 0}])

# Cross-entropy of labels and of probabilities.
C = 4
WEIGHT = [0.5, 2, 0, 1.25]


def cross(weight=None, ignoreIndex=-100, labelSmoothing=0.0, reduction="mean"):
    w = None if weight is None else torch.tensor(weight)
    return lambda x, y: F.cross_entropy(first(x), first(y) if y.is_floating_point() else y, weight=w, ignore_index=ignoreIndex,
                                        label_smoothing=labelSmoothing, reduction=reduction)


for options in [{}, {"weight": WEIGHT}, {"labelSmoothing": 0.125}, {"ignoreIndex": 1}, {"weight": WEIGHT, "ignoreIndex": 2},
                {"weight": WEIGHT, "labelSmoothing": 0.25}, {"ignoreIndex": 0, "labelSmoothing": 0.125},
                {"weight": WEIGHT, "ignoreIndex": 3, "labelSmoothing": 0.125}]:
    for reduction in REDUCTIONS:
        given = {**options, **({} if reduction == "mean" else {"reduction": reduction})}
        for shape in [(2, 2)] if reduction == "mean" else [(4,)]:
            y = labels(C, *shape)
            y.view(-1)[0] = options.get("ignoreIndex", 1)
            y.view(-1)[1] = 1 if options.get("ignoreIndex") != 1 else 2
            cases.append(loss_case("crossEntropy", [given] if given else [], cross(**given), values(*shape, C), y))
for options in [{}, {"weight": WEIGHT}, {"labelSmoothing": 0.125}, {"weight": WEIGHT, "labelSmoothing": 0.25}]:
    for reduction in REDUCTIONS:
        given = {**options, **({} if reduction == "mean" else {"reduction": reduction})}
        y = values(2, 2, C, low=0, high=1)
        cases.append(loss_case("crossEntropy", [given] if given else [], cross(**given), values(2, 2, C), y))
cases.append(loss_case("crossEntropy", [], cross(), values(4, C), torch.softmax(values(4, C), -1)))
keep = torch.tensor([True, False, True, True, False, True, False, True])
for options in [{}, {"weight": WEIGHT, "labelSmoothing": 0.25}, {"ignoreIndex": 2}]:
    cases.append(loss_case("crossEntropy", [options] if options else [], masked(cross(**options))(keep), values(8, C),
                           torch.tensor([0, 1, 2, 3, 3, 1, 0, 1]), mask=keep))
cases.append(loss_case("crossEntropy", [{"weight": WEIGHT}], masked(cross(weight=WEIGHT))(keep), values(8, C), values(8, C, low=0, high=1), mask=keep))


def nll(weight=None, ignoreIndex=-100, reduction="mean"):
    w = None if weight is None else torch.tensor(weight)
    return lambda x, y: F.nll_loss(first(x), y, weight=w, ignore_index=ignoreIndex, reduction=reduction)


for options in [{}, {"weight": WEIGHT}, {"weight": WEIGHT, "ignoreIndex": 1}]:
    for reduction in REDUCTIONS:
        given = {**options, **({} if reduction == "mean" else {"reduction": reduction})}
        cases.append(loss_case("nll", [given] if given else [], nll(**given), values(8, C, low=-4, high=0), torch.tensor([1, 0, 2, 2, 1, 3, 3, 0])))
cases.append(loss_case("nll", [], nll(), values(2, 2, C, low=-4, high=0), labels(C, 2, 2)))
cases.append(loss_case("nll", [], masked(nll())(keep), values(8, C, low=-4, high=0), labels(C, 8), mask=keep))


# Two classes.
def bce(x, y, reduction, posWeight=None):
    return F.binary_cross_entropy_with_logits(x, y, reduction=reduction, pos_weight=None if posWeight is None else torch.tensor(posWeight, dtype=torch.float64))


def shares(*shape):
    return values(*shape), values(*shape, low=0, high=1)


def bits(*shape):
    return values(*shape), values(*shape, low=0, high=1, dtype=torch.int64).double()


elements("binaryCrossEntropyWithLogits", bce, [{}, {"posWeight": 2.5}, {"posWeight": [0.5, 2, 0, 1]}], shares)
x = torch.tensor([-40.0, -12.0, 0.0, 12.0, 40.0])
cases.append(loss_case("binaryCrossEntropyWithLogits", [{"reduction": "none"}], lambda a, b: bce(a, b, "none"), x, torch.tensor([0.0, 1.0, 0.5, 1.0, 0.0]), note="far out"))


def focal(x, y, reduction, alpha=0.25, gamma=2):
    p = torch.sigmoid(x)
    ce = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    loss = ce * (1 - (p * y + (1 - p) * (1 - y))) ** gamma
    if alpha != "none":
        loss = loss * (alpha * y + (1 - alpha) * (1 - y))
    return reduce(loss, reduction)


elements("focal", focal, [{}, {"gamma": 0}, {"gamma": 0.5}, {"alpha": 0.75, "gamma": 1}, {"alpha": "none"}], bits)


def softmax_focal(alpha=None, gamma=2, reduction="mean"):
    def function(x, y):
        logp = torch.log_softmax(x, -1).gather(-1, y.unsqueeze(-1)).squeeze(-1)
        loss = -((1 - logp.exp()) ** gamma) * logp
        return reduce(loss if alpha is None else loss * torch.tensor(alpha)[y], reduction)
    return function


for options in [{}, {"reduction": "sum"}, {"reduction": "none"}, {"gamma": 0}, {"gamma": 0.5}, {"alpha": WEIGHT, "gamma": 3}]:
    cases.append(loss_case("softmaxFocal", [options] if options else [], softmax_focal(**options), values(2, 2, C), labels(C, 2, 2)))
cases.append(loss_case("softmaxFocal", [], masked(softmax_focal())(keep), values(8, C), labels(C, 8), mask=keep))


# Margins.
def signs(*shape):
    return values(*shape), values(*shape, low=0, high=1, dtype=torch.int64).double() * 2 - 1


elements("hinge", lambda x, y, reduction: reduce(torch.relu(1 - y * x), reduction), pair=signs)
elements("squaredHinge", lambda x, y, reduction: reduce(torch.relu(1 - y * x) ** 2, reduction), pair=signs)


def multi_margin(p=1, margin=1, weight=None, reduction="mean"):
    w = None if weight is None else torch.tensor(weight, dtype=torch.float64)
    def function(x, y):
        flat = F.multi_margin_loss(x.reshape(-1, x.shape[-1]), y.reshape(-1), p=p, margin=margin, weight=w, reduction=reduction)
        return flat.reshape(y.shape) if reduction == "none" else flat
    return function


for options in [{}, {"reduction": "sum"}, {"reduction": "none"}, {"p": 2}, {"margin": 0.5}, {"p": 2, "margin": 2, "weight": WEIGHT}, {"weight": WEIGHT}]:
    cases.append(loss_case("multiMargin", [options] if options else [], multi_margin(**options), values(8, C), labels(C, 8)))
cases.append(loss_case("multiMargin", [{"reduction": "none"}], multi_margin(reduction="none"), values(2, 2, C), labels(C, 2, 2)))
cases.append(loss_case("multiMargin", [], masked(multi_margin())(keep), values(8, C), labels(C, 8), mask=keep))

# Divergence.
for options in [{}, {"logTarget": True}]:
    for reduction in ["mean", "batchmean", "sum", "none"]:
        given = {**options, **({} if reduction == "mean" else {"reduction": reduction})}
        y = values(2, 2, 2, low=-3, high=0) if options else values(2, 2, 2, low=0, high=1)
        if not options:
            y[0, 0, 0] = 0
        cases.append(loss_case("klDivergence", [given] if given else [], lambda a, b: F.kl_div(a, b, reduction=reduction, log_target=bool(options)),
                               values(2, 2, 2, low=-3, high=0), y))
for reduction in ["mean", "batchmean"]:
    cases.append(loss_case("klDivergence", [{"reduction": reduction}], lambda a, b: F.kl_div(a[keep], b[keep], reduction=reduction),
                           values(8, 4, low=-3, high=0), values(8, 4, low=0, high=1), mask=keep.reshape(8, 1)))

# Of several outputs.
def sign(*shape):
    return values(*shape, low=0, high=1, dtype=torch.int64) * 2 - 1


for options in [{}, {"margin": 0.25}, {"reduction": "sum"}, {"reduction": "none", "margin": -0.5}]:
    cases.append(loss_case("cosineEmbedding", [options] if options else [], lambda x, y: F.cosine_embedding_loss(x[0], x[1], y, **options),
                           [values(8, 3), values(8, 3)], torch.tensor([1, -1, -1, 1, -1, -1, 1, -1])))
cases.append(loss_case("cosineEmbedding", [], lambda x, y: F.cosine_embedding_loss(x[0][keep], x[1][keep], y[keep]),
                       [values(8, 3), values(8, 3)], sign(8).double(), mask=keep))


def contrastive(margin=1, reduction="mean"):
    def function(x, y):
        d = ((x[0] - x[1]) ** 2).sum(-1).sqrt()
        return reduce((1 - y) * d ** 2 / 2 + y * torch.relu(margin - d) ** 2 / 2, reduction)
    return function


for options in [{}, {"margin": 4}, {"margin": 8, "reduction": "sum"}, {"margin": 6, "reduction": "none"}]:
    cases.append(loss_case("contrastive", [options] if options else [], contrastive(**options), [values(8, 3), values(8, 3)], torch.tensor([1.0, 0, 1, 1, 0, 1, 0, 0])))
cases.append(loss_case("contrastive", [{"margin": 7}], contrastive(7), [values(2, 4, 3), values(2, 4, 3)], labels(2, 2, 4)))
for options in [{}, {"margin": 4}, {"p": 1, "margin": 2}, {"p": 4, "margin": 2}, {"swap": True, "margin": 3}, {"reduction": "sum"}, {"reduction": "none", "swap": True, "p": 1, "margin": 5}]:
    cases.append(loss_case("triplet", [options] if options else [], lambda x, y: F.triplet_margin_loss(x[0], x[1], x[2], **options),
                           [values(8, 3), values(8, 3), values(8, 3)], None))
cases.append(loss_case("triplet", [{"margin": 5}], lambda x, y: F.triplet_margin_loss(x[0][keep], x[1][keep], x[2][keep], margin=5),
                       [values(8, 3), values(8, 3), values(8, 3)], None, mask=keep))

write("losses", cases, "torch.nn.functional's losses, and what it lacks after the papers, by losses.py")
