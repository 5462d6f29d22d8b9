"""All the checks and the processes they ask, within the time that there is."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from labkit.doctor import (
    WARN,
    Answer,
    Finding,
    Section,
    folders,
    jupyter,
    machine,
    mends,
    python,
)
from labutils import settings

# Of the time there is: until when the other probes are heard before steps
# are timed, and until when these are.
HEARD, TIMED = 0.66, 0.89
TIMING = 3.0  # seconds of timing, at the most
PROBES = ("libraries", "kernel", "fonts")  # the slowest is started first

# Of each part: its title and its checks, by name, with the probe whose answer
# a check takes.
Check = tuple[str, Callable[..., Iterator[Finding]], str]
CHECKS: dict[str, tuple[str, list[Check]]] = {
    "python": ("Python and packages", [
        ("Python", python.interpreter, ""),
        ("packages", python.packages, ""),
    ]),
    "imports": ("Imports", [("imports", python.imports, "libraries")]),
    "notebooks": ("Notebooks", [
        ("kernel", jupyter.kernels, "kernel"),
        ("widgets", jupyter.widgets, "kernel"),
    ]),
    "text": ("Text and settings", [
        ("text", folders.text, ""),
        ("settings", folders.variables, ""),
    ]),
    "machine": ("Machine", [
        ("device", machine.device, "libraries"),
        ("training", machine.trainings, "libraries"),
        ("memory", machine.memory, "libraries"),
    ]),
    "folders": ("Folders", [
        ("folders", folders.check, ""),
        ("file names", python.hidden, ""),
    ]),
    "extras": ("Reports, tests, grading", [
        ("fonts", machine.fonts, "fonts"),
        ("browser", machine.browser, ""),
        ("sandbox", machine.sandbox, ""),
    ]),
}


def examine(seconds: float, parts: Collection[str]) -> list[Section]:
    """Look at everything, or at some parts.

    The probes run while the rest is looked at; steps are timed when they
    have ended, since on two cores they would be in each other's way.

    Args:
        seconds: how long all of it may take.
        parts: names of CHECKS.
    """
    start = time.monotonic()
    chosen = [CHECKS[part] for part in CHECKS if part in parts]
    checks = [check for _, its in chosen for check in its]
    asked = {probe for *_, probe in checks}
    probes = {
        name: Probe(name, HEARD * seconds - 0.5)
        for name in PROBES if name in asked
    }
    found = {
        name: careful(name, check)
        for name, check, probe in checks if not probe
    }
    answers = _hear(probes, start, seconds)
    for name, check, probe in checks:
        if probe:
            found[name] = careful(name, check, answers[probe])
    return [
        Section(title, [f for name, *_ in its for f in found[name]])
        for title, its in chosen
    ]


def careful(
    name: str, check: Callable[..., Iterator[Finding]], *arguments: Answer
) -> list[Finding]:
    """The check's findings; an error within it becomes one of them.

    What is broken on a machine breaks in ways that nobody foresaw, and the
    other lines of the page are wanted all the same.
    """
    found = []
    try:
        for finding in check(*arguments):
            found.append(finding)
    except Exception as error:
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        words = f"could not be looked at ({words})"
        found.append(Finding(name, WARN, words))
    return found


def _hear(
    probes: "dict[str, Probe]", start: float, seconds: float
) -> dict[str, Answer]:
    """Wait for the probes' answers."""
    answers = {
        name: probe.answer(start + HEARD * seconds)
        for name, probe in probes.items() if name != "libraries"
    }
    if "libraries" in probes:
        until = start + TIMED * seconds
        # A step that has begun is not broken off.
        timing = min(TIMING, until - time.monotonic() - 0.5)
        answers["libraries"] = probes["libraries"].answer(until, f"{timing}\n")
    return answers


class Probe:
    """A script of `probes`, run by this interpreter in a process of its own.

    A library that crashes, hangs or prints takes down a probe, never the
    page. A script's arguments are the folder that has labutils in it and the
    seconds it may take. It prints facts, each a line of JSON with one name,
    and those before what may fail: what it printed before it died or was
    ended counts.
    """

    def __init__(self, name: str, seconds: float) -> None:
        script = Path(__file__).parent / "probes" / f"ask_{name}.py"
        notebooks = settings.home() / "notebooks"
        self.process = subprocess.Popen(
            [sys.executable, script, mends.ROOT, str(seconds)],
            # Where a kernel starts as well.
            cwd=notebooks if notebooks.is_dir() else None,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Facts come as UTF-8, whatever the terminal's encoding is.
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )

    def answer(self, until: float, order: str = "") -> Answer:
        """Wait for its end, at the latest until a time of the clock.

        Args:
            until: as `time.monotonic()` counts.
            order: a line for its standard input.
        """
        left = max(0.0, until - time.monotonic())
        try:
            out, err = self.process.communicate(order.encode(), left)
            trouble = _reason(self.process.returncode, err)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, _ = self.process.communicate()
            trouble = "took too long, and was ended"
        return Answer(_facts(out), trouble)


def _facts(out: bytes) -> dict[str, Any]:
    """What the lines say; of facts of one name the last one counts."""
    found: dict[str, Any] = {}
    for line in out.splitlines():
        # Others are some library's own words.
        with contextlib.suppress(ValueError, TypeError):
            found.update(json.loads(line.decode("utf-8")))
    return found


def _reason(code: int, err: bytes) -> str:
    """Why a process failed: the last line of its errors, or the signal that
    ended it; "" where it did not."""
    if code < 0:
        return f"ended by signal {-code}"
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return (lines or [f"exit code {code}"])[-1] if code else ""
