"""What stands in the grader for functions and objects of a kernel."""

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from labstaff.grading.remote import Link


class Function:
    """Something in the kernel that can be called like the thing itself."""

    def __init__(
        self, link: "Link", target: tuple[Any, ...], name: str,
        own: Callable[[], list[torch.Tensor]] = list,
    ) -> None:
        self.__name__ = name
        self._link, self._target, self._own = link, target, own

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._link.call(self._target, args, options, self._own())

    @property
    def __signature__(self) -> inspect.Signature:
        names = self._link.ask("describe", self._target[1])["names"]
        if not isinstance(names, list):
            raise ValueError("no signature")
        return inspect.Signature([
            inspect.Parameter(
                str(n), inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
            for n in names
        ])


class Thing:
    """An object in the kernel, asked attribute by attribute."""

    def __init__(self, link: "Link", handle: int) -> None:
        self._link, self._handle = link, handle

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = attribute(self._link, self._handle, name)
        if isinstance(found, Function):
            self.__dict__[name] = found  # a method need be asked for once
        return found

    def _special(self, name: str, *args: Any) -> Any:
        return self._link.call(("handle", self._handle, name), args, {}, [])

    def __len__(self) -> int:
        return self._special("__len__")

    def __getitem__(self, key: Any) -> Any:
        return self._special("__getitem__", key)

    def __call__(self, *args: Any) -> Any:
        return self._special("__call__", *args)


def attribute(
    link: "Link", handle: int, name: str,
    own: Callable[[], list[torch.Tensor]] = list,
) -> Any:
    """An attribute of something in the kernel: plain data, or a method."""
    reply = link.ask("get", handle, name)
    if reply.get("method"):
        return Function(link, ("handle", handle, name), name, own)
    return link.decoder.value(reply["result"], [])


class Module(nn.Module):
    """A module in the kernel; its parameters have their like here."""

    def __init__(
        self, link: "Link", handle: int, parameters: dict[str, nn.Parameter],
        layers: list[tuple[str, int]], training: bool,
    ) -> None:
        nn.Module.__init__(self)  # of a layer it takes nothing but the name
        self.training = training
        self._link, self._handle = link, handle
        self._named, self._layers = parameters, layers

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[Any]:
        yield from self._named.items()

    def modules(self, *_: Any) -> Iterator[nn.Module]:
        yield self
        for kind, size in self._layers:
            layer = nn.RNN(1, 1, nonlinearity=kind)
            layer.hidden_size = size  # said, not built: it may be any number
            yield layer

    def train(self, mode: bool = True) -> "Module":
        self._link.call(("handle", self._handle, "train"), (mode,), {}, [])
        self.training = mode
        return self

    def forward(self, *args: Any) -> Any:
        return self._link.call(
            ("handle", self._handle), args, {}, list(self.parameters()))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            return super().__getattr__(name)
        return attribute(
            self._link, self._handle, name, lambda: list(self.parameters()))
