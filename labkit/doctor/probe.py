"""Questions to other processes, each with an end to its time.

A library that crashes, hangs or prints takes down a probe, never the page.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from labutils import settings

FOLDER = Path(__file__).resolve().parent / "probes"
ROOT = FOLDER.parents[2]  # the folder that has labutils in it


class Probe:
    """A script of `probes`, run by this interpreter.

    It prints facts, each a line of JSON with one name; what it printed
    before it died or was ended counts.

    Attributes:
        facts: by name, after `finish`; those of the name "import" by module.
        trouble: why it did not come to its end; "" where it did.
    """

    def __init__(self, script: str, *arguments: str) -> None:
        self.facts: dict[str, Any] = {}
        self.trouble = ""
        notebooks = settings.home() / "notebooks"
        self.process = subprocess.Popen(
            [sys.executable, str(FOLDER / script), str(ROOT), *arguments],
            # Where a kernel starts as well.
            cwd=notebooks if notebooks.is_dir() else None,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=_environment(),
        )

    def finish(self, until: float, order: str = "") -> None:
        """Wait for its end, at the latest until a time of the clock.

        Args:
            until: as `time.monotonic()` counts.
            order: a line for its standard input.
        """
        left = max(0.0, until - time.monotonic())
        try:
            out, err = self.process.communicate(order.encode(), left)
            if self.process.returncode:
                self.trouble = _reason(self.process.returncode, err)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, _ = self.process.communicate()
            self.trouble = "took too long, and was ended"
        for line in out.splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            facts = json.loads(line.decode("utf-8"))
        except ValueError:
            return  # some library's own words
        if isinstance(facts, dict):
            for name, fact in facts.items():
                known = self.facts.get(name)
                if isinstance(known, dict) and isinstance(fact, dict):
                    fact = {**known, **fact}
                self.facts[name] = fact


def _environment() -> dict[str, str]:
    # Facts are printed as UTF-8, whatever the terminal's encoding is.
    return {**os.environ, "PYTHONIOENCODING": "utf-8"}


def _reason(code: int, err: bytes) -> str:
    """The last line of its errors, or the signal that ended it."""
    lines = err.decode("utf-8", "replace").strip().splitlines()
    if code < 0:
        return f"ended by signal {-code}"
    return lines[-1] if lines else f"exit code {code}"
