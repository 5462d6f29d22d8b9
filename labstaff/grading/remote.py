"""A student's function, judged by the course's own check from outside.

What a check is given in the place of the student's function is a `Function`.
A call sends the arguments to the agent in the kernel, and brings back the
result, what has become of the arguments, and later the gradients: plain data
alone, of which nothing is ever run here.
"""

import base64
import builtins
import contextlib
import inspect
import json
import pickle
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from labkit import checks
from labkit.checks import harness
from labkit.checks.harness import CheckFailed
from labstaff.grading import agent
from labstaff.grading.matching import PACKAGES
from labstaff.grading.results import Status, Verdict

Request = Callable[[bytes, float], bytes]  # an answer, within some seconds
CALL = 15.0  # seconds for one call
PROBE = 60.0  # seconds for all the calls of a probe
CHUNK = 20  # items that are read at once
MOST_BYTES = 16 * agent.MOST_BYTES  # of all the answers to a probe
MOST_PARTS = 4 * agent.MOST_ITEMS  # of one answer
MOST_LAYERS = 100
DTYPES = {name: dtype for dtype, name in agent.DTYPES.items()}
COLLECTIONS: dict[str, Callable[[Iterable[Any]], Any]] = {
    "list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
SOURCE = inspect.getsource(agent)
WHERE = re.compile(r", in line (\d+) of your cell")


class UnreadableError(RuntimeError):
    """What came from the kernel is not what the agent sends."""


class Ended(BaseException):
    """The probe cannot go on; no check may take it for a student's error."""

    def __init__(self, reason: Exception) -> None:
        self.reason = reason


def judge(exercise: str, request: Request, seed: int,
          possible: float = 1.0) -> Verdict:
    """The course's own check of the student's function, the same for the same
    seed; what `request` raises but TimeoutError and UnreadableError is raised.
    """
    def verdict(status: Status, reason: str, **words: str) -> Verdict:
        points = possible if status is Status.PASSED else 0.0
        if origin and not points:
            words["likely"] = (f"it is the course's own {origin}, which need "
                               "not be what is asked for here: write yours")
        return Verdict(exercise, status, points, possible, reason,
                       seed=seed, origin=origin, **words)

    session, origin = Session(request), ""
    check = getattr(checks, exercise).__wrapped__
    try:
        asked = session.ask("signature", exercise)
        if (made := str(asked.get("origin"))).split(".")[0] in PACKAGES:
            origin = made[:100]
        if not asked.get("found"):
            return verdict(
                Status.NOT_ATTEMPTED, f"There is no {exercise} to call.")
        with (harness.seeded(seed), harness.unchanged({}),
              torch.set_grad_enabled(torch.is_grad_enabled())):
            return verdict(
                Status.PASSED, check(Function(session, exercise)))
    except harness.NotWritten as failed:
        return verdict(
            Status.NOT_ATTEMPTED, f"{failed.got} is not written yet.")
    except CheckFailed as failed:
        status, reason = Status.FAILED, "Not right."
        if failed.expected == "no error":
            status, reason = Status.ERROR, "The function ends with an error."
        if failed.got.startswith("MemoryError"):
            status = Status.OUT_OF_MEMORY
        place = WHERE.search(failed.got)
        return verdict(status, reason, tried=failed.tried, got=failed.got,
                       expected=failed.expected, likely=failed.likely,
                       where=f"line {place[1]}" if place else "")
    except Ended as ended:
        if isinstance(ended.reason, TimeoutError):
            return verdict(
                Status.TIMED_OUT, "A call of the function took too long.")
        if isinstance(ended.reason, UnreadableError):
            return verdict(
                Status.FAILED, "What the function gives back cannot be read.",
                got=str(ended.reason)[:500])
        raise ended.reason from None
    except Exception as error:  # an object that is not what it seems to be
        return verdict(
            Status.FAILED, "What the function gives back is not what the "
            "check can look at.", got=f"{type(error).__name__}: {error}"[:500])


def start_agent(descriptor: int) -> str:
    """What a kernel evaluates to serve a probe at its end of a pipe."""
    return (f"(lambda m: (exec({SOURCE!r}, m.__dict__), m.serve({descriptor})"
            "))(__import__('types').ModuleType('agent'))")


class Session:
    """Requests to the agent, for one probe."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._end = time.monotonic() + PROBE
        self._left = MOST_BYTES
        self.parameters: dict[Any, Sequence[nn.Parameter]] = {}  # by handle

    def ask(self, what: str, *arguments: Any) -> dict[str, Any]:
        """Have one of the agent's methods called.

        Raises:
            Ended: there is no answer, or none that can be read.
            Exception: what the student's code raised, under the same name.
        """
        # From the random numbers here: a check that seeds them anew means
        # the function's as well.
        seed = int(torch.randint(2**32, ()))
        left = self._end - time.monotonic()
        if left <= 0:
            raise Ended(TimeoutError())
        try:
            answer = self._request(
                pickle.dumps((what, seed, arguments)), min(CALL, left))
        except Exception as error:
            raise Ended(error) from None
        self._left -= len(answer)
        with _reading():
            # Counted before anything is made of it: each is an object here.
            if self._left < 0 or sum(map(answer.count, b"[{,")) > MOST_PARTS:
                raise ValueError(agent.LARGE)
            reply = json.loads(answer)
            if "error" not in reply:
                return {**reply}
            raised = _raised(reply["error"])
        raise raised

    def call(self, target: Sequence[Any], args: Any, options: Any) -> Any:
        """Call a target of `agent.Agent.find` as if it were here."""
        tensors, lists = agent.walk((args, options))
        reply = self.ask(
            "call", target, args, options,
            [(t.is_leaf, t.grad if t.is_leaf else None) for t in tensors],
            torch.is_grad_enabled())
        with _reading():
            # Until the judge's `with` ends.
            torch.set_grad_enabled(bool(reply["recording"]))
            decoder = Decoder(
                self, reply, tensors, self.parameters.get(target[0], ()))
            for place, content in reply["lists"]:
                lists[place][:] = decoder.decode(content)
            return decoder.decode(reply["value"])

    def attribute(self, handle: int, name: str) -> Any:
        """An attribute of something in the kernel: data, or a method."""
        reply = self.ask("attribute", handle, name)
        if reply.get("method"):
            return Function(self, handle, name)
        with _reading():
            return Decoder(self, reply, []).decode(reply["value"])

    def items(self, handle: int, tensors: list[torch.Tensor]) -> Iterator[Any]:
        """What is read one by one, from tensors that it may change."""
        over = False
        while not over:
            reply = self.ask("more", handle, CHUNK)
            with _reading():
                items = Decoder(self, reply, tensors).decode(reply["value"])
                over = bool(reply["over"])
            yield from items


# ---- what a check holds


class Function:
    """Something in the kernel that can be called like the thing itself."""

    def __init__(self, session: Session, *target: Any) -> None:
        self._session, self._target = session, target
        if isinstance(target[-1], str):
            self.__name__ = target[-1]

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._session.call(self._target, args, options)

    @property
    def __signature__(self) -> inspect.Signature:
        names = self._session.ask("signature", self._target[0]).get("names")
        if not isinstance(names, list):
            raise ValueError("no signature")
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature(
            [inspect.Parameter(str(n), kind, default=None) for n in names])


class Object(Function):
    """An object in the kernel, asked attribute by attribute."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._session.attribute(self._target[0], name)
        if type(found) is Function:
            self.__dict__[name] = found  # a method need be asked for once
        return found

    def __len__(self) -> int:
        return self._session.call((*self._target, "__len__"), (), {})

    def __getitem__(self, key: Any) -> Any:
        return self._session.call((*self._target, "__getitem__"), (key,), {})


class Module(nn.Module):
    """A module in the kernel; its parameters have their like here."""

    def __init__(self, session: Session, value: dict[str, Any],
                 parameters: dict[str, nn.Parameter]) -> None:
        nn.Module.__init__(self)  # of a layer it takes nothing but the name
        self.training = bool(value["training"])
        self._session, self._handle = session, int(value["handle"])
        self._parameters.update(parameters)
        session.parameters[self._handle] = [*parameters.values()]
        self._layers = [
            (kind, int(size)) for kind, size in value["layers"][:MOST_LAYERS]
            if kind in ("tanh", "relu")]

    def modules(self, *_: Any) -> Iterator[nn.Module]:
        yield self
        for kind, size in self._layers:
            layer = nn.RNN(1, 1, nonlinearity=kind)
            layer.hidden_size = size  # said, not built: it may be any number
            yield layer

    def train(self, mode: bool = True) -> "Module":
        self._session.call((self._handle, "train"), (mode,), {})
        self.training = mode
        return self

    def forward(self, *args: Any) -> Any:
        return self._session.call((self._handle,), args, {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            return super().__getattr__(name)
        return self._session.attribute(self._handle, name)


class Backward(torch.autograd.Function):
    """A call whose gradients are computed in the kernel."""

    @staticmethod
    def forward(ctx, session, handle, values, *leaves):  # type: ignore[override]
        ctx.session, ctx.handle = session, handle
        ctx.set_materialize_grads(False)
        return tuple(values)

    @staticmethod
    def backward(ctx, *grads):  # type: ignore[override]
        reply = ctx.session.ask("backward", ctx.handle, list(grads))
        with _reading():
            return None, None, None, *(
                _numbers(g) if g else None for g in reply["grads"])


# ---- values from their JSON form


class Decoder:
    """The values in the reply to a call with some tensors, which become what
    they now are in the kernel; `own` are those of what was called."""

    def __init__(self, session: Session, reply: dict[str, Any],
                 tensors: list[torch.Tensor],
                 own: Sequence[torch.Tensor] = ()) -> None:
        self.session, self.tensors = session, tensors
        self.known: dict[Any, torch.Tensor] = {}
        for tensor, (content, grad, learns) in zip(
                tensors, reply["arguments"], strict=True):
            if content:
                tensor.data = _numbers(content)
            tensor.grad = _numbers(grad) if grad else None
            if tensor.is_leaf and tensor.is_floating_point():
                tensor.requires_grad_(bool(learns))
        roots = [_numbers(root) for root in reply["roots"]]
        leaves = [t for t in [*tensors, *own] if t.requires_grad]
        if roots and leaves and "handle" in reply:
            self.roots = list(Backward.apply(
                session, int(reply["handle"]), roots, *leaves))
        else:  # of no argument, and yet no leaves
            self.roots = [root.requires_grad_() * 1 for root in roots]

    def decode(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, str, int, float)):
            return value
        kind = value["type"]
        if kind in COLLECTIONS:
            return COLLECTIONS[kind](map(self.decode, value["items"]))
        if kind == "dict":
            return {self.decode(k): self.decode(v) for k, v in value["items"]}
        if kind == "argument":
            return self.tensors[value["place"]]
        if kind == "root":
            return self.roots[value["place"]]
        if kind == "tensor":
            return self._tensor(value)
        if kind == "iterator":
            return self.session.items(int(value["handle"]), self.tensors)
        # Of a type of that name, for messages that tell it.
        name = str(value["name"])
        if kind == "class":
            return type(name, (), {})
        if kind == "module":
            return self._module(name, value)
        made: Any = type(name, (Object,), {})
        return made(self.session, int(value["handle"]))

    def _tensor(self, value: dict[str, Any]) -> torch.Tensor:
        # The same memory twice is one tensor, as it was there.
        key = (value["memory"], str(value["shape"]), value["dtype"])
        if value["memory"] and key in self.known:
            return self.known[key]
        made = self.known[key] = _numbers(value)
        if value["learns"] and made.is_floating_point():
            made.requires_grad_()
        return made

    def _module(self, name: str, value: dict[str, Any]) -> Module:
        parameters = {
            str(own): self.decode(content) if content["type"] == "argument"
            else nn.Parameter(_numbers(content), bool(content["learns"]))
            for own, content in value["parameters"]}
        bases = (Module, nn.RNNBase) if value["recurrent"] else (Module,)
        return type(name, bases, {})(self.session, value, parameters)


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """An answer that is none of the agent's ends the probe."""
    try:
        yield
    except Exception as error:
        raise Ended(UnreadableError(str(error))) from None


def _numbers(value: dict[str, Any]) -> torch.Tensor:
    """A tensor from its JSON form; never more than was sent."""
    dtype, shape = DTYPES[value["dtype"]], [int(n) for n in value["shape"]]
    if value["data"] is None:
        return torch.empty(shape, dtype=dtype, device="meta")
    raw = base64.b64decode(value["data"], validate=True)
    made = (torch.frombuffer(bytearray(raw), dtype=dtype) if raw
            else torch.empty(0, dtype=dtype))
    return made.reshape(shape)


def _raised(error: dict[str, Any]) -> Exception:
    """An exception of the kernel's, under its name, with its words."""
    name, text = str(error["name"]), str(error["text"])
    if name in ("SystemExit", "KeyboardInterrupt", "GeneratorExit"):
        return CheckFailed(
            name, "a result", "exit() or quit() ends the program; use return")
    base = next(
        found for kind in [*error["kinds"], "Exception"]
        if isinstance(found := getattr(builtins, str(kind), None), type)
        and issubclass(found, Exception)
        and not issubclass(found, ExceptionGroup))  # it needs exceptions
    place = str(error["function"]), str(error["where"])
    kind: Any = type(name, (base,), {
        "__str__": lambda _: text, "place": place})
    return kind.__new__(kind)  # what it would be made of is not known here
