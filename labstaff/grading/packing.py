"""Values on their way out of a student's kernel, as plain data for JSON."""

import base64
import collections.abc

import torch
from torch import nn

DEEPEST = 8
MOST_ITEMS = 1_000_000
LARGE = "a result too large to be looked at"
MOST_BYTES = 24 * 2**20  # of one answer
DTYPES = {getattr(torch, name): name for name in (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16",
    "int8", "uint8", "bool")}


def walk(args):
    """All the tensors and lists in some arguments, each once, in order."""
    tensors, lists, seen = [], [], set()

    def visit(value):
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            tensors.append(value)
        elif isinstance(value, (list, tuple)):
            if isinstance(value, list):
                lists.append(value)
            for item in value:
                visit(item)
        elif isinstance(value, dict):
            for item in list(value.values()):
                visit(item)
        elif isinstance(value, nn.Module):
            for item in [*value.parameters(), *value.buffers()]:
                visit(item)
        elif isinstance(value, type(iter([]))):
            visit(value.__reduce__()[1][0])
        elif type(value).__module__.startswith(("labutils", "labkit")):
            for name in sorted(getattr(value, "__dict__", {})):
                visit(getattr(value, name))

    visit(args)
    return tensors, lists


class Encoder:
    """Results as plain data.

    Attributes:
        roots: tensors among them from which a gradient can travel back.
    """

    def __init__(self, far, arguments, old=()):
        self.far, self.items, self.roots = far, 0, []
        self.arguments, self.old = arguments, old
        self.place = {id(t): i for i, t in enumerate(arguments)}

    def encode(self, value, depth=0):
        self.items += 1
        if depth > DEEPEST or self.items > MOST_ITEMS:
            raise ValueError(LARGE)
        if value is None or type(value) in (bool, str):
            return {"t": "plain", "v": value}
        if type(value) in (int, float):
            return {"t": type(value).__name__, "v": repr(value)[:400]}
        if isinstance(value, torch.Tensor):
            return self.tensor(value)
        if isinstance(value, nn.ParameterList):
            value = list(value)
        for kind in (list, tuple, set, frozenset):
            if isinstance(value, kind):
                return {"t": kind.__name__, "v": [
                    self.encode(item, depth + 1) for item in value]}
        if isinstance(value, dict):
            return {"t": "dict", "v": [
                [self.encode(k, depth + 1), self.encode(v, depth + 1)]
                for k, v in value.items()]}
        if isinstance(value, nn.Module):
            return self.module(value)
        if isinstance(value, type):
            return {"t": "class", "n": value.__name__[:100]}
        name = type(value).__name__[:100]
        if isinstance(value, collections.abc.Iterator):
            handle = self.far.keep((value, self.arguments, self.old))
            return {"t": "iterator", "h": handle, "n": name}
        if type(value).__module__ == "numpy" and not getattr(
                value, "ndim", 1):
            return {"t": "float", "v": repr(float(value))}
        return {"t": "object", "h": self.far.keep(value), "n": name,
                "callable": callable(value)}

    def tensor(self, value):
        found = self.plain(value) | {
            "learns": value.requires_grad, "leaf": value.is_leaf,
            "memory": value.data_ptr()}
        if id(value) in self.place:
            found["argument"] = self.place[id(value)]
        elif value.requires_grad and not value.is_leaf:
            found["root"] = len(self.roots)
            self.roots.append(value)
        return found

    def changed(self):
        """The arguments that are not what they were, with their place."""
        return [
            [i, self.plain(t)] for i, (t, o) in enumerate(
                zip(self.arguments, self.old, strict=True))
            if t.shape != o.shape or t.dtype != o.dtype
            or not torch.equal(t.detach(), o)
        ]

    def optional(self, values):
        return [None if v is None else self.plain(v) for v in values]

    def plain(self, value):
        """A tensor's numbers."""
        if value.dtype not in DTYPES:
            raise ValueError(f"a tensor of {value.dtype}")
        value = value.detach().to("cpu").contiguous()
        if value.numel() * value.element_size() > MOST_BYTES // 2:
            raise ValueError(LARGE)
        raw = value.reshape(-1).view(torch.uint8).numpy().tobytes()
        return {"t": "tensor", "dtype": DTYPES[value.dtype],
                "shape": list(value.shape),
                "data": base64.b64encode(raw).decode("ascii")}

    def module(self, value):
        layers = [[m.nonlinearity, m.hidden_size] for m in value.modules()
                  if isinstance(m, (nn.RNN, nn.RNNCell))]
        return {"t": "module", "h": self.far.keep(value), "layers": layers,
                "n": type(value).__name__[:100], "training": value.training,
                "recurrent": isinstance(value, nn.RNNBase),
                "parameters": [[name, self.tensor(p)]
                               for name, p in value.named_parameters()]}
