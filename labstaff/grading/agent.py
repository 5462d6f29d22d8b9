"""What the grader runs in a student's kernel: it calls, and answers in JSON.

`remote.py` sends this file as it stands, and the kernel runs it as a module of
its own, where no other module of the grader exists. It judges nothing and
knows no expected value, so that nothing is to be had from it.
"""

import base64
import collections.abc
import inspect
import itertools
import json
import os
import pickle
import random
import signal
from multiprocessing.connection import Connection

import numpy
import torch
from torch import nn

from labkit.checks import harness

DEEPEST = 8  # of values in values
MOST_ITEMS = 1_000_000
MOST_BYTES = 24 * 2**20  # of one answer
LARGE = "a result too large to be looked at"
DTYPES = {getattr(torch, name): name for name in (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16",
    "int8", "uint8", "bool")}


def serve(descriptor):
    """Answer requests from a pipe, until an empty one."""
    from IPython import get_ipython

    agent = Agent(get_ipython().user_ns)
    pipe = Connection(os.dup(descriptor))  # the kernel's end stays open
    before = signal.signal(signal.SIGINT, agent.interrupt)
    try:
        while request := pipe.recv_bytes():
            pipe.send_bytes(agent.answer(request))
    finally:
        signal.signal(signal.SIGINT, before)


