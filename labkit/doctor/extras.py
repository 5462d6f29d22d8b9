"""What reports, browser tests and grading need besides."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from labkit.doctor import mends
from labkit.doctor.findings import NOTE, OK, WARN, Finding
from labkit.doctor.probe import Probe
from labkit.doctor.versions import installed
from labkit.report.browser import BrowserError, find
from labutils import settings


def full_course() -> bool:
    """Whether this is the instructors' edition."""
    return (settings.home() / "labstaff").is_dir()


def fonts(probe: Probe) -> list[Finding]:
    """The line about Chinese letters in pictures."""
    if "chinese" not in probe.facts:
        if "matplotlib" in probe.trouble and "No module" in probe.trouble:
            return []  # said among the packages
        return [Finding(
            "fonts", NOTE, f"matplotlib did not say ({probe.trouble}); its "
            "first list of fonts takes long, the second time it is there",
        )]
    families = probe.facts["chinese"]
    if families:
        more = f" and {len(families) - 2} more" if len(families) > 2 else ""
        words = f"{', '.join(families[:2])}{more}"
        return [Finding("fonts", OK, f"with Chinese letters: {words}")]
    # Whoever works in Chinese will miss them.
    state = WARN if os.environ.get("LANG", "").startswith("zh") else NOTE
    return [Finding(
        "fonts", state, "none with Chinese letters: in pictures they are "
        "empty boxes", _install_fonts(probe.facts.get("font_cache", "")),
    )]


def _install_fonts(cache: str) -> str:
    """Matplotlib looks for new fonts only when its list is gone."""
    lists = f"{mends.shown(cache)}/fontlist-*.json"
    if sys.platform == "linux":
        return f"sudo apt-get install fonts-noto-cjk && rm -f {lists}"
    if mends.WINDOWS:
        return f"Remove-Item {lists}"  # Windows comes with such fonts
    return f"rm -f {lists}"  # macOS as well


def browser() -> list[Finding]:
    """The line about a browser: for PDF files and for the browser tests."""
    try:
        found = find()
    except BrowserError:
        line = "sudo apt-get install chromium"
        return [Finding(
            "browser", NOTE, "no Chromium, Chrome or Edge: needed for PDF "
            "files and browser tests alone",
            line if sys.platform == "linux" else "",
        )]
    if not (settings.home() / "tests").is_dir():
        return [Finding("browser", OK, f"{found}, for PDF files")]
    driver = installed("playwright")
    if driver:
        return [Finding("browser", OK, f"{found}, playwright {driver}")]
    return [Finding(
        "browser", NOTE, f"{found}; no playwright, which the browser tests "
        "need", mends.install("dev"),
    )]


def sandbox() -> list[Finding]:
    """The line about bubblewrap, for those who grade."""
    if not full_course() or sys.platform != "linux":
        return []
    found = shutil.which("bwrap")
    if not found:
        return [Finding(
            "sandbox", NOTE, "no bubblewrap, which grading needs",
            "sudo apt-get install bubblewrap",
        )]
    try:
        subprocess.run(
            [found, "--ro-bind", "/", "/", "--unshare-all", "true"],
            check=True, timeout=2, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip()
        return [Finding("sandbox", NOTE, f"{found} does not work: {said}")]
    except (OSError, subprocess.TimeoutExpired) as error:
        return [Finding("sandbox", NOTE, f"{found} does not work: {error}")]
    return [Finding("sandbox", OK, f"{Path(found)} works, for grading")]
