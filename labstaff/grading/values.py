"""Values from a kernel: plain data in, nothing of it is ever run."""

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from labstaff.grading import packing
from labstaff.grading.things import Module, Thing

if TYPE_CHECKING:
    from labstaff.grading.remote import Link

CHUNK = 20  # items that are read at once
DTYPES = {name: dtype for dtype, name in packing.DTYPES.items()}
# What reading an answer that is none of ours can raise.
READING = (KeyError, TypeError, ValueError, IndexError, AttributeError,
           RuntimeError, OverflowError, RecursionError, MemoryError)


class UnreadableError(RuntimeError):
    """What came from the kernel is not what its end there sends."""


class Ended(BaseException):
    """The probe cannot go on; no check may take it for a student's error."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


def changed(reply: dict[str, Any], tensors: list[torch.Tensor]) -> None:
    """Give arguments the numbers that they now have in the kernel."""
    for place, content in reply["changed"]:
        tensors[place].data = numbers(content)


def numbers(value: dict[str, Any]) -> torch.Tensor:
    """A tensor from its JSON form.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    dtype, shape = DTYPES[value["dtype"]], [int(n) for n in value["shape"]]
    raw = base64.b64decode(value["data"], validate=True)
    if not raw:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)


class Back(torch.autograd.Function):
    """A call whose gradients are computed in the kernel."""

    @staticmethod
    def forward(ctx, link, handle, values, *leaves):  # type: ignore[override]
        ctx.link, ctx.handle = link, handle
        ctx.set_materialize_grads(False)
        return tuple(values)

    @staticmethod
    def backward(ctx, *grads):  # type: ignore[override]
        reply = ctx.link.ask("back", ctx.handle, list(grads))
        return None, None, None, *(
            None if g is None else numbers(g) for g in reply["grads"])


class Decoder:
    """Values from their JSON form."""

    def __init__(self, link: "Link") -> None:
        self.link = link

    def result(
        self, reply: dict[str, Any], tensors: list[torch.Tensor],
        leaves: list[torch.Tensor],
    ) -> Any:
        """The result of a call, with its gradients where it has some."""
        roots: dict[int, torch.Tensor] = {}
        if "handle" in reply:
            found = sorted(_roots(reply["result"]), key=lambda r: r["root"])
            values = [numbers(root) for root in found]
            if leaves:
                roots = dict(enumerate(Back.apply(
                    self.link, int(reply["handle"]), values, *leaves)))
            else:
                # Of no argument, and yet no leaf.
                roots = {
                    i: v.requires_grad_() * 1 for i, v in enumerate(values)}
        return self.value(reply["result"], tensors, roots)

    def value(
        self, value: dict[str, Any], tensors: list[torch.Tensor],
        roots: dict[int, torch.Tensor] | None = None,
    ) -> Any:
        """Anything that the kernel's end sends."""
        known: dict[Any, torch.Tensor] = {}

        def decode(v: dict[str, Any]) -> Any:
            kind = v["t"]
            if kind == "plain":
                return v["v"] if isinstance(v["v"], (bool, str)) else None
            if kind == "int":
                return int(v["v"])
            if kind == "float":
                return float(v["v"])
            if kind in ("list", "tuple"):
                items = [decode(item) for item in v["v"]]
                return items if kind == "list" else tuple(items)
            if kind in ("set", "frozenset"):
                return {decode(item) for item in v["v"]}
            if kind == "dict":
                return {decode(k): decode(x) for k, x in v["v"]}
            if kind == "tensor":
                return tensor(v)
            if kind == "class":
                return type(str(v["n"]), (), {})
            handle = int(v["h"])
            if kind == "iterator":
                return self._items(handle, tensors)
            if kind == "module":
                return module(v, handle)
            if kind != "object":
                raise ValueError(f"{kind!r} is unknown")
            # For messages that name a type.
            name = str(v["n"])
            base: Any = Thing
            return type(name, (base,), {})(self.link, handle)

        def tensor(v: dict[str, Any]) -> torch.Tensor:
            if "argument" in v:
                return tensors[v["argument"]]
            if roots and "root" in v:
                return roots[v["root"]]
            # The same memory twice is one tensor, as it was there.
            key = (v.get("memory"), str(v["shape"]), v["dtype"])
            if v.get("memory") and key in known:
                return known[key]
            made = numbers(v)
            if v.get("learns") and made.is_floating_point():
                made.requires_grad_()
                if not v.get("leaf"):
                    made = made * 1
            known[key] = made
            return made

        def module(v: dict[str, Any], handle: int) -> Module:
            parameters: dict[str, Any] = {}
            for name, content in v["parameters"]:
                if "argument" in content:
                    parameters[str(name)] = tensors[content["argument"]]
                else:
                    parameters[str(name)] = nn.Parameter(
                        numbers(content), bool(content["learns"]))
            layers = [(k, int(size)) for k, size in v["layers"]
                      if k in ("tanh", "relu")]
            bases = (Module, nn.RNNBase) if v["recurrent"] else (Module,)
            kind = type(str(v["n"]), bases, {})
            return kind(self.link, handle, parameters, layers,
                        bool(v["training"]))

        return decode(value)

    def _items(
        self, handle: int, tensors: list[torch.Tensor]
    ) -> Iterator[Any]:
        over = False
        while not over:
            reply = self.link.ask("more", handle, CHUNK)
            try:
                changed(reply, tensors)
                items = self.value(reply["items"], tensors)
                over = bool(reply["over"])
            except READING as error:
                raise Ended(UnreadableError(str(error))) from None
            yield from items


def _roots(value: Any) -> Iterator[dict[str, Any]]:
    """The tensors in a result from which gradients travel back."""
    if not isinstance(value, dict):
        return
    if "root" in value:
        yield value
    for item in value["v"] if isinstance(value.get("v"), list) else []:
        for part in item if isinstance(item, list) else [item]:
            yield from _roots(part)
