"""What the grader has in a student's kernel: it calls, and answers in JSON.

This file's text is sent to the kernel and run there in a module of its own.
It judges nothing and knows no expected value, so that nothing is to be had
from it. `link.py` is the other end.
"""

import base64
import collections.abc
import inspect
import itertools
import json
import pickle
import random

import numpy
import torch
from torch import nn

from labutils.checks import guard, running

DEEPEST = 8
MOST_ITEMS = 1_000_000
LARGE = "a result too large to be looked at"
MOST_BYTES = 24 * 2**20  # of one answer
DTYPES = {
    getattr(torch, name): name for name in (
        "float32", "float64", "float16", "bfloat16", "int64", "int32",
        "int16", "int8", "uint8", "bool")
}


class Far:
    """The student's namespace, and what was handed out of it so far."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.kept = {}
        self.numbers = itertools.count(1)

    def answer(self, request):
        """One request of the grader's, in base64, to one line of JSON."""
        what, seed, arguments = pickle.loads(base64.b64decode(request))
        grad = torch.is_grad_enabled()
        try:
            with guard.unchanged(self.namespace):
                torch.manual_seed(seed)
                random.seed(seed)
                numpy.random.seed(seed % 2**32)
                reply = getattr(self, what)(*arguments)
        except BaseException as error:
            reply = {"error": self.error(error)}
        finally:
            torch.set_grad_enabled(grad)
        text = json.dumps(reply)
        if len(text) > MOST_BYTES:
            text = json.dumps({"error": self.error(ValueError(LARGE))})
        return text

    def error(self, error):
        try:
            function, place = running.where(error)
            text = str(error)[:1000]
        except BaseException:
            function, place, text = "", "", "(an error without words)"
        kinds = [kind.__name__[:100] for kind in type(error).__mro__]
        return {"name": kinds[0], "kinds": kinds[:20], "text": text,
                "function": function[:100], "where": place[:500]}

    # ---- requests

    def describe(self, name):
        """Whether there is such a function, and its arguments' names."""
        if name not in self.namespace:
            return {"found": False, "names": None}
        try:
            names = list(inspect.signature(self.namespace[name]).parameters)
        except (TypeError, ValueError):
            names = None
        return {"found": callable(self.namespace[name]), "names": names}

    def call(self, target, args, options, tensors_are, recording):
        """Call something; its result, and what has become of the arguments."""
        function, own = self.find(target)
        tensors, lists = walk((args, options))
        sources = [
            arrive(tensor, *kind)
            for tensor, kind in zip(tensors, tensors_are, strict=True)]
        before = [list(some) for some in lists]
        old = copies(tensors)
        torch.set_grad_enabled(recording)  # as it is where the call was made
        result = function(*args, **options)
        leaves = [t for t in [*sources, *own] if t.requires_grad]
        encoder = Encoder(self, tensors, old)
        reply = {"result": encoder.encode(result),
                 "recording": torch.is_grad_enabled()}
        roots = encoder.roots
        if roots:
            reply["handle"] = self.keep((roots, leaves))
        reply["changed"] = encoder.changed()
        reply["grads"] = encoder.optional(t.grad for t in tensors)
        reply["learns"] = [t.requires_grad for t in tensors]
        reply["lists"] = [
            [i, encoder.encode(list(some))]
            for i, (some, was) in enumerate(zip(lists, before, strict=True))
            if list(map(id, some)) != list(map(id, was))
        ]
        return reply

    def back(self, handle, grads):
        """The vector-Jacobian product of a call's results."""
        roots, leaves = self.kept[handle]
        pairs = [(r, g) for r, g in zip(roots, grads, strict=True)
                 if g is not None]
        found = torch.autograd.grad(
            [r for r, _ in pairs], leaves, [g for _, g in pairs],
            retain_graph=True, allow_unused=True)
        return {"grads": Encoder(self, []).optional(found)}

    def more(self, handle, most):
        """The next items of something that is read one by one."""
        items, tensors, old = self.kept[handle]
        found = list(itertools.islice(items, most))
        encoder = Encoder(self, tensors, old)
        return {"items": encoder.encode(found), "over": len(found) < most,
                "changed": encoder.changed()}

    def get(self, handle, name):
        """An attribute."""
        value = getattr(self.kept[handle], name)
        if callable(value) and not isinstance(value, nn.Module):
            return {"method": True}
        return {"result": Encoder(self, []).encode(value)}

    # ---- helpers

    def keep(self, value):
        handle = next(self.numbers)
        self.kept[handle] = value
        return handle

    def find(self, target):
        """What to call, and the tensors that belong to it."""
        kind, where, *name = target
        if kind == "name":
            return self.namespace[where], []
        value = self.kept[where]
        own = list(value.parameters()) if isinstance(value, nn.Module) else []
        return (getattr(value, name[0]) if name else value), own


def arrive(tensor, leaf, grad):
    """Make a tensor what it is where it came from; where gradients end.

    All that arrives is a leaf, which other operations change in place than
    what was computed.
    """
    if leaf:
        tensor.grad = grad
        return tensor
    source = tensor.detach().clone().requires_grad_()
    tensor.requires_grad_(False)
    with torch.enable_grad():
        tensor.copy_(source)
    return source


def copies(tensors):
    return [tensor.detach().clone() for tensor in tensors]


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
        elif type(value).__module__.startswith("labutils"):
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
        if isinstance(value, (list, tuple)):
            return {
                "t": "list" if isinstance(value, list) else "tuple",
                "v": [self.encode(item, depth + 1) for item in value]}
        if isinstance(value, (set, frozenset)):
            return {"t": "set", "v": [
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
        found = self.plain(value)
        found["learns"] = value.requires_grad
        found["leaf"] = value.is_leaf
        found["memory"] = value.data_ptr()
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
        value = value.detach().to("cpu").contiguous()
        if value.dtype not in DTYPES:
            raise ValueError(f"a tensor of {value.dtype}")
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
