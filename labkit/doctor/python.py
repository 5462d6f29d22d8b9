"""Are the packages there, in the versions of the course's two lists?

pyproject.toml has ranges (those of the installed package stand in where the
course's folder is not at hand), constraints.txt the exact versions that were
tested.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib import metadata

from labkit.doctor import mends
from labkit.doctor.findings import BAD, NOTE, OK, WARN, Finding
from labkit.doctor.versions import installed, within
from labutils import settings

NEEDED = ("", "lab")  # the package itself and what shows its notebooks
LINE = re.compile(
    r"""([\w.-]+)(?:\[[^]]*\])?\s*\(?([^;)]*)\)?"""
    r"""(?:;.*extra\s*==\s*["']([\w-]+)["'])?"""
)


@dataclass(frozen=True)
class Requirement:
    """A package, its range of versions and the extra that asks for it."""

    name: str
    versions: str
    extra: str


def check() -> list[Finding]:
    """The lines about the packages that everyone needs, and the extras."""
    asked = [r for r in requirements() if r.name != "labutils"]
    needed = [r for r in asked if r.extra in NEEDED]
    if not needed:
        return [Finding(
            "packages", BAD, "labutils is not installed here, and there is "
            "no list of what it needs", mends.install(),
        )]
    found = _needed(needed)
    return [found, *_extras([r for r in asked if r.extra not in NEEDED])]


def _needed(needed: list[Requirement]) -> Finding:
    tested, missing, bad, other = constraints(), [], [], []
    for one in needed:
        version = installed(one.name)
        if version is None:
            missing.append(one.name)
        elif not within(version, one.versions):
            bad.append(
                f"{one.name} is {version}, needed is {one.versions}"
            )
        elif _differs(one.name, version, tested):
            other.append(
                f"{one.name} is {version}, tested was "
                f"{tested[plain(one.name)]}"
            )
    if missing:
        bad.insert(0, f"missing: {', '.join(missing)}")
    if bad or other:
        state = BAD if bad else WARN
        words = "; ".join(bad + other)
        return Finding("packages", state, words, mends.install())
    return _others(needed, tested)


def _others(needed: list[Requirement], tested: dict[str, str]) -> Finding:
    """All is well with those that are asked for; what of those they bring?"""
    words = f"all {len(needed)} as needed"
    if not tested:
        return Finding("packages", OK, f"{words}; no list of tested versions")
    other = [
        f"{name} {version} (tested: {tested[name]})"
        for name in sorted(tested)
        if (version := installed(name)) and _differs(name, version, tested)
    ]
    if not other:
        return Finding("packages", OK, f"{words}, in the versions tested")
    more = f" and {len(other) - 3} more" if len(other) > 3 else ""
    return Finding(
        "packages", NOTE, f"{words}; of those they bring, in other versions: "
        f"{', '.join(other[:3])}{more}",
    )


def _extras(others: list[Requirement]) -> list[Finding]:
    """What only instructors need; a student's installation has none of it."""
    if not (settings.home() / "labstaff").is_dir():
        return []
    missing: dict[str, list[str]] = {}
    extras = {one.extra: True for one in others}
    for one in others:
        if installed(one.name) is None:
            missing.setdefault(one.extra, []).append(one.name)
    there = [extra for extra in extras if extra not in missing]
    words = f"installed: {', '.join(there) or 'none'}"
    for extra, names in missing.items():
        words += f"; not {extra} ({', '.join(names)})"
    return [Finding("extras", NOTE if missing else OK, words)]


def requirements() -> list[Requirement]:
    """What pyproject.toml asks for, or else the installed labutils."""
    path = settings.home() / "pyproject.toml"
    if path.is_file() and sys.version_info >= (3, 11):
        import tomllib

        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        lists = {
            "": project["dependencies"], **project["optional-dependencies"]
        }
        return [
            parse(line, extra)
            for extra, lines in lists.items() for line in lines
        ]
    try:
        lines = metadata.requires("labutils") or []
    except metadata.PackageNotFoundError:
        return []
    return [parse(line) for line in lines]


def parse(line: str, extra: str = "") -> Requirement:
    """A requirement as pip reads it, of those that one meets here."""
    match = LINE.match(line)
    assert match, f"{line!r} is no requirement"
    return Requirement(match[1], match[2].strip(), match[3] or extra)


def constraints() -> dict[str, str]:
    """The tested version of each package."""
    path = settings.home() / "constraints.txt"
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line[:1] not in ("#", "")]
    return {plain(name): version.strip() for name, version in pairs}


def _differs(name: str, version: str, tested: dict[str, str]) -> bool:
    """Whether it is tested in another version; +cpu and the like are one."""
    wanted = tested.get(plain(name))
    return wanted is not None and version.partition("+")[0] != wanted


def plain(name: str) -> str:
    """A package's name in the one spelling that can be compared."""
    return re.sub(r"[-_.]+", "-", name).lower()
