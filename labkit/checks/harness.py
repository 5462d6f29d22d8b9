"""Run a student's code: in time, explained, and leaving all as it was."""

import contextlib
import ctypes
import functools
import inspect
import os
import random
import sys
import threading
import time
import tomllib
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy
import torch

import labutils
from labkit.checks import slips
from labkit.terminal import columns, wrapped
from labutils import settings
from labutils.files import language, say
from labutils.files import translated as _

# For a check, on each device. The slowest takes a tenth of it; what runs
# longer hangs.
SECONDS = 1.7
PATIENCE = 30  # times as long, on a machine that is busy with other things
IMPORTING = 60.0  # seconds for the imports of a solution; none is cut short
MOST = 100  # of the values in a list that are looked at
HINTS = Path(__file__).with_name("hints.toml")
OURS = tuple(
    str(Path(file).resolve().parent) for file in (
        Path(__file__).parent, labutils.__file__ or "", traceback.__file__))
# Where a product may be made of rounded numbers, and a right one be wrong.
_backends: Any = torch.backends  # in which mypy finds no attributes
PRECISIONS = (_backends.cuda.matmul, _backends.cudnn.rnn,
              _backends.mkldnn.matmul, _backends.mkldnn.rnn)
# What a solution, or a check, may set, with what sets it back.
SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (random.getstate, random.setstate),
    (numpy.random.get_state, numpy.random.set_state),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode))
_seed = 0


class CheckFailed(AssertionError):  # noqa: N818, it reads like a sentence
    """A solution is not right yet; the message says how and, often, why."""

    def __init__(
        self, got: str, expected: str = "", likely: str = "", tried: str = "",
    ) -> None:
        super().__init__(got, expected, likely, tried)
        self.check, self.tried = "", tried
        self.got, self.expected, self.likely = got, expected, likely

    def __str__(self) -> str:
        lines = [_(f"{self.check}: not right yet.")]
        for name, text in (
                (_("tried:"), self.tried), (_("got:"), self.got),
                (_("expected:"), self.expected), (_("likely:"), self.likely),
                (_("hint:"), f"checks.{self.check}.hint()")):
            if text:
                margin = f"  {name}".ljust(12 + len(name) - columns(name))
                lines += wrapped(_(text), 75, margin, " " * 12,
                                 break_on_hyphens=False)
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the message, not the inside of the check."""
        return str(self).splitlines()


class NotWritten(CheckFailed):
    """The exercise still has its stub."""

    def __str__(self) -> str:
        return _(f"{self.check}: {self.got} is not written yet.\n  Replace "
                 "the line `raise NotImplementedError()` by your own lines, "
                 "run that\n  cell, then this one again. For a hint: "
                 f"checks.{self.check}.hint()")


def check(function: Callable[[Any], str]) -> Callable[[Any], None]:
    """Make a check of what raises CheckFailed or says what was proven."""

    @functools.wraps(function)
    def run(solution: Any) -> None:
        try:
            with unchanged(names_of(solution)):
                _load(settings.device())
                proven = _in_time(function, solution)
        except CheckFailed as failed:
            failed.check = function.__name__
            raise failed from None
        passed = _(f"{function.__name__}: passed.") + " " + _(proven)
        say("\n".join(wrapped(passed)), as_it_is=True)

    def hint() -> None:
        """Print a hint: first a nudge, called again the idea, never code."""
        say("\n".join(wrapped(next(hints), break_on_hyphens=False)),
            as_it_is=True)

    hints = _hints(function.__name__)
    run.hint = hint  # type: ignore[attr-defined]
    return run


def _hints(name: str) -> Iterator[str]:
    """The hints for an exercise, then where to read on; and all over again."""
    file = HINTS.with_suffix(".zh.toml") if language() == "zh" else HINTS
    words = tomllib.loads(file.read_text(encoding="utf-8"))
    texts = words[name]["hints"]
    while True:
        for number, text in enumerate(texts, 1):
            yield words["hint"].format(
                name=name, number=number, count=len(texts), text=text.strip())
        yield words["end"].strip().format(name=name, **words[name])


def names_of(function: Any) -> Mapping[str, Any]:
    """The names of the notebook in which a function was written."""
    # A decorator's are another module's.
    return getattr(inspect.unwrap(function), "__globals__", {})


@contextlib.contextmanager
def trying(words: str) -> Iterator[None]:
    """Say with every failure inside what was tried; inner words come last."""
    try:
        yield
    except CheckFailed as failed:
        failed.tried = "; ".join(filter(None, (words, failed.tried)))
        raise


def call(
    function: Callable[..., Any], *args: Any,
    explain: Callable[[str], str] = lambda error: "",
) -> Any:
    """Call the student's code; an error in it becomes an explanation: what
    `explain` makes of its words, or else what it often means."""
    try:
        return function(*args)
    except CheckFailed:
        raise
    except NotImplementedError as error:
        name = getattr(function, "__name__", "the function")
        raise NotWritten(where(error)[0] or name) from None
    except Exception as error:
        words = " ".join(str(error).split()) or "(no message)"
        got = f"{type(error).__name__}: {words[:300]}"
        raise CheckFailed(got + where(error)[1], "no error", explain(got)
                          or slips.matching(slips.ERRORS,
                                            str(error))) from error


def devices() -> list[torch.device]:
    """The CPU and, where there is one, the device of the settings."""
    return [*dict.fromkeys((torch.device("cpu"), settings.device()))]


def where(error: BaseException) -> tuple[str, str]:
    """Name of the function with the error, and the line in words."""
    if place := getattr(error, "place", None):  # it was raised elsewhere
        return place
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if not frame.filename.startswith(OURS)
              and "site-packages" not in frame.filename]
    if not frames:
        return "", ""
    frame = frames[-1]
    text = f", in line {frame.lineno} of your cell"
    return frame.name, text + (f": {frame.line}" if frame.line else "")


@functools.cache
def _load(device: torch.device) -> None:
    """Let a GPU's libraries be read now: that can take as long as a check."""
    if device.type != "cpu":
        layer = torch.nn.LSTM(1, 1, device=device)
        layer(torch.ones(1, 1, 1, device=device))[0].sum().backward()


