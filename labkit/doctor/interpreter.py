"""Is Python new enough, and is it the course's own?"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from labkit.doctor import mends
from labkit.doctor.findings import BAD, NOTE, OK, Finding
from labutils import settings

OLDEST = (3, 11)  # where pyproject.toml cannot be asked


def oldest() -> tuple[int, int]:
    """The oldest Python that will do."""
    path = settings.home() / "pyproject.toml"
    if path.is_file():
        match = re.search(
            r'^requires-python = ">=(\d+)\.(\d+)',
            path.read_text(encoding="utf-8"), re.MULTILINE,
        )
        if match:
            return int(match[1]), int(match[2])
    return OLDEST


def new_enough() -> bool:
    """Whether this interpreter can run the course at all."""
    return sys.version_info[:2] >= oldest()


def check() -> list[Finding]:
    """The line about Python."""
    version = platform.python_version()
    found = f"{version}, {mends.shown(sys.executable)}"
    if new_enough():
        note = _elsewhere()
        state = NOTE if note else OK
        return [Finding("Python", state, found + note)]
    needed = ".".join(map(str, oldest()))
    return [Finding(
        "Python", BAD, f"{found}: too old, {needed} or newer is needed",
        _newer(),
    )]


def _elsewhere() -> str:
    """Words for an interpreter that is not of the course's own .venv."""
    own = mends.own_environment()
    if own and Path(sys.prefix).resolve() != own.parents[1].resolve():
        return f"; the course has an environment of its own, {own.parents[1]}"
    return ""


def _newer() -> str:
    """A line that leads to a Python that will do."""
    own = mends.own_environment()
    if own and _version(str(own)) >= oldest():
        return mends.install()  # runs the doctor with that one
    remove = f"{mends.remove(settings.home() / '.venv')} && " if own else ""
    minor = oldest()[1]
    for name in [f"python3.{m}" for m in range(minor + 5, minor - 1, -1)]:
        path = shutil.which(name)
        if path and _version(path) >= oldest():
            return remove + mends.make(path)
    if sys.platform == "darwin":
        return "brew install python@3.12 && make lab PYTHON=python3.12"
    if os.name == "nt":
        return "winget install Python.Python.3.12"
    return (
        "sudo apt-get install python3.11 python3.11-venv && make lab "
        "PYTHON=python3.11"
    )


def _version(path: str) -> tuple[int, int]:
    """Of an interpreter that is really run: some names only pretend."""
    script = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run(
            [path, "-c", script], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, timeout=2, check=True,
        )
        major, minor = done.stdout.split()
        return int(major), int(minor)
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0, 0
