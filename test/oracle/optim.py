"""Optimizers and schedules: optim.json. See common.py.

Each optimizer takes twenty steps down C(w) = ½(w₀² + 4w₁² + ½w₂²) + ½w₀w₁ + ¼Σw⁴ from one start, gradients in float64. What
PyTorch 1.13 lacks is written after its paper: Lion (Chen et al., 2023), LAMB (You et al., 2020), Muon (Jordan et al., 2024), lookahead (Zhang et al., 2019), RMSProp with epsilon
inside the root (TensorFlow's), Adam without bias correction. NAdam is taken from its foreach form: the other one of 1.13
multiplies a μ too many into the next product, which later versions mend."""

import math

import torch
from torch import optim
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel

from common import number, stored, write

START = [1.5, -2.0, 0.75]
STEPS = 20


def cost(w):
    return 0.5 * (w[0] ** 2 + 4 * w[1] ** 2 + 0.5 * w[2] ** 2) + 0.5 * w[0] * w[1] + 0.25 * (w ** 4).sum()


class Point(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(START))


def rows(path):
    return [[number(x) for x in row] for row in path]


def case(name, args, make, clip=None, average=None, every=None, note=None):
    """Twenty steps; make(parameters) gives what has step()."""
    point = Point()
    optimizer = make([point.w])
    averaged = AveragedModel(point, avg_fn=average) if average or every else None
    path, averages = [], []
    for t in range(STEPS):
        point.w.grad = None
        cost(point.w).backward()
        if clip:
            clip([point.w])
        optimizer.step()
        path.append(point.w.tolist())
        if averaged:
            # Ours is a copy of the parameters until the average begins.
            if every is None or (t >= every[0] and (t - every[0]) % every[1] == 0):
                averaged.update_parameters(point)
            averages.append(averaged.module.w.tolist() if int(averaged.n_averaged) > 0 else point.w.tolist())
    entry = {"optimizer": name, "args": [args], "start": START, "path": rows(path)}
    if averaged:
        entry["average"] = rows(averages)
    if note:
        entry["note"] = note
    return entry


class ByHand:
    """A rule after a paper: step(w, g, t) with t from 1, which changes w."""

    def __init__(self, parameters, rule):
        self.w, = parameters
        self.rule = rule
        self.t = 0

    def step(self):
        self.t += 1
        with torch.no_grad():
            self.rule(self.w, self.w.grad, self.t)


def lion(lr, beta1, beta2, decay):
    def make(parameters):
        m = torch.zeros(3)

        def rule(w, g, t):
            nonlocal m
            direction = torch.sign(beta1 * m + (1 - beta1) * g)
            w -= lr * (direction + decay * w)
            m = beta2 * m + (1 - beta2) * g

        return ByHand(parameters, rule)

    return make


def lamb(lr, beta1, beta2, eps, decay):
    def make(parameters):
        m, v = torch.zeros(3), torch.zeros(3)

        def rule(w, g, t):
            nonlocal m, v
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            r = m / (1 - beta1 ** t) / (torch.sqrt(v / (1 - beta2 ** t)) + eps) + decay * w
            w -= lr * w.norm() / r.norm() * r

        return ByHand(parameters, rule)

    return make


def inside(lr, alpha, eps):
    def make(parameters):
        v = torch.zeros(3)

        def rule(w, g, t):
            nonlocal v
            v = alpha * v + (1 - alpha) * g * g
            w -= lr * g / torch.sqrt(v + eps)

        return ByHand(parameters, rule)

    return make


def uncorrected(lr, beta1, beta2, eps):
    def make(parameters):
        m, v = torch.zeros(3), torch.zeros(3)

        def rule(w, g, t):
            nonlocal m, v
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            w -= lr * m / (torch.sqrt(v) + eps)

        return ByHand(parameters, rule)

    return make


