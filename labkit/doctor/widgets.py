"""Does the front end of ipywidgets fit its back end, and is it enabled?

The back end is the Python package; the front end is an extension that
JupyterLab loads from share/jupyter/labextensions. Where one is missing or
of another generation, a widget is a line of text.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from labkit.doctor import mends
from labkit.doctor.findings import BAD, OK, WARN, Finding
from labkit.doctor.probe import Probe
from labkit.doctor.python import parse
from labkit.doctor.versions import installed, within

EXTENSION = "@jupyter-widgets/jupyterlab-manager"
# Generations: ipywidgets' first number, and that of its front end.
FITTING = {"7": "3", "8": "5"}


def check(kernel: Probe) -> list[Finding]:
    """The line about widgets."""
    if "labextensions" not in kernel.facts:
        return []  # the kernel's line says that Jupyter does not work
    back = installed("ipywidgets")
    if back is None:
        return []  # said among the packages
    again = mends.reinstall("jupyterlab_widgets")
    places = [Path(place) for place in kernel.facts["labextensions"]]
    found = [place / EXTENSION for place in places
             if (place / EXTENSION / "package.json").is_file()]
    if not found:
        return [Finding(
            "widgets", BAD, f"ipywidgets {back} has no front end: JupyterLab "
            f"has no extension {EXTENSION}", again,
        )]
    front = _version(found[0])
    told = f"ipywidgets {back}, front end {front}"
    if not _fits(back, front):
        mend = mends.remove(found[0]) if _is_hiding(found, back) else again
        return [Finding(
            "widgets", BAD, f"{told}: they do not fit (front end in "
            f"{found[0]})", mend,
        )]
    if _disabled(kernel.facts["configs"]):
        return [Finding(
            "widgets", BAD, f"{told}, but the extension is disabled",
            mends.python("-m", "jupyterlab.labextensions", "enable",
                         EXTENSION),
        )]
    return [Finding("widgets", OK, told), *_package(back)]


def _version(folder: Path) -> str:
    try:
        text = (folder / "package.json").read_text(encoding="utf-8")
        return str(json.loads(text)["version"])
    except (OSError, ValueError, LookupError, TypeError):
        return "unreadable"


def _fits(back: str, front: str) -> bool:
    wanted = FITTING.get(back.partition(".")[0])
    # Of a generation that is unknown here nothing is known.
    return wanted in (None, front.partition(".")[0])


def _is_hiding(found: list[Path], back: str) -> bool:
    """Whether a wrong front end hides a right one."""
    return any(_fits(back, _version(folder)) for folder in found[1:])


def _package(back: str) -> list[Finding]:
    """The package that brings the front end, by ipywidgets' own range."""
    package = installed("jupyterlab_widgets")
    for line in metadata.requires("ipywidgets") or []:
        asked = parse(line)
        if asked.name != "jupyterlab_widgets" or not package:
            continue
        if not within(package, asked.versions):
            return [Finding(
                "widgets", WARN, f"jupyterlab_widgets is {package}, "
                f"ipywidgets {back} asks for {asked.versions}",
                mends.reinstall("jupyterlab_widgets"),
            )]
    return []


def _disabled(configs: list[str]) -> bool:
    """As JupyterLab settles it: the first of the folders has the last word."""
    state: dict[str, Any] = {}
    for folder in reversed(configs):
        path = Path(folder, "labconfig", "page_config.json")
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            disabled = said.get("disabledExtensions", {})
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(disabled, list):
            disabled = {name: True for name in disabled}
        state.update(disabled)
    return any(
        off for name, off in state.items()
        if name.partition(":")[0] == EXTENSION
    )
