"""Metrics: metrics.json. See common.py.

PyTorch has none of them: they are written out here from their definitions, in loops over rows (sklearn.metrics names the same).
"""

import math

import torch

from common import metric_case, number, values, write

torch.manual_seed(11)
cases = []
C = 4


def labels(*shape):
    return values(*shape, low=0, high=C - 1, dtype=torch.int64)


def rows(batches):
    """(logits, label, weight) of every row of all batches."""
    for output, target, *mask in batches:
        weights = (mask[0].double() if mask else torch.ones(target.shape)).expand(target.shape).reshape(-1)
        for x, y, w in zip(output.reshape(-1, output.shape[-1]), target.reshape(-1), weights):
            if w > 0:
                yield x.tolist(), int(y), float(w)


def numbers(batches):
    """(output, target, weight) of every element of all batches."""
    for output, target, *mask in batches:
        weights = (mask[0].double() if mask else torch.ones(target.shape)).expand(target.shape).reshape(-1)
        for x, y, w in zip(output.reshape(-1).tolist(), target.reshape(-1).tolist(), weights.tolist()):
            if w > 0:
                yield x, y, w


def share(pairs):
    pairs = list(pairs)
    return sum(w * x for x, w in pairs) / sum(w for _, w in pairs)


def said(x):
    return max(range(len(x)), key=lambda k: x[k])


def accuracy(batches):
    return share((said(x) == y, w) for x, y, w in rows(batches))


def top_k(batches, k):
    return share((y in sorted(range(C), key=lambda j: (-x[j], j))[:k], w) for x, y, w in rows(batches))


def perplexity(batches):
    return math.exp(share((math.log(sum(math.exp(v) for v in x)) - x[y], w) for x, y, w in rows(batches)))


def confusion(batches):
    table = [[0.0] * C for _ in range(C)]
    for x, y, w in rows(batches):
        table[y][said(x)] += w
    return table


def counts(batches, threshold):
    """[hits, alarms, misses] of each class."""
    if batches[0][1].is_floating_point():
        found = [0.0, 0.0, 0.0]
        for x, y, w in numbers(batches):
            says = 1 / (1 + math.exp(-x)) >= threshold
            found[0] += w * (says and y == 1)
            found[1] += w * (says and y == 0)
            found[2] += w * (not says and y == 1)
        return [found]
    table = confusion(batches)
    return [[table[k][k], sum(table[j][k] for j in range(C)) - table[k][k], sum(table[k]) - table[k][k]] for k in range(C)]


def ratio(a, b):
    return 0.0 if b == 0 else a / b


SCORES = {"precision": lambda h, a, m: ratio(h, h + a), "recall": lambda h, a, m: ratio(h, h + m), "f1": lambda h, a, m: ratio(2 * h, 2 * h + a + m)}


def class_score(name, batches, average="macro", threshold=0.5):
    score = SCORES[name]
    found = counts(batches, threshold)
    if len(found) == 1:
        return score(*found[0])
    if average == "micro":
        return score(*[sum(c[i] for c in found) for i in range(3)])
    weights = [c[0] + c[2] if average == "weighted" else float(sum(c) > 0) for c in found]
    return sum(w * score(*c) for w, c in zip(weights, found)) / sum(weights)


def auc(batches):
    pairs = list(numbers(batches)) if batches[0][1].is_floating_point() else [(x[1] - x[0], y, w) for x, y, w in rows(batches)]
    ones, zeros = [(x, w) for x, y, w in pairs if y == 1], [(x, w) for x, y, w in pairs if y == 0]
    wins = sum(w * v * (1 if a > b else 0.5 if a == b else 0) for a, w in ones for b, v in zeros)
    return wins / (sum(w for _, w in ones) * sum(w for _, w in zeros))


def calibration(batches, bins=15):
    table = [[0.0, 0.0, 0.0] for _ in range(bins)]
    for x, y, w in rows(batches):
        total = sum(math.exp(v) for v in x)
        sure = math.exp(max(x)) / total
        at = table[min(bins - 1, max(0, math.ceil(sure * bins) - 1))]
        at[0] += w
        at[1] += w * sure
        at[2] += w * (said(x) == y)
    return sum(abs(right - sure) for _, sure, right in table) / sum(n for n, _, _ in table)


