"""The interpreter, and the packages: are they there, in the versions that are
asked for, and are they what an import finds?"""

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from labkit.doctor import BAD, NOTE, OK, WARN, Answer, Finding, mends
from labkit.doctor.mends import NEEDED, ROOT, installed
from labutils import settings

# Of each module that is imported, the package that brings it.
PACKAGES = {
    "numpy": "numpy", "torch": "torch", "matplotlib": "matplotlib",
    "PIL": "pillow", "ipywidgets": "ipywidgets",
}


def full_course() -> bool:
    """Whether this is the instructors' edition."""
    return (settings.home() / "labstaff").is_dir()


def interpreter() -> Iterator[Finding]:
    """The lines about the course's folder and about Python."""
    home = settings.home()
    if (home / "notebooks").is_dir():
        edition = "the course" if full_course() else "student edition"
        yield Finding("course", OK, f"{home}, {edition}")
    else:
        yield Finding(
            "course", NOTE, f"labutils in {ROOT}, without the course's "
            f"folder; data/ and results/ are in {home}",
        )
    found = f"{platform.python_version()}, {mends.shown(sys.executable)}"
    if mends.is_elsewhere():
        yield Finding(
            "Python", NOTE, f"{found}; the course has an environment of its "
            f"own, {mends.own_python().parents[1]}",
        )
    else:
        yield Finding("Python", OK, found)


# ---- versions


def packages() -> Iterator[Finding]:
    """The lines about the packages that everyone needs, and the extras."""
    asked, tested = mends.requirements(), mends.constraints()
    needed = [one for extra in NEEDED for one in asked.pop(extra, [])]
    if not needed:
        yield Finding(
            "packages", BAD, "labutils is not installed here, and there is "
            "no list of what it needs", mends.install(),
        )
        return
    missing, bad, other = [], [], []
    for one in needed:
        version = installed(one.name)
        if version is None:
            missing.append(one.name)
        elif not mends.fits(version, one):
            bad.append(f"{one.name} is {version}, needed is {one.specifier}")
        elif instead := _tested(one.name, tested):
            other.append(f"{one.name} is {version}, tested was {instead}")
    if missing:
        bad.insert(0, f"missing: {', '.join(missing)}")
    if bad or other:
        state, words = BAD if bad else WARN, "; ".join(bad + other)
        yield Finding("packages", state, words, mends.install())
    else:
        yield _brought(f"all {len(needed)} as needed", tested)
    # A student's installation has none of the other extras.
    if full_course():
        yield _extras(asked)


def _tested(name: str, tested: dict[str, Any]) -> str:
    """The tested version of a package, where another one is installed."""
    one, version = tested.get(mends.plain(name)), installed(name)
    if one is None or version is None or mends.fits(version, one):
        return ""
    return str(one.specifier).removeprefix("==")


def _brought(words: str, tested: dict[str, Any]) -> Finding:
    """All is well with those that are asked for; what of those they bring?"""
    if not tested:
        return Finding("packages", OK, f"{words}; no list of tested versions")
    other = [
        f"{name} {installed(name)} (tested: {instead})"
        for name in sorted(tested) if (instead := _tested(name, tested))
    ]
    if not other:
        return Finding("packages", OK, f"{words}, in the versions tested")
    more = f" and {len(other) - 3} more" if len(other) > 3 else ""
    return Finding(
        "packages", NOTE, f"{words}; of those they bring, in other versions: "
        f"{', '.join(other[:3])}{more}",
    )


def _extras(asked: dict[str, list[Any]]) -> Finding:
    """What only instructors need."""
    missing = {
        extra: [one.name for one in its if installed(one.name) is None]
        for extra, its in asked.items()
    }
    there = [extra for extra, names in missing.items() if not names]
    words = f"installed: {', '.join(there) or 'none'}"
    for extra, names in missing.items():
        words += f"; not {extra} ({', '.join(names)})" if names else ""
    return Finding("extras", NOTE if any(missing.values()) else OK, words)


# ---- imports


def imports(libraries: Answer) -> Iterator[Finding]:
    """The lines about imports: one for each module that is not as it should
    be, or one for them all."""
    found: dict[str, Any] = libraries.facts.get("imports", {})
    problems = [
        problem for module, package in PACKAGES.items()
        if module in found and installed(package)
        for problem in _import(module, package, **found[module])
    ]
    if dying := libraries.facts.get("importing"):
        problems.insert(0, _died(dying, libraries.trouble))
    # Where there are some, it is they that labutils cannot import.
    problems = problems or [*_labutils(**found.get("labutils", {}))]
    names = [name for name in found if "error" not in found[name]]
    if names and not problems:
        yield Finding("imports", OK, ", ".join(names))
    yield from problems


def _died(module: str, trouble: str) -> Finding:
    if "too long" in trouble:
        return Finding(
            "imports", WARN, f"{module} was not imported within the doctor's "
            "time: the first import, or one on a busy machine, takes longer",
            mends.longer(),
        )
    return Finding(
        "imports", BAD, f"importing {module}: {trouble}",
        mends.reinstall(PACKAGES.get(module, module)),
    )


def _import(
    module: str, package: str, file: str = "", version: str = "",
    error: str = "",
) -> Iterator[Finding]:
    """What is wrong with a module that is installed, if anything is."""
    again, asked = mends.reinstall(package), str(installed(package))
    if file and not is_in(Path(file), site_packages(package)):
        found = Path(file)
        own = found.parent if found.name == "__init__.py" else found
        first = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        shadows = own.parent in [Path(part).absolute() for part in first]
        yield Finding(
            "imports", BAD, f"import {module} finds {version}"
            f"{' in ' if version else ''}{own}, not the installed package",
            mends.unset("PYTHONPATH") if shadows else again,
        )
    elif error:
        # It may be there, and lack what it imports itself.
        mend = mends.install() if "No module named" in error else again
        words = f"{module} does not import: {error}"
        yield Finding("imports", BAD, words, mend)
    elif version.partition("+")[0] != asked.partition("+")[0]:
        yield Finding(
            "imports", BAD, f"{module} says that it is {version or 'nothing'}"
            f", installed is {asked}", again,
        )


def site_packages(package: str) -> Path:
    """The folder into which a package is installed."""
    return Path(str(metadata.distribution(package).locate_file("")))


def is_in(file: Path, place: Path) -> bool:
    """Whether a file is in a folder, or linked to there: some installers put
    into an environment links to files elsewhere."""
    return (
        place in file.parents or place.resolve() in file.resolve().parents
    )


def _labutils(
    file: str = "", version: str = "", error: str = ""
) -> Iterator[Finding]:
    if error:
        yield Finding(
            "imports", BAD, f"labutils does not import: {error}",
            mends.install(),
        )
    elif file and Path(file).resolve().parents[1] != ROOT:
        yield Finding(
            "imports", WARN, f"import labutils finds {Path(file).parent}, "
            f"the doctor is of {ROOT / 'labutils'}",
            f"cd {mends.shown(settings.home())} && {mends.install()}",
        )


def hidden() -> Iterator[Finding]:
    """Files beside the notebooks that hide a module of the same name."""
    names = {
        *sys.stdlib_module_names, *PACKAGES,
        "labutils", "labkit", "IPython", "ipykernel", "requests",
    }
    for path in sorted((settings.home() / "notebooks").glob("*.py")):
        if path.stem in names:
            yield Finding(
                "file names", BAD, f"{path} hides the module {path.stem} from "
                "the notebooks", mends.rename(path, f"my_{path.name}"),
            )
