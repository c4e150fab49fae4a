"""PyTorch on the device that the argument names, "cpu" or "cuda": answers the requests of run.mjs as worker.mjs does."""

import json
import os
import struct
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(os.cpu_count())
DEVICE = sys.argv[1]
# float32 as everybody else computes it, with the fastest kernels that the library has for these shapes.
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.benchmark = True
BATCHES = 10


def read_tensors(file):
    with open(file, "rb") as f:
        raw = f.read()
    length = struct.unpack("<Q", raw[:8])[0]
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        start, end = entry["data_offsets"]
        dtype = {"F32": torch.float32, "I32": torch.int32}[entry["dtype"]]
        data = torch.frombuffer(bytearray(raw[8 + length + start : 8 + length + end]), dtype=dtype)
        tensors[name] = data.reshape(entry["shape"]).to(DEVICE)
    return tensors


def spread(tensor):
    data = tensor.detach().flatten()
    return data[:: max(1, data.numel() // 4096 | 1)].tolist()


def operation(work, t):
    def forward():
        return F.conv2d(t["x"], t["w"], padding=1)

    def gradients(*wanted):
        return torch.ops.aten.convolution_backward(
            t["dy"], t["x"], t["w"], None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [*wanted, False]
        )

    def both(f, dy):
        at = t["x"].detach().requires_grad_()
        y = f(at)
        return [y, torch.autograd.grad(y, at, dy)[0]]

    def convolution():
        op = F.conv_transpose2d if work["transposed"] else F.conv2d
        at, weight = (t[name].detach().requires_grad_() for name in ("x", "w"))
        y = op(at, weight, **work["options"])
        return [y, *torch.autograd.grad(y, (at, weight), t["dy"])]

    def layer():
        options = work["options"]
        return both(lambda x: F.interpolate(x, scale_factor=options["scale"], mode=options.get("mode", "nearest")), t["dy"])

    labels = t["labels"].long() if "labels" in t else None

    def cross_entropy(logits):
        return F.cross_entropy(logits, labels, reduction="none")

    def batch_norm(image):
        return F.batch_norm(image, None, None, t["gamma"], t["beta"], training=True)

    return {
        "matmul": lambda: [t["a"] @ t["b"]],
        "convolution": convolution,
        "layer": layer,
        "convForward": lambda: [forward()],
        "convInputGrad": lambda: [gradients(True, False)[0]],
        "convWeightGrad": lambda: [gradients(False, True)[1]],
        "convTraining": lambda: [forward(), *gradients(True, True)[:2]],
        "relu": lambda: [torch.relu(t["x"])],
        "add": lambda: [t["x"] + t["y"]],
        "sum": lambda: [t["x"].sum()],
        "sumColumns": lambda: [t["x"].sum(0)],
        "softmax": lambda: [F.softmax(t["x"], 1)],
        "crossEntropy": lambda: both(cross_entropy, torch.ones(len(t["x"]), device=DEVICE)),
        "maxPool": lambda: [F.max_pool2d(t["x"], 2)],
        "maxPoolTraining": lambda: both(lambda x: F.max_pool2d(x, 2), t["dy"]),
        "batchNorm": lambda: both(batch_norm, t["dy"]),
    }[work["kind"]]


def layer(description):
    (kind, value), = description.items()
    return {
        "conv": lambda: torch.nn.Conv2d(*value, 3, padding=1, bias=False),
        "batchNorm": lambda: torch.nn.BatchNorm2d(value),
        "relu": torch.nn.ReLU,
        "maxPool": lambda: torch.nn.MaxPool2d(value),
        "flatten": torch.nn.Flatten,
        "linear": lambda: torch.nn.Linear(*value),
    }[kind]()


class Training:
    def __init__(self, work, tensors):
        self.x = tensors.pop("x").split(work["batch"])
        self.y = tensors.pop("y").long().split(work["batch"])
        self.model = torch.nn.Sequential(*map(layer, work["layers"])).to(DEVICE)
        counts = {k: v for k, v in self.model.state_dict().items() if "num_batches" in k}
        self.model.load_state_dict({**tensors, **counts})
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=3e-4)
        self.step = 0

    def __call__(self):
        at = self.step % BATCHES
        self.step += 1
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.model(self.x[at]), self.y[at])
        loss.backward()
        self.optimizer.step()
        return [loss]


job = None


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def answer(ask, request):
    global job
    if ask == "open":
        return {"versions": {"torch": torch.__version__}, "adapter": None}
    if ask == "prepare":
        work, tensors = request["work"], read_tensors(request["file"])
        begin = time.perf_counter()
        job = (Training if work["kind"] == "train" else operation)(work, tensors)
        result = [x for tensor in job() for x in spread(tensor)]
        return {"ms": 1000 * (time.perf_counter() - begin), "result": result}
    if ask == "steps":
        for _ in range(request["count"]):
            result = job()
        return {"result": [x for tensor in result for x in spread(tensor)]}
    if ask == "time":
        wait()
        begin = time.perf_counter()
        for _ in range(request["repeat"]):
            job()
        wait()
        return {"ms": 1000 * (time.perf_counter() - begin) / request["repeat"]}
    raise ValueError(f"unknown request {ask}")


for line in sys.stdin:
    request = json.loads(line)
    try:
        reply = answer(request.pop("ask"), request)
    except Exception as error:
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
