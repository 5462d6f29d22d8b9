"""All the checks and the processes they ask, within the time that there is."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from labkit.doctor import (
    BAD,
    NOTE,
    PARTS,
    TOO_LONG,
    WARN,
    Facts,
    Finding,
    Sections,
    installation,
    machine,
    mends,
)
from labutils import settings
from labutils.files import translated as _

# Of the time there is, until when each probe is heard, in this order: steps
# are timed when the kernel has ended, as on two cores they would be in each
# other's way.
UNTIL = {"kernel": 0.66, "libraries": 0.89}
NO_TIME = "no time was left"  # to time a step

# The part, the name and the function of each check; the probe whose answer it
# takes, and the fact without which it has nothing to say.
CHECKS: list[tuple[str, str, Callable[..., Iterator[Finding]], str, str]] = [
    ("python", "Python", installation.interpreter, "", ""),
    ("python", "packages", installation.packages, "", ""),
    ("imports", "imports", installation.imports, "libraries", "importing"),
    ("notebooks", "kernel", installation.kernels, "kernel", "kernel_dirs"),
    ("notebooks", "widgets", installation.widgets, "kernel", "front_end"),
    ("text", "text", machine.text, "", ""),
    ("text", "settings", machine.variables, "", ""),
    ("machine", "device", machine.device, "libraries", "device"),
    ("machine", "training", machine.trainings, "libraries", "step"),
    ("machine", "memory", machine.memory, "libraries", "memory"),
    ("folders", "folders", machine.check, "", ""),
    ("folders", "file names", installation.hidden, "", ""),
    ("extras", "fonts", machine.fonts, "libraries", "font"),
    ("extras", "browser", machine.browser, "", ""),
    ("extras", "sandbox", machine.sandbox, "", ""),
]
# What one can do without knowing.
MINOR = ("memory", "fonts")


def examine(seconds: float, parts: Collection[str]) -> Sections:
    """Look at some parts, for so many seconds at the most."""
    start = time.monotonic()
    asked = {probe for part, *_, probe, _ in CHECKS if part in parts}
    probes = {name: ask(name, share * seconds - 0.5)
              for name, share in UNTIL.items() if name in asked}
    answers = {name: hear(probe, start + UNTIL[name] * seconds)
               for name, probe in probes.items()}
    sections: Sections = {}
    for part, name, check, probe, fact in CHECKS:
        if part in parts:
            found = careful(name, check, answers.get(probe), fact)
            sections.setdefault(PARTS[part], []).extend(found)
    return sections


def careful(
    name: str, check: Callable[..., Iterator[Finding]],
    facts: Facts | None = None, fact: str = "",
) -> list[Finding]:
    """The check's findings; what keeps it from looking becomes one of them.

    What is broken on a machine breaks in ways that nobody foresaw, and the
    other lines of the page are wanted all the same.
    """
    if facts is not None and fact not in facts:
        reason = facts.get(f"no_{fact}") or facts["trouble"] or NO_TIME
        words = _(f"could not be looked at ({reason})")
        late = reason in (TOO_LONG, NO_TIME)
        state = NOTE if name in MINOR else WARN if late else BAD
        mend = mends.longer() if late else mends.install()
        return [Finding(name, state, words, mend)]
    found: list[Finding] = []
    try:
        found.extend(check() if facts is None else check(facts))
    except Exception as error:
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        words = _(f"could not be looked at ({words})")
        found.append(Finding(name, WARN, words))
    return found


def ask(name: str, seconds: float) -> "subprocess.Popen[str]":
    """Start a probe in a process of its own: a library that crashes, hangs or
    prints takes down a probe, never the page."""
    script = Path(__file__).with_name("probes.py")
    notebooks = settings.home() / "notebooks"
    return subprocess.Popen(
        # -P: what lies beside the script would hide packages.
        [sys.executable, "-P", script, name, mends.ROOT, str(seconds)],
        # Where a kernel starts as well.
        cwd=notebooks if notebooks.is_dir() else None,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # Facts come as UTF-8, whatever the terminal's encoding is.
        encoding="utf-8", errors="replace",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"})


def hear(probe: "subprocess.Popen[str]", until: float) -> Facts:
    """Close a probe's input and wait for its end, at the latest until a time
    of `time.monotonic()`."""
    try:
        left = max(0.0, until - time.monotonic())
        out, err = probe.communicate(timeout=left)
    except subprocess.TimeoutExpired:
        probe.kill()
        return facts(probe.communicate()[0]) | {"trouble": TOO_LONG}
    code = probe.returncode
    said = err.strip().splitlines() or [f"exit code {code}"]
    trouble = f"ended by signal {-code}" if code < 0 else said[-1]
    return facts(out) | {"trouble": trouble if code else ""}


def facts(out: str) -> Facts:
    """What the lines say; of facts of one name the last one counts."""
    found: Facts = {}
    for line in out.splitlines():
        # Others are some library's own words.
        with contextlib.suppress(ValueError, TypeError):
            found.update(json.loads(line))
    return found
