"""Initialisers: initializers.json. See common.py.

What is not random: its numbers. What is: mean and standard deviation of infinitely many, and the bounds, from PyTorch's
own fans, gains and formulas; orthogonal ones the product of their rows (or columns) as well. LeCun's, which PyTorch 1.13
lacks, after LeCun et al., 1998, eq. 16. Patch whitening after Jordan, 2024, airbench94.py (`init_whitening_conv`), each
eigenvector with its largest number positive.
"""

import math

import numpy
import torch
from torch.nn import init

from common import number, stored, values, write

torch.manual_seed(10)
cases = []


def fixed(name, args, shape, fill, note=None):
    tensor = torch.empty(*shape)
    fill(tensor)
    cases.append({"initializer": name, "args": args, "shape": list(shape), "output": stored(tensor), **({"note": note} if note else {})})


def drawn(name, args, shape, mean, std, low=-math.inf, high=math.inf):
    cases.append({"initializer": name, "args": args, "shape": list(shape),
                  "statistics": {"mean": number(mean), "std": number(std), "low": number(low), "high": number(high)}})


fixed("zeros", None, (2, 3), init.zeros_)
fixed("ones", None, (2, 3), init.ones_)
fixed("constant", [0.25], (3, 2), lambda t: init.constant_(t, 0.25))
for shape in [(3, 3), (2, 4), (5, 3)]:
    fixed("identity", None, shape, init.eye_)
for shape, groups in [((4, 4, 3), 1), ((6, 3, 3, 3), 1), ((3, 5, 2, 4), 1), ((6, 2, 3, 3), 3), ((8, 2, 1, 3), 2), ((2, 2, 3, 1, 2), 1), ((4, 3, 2, 2), 4)]:
    fixed("dirac", [] if groups == 1 else [{"groups": groups}], shape, lambda t: init.dirac_(t, groups))

drawn("uniform", [-0.5, 2], (40, 50), 0.75, 2.5 / math.sqrt(12), -0.5, 2)
drawn("normal", [0.3], (40, 50), 0, 0.3)
drawn("normal", [2, -1], (2000,), -1, 2)


def truncated(mean, std, low, high):
    """Mean and deviation of a normal distribution between bounds."""
    normal = torch.distributions.Normal(0.0, 1.0)
    a, b = (torch.tensor((x - mean) / std) for x in (low, high))
    pdf = lambda x: normal.log_prob(x).exp()
    mass = normal.cdf(b) - normal.cdf(a)
    shift = (pdf(a) - pdf(b)) / mass
    variance = 1 + (a * pdf(a) - b * pdf(b)) / mass - shift**2
    return mean + std * shift.item(), std * math.sqrt(variance.item())


drawn("truncatedNormal", [0.02], (60, 50), *truncated(0, 0.02, -0.04, 0.04), -0.04, 0.04)
drawn("truncatedNormal", [], (60, 50), *truncated(0, 1, -2, 2), -2, 2)
drawn("truncatedNormal", [1.5, {"mean": 0.5, "low": -2, "high": 2}], (60, 50), *truncated(0.5, 1.5, -2, 2), -2, 2)
drawn("truncatedNormal", [1, {"low": 0.5, "high": 3}], (60, 50), *truncated(0, 1, 0.5, 3), 0.5, 3)


def scaled(name, args, shape, variance, uniform):
    std = math.sqrt(variance)
    bound = std * math.sqrt(3) if uniform else math.inf
    drawn(name, args, shape, 0, std, -bound, bound)


relu, tanh = init.calculate_gain("relu"), init.calculate_gain("tanh")
for shape in [(80, 30), (24, 16, 3, 2), (12, 40, 5)]:
    fan_in, fan_out = init._calculate_fan_in_and_fan_out(torch.empty(*shape))
    average = (fan_in + fan_out) / 2
    for suffix, uniform in [("Normal", False), ("Uniform", True)]:
        scaled(f"xavier{suffix}", [], shape, 1 / average, uniform)
        scaled(f"xavier{suffix}", [number(tanh)], shape, tanh**2 / average, uniform)
        scaled(f"he{suffix}", [], shape, relu**2 / fan_in, uniform)
        scaled(f"he{suffix}", [1], shape, 1 / fan_in, uniform)
        scaled(f"he{suffix}", [{"mode": "fanOut"}], shape, relu**2 / fan_out, uniform)
        scaled(f"he{suffix}", [{"mode": "fanAverage", "gain": 1}], shape, 1 / average, uniform)
        scaled(f"lecun{suffix}", [], shape, 1 / fan_in, uniform)
    scaled("xavierFanIn", [], shape, 1 / fan_in, False)
    linear = torch.nn.Linear(fan_in, 4)  # PyTorch's own start, whose bound its largest number comes near to
    bound = 1 / math.sqrt(fan_in)
    assert 0.9 * bound < linear.weight.abs().max() <= bound
    scaled("torchDefault", [fan_in], shape, 1 / (3 * fan_in), True)

for shape, gain in [((6, 6), 1), ((3, 8), 2), ((9, 4), 0.5), ((4, 2, 3, 3), 1), ((40, 3, 3), 1)]:
    matrix = init.orthogonal_(torch.empty(*shape), gain).reshape(shape[0], -1)
    gram = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
    assert torch.allclose(gram, gain**2 * torch.eye(len(gram)), atol=1e-10)
    cases.append({"initializer": "orthogonal", "args": [] if gain == 1 else [gain], "shape": list(shape), "gram": stored(gram.round(decimals=10))})


def whitening(images, kernel, eps):
    channels = images.shape[1]
    patches = images.unfold(2, kernel, 1).unfold(3, kernel, 1).transpose(1, 3).reshape(-1, channels, kernel, kernel)
    flat = patches.reshape(len(patches), -1)
    eigenvalues, eigenvectors = numpy.linalg.eigh((flat.T @ flat / len(flat)).numpy())
    vectors = eigenvectors.T[::-1]
    signs = numpy.sign(numpy.take_along_axis(vectors, abs(vectors).argmax(1, keepdims=True), 1))
    filters = vectors * signs / numpy.sqrt(eigenvalues[::-1, None] + eps)
    return torch.from_numpy(numpy.concatenate((filters, -filters)).reshape(-1, channels, kernel, kernel))


for shape, kernel, eps in [((4, 3, 6, 5), 2, 5e-4), ((3, 1, 8, 8), 3, 1e-2), ((20, 2, 3, 3), 1, 0)]:
    images = values(*shape)
    smooth = (images + images.roll(1, 3) + images.roll(1, 2)) / 4
    weight = whitening(smooth, kernel, eps)
    options = {} if (kernel, eps) == (2, 5e-4) else {"kernel": kernel, "eps": eps}
    given = [{"shape": list(shape), "data": [number(x) for x in smooth.reshape(-1).tolist()]}, options]
    cases.append({"initializer": "patchWhitening", "args": given, "shape": list(weight.shape), "output": stored(weight)})

write("initializers", cases, "torch.nn.init, and numpy.linalg.eigh, by initializers.py")