# ---- in time


class _OutOfTime(BaseException):
    """Thrown into a solution that runs too long."""


def _in_time(function: Callable[[Any], str], solution: Any) -> str:
    """Run in a thread of its own, which can be given up on any system."""
    outcome: Future[str] = Future()

    def work() -> None:
        try:
            outcome.set_result(function(solution))
        except BaseException as error:
            outcome.set_exception(error)

    thread = threading.Thread(target=work, daemon=True, name="solution")
    thread.start()
    seconds = SECONDS * len(devices())
    try:
        _wait(thread, seconds)
    finally:  # also after the stop button
        # A bare `except` can catch what is thrown; a call that waits sees
        # nothing and is left, and so is an import.
        for _attempt in range(10):
            if thread.is_alive() and not _importing(thread):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread.ident or 0),
                    ctypes.py_object(_OutOfTime))
            thread.join(0.02)
    error = outcome.exception() if outcome.done() else _OutOfTime()
    if isinstance(error, _OutOfTime):
        raise CheckFailed(f"no end after {seconds} s", "a result in a "
                          "fraction of that", "a loop that never ends: look "
                          "for a `while`, or for a list that grows while it "
                          "is read (on a very busy machine, try again)")
    if isinstance(error, (SystemExit, GeneratorExit)):
        raise CheckFailed(type(error).__name__, "a result",
                          "exit() or quit() ends the program; use return")
    return outcome.result()


