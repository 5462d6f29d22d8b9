"""All the checks, within the time that there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from labkit.doctor import (
    extras,
    folders,
    imports,
    interpreter,
    jupyter,
    machine,
    python,
    text,
    widgets,
)
from labkit.doctor.findings import NOTE, OK, Finding, Section, careful
from labkit.doctor.probe import ROOT, Probe
from labutils import settings

# Of the time there is: until when the other probes are heard before steps
# are timed, and until when these are.
HEARD, TIMED = 0.66, 0.89
TIMING = 3.0  # seconds of timing, at the most

TITLES = {
    "python": "Python and packages",
    "imports": "Imports",
    "notebooks": "Notebooks",
    "text": "Text and settings",
    "machine": "Machine",
    "folders": "Folders",
    "extras": "Reports, tests, grading",
}
# Of each part: its checks, by name, and the probes whose answers they take.
CHECKS: dict[str, list[tuple[str, Callable[..., list[Finding]], str]]] = {
    "python": [
        ("course", lambda: [_course()], ""),
        ("Python", interpreter.check, ""),
        ("packages", python.check, ""),
    ],
    "imports": [("imports", imports.check, "torch fonts")],
    "notebooks": [
        ("kernel", jupyter.check, "kernel"),
        ("widgets", widgets.check, "kernel"),
    ],
    "text": [
        ("text", text.text, ""),
        ("settings", text.variables, ""),
    ],
    "machine": [
        ("device", machine.device, "torch"),
        ("training", machine.trainings, "torch"),
        ("memory", machine.memory, "fonts"),
    ],
    "folders": [
        ("folders", folders.check, ""),
        ("file names", imports.names, ""),
    ],
    "extras": [
        ("fonts", extras.fonts, "fonts"),
        ("browser", extras.browser, ""),
        ("sandbox", extras.sandbox, ""),
    ],
}


def examine(seconds: float, parts: Collection[str]) -> list[Section]:
    """Look at everything, or at some parts.

    The probes run while the rest is looked at; steps are timed when they
    have ended, since on two cores they would be in each other's way.

    Args:
        seconds: how long all of it may take.
        parts: names of TITLES.
    """
    start = time.monotonic()
    checks = {part: CHECKS[part] for part in TITLES if part in parts}
    if not interpreter.new_enough():  # a probe would tell of nothing else
        checks = {
            part: [check for check in its if not check[2]]
            for part, its in checks.items()
        }
        checks.get("python", [])[2:] = []
    probes = _start(" ".join(x[2] for its in checks.values() for x in its),
                    seconds)
    found = {
        name: careful(name, check)
        for its in checks.values() for name, check, asked in its if not asked
    }
    _hear(probes, start, seconds)
    for its in checks.values():
        for name, check, asked in its:
            if asked:
                answers = [probes[probe] for probe in asked.split()]
                found[name] = careful(name, check, *answers)
    return [
        Section(TITLES[part], [f for name, *_ in its for f in found[name]])
        for part, its in checks.items() if its
    ]


def _start(asked: str, seconds: float) -> dict[str, Probe]:
    """Start the probes that are asked for, by name."""
    probes = {}
    if "torch" in asked:  # which takes longest
        probes["torch"] = Probe("ask_torch.py")
    if "kernel" in asked:
        probes["kernel"] = Probe("ask_kernel.py", str(HEARD * seconds - 0.5))
    if "fonts" in asked:
        probes["fonts"] = Probe("ask_fonts.py")
    return probes


def _hear(probes: dict[str, Probe], start: float, seconds: float) -> None:
    """Wait for the probes' answers."""
    for name in ("kernel", "fonts"):
        if name in probes:
            probes[name].finish(start + HEARD * seconds)
    if "torch" in probes:
        until = start + TIMED * seconds
        # A step that has begun is not broken off.
        timing = min(TIMING, until - time.monotonic() - 0.5)
        probes["torch"].finish(until, f"{timing}\n")


def _course() -> Finding:
    home = settings.home()
    if not (home / "notebooks").is_dir():
        return Finding(
            "course", NOTE, f"labutils in {ROOT}, without the course's "
            f"folder; data/ and results/ are in {home}",
        )
    edition = "the course" if extras.full_course() else "student edition"
    return Finding("course", OK, f"{home}, {edition}")