class Agent:
    """The student's namespace, and what was handed out of it so far."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.kept = {}
        self.handles = itertools.count(1)
        self.calling = False

    def answer(self, request):
        """The answer to a pickled request, as JSON in bytes."""
        what, seed, arguments = pickle.loads(request)
        try:
            self.calling = True
            with (harness.unchanged(self.namespace),
                  torch.set_grad_enabled(torch.is_grad_enabled())):
                harness.seed_torch(seed)
                random.seed(seed)
                numpy.random.seed(seed % 2**32)
                text = json.dumps(getattr(self, what)(*arguments))
            if len(text) > MOST_BYTES:
                raise ValueError(LARGE)
        except BaseException as error:
            self.calling = False
            text = json.dumps({"error": describe(error)})
        self.calling = False
        return text.encode("ascii")

    def interrupt(self, *_):
        """Stop a call; between two of them the requests must go on."""
        if self.calling:
            raise KeyboardInterrupt

    # ---- requests

    def signature(self, name):
        function = self.namespace.get(name)
        try:
            names = list(inspect.signature(function).parameters)
        except (TypeError, ValueError):
            names = None
        origin = (f"{getattr(function, '__module__', '')}."
                  f"{getattr(function, '__qualname__', '')}")
        return {"found": callable(function), "names": names, "origin": origin}

    def call(self, target, args, options, arrived, recording):
        """Call what `find` finds; its result, and what has become of the
        arguments, of whose tensors each had `arrived` as a leaf or not, with
        its gradient, while gradients were `recording` or not."""
        function, own = self.find(*target)
        tensors, lists = walk((args, options))
        sources = [restore(*one) for one in zip(tensors, arrived, strict=True)]
        before = [list(some) for some in lists]
        copies = [tensor.detach().clone() for tensor in tensors]
        encoder = Encoder(self, tensors, copies)
        torch.set_grad_enabled(recording)
        result = function(*args, **options)
        leaves = [t for t in [*sources, *own] if t.requires_grad]
        changed = [
            [i, encoder.encode(list(now))] for i, (now, was)
            in enumerate(zip(lists, before, strict=True))
            if list(map(id, now)) != list(map(id, was))]
        reply = {"recording": torch.is_grad_enabled(), "lists": changed,
                 **encoder.reply(result)}
        if encoder.roots:
            reply["handle"] = self.keep((encoder.roots, leaves))
        return reply

    def backward(self, handle, grads):
        roots, leaves = self.kept[handle]
        given = [i for i, grad in enumerate(grads) if grad is not None]
        found = torch.autograd.grad(
            [roots[i] for i in given], leaves, [grads[i] for i in given],
            retain_graph=True, allow_unused=True)
        return {"grads": numbers_of_all(found)}

    def more(self, handle, most):
        """The next items of something that is read one by one."""
        items, tensors, old = self.kept[handle]
        found = list(itertools.islice(items, most))
        return {"over": len(found) < most,
                **Encoder(self, tensors, old).reply(found)}

    def attribute(self, handle, name):
        value = getattr(self.kept[handle], name)
        if callable(value) and not isinstance(value, nn.Module):
            return {"method": True}
        return Encoder(self).reply(value)

    # ---- helpers

    def keep(self, value):
        self.kept[handle := next(self.handles)] = value
        return handle

    def find(self, name, attribute=None):
        """What to call, and the tensors that belong to it."""
        if isinstance(name, str):
            return self.namespace[name], []
        value = self.kept[name]
        own = list(value.parameters()) if isinstance(value, nn.Module) else []
        return (getattr(value, attribute) if attribute else value), own


class Encoder:
    """Values as plain data for JSON, from a call with some tensors, of which
    there are `old` copies. The agent keeps what cannot be sent."""

    def __init__(self, agent, arguments=(), old=()):
        self.agent, self.arguments, self.old = agent, arguments, old
        self.items = 0
        self.roots = []  # values from which a gradient can travel back
        self.places = {id(t): i for i, t in enumerate(arguments)}

    def reply(self, value):
        """A value, and of each argument: what it holds where that is not what
        it held, its gradient, and whether it learns."""
        same = [now.shape == was.shape and now.dtype == was.dtype
                and torch.equal(now.detach(), was)
                for now, was in zip(self.arguments, self.old, strict=True)]
        return {
            "value": self.encode(value),
            "roots": numbers_of_all(self.roots),
            "arguments": [
                [*numbers_of_all([None if kept else t, t.grad]),
                 t.requires_grad]
                for t, kept in zip(self.arguments, same, strict=True)],
        }

    def encode(self, value, depth=0):
        self.items += 1
        if depth > DEEPEST or self.items > MOST_ITEMS:
            raise ValueError(LARGE)
        if value is None or type(value) in (bool, str, int, float):
            return value
        if isinstance(value, torch.Tensor):
            return self.tensor(value)
        if isinstance(value, nn.ParameterList):
            value = list(value)
        for kind in (list, tuple, set, frozenset):
            if isinstance(value, kind):
                return {"type": kind.__name__, "items": [
                    self.encode(item, depth + 1) for item in value]}
        if isinstance(value, dict):
            return {"type": "dict", "items": [
                [self.encode(k, depth + 1), self.encode(v, depth + 1)]
                for k, v in value.items()]}
        if isinstance(value, type):
            return {"type": "class", "name": value.__name__[:100]}
        if type(value).__module__ == "numpy" and not getattr(value, "ndim", 1):
            return float(value)
        if isinstance(value, collections.abc.Iterator):
            kept = (value, self.arguments, self.old)
            return {"type": "iterator", "handle": self.agent.keep(kept)}
        found = {"type": "object", "handle": self.agent.keep(value),
                 "name": type(value).__name__[:100]}
        if isinstance(value, nn.Module):
            found |= self.module(value)
        return found

    def tensor(self, value):
        if id(value) in self.places:
            return {"type": "argument", "place": self.places[id(value)]}
        if value.requires_grad and not value.is_leaf:
            self.roots.append(value)
            return {"type": "root", "place": len(self.roots) - 1}
        return {"type": "tensor", "learns": value.requires_grad,
                "memory": value.data_ptr(), **numbers(value)}

    def module(self, value):
        return {
            "type": "module", "training": value.training,
            "recurrent": isinstance(value, nn.RNNBase),
            "layers": [[m.nonlinearity, m.hidden_size] for m in value.modules()
                       if isinstance(m, (nn.RNN, nn.RNNCell))],
            "parameters": [[name, self.tensor(p)]
                           for name, p in value.named_parameters()]}


def walk(args):
    """All the tensors and lists in some arguments, each once, in order."""
    tensors, lists, seen = [], [], set()

    def visit(value):
        if id(value) in seen:
            return
        seen.add(id(value))
        parts: collections.abc.Iterable = ()
        if isinstance(value, torch.Tensor):
            tensors.append(value)
        elif isinstance(value, (list, tuple)):
            parts = value
            if isinstance(value, list):
                lists.append(value)
        elif isinstance(value, dict):
            parts = [*value.values()]
        elif isinstance(value, nn.Module):
            parts = [*value.parameters(), *value.buffers()]
        elif type(value).__module__.startswith(("labutils", "labkit")):
            kept = getattr(value, "__dict__", {})
            parts = [kept[name] for name in sorted(kept)]
        for part in parts:
            visit(part)

    visit(args)
    return tensors, lists


def restore(tensor, arrived):
    """Make a tensor what it is where it came from; where gradients end.

    All that arrives is a leaf, which may not be changed in place as may what
    was computed.
    """
    leaf, grad = arrived
    if leaf:
        tensor.grad = grad
        return tensor
    source = tensor.detach().clone().requires_grad_()
    tensor.requires_grad_(False)
    with torch.enable_grad():
        tensor.copy_(source)
    return source


def numbers(tensor):
    if tensor.dtype not in DTYPES:
        raise ValueError(f"a tensor of {tensor.dtype}")
    found = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape),
             "data": None}
    if not tensor.is_meta:  # a check asks for a device, where there are none
        if tensor.numel() * tensor.element_size() > MOST_BYTES // 2:
            raise ValueError(LARGE)
        tensor = tensor.detach().to("cpu").contiguous()
        raw = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
        found["data"] = base64.b64encode(raw).decode("ascii")
    return found


def numbers_of_all(tensors):
    return [None if t is None else numbers(t) for t in tensors]


def describe(error):
    """An error in words, and where in the student's code it happened."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    try:
        function, place = harness.where(error.with_traceback(trace))
        text = str(error)[:1000]
    except BaseException:
        function, place, text = "", "", "(an error without words)"
    kinds = [kind.__name__[:100] for kind in type(error).__mro__]
    return {"name": kinds[0], "kinds": kinds[:20], "text": text,
            "function": function[:100], "where": place[:500]}
