"""Do the packages import, and are they the installed ones?"""

from __future__ import annotations

import os
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from labkit.doctor import mends
from labkit.doctor.findings import BAD, OK, WARN, Finding
from labkit.doctor.probe import ROOT, Probe
from labkit.doctor.versions import installed
from labutils import settings

# Of each module, the package that brings it.
PACKAGES = {
    "numpy": "numpy", "torch": "torch", "matplotlib": "matplotlib",
    "PIL": "pillow", "ipywidgets": "ipywidgets",
}


def check(*probes: Probe) -> list[Finding]:
    """The lines about imports: one for each module that is not as it should
    be, or one for them all."""
    imports: dict[str, Any] = {}
    findings = []
    for probe in probes:
        imports.update(probe.facts.get("imports", {}))
        dying = probe.facts.get("importing")
        if dying:
            findings.append(_died(dying, probe.trouble))
    for module, package in PACKAGES.items():
        if module in imports and installed(package):
            findings += _one(module, package, imports[module])
    broken = {finding.name for finding in findings}
    if not broken:  # else it is they that labutils cannot import
        findings += _labutils(imports.get("labutils", {}))
    names = ", ".join(n for n in imports if "error" not in imports[n])
    if findings or not names:
        return findings
    return [Finding("imports", OK, names)]


def _died(module: str, trouble: str) -> Finding:
    if "too long" in trouble:
        return Finding(
            "imports", WARN, f"{module} was not imported within the doctor's "
            "time: the first import, or one on a busy machine, takes longer",
            mends.longer(),
        )
    package = PACKAGES.get(module, module)
    return Finding(
        "imports", BAD, f"importing {module}: {trouble}",
        mends.reinstall(package),
    )


def _one(module: str, package: str, facts: dict[str, Any]) -> list[Finding]:
    """What is wrong with a module that is installed, if anything is."""
    version, file = facts.get("version", ""), facts.get("file")
    place = metadata.distribution(package).locate_file("")
    if "error" in facts:
        shadow = _shadow(module)
        if shadow:
            return [_not_installed(module, package, shadow)]
        return [Finding(
            "imports", BAD, f"{module} does not import: {facts['error']}",
            mends.reinstall(package),
        )]
    if file and not _is_in(Path(file), Path(str(place))):
        return [_not_installed(module, package, Path(file), version)]
    asked = str(installed(package))
    if version.partition("+")[0] != asked.partition("+")[0]:
        return [Finding(
            "imports", BAD, f"{module} says that it is {version or 'nothing'}"
            f", installed is {asked}", mends.reinstall(package),
        )]
    return []


def _is_in(file: Path, place: Path) -> bool:
    """Some installers put links to files elsewhere into an environment."""
    return (
        place in file.parents or place.resolve() in file.resolve().parents
    )


def _shadow(module: str) -> Path | None:
    """A file of that name that comes before the installed one."""
    folders = [settings.home() / "notebooks", *_python_path()]
    for folder in folders:
        for name in (f"{module}.py", f"{module}/__init__.py"):
            if (folder / name).is_file():
                return folder / name
    return None


def _python_path() -> list[Path]:
    parts = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [Path(part).absolute() for part in parts if part]


def _not_installed(
    module: str, package: str, file: Path, version: str = ""
) -> Finding:
    """Another module of the same name is found first."""
    words = f"import {module} finds {f'{version} in ' if version else ''}"
    own = file.parent if file.name == "__init__.py" else file
    if own.parent in _python_path():
        mend = mends.unset("PYTHONPATH")
    elif own.parent == settings.home() / "notebooks":
        mend = mends.rename(own, f"my_{own.name}")
    else:
        mend = mends.reinstall(package)
    return Finding(
        "imports", BAD, f"{words}{own}, not the installed package", mend
    )


def _labutils(facts: dict[str, Any]) -> list[Finding]:
    if "error" in facts:
        missing = re.search("No module named '(\\w+)", facts["error"])
        if missing and not installed(missing[1]):
            return []  # said among the packages
        return [Finding(
            "imports", BAD, f"labutils does not import: {facts['error']}",
            mends.install(),
        )]
    file = facts.get("file")
    if file and Path(file).resolve().parents[1] != ROOT:
        return [Finding(
            "imports", WARN, f"import labutils finds {Path(file).parent}, "
            f"the doctor is of {ROOT / 'labutils'}",
            f"cd {mends.shown(settings.home())} && {mends.install()}",
        )]
    return []


def names() -> list[Finding]:
    """Files beside the notebooks that hide a module of the same name."""
    folder = settings.home() / "notebooks"
    if not folder.is_dir():
        return []
    hidden = {*PACKAGES, "labutils", "IPython", "ipykernel", "requests"}
    # Python 3.10 and newer can say what comes with it.
    hidden |= set(getattr(sys, "stdlib_module_names", ()))
    return [
        Finding(
            "file names", BAD, f"{path} hides the module {path.stem} from "
            "the notebooks", mends.rename(path, f"my_{path.name}"),
        )
        for path in sorted(folder.glob("*.py")) if path.stem in hidden
    ]
