"""What the scripts beside it share: small cases with numbers computed by PyTorch in float64.

Each script makes the JSON file of its name; the tests need only those files, which are committed. Made with Debian 12's
python3-torch 1.13.1 on a CPU, from the repository root:

    /usr/bin/python3 test/oracle/linear.py

Numbers given to a layer are multiples of 1/16, so that they are the same in float32; results are float64 with 13 digits.
"nan", "inf" and "-inf" stand as strings. What this version of PyTorch lacks is written out in float64 in the script, after
the paper that it names.
"""

import json
import math
import os

import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))


def values(*shape, low=-3.0, high=3.0, dtype=torch.float64):
    """Multiples of 1/16 from low to high; whole numbers where the dtype has no others."""
    if not dtype.is_floating_point:
        return torch.randint(int(low), int(high) + 1, shape, dtype=dtype)
    return torch.randint(round(low * 16), round(high * 16) + 1, shape) / 16.0


def number(x):
    if isinstance(x, (bool, int)):
        return int(x)
    if math.isnan(x):
        return "nan"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    short = float(f"{x:.13g}")
    return int(short) if short == int(short) and abs(short) < 2**53 else short


DTYPES = {torch.float64: "f32", torch.int64: "i32", torch.int32: "i32", torch.bool: "bool"}


def stored(x):
    x = x.detach()
    return {"shape": list(x.shape), "dtype": DTYPES[x.dtype], "data": [number(v) for v in x.reshape(-1).tolist()]}


def part(layer, *args, parts=()):
    """A layer among the args of another."""
    return {"layer": layer, "args": list(args), "parts": list(parts)}


def layer_case(layer, args, module, *inputs, training=True, note=None, random=True, penalty=None, names=None):
    """A module's result, the gradients of sum(result * upstream) and its buffers afterwards.

    `module` is a torch.nn.Module (its state_dict's names are the layer's) or a function of the inputs; `layer` and `args`
    are what makes ours, a part among the args written as `part` does. Several results are compared as one row, each flat
    behind the other. With `random` the module's parameters are filled anew with multiples of 1/16.
    `penalty` of the result is what the layer adds to what is minimised: the gradients are those of both. `names` says
    where in a record the inputs stand, "state.h" for instance, of a layer that takes one."""
    is_module = isinstance(module, torch.nn.Module)
    if is_module:
        module.train(training)
        if random:
            with torch.no_grad():
                for p in module.parameters():
                    p.copy_(values(*p.shape, low=-2, high=2))
    parameters = dict(module.named_parameters()) if is_module else {}
    kept = {k: stored(v) for k, v in module.state_dict().items() if k.split(".")[-1] != "num_batches_tracked"} if is_module else {}
    leaves = [x.clone().requires_grad_(x.dtype.is_floating_point) for x in inputs]
    y = module(*leaves)
    if isinstance(y, (list, tuple)):
        y = torch.cat([one.reshape(-1) for one in y])
    upstream = values(*y.shape)
    ((y * upstream).sum() + (penalty(y) if penalty else 0)).backward()
    case = {"layer": layer, "args": args, "training": training, "inputs": [stored(x) for x in inputs], "tensors": kept,
            "output": stored(y), "upstream": stored(upstream),
            "gradients": {"inputs": [stored(x.grad if x.grad is not None else torch.zeros_like(x)) if x.requires_grad else None for x in leaves],
                          "tensors": {k: stored(p.grad) for k, p in parameters.items() if p.grad is not None}}}
    if is_module:
        buffers = {k: stored(v) for k, v in module.named_buffers() if k.split(".")[-1] != "num_batches_tracked"}
        if buffers and training:
            case["buffers"] = buffers
    if names:
        case["names"] = names
    if note:
        case["note"] = note
    return case


def loss_case(loss, args, function, output, target, mask=None, note=None):
    """A loss's value and its gradient in the output; function(output, target) in PyTorch's terms.

    The output of a loss of several tensors is a list of them. What a mask leaves out `function` leaves out by itself."""
    several = isinstance(output, (list, tuple))
    leaves = [x.clone().requires_grad_(True) for x in (output if several else [output])]
    value = function(leaves if several else leaves[0], target)
    value.sum().backward()
    slopes = [stored(x.grad if x.grad is not None else torch.zeros_like(x)) for x in leaves]
    case = {"loss": loss, "args": args, "output": [stored(x) for x in output] if several else stored(output),
            "target": None if target is None else stored(target), "value": stored(value),
            "gradient": slopes if several else slopes[0]}
    if mask is not None:
        case["mask"] = stored(mask)
    if note:
        case["note"] = note
    return case


def metric_case(metric, args, batches, value, note=None):
    """A metric of batches of (output, target) or (output, target, mask): a number, or a list of rows of numbers."""
    case = {"metric": metric, "args": args, "value": value,
            "batches": [{"output": stored(b[0]), "target": stored(b[1]), **({"mask": stored(b[2])} if len(b) > 2 else {})}
                        for b in batches]}
    if note:
        case["note"] = note
    return case


def write(name, cases, origin):
    """One case a line, so that a change shows which."""
    head = json.dumps({"origin": origin, "torch": torch.__version__}, ensure_ascii=False)[:-1]
    lines = ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in cases)
    with open(os.path.join(HERE, f"{name}.json"), "w", encoding="utf-8") as file:
        file.write(f'{head}, "cases": [\n{lines}\n]}}\n')
    print(f"{name}.json: {len(cases)} cases")
