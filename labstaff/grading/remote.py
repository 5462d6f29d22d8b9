"""The grader's end of the way into a student's kernel.

What a check is given in the place of the student's function is a `Function`:
calling it sends the arguments to the kernel, and brings back the result, what
has become of the arguments, and later the gradients. From the kernel comes
plain data alone; nothing of it is ever run here.
"""

import ast
import base64
import builtins
import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from labkit.checks.harness import CheckFailed
from labstaff.grading import agent, packing
from labstaff.grading.things import Function
from labstaff.grading.values import (
    READING,
    Decoder,
    Ended,
    UnreadableError,
    changed,
    numbers,
)

# Runs an expression in the kernel within some seconds; gives its text.
Evaluate = Callable[[str, float], str]
CALL = 15.0  # seconds for one call
PROBE = 60.0  # seconds for all the calls of a probe
FAR = Path(agent.__file__).read_text(encoding="utf-8")
PACKING = Path(packing.__file__).read_text(encoding="utf-8")
# The package that both are in does not exist in a sandbox: what the one takes
# from the other stands right before it.
IMPORT = f"from {packing.__name__} import LARGE, MOST_BYTES, Encoder, walk\n"
SOURCE = PACKING + FAR.replace(IMPORT, "")
# The kernel's end: a module that nothing else refers to by its name.
MODULE = "_labutils_far"


class Link:
    """Requests to one kernel, for one probe.

    Args:
        evaluate: runs an expression in the kernel.
    """

    def __init__(self, evaluate: Evaluate) -> None:
        self.evaluate = evaluate
        self.end = time.monotonic() + PROBE
        self.decoder = Decoder(self)

    def open(self) -> None:
        """Bring the kernel's end there, anew for each probe."""
        code = (
            f"__import__('importlib').import_module('types').ModuleType"
            f"({MODULE!r})"
        )
        setup = (
            "(lambda m: (exec(compile("
            f"{SOURCE!r}, 'far', 'exec'), m.__dict__), "
            f"__import__('sys').modules.__setitem__({MODULE!r}, "
            "m.Far(get_ipython().user_ns)), 'ready')[-1])"
            f"({code})"
        )
        if self._text(setup) != "ready":
            raise Ended(UnreadableError("the kernel could not be asked"))

    def ask(self, what: str, *arguments: Any) -> dict[str, Any]:
        """One request; an error of the student's code is raised here.

        Raises:
            Ended: there is no answer, or none that can be read.
            Exception: what was raised there, under the same name.
        """
        # From the random numbers here: a check that seeds them anew means
        # the function's as well.
        number = int(torch.randint(2**32, ()))
        packed = pickle.dumps((what, number, arguments))
        request = base64.b64encode(packed).decode("ascii")
        text = self._text(
            f"__import__('sys').modules[{MODULE!r}].answer({request!r})")
        try:
            reply = json.loads(text)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            raise Ended(UnreadableError("the answer cannot be read"))
        if "error" in reply:
            raise raised(reply["error"])
        return reply

    def function(self, name: str) -> Function:
        """The student's function or class of this name."""
        return Function(self, ("name", name), name)

    def call(
        self, target: tuple[Any, ...], args: tuple[Any, ...],
        options: dict[str, Any], own: list[torch.Tensor],
    ) -> Any:
        """Call something in the kernel as if it were here.

        Args:
            target: what, in the words of `far.Far.find`.
            args, options: its arguments.
            own: parameters of a module that is called.
        """
        tensors, lists = packing.walk((args, options))
        reply = self.ask(
            "call", target, args, options,
            [(t.is_leaf, t.grad if t.is_leaf else None) for t in tensors],
            torch.is_grad_enabled())
        try:
            self._write_back(reply, tensors, lists)
            leaves = [t for t in [*tensors, *own] if t.requires_grad]
            return self.decoder.result(reply, tensors, leaves)
        except READING as error:
            raise Ended(UnreadableError(str(error))) from None

    def _text(self, code: str) -> str:
        left = self.end - time.monotonic()
        if left <= 0:
            raise Ended(TimeoutError())
        try:
            found = self.evaluate(code, min(CALL, left))
        except Exception as error:
            raise Ended(error) from None
        try:
            text = ast.literal_eval(found)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise Ended(UnreadableError("the answer cannot be read"))
        return text

    def _write_back(
        self, reply: dict[str, Any], tensors: list[torch.Tensor],
        lists: list[list[Any]],
    ) -> None:
        """Change the arguments as the student's code has changed its own."""
        changed(reply, tensors)
        with torch.no_grad():
            for tensor, grad, learns in zip(
                tensors, reply["grads"], reply["learns"], strict=True
            ):
                tensor.grad = None if grad is None else numbers(grad)
                if tensor.is_leaf and tensor.is_floating_point():
                    tensor.requires_grad_(bool(learns))
        for place, content in reply["lists"]:
            lists[place][:] = self.decoder.value(content, tensors)
        # The judge puts it back.
        torch.set_grad_enabled(bool(reply["recording"]))


def raised(error: Any) -> Exception:
    """An exception of the kernel's, under its name, with its words."""
    if not isinstance(error, dict):
        raise Ended(UnreadableError("the answer cannot be read"))
    name, text = str(error.get("name")), str(error.get("text"))
    if name in ("SystemExit", "KeyboardInterrupt", "GeneratorExit"):
        return CheckFailed(
            name, "a result", "exit() or quit() ends the program; use return")
    base = next(
        found for kind in [*error.get("kinds", []), "Exception"]
        if isinstance(found := getattr(builtins, str(kind), None), type)
        and issubclass(found, Exception)
    )
    kind = type(name, (_RaisedError, base), {})
    place = str(error.get("function")), str(error.get("where"))
    return kind(text, place)


class _RaisedError(Exception):
    """Says what was said in the kernel, and where it happened."""

    def __new__(cls, *_: Any) -> "_RaisedError":
        return Exception.__new__(cls)

    def __init__(self, text: str, place: tuple[str, str]) -> None:
        self.words, self.place = text, place

    def __str__(self) -> str:
        return self.words