def r2(batches):
    columns = batches[0][0].shape[-1] if batches[0][0].dim() > 1 else 1
    found = list(numbers(batches)) if columns == 1 else None
    total = 0
    for k in range(columns):
        of = found or [(x, y, w) for o, t, *m in batches for x, y, w in numbers([(o[..., k], t[..., k], *[n.expand(t.shape)[..., k] for n in m])])]
        mean = share((y, w) for _, y, w in of)
        total += 1 - sum(w * (y - x) ** 2 for x, y, w in of) / sum(w * (y - mean) ** 2 for _, y, w in of)
    return total / columns


def classes(*shape, mask=None):
    return (values(*shape, C), labels(*shape)) if mask is None else (values(*shape, C), labels(*shape), mask)


def two(*shape):
    return values(*shape), values(*shape, low=0, high=1, dtype=torch.int64).double()


def case(name, args, batches, value):
    cases.append(metric_case(name, args, batches, [[number(v) for v in row] for row in value] if isinstance(value, list) else number(float(value))))


KEEP = torch.tensor([True, False, True, True, False, True, True, True])
WEIGHTS = torch.tensor([1.0, 0.0, 2.0, 0.5, 0.0, 1.0, 1.0, 4.0])

for batches in [[classes(8)], [classes(2, 4)], [classes(8, mask=KEEP)], [classes(8, mask=WEIGHTS)]]:
    case("accuracy", [], batches, accuracy(batches))
    for k in [1, 2, 4]:
        case("topK", [k], batches, top_k(batches, k))
ties = [(torch.tensor([[1.0, 1, 0, 1], [0, 2, 2, 2], [3, 3, 3, 3], [3, 3, 3, 3]]), torch.tensor([3, 1, 0, 3]))]
for k in [1, 2, 3]:
    case("topK", [k], ties, top_k(ties, k))

CLASSES = [[classes(8), classes(5)], [classes(2, 4)], [classes(8, mask=KEEP), classes(8, mask=WEIGHTS)]]
for batches in CLASSES:
    case("confusionMatrix", [], batches, confusion(batches))
    case("calibrationError", [], batches, calibration(batches))
    case("perplexity", [], batches, perplexity(batches))
case("calibrationError", [{"bins": 4}], CLASSES[0], calibration(CLASSES[0], 4))
# A class without rows, and one that is never said.
some = [(values(6, C) + torch.tensor([0.0, 0, -8, 0]), torch.tensor([0, 1, 2, 1, 0, 1]))]
for name in SCORES:
    for average in ["macro", "micro", "weighted"]:
        for batches in [*CLASSES[:1], CLASSES[2], some]:
            options = {} if average == "macro" else {"average": average}
            case(name, [options] if options else [], batches, class_score(name, batches, **options))
    for options in [{}, {"threshold": 0.75}]:
        for batches in [[two(8), two(5)], [(*two(8), KEEP)]]:
            case(name, [options] if options else [], batches, class_score(name, batches, **options))
    none = [(values(4, low=-3, high=-1), torch.zeros(4))]
    case(name, [], none, class_score(name, none))

for batches in [[two(8), two(20)], [two(5, 4)], [(*two(8), WEIGHTS), (*two(8), KEEP)]]:
    case("auc", [], batches, auc(batches))
pair = [(values(12, 2), values(12, low=0, high=1, dtype=torch.int64))]
case("auc", [], pair, auc(pair))
far = [(torch.tensor([-30.0, -20, 20, 30, 0, 1]), torch.tensor([0.0, 1, 0, 1, 0, 1]))]
case("auc", [], far, auc(far))


def regression(*shape, mask=None):
    return (values(*shape), values(*shape)) if mask is None else (values(*shape), values(*shape), mask)


wide = torch.tensor([[True], [False], [True], [True]])
for batches in [[regression(8)], [regression(2, 4)], [regression(8, mask=KEEP)], [regression(4, 2, mask=wide)]]:
    case("meanAbsoluteError", [], batches, share((abs(x - y), w) for x, y, w in numbers(batches)))
    case("meanSquaredError", [], batches, share(((x - y) ** 2, w) for x, y, w in numbers(batches)))
for batches in [[regression(8), regression(3)], [regression(8, mask=WEIGHTS), regression(8, mask=KEEP)], [regression(8, 2), regression(4, 2)], [regression(4, 2, mask=wide), regression(4, 2)]]:
    case("r2", [], batches, r2(batches))
shifted = [(x + 1000, y + 1000) for x, y in [regression(8), regression(8)]]
case("r2", [], shifted, r2(shifted))

write("metrics", cases, "definitions written out, by metrics.py")
