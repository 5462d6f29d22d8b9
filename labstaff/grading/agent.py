"""What the grader has in a student's kernel: it calls, and answers in JSON.

This file's text is sent to the kernel, behind that of `packing.py`, and both
are run there in a module of their own. It judges nothing and knows no expected
value, so that nothing is to be had from it. `link.py` is the other end.
"""

import base64
import inspect
import itertools
import json
import pickle
import random

import numpy
import torch
from torch import nn

from labkit.checks import guard, harness
from labstaff.grading.packing import LARGE, MOST_BYTES, Encoder, walk


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
                guard.seed_torch(seed)
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
            function, place = harness.where(error)
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
        return reply | {
            "changed": encoder.changed(),
            "grads": encoder.optional(t.grad for t in tensors),
            "learns": [t.requires_grad for t in tensors],
            "lists": [
                [i, encoder.encode(list(some))] for i, (some, was)
                in enumerate(zip(lists, before, strict=True))
                if list(map(id, some)) != list(map(id, was))]}

    def back(self, handle, grads):
        """The vector-Jacobian product of a call's results."""
        roots, leaves = self.kept[handle]
        given = [i for i, grad in enumerate(grads) if grad is not None]
        found = torch.autograd.grad(
            [roots[i] for i in given], leaves, [grads[i] for i in given],
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
        self.kept[handle := next(self.numbers)] = value
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
