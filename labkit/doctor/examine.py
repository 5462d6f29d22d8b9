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
    PARTS,
    WARN,
    Answer,
    Finding,
    folders,
    jupyter,
    machine,
    mends,
    python,
)
from labutils import settings
from labutils.files import translated as _

# Of the time there is: until when the other probes are heard before steps
# are timed, and until when these are.
HEARD, TIMED = 0.66, 0.89

# The part, the name and the function of each check, and the probe whose
# answer it takes.
CHECKS: list[tuple[str, str, Callable[..., Iterator[Finding]], str]] = [
    ("python", "Python", python.interpreter, ""),
    ("python", "packages", python.packages, ""),
    ("imports", "imports", python.imports, "libraries"),
    ("notebooks", "kernel", jupyter.kernels, "kernel"),
    ("notebooks", "widgets", jupyter.widgets, "kernel"),
    ("text", "text", folders.text, ""),
    ("text", "settings", folders.variables, ""),
    ("machine", "device", machine.device, "libraries"),
    ("machine", "training", machine.trainings, "libraries"),
    ("machine", "memory", machine.memory, "libraries"),
    ("folders", "folders", folders.check, ""),
    ("folders", "file names", python.hidden, ""),
    ("extras", "fonts", machine.fonts, "libraries"),
    ("extras", "browser", machine.browser, ""),
    ("extras", "sandbox", machine.sandbox, ""),
]


def examine(
    seconds: float, parts: Collection[str]
) -> dict[str, list[Finding]]:
    """Look at some parts, for so many seconds at the most, and give the
    findings by the parts' titles.

    The probes run while the rest is looked at; steps are timed when the other
    probe has ended, since on two cores they would be in each other's way.
    """
    start = time.monotonic()
    checks = [one for one in CHECKS if one[0] in parts]
    asked = {probe for *_, probe in checks}
    probes = {
        name: ask(name, HEARD * seconds - 0.5)
        for name in ("libraries", "kernel") if name in asked
    }
    found = {
        name: careful(name, check)
        for _, name, check, probe in checks if not probe
    }
    answers = {}
    if "kernel" in probes:
        answers["kernel"] = hear(probes["kernel"], start + HEARD * seconds)
    if "libraries" in probes:
        until = start + TIMED * seconds
        # A step that has begun is not broken off, and fonts come after it.
        timing = until - time.monotonic() - 1 if "machine" in parts else 0
        answers["libraries"] = hear(probes["libraries"], until, f"{timing}\n")
    sections: dict[str, list[Finding]] = {}
    for part, name, check, probe in checks:
        if probe:
            found[name] = careful(name, check, answers[probe])
        sections.setdefault(PARTS[part], []).extend(found[name])
    return sections


def careful(
    name: str, check: Callable[..., Iterator[Finding]], *arguments: Answer
) -> list[Finding]:
    """The check's findings; an error within it becomes one of them.

    What is broken on a machine breaks in ways that nobody foresaw, and the
    other lines of the page are wanted all the same.
    """
    found: list[Finding] = []
    try:
        found.extend(check(*arguments))
    except Exception as error:
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        words = _(f"could not be looked at ({words})")
        found.append(Finding(name, WARN, words))
    return found


def ask(name: str, seconds: float) -> "subprocess.Popen[bytes]":
    """Start a script of `probes` in a process of its own.

    A library that crashes, hangs or prints takes down a probe, never the
    page. Its arguments are the folder that has labutils in it and the seconds
    it may take. It prints facts, each a line of JSON with one name, before
    what may fail: what it printed before it died or was ended counts.
    """
    script = Path(__file__).parent / "probes" / f"ask_{name}.py"
    notebooks = settings.home() / "notebooks"
    return subprocess.Popen(
        [sys.executable, script, mends.ROOT, str(seconds)],
        # Where a kernel starts as well.
        cwd=notebooks if notebooks.is_dir() else None,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # Facts come as UTF-8, whatever the terminal's encoding is.
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


def hear(
    probe: "subprocess.Popen[bytes]", until: float, order: str = ""
) -> Answer:
    """Give a probe a line of input and wait for its end, at the latest until
    a time of `time.monotonic()`."""
    left = max(0.0, until - time.monotonic())
    try:
        out, err = probe.communicate(order.encode(), left)
    except subprocess.TimeoutExpired:
        probe.kill()
        out, _ = probe.communicate()
        return Answer(_facts(out), "took too long, and was ended")
    code, lines = probe.returncode, err.decode("utf-8", "replace").splitlines()
    said = [line for line in lines if line.strip()] or [f"exit code {code}"]
    trouble = f"ended by signal {-code}" if code < 0 else said[-1]
    return Answer(_facts(out), trouble if code else "")


def _facts(out: bytes) -> dict[str, Any]:
    """What the lines say; of facts of one name the last one counts."""
    found: dict[str, Any] = {}
    for line in out.splitlines():
        # Others are some library's own words.
        with contextlib.suppress(ValueError, TypeError):
            found.update(json.loads(line.decode("utf-8")))
    return found