def lookahead(make_inner, k, alpha):
    class Lookahead:
        def __init__(self, parameters):
            self.w, = parameters
            self.inner = make_inner(parameters)
            self.slow = self.w.detach().clone()
            self.t = 0

        def step(self):
            self.inner.step()
            self.t += 1
            if self.t % k == 0:
                with torch.no_grad():
                    self.slow += alpha * (self.w - self.slow)
                    self.w.copy_(self.slow)

    return Lookahead


def ema(decay):
    return lambda averaged, parameter, count: decay * averaged + (1 - decay) * parameter


cases = [
    case("sgd", {"lr": 0.1}, lambda p: optim.SGD(p, 0.1)),
    case("sgd", {"lr": 0.1, "weightDecay": 0.3}, lambda p: optim.SGD(p, 0.1, weight_decay=0.3)),
    case("sgd", {"lr": 0.05, "momentum": 0.9}, lambda p: optim.SGD(p, 0.05, momentum=0.9)),
    case("sgd", {"lr": 0.05, "momentum": 0.9, "dampening": 0.4}, lambda p: optim.SGD(p, 0.05, momentum=0.9, dampening=0.4)),
    case("sgd", {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weightDecay": 0.1}, lambda p: optim.SGD(p, 0.05, momentum=0.8, nesterov=True, weight_decay=0.1)),
    case("adagrad", {"lr": 0.3}, lambda p: optim.Adagrad(p, 0.3)),
    case("adagrad", {"lr": 0.3, "lrDecay": 0.1, "initialAccumulator": 0.5, "eps": 0.001, "weightDecay": 0.1}, lambda p: optim.Adagrad(p, 0.3, lr_decay=0.1, initial_accumulator_value=0.5, eps=0.001, weight_decay=0.1)),
    case("adadelta", {}, lambda p: optim.Adadelta(p)),
    case("adadelta", {"lr": 2, "rho": 0.8, "eps": 0.01, "weightDecay": 0.1}, lambda p: optim.Adadelta(p, 2, rho=0.8, eps=0.01, weight_decay=0.1)),
    case("rmsProp", {"lr": 0.05}, lambda p: optim.RMSprop(p, 0.05)),
    case("rmsProp", {"lr": 0.05, "alpha": 0.9, "eps": 0.01, "weightDecay": 0.1}, lambda p: optim.RMSprop(p, 0.05, alpha=0.9, eps=0.01, weight_decay=0.1)),
    case("rmsProp", {"lr": 0.02, "alpha": 0.9, "momentum": 0.8}, lambda p: optim.RMSprop(p, 0.02, alpha=0.9, momentum=0.8)),
    case("rmsProp", {"lr": 0.02, "alpha": 0.9, "centered": True}, lambda p: optim.RMSprop(p, 0.02, alpha=0.9, centered=True)),
    case("rmsProp", {"lr": 0.01, "alpha": 0.9, "centered": True, "momentum": 0.7, "weightDecay": 0.1}, lambda p: optim.RMSprop(p, 0.01, alpha=0.9, centered=True, momentum=0.7, weight_decay=0.1)),
    case("rmsProp", {"lr": 0.05, "alpha": 0.9, "eps": 0.01, "epsInside": True}, inside(0.05, 0.9, 0.01), note="epsilon inside the root, as TensorFlow's; by hand"),
    case("adam", {"lr": 0.1}, lambda p: optim.Adam(p, 0.1)),
    case("adam", {"lr": 0.1, "betas": [0.8, 0.95], "eps": 0.001, "weightDecay": 0.1}, lambda p: optim.Adam(p, 0.1, (0.8, 0.95), 0.001, 0.1)),
    case("adam", {"lr": 0.1, "amsgrad": True, "betas": [0.8, 0.9]}, lambda p: optim.Adam(p, 0.1, (0.8, 0.9), amsgrad=True)),
    case("adam", {"lr": 0.05, "biasCorrection": False}, uncorrected(0.05, 0.9, 0.999, 1e-8), note="without bias correction; by hand"),
    case("adamW", {"lr": 0.1}, lambda p: optim.AdamW(p, 0.1)),
    case("adamW", {"lr": 0.1, "weightDecay": 0.2, "amsgrad": True, "betas": [0.8, 0.9]}, lambda p: optim.AdamW(p, 0.1, (0.8, 0.9), weight_decay=0.2, amsgrad=True)),
    case("adamax", {"lr": 0.1}, lambda p: optim.Adamax(p, 0.1)),
    case("adamax", {"lr": 0.1, "betas": [0.8, 0.9], "eps": 0.01, "weightDecay": 0.1}, lambda p: optim.Adamax(p, 0.1, (0.8, 0.9), 0.01, 0.1)),
    case("nadam", {"lr": 0.1}, lambda p: optim.NAdam(p, 0.1, foreach=True)),
    case("nadam", {"lr": 0.1, "betas": [0.8, 0.9], "momentumDecay": 0.1, "weightDecay": 0.1}, lambda p: optim.NAdam(p, 0.1, (0.8, 0.9), momentum_decay=0.1, weight_decay=0.1, foreach=True)),
    case("radam", {"lr": 0.1}, lambda p: optim.RAdam(p, 0.1)),
    case("radam", {"lr": 0.1, "betas": [0.8, 0.9], "eps": 0.01, "weightDecay": 0.1}, lambda p: optim.RAdam(p, 0.1, (0.8, 0.9), 0.01, 0.1)),
    case("lion", {"lr": 0.05}, lion(0.05, 0.9, 0.99, 0), note="Chen et al., 2023, program 1"),
    case("lion", {"lr": 0.05, "betas": [0.8, 0.9], "weightDecay": 0.2}, lion(0.05, 0.8, 0.9, 0.2), note="Chen et al., 2023, program 1"),
    case("lamb", {"lr": 0.1}, lamb(0.1, 0.9, 0.999, 1e-6, 0), note="You et al., 2020, algorithm 2"),
    case("lamb", {"lr": 0.1, "betas": [0.8, 0.9], "eps": 0.01, "weightDecay": 0.2}, lamb(0.1, 0.8, 0.9, 0.01, 0.2), note="You et al., 2020, algorithm 2"),
    case("sgd", {"lr": 0.1, "momentum": 0.5, "clipTensorNorm": 1.5}, lambda p: optim.SGD(p, 0.1, momentum=0.5), clip=lambda p: torch.nn.utils.clip_grad_norm_(p, 1.5)),
    case("sgd", {"lr": 0.1, "clipNorm": 1.5}, lambda p: optim.SGD(p, 0.1), clip=lambda p: torch.nn.utils.clip_grad_norm_(p, 1.5)),
    case("sgd", {"lr": 0.1, "momentum": 0.5, "clipValue": 0.75}, lambda p: optim.SGD(p, 0.1, momentum=0.5), clip=lambda p: torch.nn.utils.clip_grad_value_(p, 0.75)),
    case("sgd", {"lr": 0.05, "momentum": 0.9, "lookahead": {"k": 5, "alpha": 0.5}}, lookahead(lambda p: optim.SGD(p, 0.05, momentum=0.9), 5, 0.5), note="Zhang et al., 2019, algorithm 1"),
    case("adam", {"lr": 0.1, "lookahead": {"k": 3, "alpha": 0.8}}, lookahead(lambda p: optim.Adam(p, 0.1), 3, 0.8), note="Zhang et al., 2019, algorithm 1"),
    case("adam", {"lr": 0.1, "ema": {"decay": 0.8}}, lambda p: optim.Adam(p, 0.1), average=ema(0.8)),
    case("sgd", {"lr": 0.05, "momentum": 0.9, "swa": {"start": 6, "every": 3}}, lambda p: optim.SGD(p, 0.05, momentum=0.9), every=(6, 3)),
    case("sgd", {"lr": 0.05, "momentum": 0.9, "swa": {"start": 0.5}}, lambda p: optim.SGD(p, 0.05, momentum=0.9), every=(10, 1)),
]


def newton_schulz(g, steps=5):
    x = g / (g.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


def muon_case(args, lr, momentum, nesterov, decay, rest):
    """Muon on matrices and filters, `rest` on the vector, down the sum of w²/2 + w⁴/4; any matrices of one shape together."""
    torch.manual_seed(3)
    shapes = {"a": (3, 5), "b": (3, 5), "filters": (4, 2, 1, 3), "tall": (6, 2), "bias": (3,)}
    w = {name: torch.randint(-24, 25, shape) / 16.0 for name, shape in shapes.items()}
    entry = {"optimizer": "muon", "args": [args], "note": "Jordan et al., 2024; by hand, the vector by torch.optim.SGD",
             "tensors": {name: stored(x) for name, x in w.items()}}
    buffers = {name: torch.zeros_like(x) for name, x in w.items()}
    bias = torch.nn.Parameter(w["bias"].clone())
    other = rest([bias])
    for _ in range(STEPS):
        for name, x in w.items():
            if name == "bias":
                continue
            g = x + x ** 3
            buffers[name] = momentum * buffers[name] + g
            d = g + momentum * buffers[name] if nesterov else buffers[name]
            flat = d.reshape(d.shape[0], -1)
            o = newton_schulz(flat) * max(1, flat.shape[0] / flat.shape[1]) ** 0.5
            w[name] = x - lr * decay * x - lr * o.reshape(x.shape)
        bias.grad = (bias + bias ** 3).detach()
        other.step()
    w["bias"] = bias
    entry["after"] = {name: stored(x) for name, x in w.items()}
    return entry


# Numbers that float32 has: the step's row is float32.
cases += [
    muon_case({"lr": 0.03125, "momentum": 0.9375, "weightDecay": 0.0625}, 0.03125, 0.9375, True, 0.0625, lambda p: optim.SGD(p, 0.0625, momentum=0.5)),
    muon_case({"lr": 0.03125, "momentum": 0.5, "nesterov": False}, 0.03125, 0.5, False, 0, lambda p: optim.SGD(p, 0.0625, momentum=0.5)),
]


def schedule(name, args, make, total=24, lr=0.1, note=None, losses=None):
    """The rates of a scheduler's steps; make(optimizer) gives what has step(); with losses it is told them."""
    optimizer = optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)
    scheduler = make(optimizer)
    values = []
    for t in range(total):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if losses:
            scheduler.step(losses[t])
        elif t + 1 < total:
            scheduler.step()
    entry = {"schedule": name, "args": args if isinstance(args, list) else [args], "total": total, "values": [number(x) for x in values]}
    if losses:
        entry["observed"] = losses
    if note:
        entry["note"] = note
    return entry


S = lr_scheduler


def by(f):
    return lambda o: S.LambdaLR(o, lambda t: f(t) / 0.1)


LOSSES = [2.0, 1.5, 1.5, 1.49999, 1.5, 1.2, 1.3, 1.25, 1.21, 1.2, 1.19, 1.19, 1.3, 1.3, 1.3, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1]
cases += [
    schedule("constant", {"from": 0.1}, lambda o: S.ConstantLR(o, 1.0, 100)),
    schedule("linearDecay", {"from": 0.1, "to": 0.02}, lambda o: S.LinearLR(o, 1.0, 0.2, 23)),
    schedule("cosine", {"from": 0.1, "to": 0.001}, lambda o: S.CosineAnnealingLR(o, 23, 0.001)),
    schedule("cosineRestarts", {"from": 0.1, "first": 5, "to": 0.001}, lambda o: S.CosineAnnealingWarmRestarts(o, 5, 1, 0.001)),
    schedule("cosineRestarts", {"from": 0.1, "first": 3, "multiply": 2}, lambda o: S.CosineAnnealingWarmRestarts(o, 3, 2)),
    schedule("polynomial", {"from": 0.1, "power": 2.5}, lambda o: S.PolynomialLR(o, 23, 2.5)),
    schedule("polynomial", {"from": 0.1, "steps": 10}, lambda o: S.PolynomialLR(o, 10, 1)),
    schedule("stepDecay", {"from": 0.1, "factor": 0.5, "every": 5}, lambda o: S.StepLR(o, 5, 0.5)),
    schedule("multiStep", {"from": 0.1, "milestones": [3, 9, 10], "factor": 0.2}, lambda o: S.MultiStepLR(o, [3, 9, 10], 0.2)),
    schedule("exponential", {"from": 0.1, "gamma": 0.9}, lambda o: S.ExponentialLR(o, 0.9)),
    schedule("exponential", {"from": 0.1, "decay": 0.25}, by(lambda t: 0.1 * math.exp(-0.25 * t))),
    schedule("inverseTime", {"from": 0.1, "decay": 0.5}, by(lambda t: 0.1 / (1 + 0.5 * t))),
    schedule("inverseSquareRoot", {"from": 0.1}, by(lambda t: 0.1 / math.sqrt(t + 1))),
    schedule("inverseSquareRoot", {"from": 0.1, "warmUp": 6}, by(lambda t: 0.1 * min((t + 1) / 6, math.sqrt(6 / (t + 1)))), note="Vaswani et al., 2017, eq. 3"),
    schedule("oneCycle", {"peak": 0.1}, lambda o: S.OneCycleLR(o, 0.1, 25), total=25),
    schedule("oneCycle", {"peak": 0.2, "warmup": 0.5, "start": 10, "final": 100}, lambda o: S.OneCycleLR(o, 0.2, 25, pct_start=0.5, div_factor=10, final_div_factor=100), total=25),
    schedule("triangular", {"from": 0.01, "peak": 0.1, "up": 4}, lambda o: S.CyclicLR(o, 0.01, 0.1, 4, cycle_momentum=False)),
    schedule("triangular", {"from": 0.01, "peak": 0.1, "up": 3, "down": 5, "mode": "triangular2"}, lambda o: S.CyclicLR(o, 0.01, 0.1, 3, 5, mode="triangular2", cycle_momentum=False)),
    schedule("triangular", {"from": 0.01, "peak": 0.1, "up": 4, "mode": "exp_range", "gamma": 0.95}, lambda o: S.CyclicLR(o, 0.01, 0.1, 4, mode="exp_range", gamma=0.95, cycle_momentum=False)),
    schedule("piecewise", {"points": [[2, 0.01], [10, 0.1], [20, 0.03]]}, by(lambda t: 0.01 if t < 2 else 0.01 + 0.09 * (t - 2) / 8 if t < 10 else 0.1 - 0.07 * (t - 10) / 10 if t < 20 else 0.03)),
    schedule("piecewise", {"points": [[0, 0], [0.5, 0.1], [1, 0]], "unit": "share"}, by(lambda t: 0.1 * min(2 * t / 23, 2 - 2 * t / 23))),
    schedule("warmUp", [5, 0.1], lambda o: S.LinearLR(o, 0.2, 1.0, 4)),
    schedule("warmUp", [5, {"schedule": "exponential", "args": [{"from": 0.1, "gamma": 0.9}]}], by(lambda t: 0.1 * 0.9**t * min(1, (t + 1) / 5))),
    schedule("byEpoch", [{"schedule": "exponential", "args": [{"from": 0.1, "gamma": 0.5}]}, 6], lambda o: S.StepLR(o, 6, 0.5)),
    schedule("reduceOnPlateau", {"from": 0.1, "patience": 2}, lambda o: S.ReduceLROnPlateau(o, patience=2), losses=LOSSES),
    schedule("reduceOnPlateau", {"from": 0.1, "factor": 0.5, "patience": 1, "cooldown": 2, "least": 0.02, "threshold": 0.05, "thresholdMode": "abs"}, lambda o: S.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=2, min_lr=0.02, threshold=0.05, threshold_mode="abs"), losses=LOSSES),
    schedule("reduceOnPlateau", {"from": 0.1, "factor": 0.5, "patience": 0, "mode": "max", "watch": "accuracy"}, lambda o: S.ReduceLROnPlateau(o, "max", factor=0.5, patience=0), losses=[-x for x in LOSSES]),
]
if __name__ == "__main__":
    write("optim", cases, "torch.optim and torch.optim.lr_scheduler, by optim.py")
