"""Run a student's code: in time, explained, and leaving all as it was."""

import contextlib
import ctypes
import functools
import linecache
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.guard import unchanged
from labutils import settings

# For one check. The slowest takes a tenth of it; what runs longer hangs.
SECONDS = 1.7
MANY = 100  # modules, imported meanwhile: then it may take as long again
PATIENCE = 10  # times as long, on a machine that is busy with other things
PACKAGE = str(Path(__file__).resolve().parents[1])
LIBRARY = str(Path(traceback.__file__).parent)


class CheckFailed(AssertionError):  # noqa: N818, it reads like a sentence
    """A solution is not right yet; the message says how and, often, why.

    Attributes:
        check: name of the exercise.
        tried, got, expected, likely: the parts of the message; each may be
            empty. `likely` names the slip.
    """

    def __init__(
        self,
        got: str,
        expected: str = "",
        likely: str = "",
        tried: str = "",
    ) -> None:
        super().__init__(got, expected, likely, tried)
        self.check = ""
        self.got, self.expected = got, expected
        self.likely, self.tried = likely, tried

    def __str__(self) -> str:
        parts = {
            "tried": self.tried, "got": self.got,
            "expected": self.expected, "likely": self.likely,
        }
        lines = [f"{self.check}: not right yet."]
        for name, text in parts.items():
            if text:
                lines += textwrap.wrap(
                    text, 75, initial_indent=f"  {name + ':':10s}",
                    subsequent_indent=" " * 12, break_on_hyphens=False,
                )
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the message, not the inside of the check."""
        return str(self).splitlines()


class NotWritten(CheckFailed):
    """The exercise still has its stub."""

    def __str__(self) -> str:
        return (
            f"{self.check}: {self.got} is not written yet.\n  Replace the "
            "line `raise NotImplementedError()` by your own lines, run that\n"
            "  cell, then this one again."
        )


def check(function: Callable[[Any], str]) -> Callable[[Any], None]:
    """Make a check of a function that tests a solution.

    Args:
        function: takes the solution, raises CheckFailed or returns the
            sentence that says what was proven.
    """

    @functools.wraps(function)
    def run(solution: Any) -> None:
        try:
            with unchanged(getattr(solution, "__globals__", {})):
                proven = _in_time(function, solution)
        except CheckFailed as failed:
            failed.check = function.__name__
            raise failed from None
        print(textwrap.fill(f"{function.__name__}: passed. {proven}", 75))

    return run


def call(function: Callable[..., Any], *args: Any, tried: str = "") -> Any:
    """Call the student's code; an error in it becomes an explanation.

    Args:
        function: the solution, or what uses it.
        args: its arguments.
        tried: the arguments in words.
    """
    try:
        return function(*args)
    except CheckFailed:
        raise
    except NotImplementedError as error:
        raise NotWritten(where(error)[0] or _name(function)) from None
    except Exception as error:
        kind, (_, place) = type(error).__name__, where(error)
        words = " ".join(str(error).split()) or "(no message)"
        raise CheckFailed(
            f"{kind}: {words[:300]}{place}", "no error",
            slips.of_error(error), tried,
        ) from error


def devices() -> list[torch.device]:
    """The CPU and, where there is one, the device of the settings."""
    chosen = settings.device()
    cpu = torch.device("cpu")
    return [cpu] if chosen.type == "cpu" else [cpu, chosen]


def where(error: BaseException) -> tuple[str, str]:
    """Name of the function with the error, and the line in words.

    An error that was raised elsewhere brings both as `place`.
    """
    if place := getattr(error, "place", None):
        return place
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame for frame in frames
        if not frame.filename.startswith((PACKAGE, LIBRARY))
        and "site-packages" not in frame.filename
    ]
    if not ours:
        return "", ""
    frame = ours[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    text = f", in line {frame.lineno} of your cell"
    return frame.name, text + (f": {line}" if line else "")


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", "the function")


class _OutOfTime(BaseException):
    """Thrown into a solution that runs too long."""


def _in_time(function: Callable[[Any], str], solution: Any) -> str:
    """Run in a thread of its own, which can be given up on any system."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(function(solution))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(
        target=work, daemon=True, name="solution")
    loaded = len(sys.modules)
    thread.start()
    try:
        _join(thread, SECONDS)
        # The first use of torch.optim alone imports 800 modules.
        if len(sys.modules) > loaded + MANY:
            _join(thread, SECONDS)
    finally:  # also after the stop button
        _stop(thread)
    if not outcome or isinstance(outcome[0], _OutOfTime):
        raise CheckFailed(
            f"no end after {SECONDS} s", "a result in a fraction of that",
            "a loop that never ends: look for a `while`, or for a list that "
            "grows while it is read (on a very busy machine, try again)",
        )
    if isinstance(outcome[0], CheckFailed):
        raise outcome[0]
    if isinstance(outcome[0], (SystemExit, GeneratorExit)):
        raise CheckFailed(
            f"{type(outcome[0]).__name__}", "a result",
            "exit() or quit() ends the program; use return",
        )
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _join(thread: threading.Thread, seconds: float) -> None:
    """Wait for a thread, but not for a machine that is busy elsewhere."""
    begin, waited = time.monotonic(), _waited()
    while thread.is_alive():
        spent = time.monotonic() - begin
        left = seconds + max(0.0, _waited() - waited) - spent
        if left <= 0 or spent > PATIENCE * seconds:
            return
        thread.join(max(0.01, left))


def _waited() -> float:
    """Seconds for which this process had work and no processor, so far.

    Linux alone tells; elsewhere it is 0.
    """
    total = 0
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int(path.read_text().split()[1])  # a thread may be over
    return total / 1e9


def _stop(thread: threading.Thread) -> None:
    """Throw an exception into a thread until it ends, for a while.

    A bare `except` can catch one; a call that waits sees none and is left.
    """
    for _ in range(10):
        if not thread.is_alive():
            return
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_OutOfTime)
        )
        thread.join(0.02)