def _wait(thread: threading.Thread, seconds: float) -> None:
    """Wait for a thread as long as a solution may take.

    Seconds for imports do not count: the first optimizer of a process alone
    imports 800 modules, which can take longer than a check. Nor do those that
    a busy machine gives to others.
    """
    loaded, end = 0, time.monotonic() + IMPORTING
    while thread.is_alive():
        now, had = time.monotonic(), _computed(thread)
        if now < end and (loaded != len(sys.modules) or _importing(thread)):
            loaded, begin, before = len(sys.modules), now, had
        passed = now - begin
        used = passed if had is None or before is None else had - before
        # Even a busy machine gives a fiftieth: with less, it sleeps.
        asleep = passed > seconds and used < passed / 50
        if used >= seconds or asleep or passed > PATIENCE * seconds:
            return
        thread.join(max(0.02, seconds - used))


def _computed(thread: threading.Thread) -> float | None:
    """Seconds of a processor that a thread has had; Linux alone tells."""
    path = Path(f"/proc/self/task/{thread.native_id}/stat")
    with contextlib.suppress(OSError, ValueError, IndexError):
        # The name, in brackets, may hold spaces.
        fields = path.read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return None


def _importing(thread: threading.Thread) -> bool:
    """Whether a module is being imported in a thread.

    One that is interrupted stays half imported for the rest of the process.
    """
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and any(
        above.f_code.co_filename == "<frozen importlib._bootstrap>"
        for above, _ in traceback.walk_stack(frame))


# ---- nothing is left behind


@contextlib.contextmanager
def unchanged(names: Mapping[str, Any]) -> Iterator[None]:
    """Random numbers, torch's settings and the notebook's models stay.

    A solution may use the notebook's `model`, one of its `names`, where it
    should use its argument: nobody shall lose a trained network to a check.
    Inside, torch computes as it does in a new process, whatever the notebook
    has set, and without cuDNN's rounding to TF32.
    """
    with contextlib.ExitStack() as after:
        for read, put_back in SETTINGS:
            after.callback(put_back, read())
        for products in PRECISIONS:
            after.callback(setattr, products, "fp32_precision",
                           products.fp32_precision)
            products.fp32_precision = "ieee"
        for p in _parameters(names):
            after.callback(_put_back, p, p.detach().clone(),
                           None if p.grad is None else p.grad.clone())
        cuda = torch.cuda.device_count() if torch.cuda.is_initialized() else 0
        # A check's thread has no default device; a grader's call may.
        after.enter_context(torch.device("cpu"))
        after.enter_context(torch.random.fork_rng(devices=range(cuda)))
        after.enter_context(warnings.catch_warnings())
        # What PyTorch warns of is no judgement on a solution.
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)  # several wait on a busy machine
        torch.set_default_dtype(torch.float32)
        torch.set_deterministic_debug_mode("default")
        # The same judgement whenever the same solution is checked.
        random.seed(_seed)
        numpy.random.seed(_seed)
        seed_torch(_seed)
        yield


def _put_back(parameter: torch.Tensor, value: torch.Tensor, grad) -> None:
    parameter.data.copy_(value)
    parameter.grad = grad


def seed_torch(seed: int) -> None:
    """torch.manual_seed, without what that does for devices that are absent.

    It notes the whole stack for each of them, which takes longer than most of
    the calls that a probe makes.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let checks take other inputs than students, with seed 0, can know."""
    global _seed
    before, _seed = _seed, seed
    try:
        yield
    finally:
        _seed = before


def generator(number: int) -> torch.Generator:
    """Random numbers of their own, the same ones for the same seed."""
    return torch.Generator().manual_seed(_seed + number)


def _parameters(names: Mapping[str, Any]) -> list[torch.Tensor]:
    """Parameters of the models among some names."""
    found: list[Any] = []
    for value in list(names.values()):
        if isinstance(value, (list, tuple)):
            # A list of parameters, not one of a text's words.
            found += value[:MOST]
        elif not isinstance(value, type):
            # Most have none, and anything may be called `parameters`.
            with contextlib.suppress(Exception):
                found += value.parameters()
    return [tensor for tensor in found
            if isinstance(tensor, torch.Tensor) and tensor.is_leaf]
